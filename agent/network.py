"""The link and the station put together: with what to dial, what the station hears of it, and what a technician does.

The block `blocks.network` decides which slot and which values count; this knows the configuration file, certificates on
disk and the OCPP versions, and makes `LinkSettings` of it all. Rules kept
* A dial takes everything anew: a file that was edited and read again, a certificate that was replaced.
* Roots that were installed from afar vouch in addition to the file's own, or the system's where the file names none,
  and never for a slot that is the file's alone: the way back must not depend on them.
* The link's health is the age of the last CALL that was answered and of the last sign of life, not the socket's state.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Protocol

from agent.blocks.network import Network as Block
from agent.blocks.station import Station
from agent.config import Config
from agent.config_csms import CsmsConfig
from agent.core.events import Event
from agent.core.network import (
    LAST_RESORT,
    CredentialsKnown,
    DialFailed,
    FileLink,
    Links,
    LinksConfigured,
    LinkSilent,
    Profile,
    Secret,
    State,
    Target,
)
from agent.core.types import Registration
from agent.edge.alarms import alarm
from agent.edge.dial import LinkSettings
from agent.edge.link import Connected, Disconnected, Link
from agent.edge.offers import Offers
from agent.edge.reasons import LinkWhy, WhyKind
from agent.errors import OperatingFault

SILENT_S = 900.0  # a CSMS that has answered nothing for so long is asked for a sign of life
ASK_AGAIN_S = 60.0
LIST_S = 15.0  # certificates that somebody else puts on the disk are seen so much later
WORDS: Mapping[str, str] = {"OCPP201": "2.0.1", "OCPP16": "1.6"}  # of the variable OcppVersion
_WORD_OF = {version: word for word, version in WORDS.items()}
_ABOVE_TLS = (WhyKind.HTTP, WhyKind.FORBIDDEN, WhyKind.UNAUTHORIZED, WhyKind.CONFIG)
_OURS = (WhyKind.DROPPED, WhyKind.REDIAL, WhyKind.STOPPED)  # not failures of the target


class Trust(Protocol):
    """Certificates on disk: `agent.edge.trust.Trust`. `changes` counts them."""

    changes: int

    def client_certificate(
        self, *, spare: bool = False, mark: str = "", alone: bool = False, coming: str = ""
    ) -> tuple[str, str] | None: ...
    def csms_ca_file(self) -> str | None: ...
    def refused(self, *, ours: bool) -> None: ...
    def names(self, kind: str) -> list[str]: ...
    def own(self) -> list[int]: ...


class Custodian(Protocol):
    """Who changes the certificates on disk: `agent.edge.custodian.Custodian`."""

    @property
    def trust(self) -> Trust: ...
    async def stands(self, chain: list[bytes] | None, *, only_newest: bool) -> bool: ...


def links(config: Config) -> Links:
    """What the file says, for the block."""
    return Links(tuple(_file_link(csms) for csms in _slots(config)), tuple(WORDS))


def _slots(config: Config) -> tuple[CsmsConfig, ...]:
    return (config.csms, *config.csms.fallback)


def _file_link(csms: CsmsConfig) -> FileLink:
    password, form = csms.password, csms.password_form
    text = Secret(password.hex() if isinstance(password, bytes) else password or "")
    versions = tuple(_WORD_OF[version] for version in csms.versions)
    profile = Profile(csms.url, csms.identity, csms.security, text, form, versions, csms.user)
    told = (csms.url, csms.identity, csms.security, str(text), form, csms.versions, csms.user)
    return FileLink(profile, sha256(repr(told).encode()).hexdigest()[:16])


class Network:
    """`feed` takes an event to the station, `hide` a secret that must not be logged, `mono` is the link's clock.
    `begun_in`: the version that told, or may have, the start of a transaction whose end is not told yet, or ""."""

    def __init__(
        self,
        config: Config,
        station: Station,
        feed: Callable[[Event], Awaitable[None]],
        hide: Callable[[str], None],
        mono: Callable[[], float],
        begun_in: Callable[[], str] = str,
    ) -> None:
        self._config, self._station, self._feed, self._hide, self._mono = config, station, feed, hide, mono
        self._begun_in = begun_in
        self.custodian: Custodian | None = None
        self.roots_changed: Callable[[], Awaitable[None]] | None = None  # told when a proven link has changed them
        self._stood = False  # the certificates of this connection have been told that it is good
        self._block = station.block(Block)
        self._offers: dict[int, Offers] = {}
        self._dialled: Target = self._target
        self._hidden = ""
        self._known = (False, False)
        self._changes = 0
        self._list_at = float("-inf")  # when the disk is looked at again, though nothing has changed there by us
        self._asked_at = float("-inf")
        self._up_at = 0.0

    @property
    def trust(self) -> Trust | None:
        return self.custodian.trust if self.custodian is not None else None

    @property
    def csms(self) -> CsmsConfig:
        """What the file says, as it was read last."""
        return self._config.csms

    @property
    def _target(self) -> Target:
        target = self._block.target
        assert target is not None, "a configuration names a CSMS"
        return target

    # --- towards the link -------------------------------------------------------------------------------------------

    def settings(self) -> LinkSettings:
        """For the dial that begins now."""
        target = self._dialled = self._target
        self._list_at = float("-inf")
        profile, csms = target.profile, self._csms(target.slot)
        variables = self._station.facts.variables
        offers = self._offers.setdefault(target.slot, Offers())
        versions = tuple(WORDS[word] for word in profile.versions) or csms.versions
        return LinkSettings(
            url=profile.dial_url,
            identity=profile.identity,
            subprotocols=offers.next(tuple(map(_subprotocol, versions)), self._mono(), _subprotocol(self._begun_in())),
            accept_without_subprotocol=csms.accept_without_subprotocol,
            user=profile.user,
            password=self._password(target),
            ca_file=csms.ca_file,
            more_ca_file=self._installed_roots(target),
            system_roots=not variables.flag("SecurityCtrlr.AdditionalRootCertificateCheck"),
            client=self._client(csms, target) if profile.security == 3 else None,
            ping_interval_s=variables.number("OCPPCommCtrlr.WebSocketPingInterval"),
            wait_minimum_s=variables.number("OCPPCommCtrlr.RetryBackOffWaitMinimum"),
            random_range_s=variables.number("OCPPCommCtrlr.RetryBackOffRandomRange"),
            repeat_times=int(variables.number("OCPPCommCtrlr.RetryBackOffRepeatTimes")),
        )

    def _csms(self, slot: int) -> CsmsConfig:
        """What the file says of this slot; of a slot that only the CSMS knows, what it says of the first."""
        slots = _slots(self._config)
        return slots[slot - 1] if 1 <= slot <= len(slots) else slots[0]

    def _password(self, target: Target) -> str | bytes | None:
        password = target.profile.password
        if target.profile.security not in (1, 2) or not password:
            return None
        if password != self._hidden:
            self._hide(str(password))
            self._hidden = str(password)
        return bytes.fromhex(password) if target.form == "hex" else str(password)

    def _installed_roots(self, target: Target) -> str | None:
        files_alone = target.slot == LAST_RESORT or (target.slot > 1 and not self._block.set_by_csms())
        return None if self.trust is None or files_alone else self.trust.csms_ca_file()

    def _client(self, csms: CsmsConfig, target: Target) -> tuple[str, str] | None:
        """A certificate that was signed for us since counts more than the one that the charger was made with."""
        chain, key = csms.client_certificate_file, csms.client_key_file
        made_with = (chain, key) if chain and key else None
        if self.trust is None:
            return made_with
        spare = made_with is not None
        mark, alone, coming = target.certificate, target.fresh, target.coming
        return self.trust.client_certificate(spare=spare, mark=mark, alone=alone, coming=coming) or made_with

    # --- towards the station ----------------------------------------------------------------------------------------

    def connected(self, event: Connected) -> None:
        self._up_at, self._stood = self._mono(), False
        self._offers[self._dialled.slot].worked(event.subprotocol)

    async def disconnected(self, event: Disconnected) -> None:
        if event.was_up or event.why.kind in _OURS:
            return
        found = alarm(event.why)
        ours = self._refused(event.why, found.ours if found else None)
        if ours is not None and self.trust is not None:
            self.trust.refused(ours=ours)
        self._offers[self._dialled.slot].failed(event.why, self._mono())
        word = found.kind if found else ""
        await self._feed(DialFailed(self._dialled.number, str(event.why.kind), event.why.text, word))

    def _refused(self, why: LinkWhy, ours: bool | None) -> bool | None:
        """Whose certificate was refused; None: none was. Many servers refuse ours when TLS stands already."""
        above_tls = self._dialled.profile.security == 3 and why.kind in _ABOVE_TLS
        return True if ours is None and above_tls else ours

    async def configured(self, config: Config) -> bool:
        """The file was read again. True: the station has ordered what follows for the link."""
        self._config, self._list_at = config, float("-inf")
        number = self._target.number
        fresh = links(config)
        await self._feed(LinksConfigured(tuple(fresh.files.values()), fresh.versions))
        return self._target.number != number

    async def look(self, link: Link, answered_mono: float) -> None:
        """Once in a while: what nobody tells by himself."""
        now = self._mono()
        changes = self.trust.changes if self.trust is not None else 0
        if changes != self._changes or now >= self._list_at:
            self._changes, self._list_at = changes, now + LIST_S
            await self._look_at_credentials()
        accepted = self._station.facts.registration is Registration.ACCEPTED
        if not (link.is_up and accepted):
            return
        if not self._stood and not self._block.doubted:
            self._stood = True
            await self._proven(link)
        age_s = now - max(answered_mono, self._up_at)
        if age_s > SILENT_S and now - self._asked_at > ASK_AGAIN_S:
            self._asked_at = now
            await self._feed(LinkSilent(age_s))

    async def _look_at_credentials(self) -> None:
        known = self._credentials()
        if known != self._known:
            self._known = known
            await self._feed(CredentialsKnown(*known))

    async def _proven(self, link: Link) -> None:
        """What vouches for the CSMS, and for us, has proved good: it need not be doubted any more."""
        if self.custodian is None:
            return
        only_newest = self._station.facts.variables.flag("SecurityCtrlr.AdditionalRootCertificateCheck")
        changed = await self.custodian.stands(link.chain(), only_newest=only_newest)
        if changed and self.roots_changed is not None:
            await self.roots_changed()

    def _credentials(self) -> tuple[bool, bool]:
        csms = self._csms(self._target.slot)
        root, client = csms.ca_file is not None, csms.client_certificate_file is not None
        if self.trust is not None:
            try:
                root, client = root or bool(self.trust.names("CSMSRoot")), client or bool(self.trust.own())
            except OperatingFault:
                return self._known  # the disk; whoever needs the certificates tells of it
        return root, client

    # --- towards the technician -------------------------------------------------------------------------------------

    def status(self, link: Link, answered_mono: float) -> dict[str, Any]:
        """The part of `chargepoint status` that goes beyond the socket."""
        target, now = self._target, self._mono()
        ends = self._block.trial_ends_mono()
        answered_s = now - answered_mono if answered_mono else None
        alive_s = link.alive_s(now)
        return {
            "host": target.profile.shown,
            "slot": target.slot,
            "slots": list(self._block.order()),
            "security_profile": target.profile.security,
            "set_by_csms_utc": self._block.set_by_csms().get("utc"),
            "change": {State.TRYING: "trial", State.PROBING: "probe"}.get(self._block.state),
            "change_ends_s": round(max(0.0, ends - now)) if ends is not None else None,
            "answered_s": None if answered_s is None else round(answered_s),
            "alive_s": None if alive_s is None else round(alive_s),
            "unhealthy": self._unhealthy(link, answered_mono),
        }

    def _unhealthy(self, link: Link, answered_mono: float) -> str | None:
        """Why the CSMS cannot be counted on now, although there is a connection; None: it can, or there is none."""
        now = self._mono()
        if not link.is_up:
            return None
        if not link.healthy(now):
            return f"nothing was heard from the server for {link.alive_s(now) or 0:.0f} s"
        registration = self._station.facts.registration
        if registration is not Registration.ACCEPTED:
            return _NOT_ACCEPTED[registration]
        age_s = now - max(answered_mono, self._up_at)
        return f"the CSMS has answered nothing for {age_s:.0f} s" if age_s > SILENT_S else None


def _subprotocol(version: str) -> str:
    return f"ocpp{version}"


_NOT_ACCEPTED = {
    Registration.NONE: "the CSMS has not answered our BootNotification",
    Registration.PENDING: "the CSMS wants us to wait (BootNotification is Pending)",
    Registration.REJECTED: "the CSMS does not accept this charger (BootNotification is Rejected)",
}
