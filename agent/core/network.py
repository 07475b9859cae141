"""How a CSMS is reached, in neutral words: profiles in numbered slots, as the configuration file has them and with what
the CSMS has set over them.

A `Plan` is all that the CSMS has set: values of slots, and the order in which slots are used. It is kept as plain JSON.
Slot 0 is no slot of a plan but the file's first profile as it is: the last resort. Versions are words of the variable
OcppVersion, which only the dialects understand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from agent.core.events import Event
from agent.core.record import record, replace

SLOTS = 4
LAST_RESORT = 0
MADE_WITH = "made with"  # the mark of a certificate that was not signed through the CSMS
LONGEST_URL = 512
LONGEST_IDENTITY = 48
SHORTEST_PASSWORD, LONGEST_PASSWORD = 16, 64
HEX_DIGITS = (32, 40)  # of an AuthorizationKey: 16 to 20 bytes
SHOWS = 3  # the security profile in which the link shows a certificate of ours
FOREVER = 1e12  # UTC epoch seconds
FORMS = ("text", "hex", "try")  # how a password is written; "try": as bytes in hex first, as text when that is refused


class Secret(str):
    """A text that does not show when the value that holds it is shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


@record
class Profile:
    """One way to a CSMS, complete. `security`: 0 nothing, 1 password, 2 password over TLS, 3 client certificate."""

    url: str
    identity: str
    security: int = 0
    password: Secret = Secret("")
    form: str = "text"
    versions: tuple[str, ...] = ()  # () as the file says
    user: str | None = None  # None: the identity

    @property
    def dial_url(self) -> str:
        """From security profile 2 on there is TLS, whatever the address began with."""
        return "wss:" + self.url[3:] if self.security >= 2 and self.url.startswith("ws:") else self.url

    @property
    def dialled(self) -> Profile:
        """The same without what the CSMS is not told."""
        return self if self.security in (1, 2) else replace(self, password=Secret(""), form="text")

    @property
    def shown(self) -> str:
        """Scheme, host and port; what else stands in an address may be secret."""
        scheme, _, rest = self.dial_url.partition("://")
        return f"{scheme}://{rest.split('/')[0].split('?')[0].rpartition('@')[2]}"

    @property
    def forms(self) -> tuple[str, ...]:
        """The ways in which the password may be meant, the likeliest first."""
        if self.form != "try":
            return (self.form,)
        return ("hex", "text") if is_hex(self.password) else ("text",)


@record
class Plan:
    """What the CSMS has set. `slots[slot][field]`, fields as in `FIELDS`; also "mark": the file's own mark of the slot
    at that time, and "utc": when it was set. `priority` (): as in the file. `floor`: the security profile to which the
    CSMS has raised a link that then proved itself; no slot below it is dialled any more. `certificate`: which one of
    ours is shown, by its mark; "" the newest, `MADE_WITH` the one that the file names."""

    slots: Mapping[int, Mapping[str, Any]] = {}
    priority: tuple[int, ...] = ()
    floor: int = 0
    certificate: str = ""

    def having(self, slot: int, **values: Any) -> Plan:
        return replace(self, slots={**self.slots, slot: {**self.slots.get(slot, {}), **values}})

    def without(self, slot: int) -> Plan:
        return replace(self, slots={n: values for n, values in self.slots.items() if n != slot})

    def json(self) -> dict[str, Any]:
        slots = {str(slot): {k: str(v) if k == "password" else v for k, v in values.items()}
                 for slot, values in self.slots.items()}  # fmt: skip
        more = {"certificate": self.certificate} if self.certificate else {}
        return {"slots": slots, "priority": list(self.priority), "floor": self.floor, **more}


def read_plan(value: Any) -> Plan:
    """What was remembered; whatever in it makes no sense is left out."""
    if not isinstance(value, dict):
        return Plan()
    slots: dict[int, Mapping[str, Any]] = {}
    found = value.get("slots")
    for slot, values in found.items() if isinstance(found, dict) else ():
        if slot in _SLOT_WORDS and isinstance(values, dict):
            slots[int(slot)] = _read_slot(values)
    order = value.get("priority")
    known = [slot for slot in order if _is_one_of(slot, range(1, SLOTS + 1))] if isinstance(order, list) else []
    floor: Any = value.get("floor")
    mark = value.get("certificate")
    return Plan(
        slots,
        tuple(dict.fromkeys(known)),
        floor if _is_one_of(floor, (1, 2, 3)) else 0,
        mark if isinstance(mark, str) else "",
    )


