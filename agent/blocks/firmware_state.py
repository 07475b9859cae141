"""What one firmware update has come to, as it is kept over restarts; its words for the CSMS and the technician; and the
judgements over it: whether an order can be taken, and whether the new firmware runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent.blocks.kept import fields, flag, maybe, number, text, whole
from agent.core.effects import FirmwareStatus, RefuseCall, StatusAnswer
from agent.core.firmware import Activation, Phase, UpdatePolicy
from agent.core.record import as_dict
from agent.core.requests import Ref, UpdateRequested

USUAL_TRIES, MOST_TRIES = 3, 20
USUAL_INTERVAL_S, LONGEST_INTERVAL_S = 60, 86400
MOST_INSTALLS = 2
MOST_REBOOTS = 3

# An order without an id was made in the smaller vocabulary of its version; None: nothing is told.
_FEWER: Mapping[str, str | None] = {
    "DownloadScheduled": None,
    "SignatureVerified": None,
    "InstallScheduled": None,
    "InstallRebooting": None,
    "InstallVerificationFailed": "InstallationFailed",
    "InvalidSignature": "InstallationFailed",
}
# how a certificate is refused
# How a certificate is refused, and how a file that did not pass: the last status, the security event.
VERDICTS: Mapping[str, str] = {"invalid": "InvalidCertificate", "revoked": "RevokedCertificate"}
UNVERIFIED: Mapping[str, tuple[str, str]] = {
    "certificate": ("InvalidSignature", "InvalidFirmwareSigningCertificate"),
    "signature": ("InvalidSignature", "InvalidFirmwareSignature"),
    "file": ("InstallVerificationFailed", ""),
}
_SHOWN: Mapping[Phase, str] = {
    Phase.WAITING: "a new one waits to be fetched",
    Phase.FETCHING: "a new one is being fetched",
    Phase.VERIFYING: "the signature of a new one is being checked",
    Phase.READY: "a new one waits to be installed",
    Phase.INSTALLING: "a new one is being installed",
    Phase.ACTIVATING: "a new one is installed and waits for the charger to be idle",
    Phase.REBOOTING: "restarting with a new one",
    Phase.CONFIRMING: "a new one runs and waits for the CSMS to accept it",
}


@dataclass(slots=True)
class Update:
    """`order` is None once the update is done. `before` and `target`: what ran, and what must run then."""

    number: int
    order: UpdateRequested | None
    request_id: int | None = None
    signed: bool = False
    phase: Phase = Phase.WAITING
    status: str = ""  # the last one told
    tries: int = 0
    begun: int = 0  # fetches begun, those after a restart included
    installs: int = 0
    reboots: int = 0
    before: str = ""
    target: str = ""
    activation: Activation = Activation.NONE
    boot: str = ""  # the power-up in which it was installed
    not_before: float = 0.0  # of the next fetch, monotonic; not kept
    told_by: float = 0.0  # the restart waits no longer for the last status to be taken; not kept

    @property
    def pending(self) -> bool:
        return self.phase is not Phase.DONE

    @property
    def most_tries(self) -> int:
        """`retries` says how often to try before giving up."""
        assert self.order is not None
        wanted = USUAL_TRIES if self.order.retries is None else self.order.retries
        return min(max(wanted, 1), MOST_TRIES)

    @property
    def interval_s(self) -> int:
        assert self.order is not None
        wanted = self.order.retry_interval_s
        return USUAL_INTERVAL_S if wanted is None else min(max(wanted, 0), LONGEST_INTERVAL_S)

    def word(self, status: str) -> str | None:
        """The status as this order's version knows it; None when it has no such word, or has said so already."""
        known = _FEWER.get(status, status) if self.request_id is None else status
        return None if known == self.status else known

    def asked(self, signed: bool) -> FirmwareStatus:
        """The answer to a trigger: what was told last, and Idle once it is over (L01.FR.25, L01.FR.26)."""
        over = not self.pending and (self.request_id is None or self.status == "Installed")
        if over or not self.status:
            return FirmwareStatus("Idle", None, signed)
        return FirmwareStatus(self.status, self.request_id, signed)

    def text(self) -> str:
        """For the technician."""
        if not self.pending:
            return f"the last update ended with {self.status}"
        tries = f", try {self.tries} of {self.most_tries}" if self.phase is Phase.FETCHING else ""
        return _SHOWN[self.phase] + tries

    # --- over a restart -----------------------------------------------------------------------------------------

    def row(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in _KEPT}
        return kept | {"phase": str(self.phase), "activation": str(self.activation)}

    def order_row(self) -> dict[str, Any]:
        assert self.order is not None
        row = as_dict(self.order)
        del row["ref"]
        return row


