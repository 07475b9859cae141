"""A and B: what the CSMS may write of its own link, and what is told when the device model is read.

`Wishes` owns the variables of the network. A write is checked against what is wanted so far, and joins it; nothing of
it counts before `agent.blocks.network` has tried it. Rules kept
* The security profile of the link in use only goes up (A05): 1 and 2 need a password, 2 and 3 an authority that may
  vouch for the CSMS (or a link that proves to have one: TLS stands already), 3 a certificate of our own.
* A change that would leave no usable slot, dial a slot of a lower security profile first, or lower that of any slot
  in use below both the link's and the file's, is rejected.
* Nothing is taken while another change is being tried.
* Passwords are never told; of an address its query is left out, since it may hold one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.core.network import (
    FIELDS,
    LAST_RESORT,
    SHOWS,
    SLOTS,
    CertificateTaken,
    Links,
    Plan,
    Profile,
    Secret,
    fit_password,
)
from agent.core.record import replace
from agent.core.types import Instant, SetStatus
from agent.core.variables import Variables

COMPONENT = "NetworkConfiguration"
PRIORITY = "OCPPCommCtrlr.NetworkConfigurationPriority"
PASSWORD = "SecurityCtrlr.BasicAuthPassword"  # noqa: S105  the name of a variable
FORM = "SecurityCtrlr.BasicAuthPasswordForm"
SECURITY = f"{COMPONENT}.SecurityProfile"
_VARIABLES = {
    "OcppCsmsUrl": "url",
    "Identity": "identity",
    "BasicAuthPassword": "password",
    "SecurityProfile": "security",
    "OcppVersion": "versions",
}


class Wishes:
    """`free` says whether a change may be wished for now; `slot` which one is in use."""

    def __init__(self, variables: Variables, links: Links, free: Callable[[], bool], slot: Callable[[], int]) -> None:
        self._vars, self._free, self._slot = variables, free, slot
        self.links = links
        self.standing = Plan()  # what has proved itself
        self.wanted: Plan | None = None  # what is asked for and not proved yet
        self.changed = False  # since it was last looked at
        self.root = self.client = False
        variables.own(PRIORITY, self._take_priority)
        variables.own(PASSWORD, lambda value: self._take(self._slot(), "password", value))
        variables.own(SECURITY, lambda value: self._take(self._slot(), "security", value))
        for number in range(1, SLOTS + 1):
            for name, field in _VARIABLES.items():
                variables.own(f"{COMPONENT}[{number}].{name}", self._taker(number, field))
        self._tell()

    # --- reading --------------------------------------------------------------------------------------------------

    def current(self) -> Profile | None:
        """What the slot in use says by the plan that stands."""
        return self.links.profile(self.standing, self._slot())

    def _tell(self) -> None:
        compute = self._vars.compute
        compute(PRIORITY, lambda _now: ",".join(map(str, self.links.order(self.standing))))
        compute(SECURITY, lambda _now: self._shown(self._slot(), "security"))
        compute("SecurityCtrlr.SecurityProfile", lambda _now: self._shown(self._slot(), "security"))
        compute("SecurityCtrlr.Identity", lambda _now: self._shown(self._slot(), "identity"))
        compute("OCPPCommCtrlr.ActiveNetworkProfile", lambda _now: str(self._slot()))
        for slot in range(1, SLOTS + 1):
            for name, field in _VARIABLES.items():
                if field != "password":
                    compute(f"{COMPONENT}[{slot}].{name}", self._teller(slot, field))

    def _teller(self, slot: int, field: str) -> Callable[[Instant], str]:
        return lambda _now: self._shown(slot, field)

    def _shown(self, slot: int, field: str) -> str:
        profile = self.links.profile(self.standing, slot)
        if profile is None:
            return "0" if field == "security" else ""
        texts = {
            "url": profile.url.partition("?")[0],
            "identity": profile.identity,
            "security": str(profile.security),
            "versions": ",".join(profile.versions),
        }
        return texts[field]

    # --- writing --------------------------------------------------------------------------------------------------

    def _taker(self, slot: int, field: str) -> Callable[[str], SetStatus]:
        return lambda value: self._take(slot, field, value)

    @property
    def _base(self) -> Plan:
        return self.standing if self.wanted is None else self.wanted

    def _take(self, slot: int, field: str, value: str) -> SetStatus:
        if not self._free() or not self.links.files or slot == LAST_RESORT:
            return SetStatus.REJECTED
        if field == "url" and value == "":
            return self._wish(self._base.without(slot))
        values = self._values(field, value)
        if values is None or (field == "url" and not self._keeps_tls(slot, str(values["url"]))):
            return SetStatus.REJECTED
        return self._wish(self._base.having(slot, **values, mark=self.links.mark(slot)))

    def _keeps_tls(self, slot: int, url: str) -> bool:
        """An address without TLS contradicts a security profile that has it."""
        profile = self.links.profile(self._base, slot)
        return profile is None or profile.security < 2 or url.startswith("wss:")

    def _values(self, field: str, value: str) -> dict[str, Any] | None:
        if field == "password":
            form = self._vars.text(FORM)
            return {"password": Secret(value), "form": form} if fit_password(value, form) is not None else None
        if field == "versions":
            known = all(word in self.links.versions for word in value.split(",") if word)
            return {"versions": value} if known else None
        fitted = FIELDS[field](value)
        return None if fitted is None else {field: fitted}

    def _take_priority(self, value: str) -> SetStatus:
        words = value.split(",")
        usable = all(word.isdecimal() and self.links.profile(self._base, int(word)) is not None for word in words)
        if not self._free() or not usable or "0" in words:
            return SetStatus.REJECTED
        return self._wish(replace(self._base, priority=tuple(map(int, words))))

    def take_certificate(self, e: CertificateTaken) -> None:
        """It is wished for; what stands must be said exactly from now on."""
        base = self._base
        if not self.standing.certificate:
            self.standing = replace(self.standing, certificate=e.before)
        self.wanted = replace(base, certificate=e.mark)

    def _wish(self, plan: Plan) -> SetStatus:
        if not self._allowed(plan):
            return SetStatus.REJECTED
        self.wanted, self.changed = plan, True
        return SetStatus.ACCEPTED

    def _allowed(self, plan: Plan) -> bool:
        now, then = self.current(), self.links.profile(plan, self.first(plan))
        if now is None or then is None or any(self.links.profile(plan, slot) is None for slot in plan.priority):
            return False
        if then.security < now.security or any(self._lowered(plan, slot, now) for slot in self.links.order(plan)):
            return False
        return then.security == now.security or self._provided(then, now)

    def _lowered(self, plan: Plan, slot: int, now: Profile) -> bool:
        """This slot would be below the link in use, and below what the file says of it."""
        profile, file = self.links.profile(plan, slot), self.links.files.get(slot)
        if profile is None or profile.security >= now.security:
            return False
        return file is None or profile.security < file.profile.security

    def _provided(self, then: Profile, now: Profile) -> bool:
        has_root = self.root or now.dial_url.startswith("wss:")
        needs = {
            0: True,
            1: bool(then.password),
            2: bool(then.password) and has_root,
            3: self.client and has_root,
        }
        return needs[then.security]

    def freshen(self) -> tuple[int, ...]:
        """Drops what was set over an older state of the file; of which slots."""
        plan, stale = self.links.fresh(self.standing)
        if not stale or not self.links.files:
            return ()
        self.standing = plan
        return stale

    def unnoticed(self, plan: Plan, first: int) -> bool:
        """The link in use would be dialled by this plan just as it is."""
        now, then = self.current(), self.links.profile(plan, first)
        assert then is not None
        shown = plan.certificate == self.standing.certificate or then.security != SHOWS
        return shown and first == self._slot() and now is not None and now.dialled == then.dialled

    def adopt(self, plan: Plan, utc: float) -> Plan:
        """This plan stands from now on."""
        for slot, values in plan.slots.items():
            if values != self.standing.slots.get(slot):
                plan = plan.having(slot, utc=round(utc))
        plan = replace(plan, floor=max(plan.floor, self.standing.floor))
        self.standing, self.wanted = plan, None
        return plan

    def raised(self, before: Plan, before_slot: int, slot: int) -> Plan:
        """What stands, once this slot has proved good: a security profile that was raised is the least from now on."""
        old, new = self.links.profile(before, before_slot), self.links.profile(self.standing, slot)
        if old is None or new is None or new.security <= old.security:
            return self.standing
        return replace(self.standing, floor=max(self.standing.floor, new.security))

    def order(self, resort: bool) -> tuple[int, ...]:
        """Slots to use, the preferred one first. `resort`: nobody there has accepted us for long."""
        order = self.links.order(self.standing) or (1,)
        return (*order, LAST_RESORT) if resort and self.links.last_resort(self.standing) else order

    def known(self, slot: int) -> int:
        """This slot, or the preferred one when the file has lost it meanwhile."""
        return slot if self.links.profile(self.standing, slot) is not None else self.order(False)[0]

    def first(self, plan: Plan) -> int:
        """The slot that is to be dialled when this plan begins: the one in use, unless another order is wanted."""
        order = self.links.order(plan)
        reordered = order != self.links.order(self.standing)
        return order[0] if reordered or self._slot() not in order else self._slot()