def _read_slot(values: Mapping[str, Any]) -> dict[str, Any]:
    found = {k: v for k, v in values.items() if k in _SOUND and _SOUND[k](v)}
    if found.get("form") == "hex" and not is_hex(found.get("password", "")):
        del found["form"]
        found.pop("password", None)
    return found


def _is_one_of(value: Any, choice: Iterable[int]) -> bool:
    return type(value) is int and value in choice


_SLOT_WORDS = tuple(str(slot) for slot in range(1, SLOTS + 1))
_SOUND: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("password", "versions", "mark"), lambda v: isinstance(v, str)),
    "url": lambda v: isinstance(v, str) and fit_url(v) == v,
    "identity": lambda v: isinstance(v, str) and fit_identity(v) == v,
    "form": lambda v: isinstance(v, str) and v in FORMS,
    "security": lambda v: _is_one_of(v, range(4)),
    "utc": lambda v: type(v) in (int, float) and abs(v) < FOREVER,
}


@record
class FileLink:
    """What the configuration file says of one slot; `mark` changes whenever that changes."""

    profile: Profile
    mark: str = ""


class Links:
    """The file's profiles, and what follows when a plan is laid over them."""

    def __init__(self, files: tuple[FileLink, ...] = (), versions: tuple[str, ...] = ()) -> None:
        self.files = {slot: link for slot, link in enumerate(files, 1) if slot <= SLOTS}
        self.versions = versions  # words that OcppVersion may hold

    def mark(self, slot: int) -> str:
        return self.files[slot].mark if slot in self.files else ""

    def profile(self, plan: Plan, slot: int) -> Profile | None:
        """None: nothing is known of this slot, or too little."""
        base = self.files[slot or 1].profile if (slot or 1) in self.files else None
        over = plan.slots.get(slot, {}) if slot != LAST_RESORT else {}
        if not over:
            return base
        identity = over.get("identity") or (base.identity if base else "") or self.files[1].profile.identity
        url = over.get("url") or (base.url if base else "")
        if not url:
            return None
        password = Secret(over["password"]) if "password" in over else base.password if base else Secret("")
        form = over.get("form", "text") if "password" in over else base.form if base else "text"
        words = (v for v in str(over.get("versions", "")).split(",") if v in self.versions)
        versions = tuple(words) or (base.versions if base else ())
        user = base.user if base and "identity" not in over else None
        security = over.get("security", base.security if base else _security(url, password))
        return Profile(url, identity, security, password, form, versions, user)

    def order(self, plan: Plan) -> tuple[int, ...]:
        """The usable slots, the preferred one first."""
        wanted = plan.priority or tuple(self.files)
        found = {slot: profile for slot in wanted if (profile := self.profile(plan, slot)) is not None}
        high = tuple(slot for slot, profile in found.items() if profile.security >= plan.floor)
        return high or tuple(found) or tuple(self.files)

    def last_resort(self, plan: Plan) -> bool:
        """The file's first profile is none of the plan's, and would not lower the security profile of any."""
        found = self.profile(plan, LAST_RESORT)
        used = [profile for slot in self.order(plan) if (profile := self.profile(plan, slot)) is not None]
        return found is not None and found not in used and all(found.security >= p.security for p in used)

    def fresh(self, plan: Plan) -> tuple[Plan, tuple[int, ...]]:
        """The plan without what was set over a part of the file that has changed since, and the slots dropped."""
        stale = tuple(slot for slot, values in plan.slots.items() if values.get("mark", "") != self.mark(slot))
        for slot in stale:
            plan = plan.without(slot)
        return replace(plan, floor=0) if stale else plan, stale


def _security(url: str, password: str) -> int:
    if not password:
        return 0
    return 2 if url.startswith("wss:") else 1


# --- what a value must be: the value for the plan, or None ------------------------------------------------------


def is_hex(text: str) -> bool:
    return HEX_DIGITS[0] <= len(text) <= HEX_DIGITS[1] and len(text) % 2 == 0 and _hex_digits(text)


def _hex_digits(text: str) -> bool:
    return all(c in "0123456789abcdefABCDEF" for c in text)