_KEPT: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("number", "tries", "begun", "installs", "reboots"), whole),
    **dict.fromkeys(("status", "before", "target", "boot"), text),
    "request_id": partial(maybe, whole),
    "signed": flag,
}
_ORDER: Mapping[str, Callable[[Any], Any]] = {
    "location": text,
    **dict.fromkeys(("retrieve_at", "install_at"), partial(maybe, number)),
    **dict.fromkeys(("retries", "retry_interval_s", "request_id"), partial(maybe, whole)),
    **dict.fromkeys(("certificate", "signature"), partial(maybe, text)),
}


def made(number: int, order: UpdateRequested) -> Update:
    return Update(number, order, order.request_id, order.signature is not None)


def restored(order: UpdateRequested | None, _key: str, state: Any) -> Update:
    """As `row` had it; raises what `kept.UNREADABLE` names when it cannot be read."""
    found = fields(state, {**_KEPT, "phase": Phase, "activation": Activation})
    if found["phase"] is not Phase.DONE and order is None:
        raise ValueError("its order is lost")
    return Update(order=None if found["phase"] is Phase.DONE else order, **found)


def order_of(_key: str, value: Any) -> UpdateRequested:
    """As `order_row` had it."""
    return UpdateRequested(Ref("", ""), **fields(value, _ORDER))


# --- judgements -----------------------------------------------------------------------------------------------


def unfit(order: UpdateRequested, policy: UpdatePolicy) -> RefuseCall | StatusAnswer | None:
    """Why such an order can never be taken here."""
    signed = order.signature is not None
    if not policy.installer:
        return RefuseCall("NotSupported", "this charger has no installer")
    if not signed and not policy.unsigned:
        return rejected(order, "NotSigned", "NotSupported")
    if signed != (order.certificate is not None) or (signed and not policy.signed):
        return rejected(order, "UnsupportedParam")
    return None


def rejected(order: UpdateRequested, why: str, code: str = "GenericError") -> RefuseCall | StatusAnswer:
    """An order without an id has an answer without room for a refusal, and silence would be a promise."""
    return StatusAnswer("Rejected", reason=why) if order.request_id is not None else RefuseCall(code, why)


def has_taken(u: Update, running: str, boot: str) -> bool:
    """Whether what runs in this power-up is what was installed."""
    if u.target and running:
        return running == u.target
    if u.before and running:
        return running != u.before
    return u.activation is not Activation.REBOOT or boot != u.boot


def judged(u: Update, running: str, boot: str) -> tuple[Phase, str]:
    """Where an update stands that was being installed or started when the last process ended, and why it is over."""
    return _JUDGES[u.phase](u, running, boot) if u.phase in _JUDGES else (u.phase, "")


def _installing(u: Update, running: str, _boot: str) -> tuple[Phase, str]:
    if u.before and running and running != u.before:
        return Phase.CONFIRMING, ""  # it was the start of the new firmware that ended the installer
    again = u.installs < MOST_INSTALLS
    return (Phase.READY, "") if again else (Phase.DONE, "installing was cut short")


def _activating(u: Update, running: str, boot: str) -> tuple[Phase, str]:
    return (Phase.CONFIRMING if has_taken(u, running, boot) else u.phase), ""


def _rebooting(u: Update, running: str, boot: str) -> tuple[Phase, str]:
    if has_taken(u, running, boot):
        return Phase.CONFIRMING, ""
    if u.activation is Activation.REBOOT and boot == u.boot and u.reboots < MOST_REBOOTS:
        return Phase.ACTIVATING, ""  # the board was not restarted
    return Phase.DONE, "the old firmware came back"


def _confirming(u: Update, running: str, boot: str) -> tuple[Phase, str]:
    stays = u.activation is Activation.NONE or has_taken(u, running, boot)
    return (u.phase, "") if stays else (Phase.DONE, "the old firmware came back")


_JUDGES = {
    Phase.INSTALLING: _installing,
    Phase.ACTIVATING: _activating,
    Phase.REBOOTING: _rebooting,
    Phase.CONFIRMING: _confirming,
}