def fit_url(value: str) -> str | None:
    if not value or len(value) > LONGEST_URL or not value.isprintable() or any(c.isspace() for c in value):
        return None
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("ws", "wss") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return (
        parts.scheme + value[len(parts.scheme) :] if good and "@" not in parts.netloc and not parts.fragment else None
    )


def fit_identity(value: str) -> str | None:
    return (
        value if value.strip() and len(value) <= LONGEST_IDENTITY and value.isprintable() and ":" not in value else None
    )


def fit_security(value: str) -> int | None:
    return int(value) if value.strip() in ("0", "1", "2", "3") else None


FIELDS: Mapping[str, Callable[[str], Any]] = {"url": fit_url, "identity": fit_identity, "security": fit_security}


def fit_password(value: str, form: str) -> str | None:
    """A password as it can be used in this form."""
    if form == "hex":
        return value if is_hex(value) else None
    return value if SHORTEST_PASSWORD <= len(value) <= LONGEST_PASSWORD and value.isprintable() else None


# --- what happens to links --------------------------------------------------------------------------------------


@record
class LinksConfigured(Event):
    """The configuration file was read again."""

    files: tuple[FileLink, ...]
    versions: tuple[str, ...]


@record
class CredentialsKnown(Event):
    """`root`: there are certificates that may vouch for a CSMS. `client`: we have a certificate of our own."""

    root: bool
    client: bool


@record
class CertificateTaken(Event):
    """The CSMS has given us a new certificate of our own. `mark` names it, `before` the newest one until then."""

    mark: str
    before: str = MADE_WITH


@record
class DialFailed(Event):
    """No connection came about. `number`: the target that was dialled. `security`: the word of a security event."""

    number: int
    kind: str
    why: str
    security: str = ""


@record
class LinkSilent(Event):
    """The connection stands, but the CSMS has answered no CALL for long."""

    age_s: float


@record
class CsmsChanged(Event):
    """From the next connection on this is another CSMS, or we are another to it: having been accepted says nothing."""


@record
class Target:
    """What is to be dialled now. `form`: how to take the password at this try. `certificate`: see `Plan`; `fresh`: it
    is on trial, and no other is shown in its place; `coming`: one that is still to be tried."""

    number: int
    slot: int
    profile: Profile
    form: str
    certificate: str = ""
    fresh: bool = False
    coming: str = ""

    @property
    def shown(self) -> str:
        profile = self.profile
        text = f"slot {self.slot}, {profile.shown} as {profile.identity}, security profile {profile.security}"
        return f"{text}, with a new certificate of ours" if self.fresh and profile.security == SHOWS else text


# --- the state of the link as a whole ------------------------------------------------------------------------


class State(StrEnum):
    STANDING = "standing"
    GATHERING = "gathering"  # changes come in
    TRYING = "trying"  # what was wanted is dialled
    PROBING = "probing"  # a better slot is dialled


class Turn(StrEnum):
    """What can happen to the link as a whole."""

    ASKED = "asked"
    QUIET = "quiet"
    ACCEPTED = "accepted"
    SPENT = "spent"  # attempts or time are used up
    CLIMB = "climb"


# What is not here changes nothing. The last column names what `blocks.network` does then.
TRANSITIONS: Mapping[tuple[State, Turn], tuple[State, str]] = {
    (State.STANDING, Turn.ASKED): (State.GATHERING, "_gather"),
    (State.STANDING, Turn.ACCEPTED): (State.STANDING, "_prove"),
    (State.STANDING, Turn.SPENT): (State.STANDING, "_next"),
    (State.STANDING, Turn.CLIMB): (State.PROBING, "_probe"),
    (State.GATHERING, Turn.ASKED): (State.GATHERING, "_gather"),
    (State.GATHERING, Turn.ACCEPTED): (State.GATHERING, "_prove"),
    (State.GATHERING, Turn.QUIET): (State.TRYING, "_try"),
    (State.TRYING, Turn.ACCEPTED): (State.STANDING, "_keep"),
    (State.TRYING, Turn.SPENT): (State.STANDING, "_return"),
    (State.PROBING, Turn.ACCEPTED): (State.STANDING, "_prove"),
    (State.PROBING, Turn.SPENT): (State.STANDING, "_stay"),
}
