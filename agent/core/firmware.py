"""The words of a firmware update: what is ordered, the errands it takes, what came of them, and the way it goes.

An update is named by a `number` of our own, so that whatever comes late, of an update that was replaced, is known as
such. `STEPS` is the whole way: no update goes from one phase to another but as it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from agent.core.effects import Errand
from agent.core.events import Event
from agent.core.record import record
from agent.core.requests import UpdateRequested


class Phase(StrEnum):
    """Where an update stands; remembered at each step."""

    WAITING = "waiting"  # for the time to fetch, or to try again
    FETCHING = "fetching"
    VERIFYING = "verifying"
    READY = "ready"  # waits for the time to install, and for an idle charger
    INSTALLING = "installing"
    ACTIVATING = "activating"  # on the disk; waits for an idle charger, to start it
    REBOOTING = "rebooting"
    CONFIRMING = "confirming"  # it runs; waits for the CSMS to accept it
    DONE = "done"


STEPS: Mapping[Phase, tuple[Phase, ...]] = {
    Phase.WAITING: (Phase.FETCHING, Phase.DONE),
    Phase.FETCHING: (Phase.WAITING, Phase.VERIFYING, Phase.READY, Phase.DONE),
    Phase.VERIFYING: (Phase.READY, Phase.DONE),
    Phase.READY: (Phase.INSTALLING, Phase.DONE),
    Phase.INSTALLING: (Phase.ACTIVATING, Phase.CONFIRMING, Phase.READY, Phase.DONE),
    Phase.ACTIVATING: (Phase.REBOOTING, Phase.CONFIRMING, Phase.DONE),
    Phase.REBOOTING: (Phase.ACTIVATING, Phase.CONFIRMING, Phase.DONE),
    Phase.CONFIRMING: (Phase.DONE,),
    Phase.DONE: (),
}
REPLACEABLE = (Phase.WAITING, Phase.FETCHING, Phase.VERIFYING, Phase.READY)  # until then a newer order wins


@record
class UpdatePolicy:
    """What this charger can do and may do. `unsigned`: an order without signature is taken; `signed`: signatures can
    be verified; `during_transaction`: installing disturbs nobody (starting the new firmware always waits)."""

    installer: bool = False
    unsigned: bool = True
    signed: bool = True
    during_transaction: bool = False


class Activation(StrEnum):
    """What makes an installed firmware run."""

    NONE = "none"
    RESTART = "restart"  # of the agent
    REBOOT = "reboot"  # of the board


# --- errands, and the events that answer them ---------------------------------------------------------------


@record
class LookAtFirmware(Errand):
    """Which firmware runs? Answered by `FirmwareSeen`."""


@record
class FirmwareSeen(Event):
    """`running` names slot or version; empty: the installer cannot say."""

    running: str


@record
class CheckSigner(Errand):
    """Is this a certificate of the manufacturer's for signing firmware? Answered by `SignerChecked`."""

    order: UpdateRequested


@record
class SignerChecked(Event):
    """`verdict`: "" when it is, "invalid" or "revoked"; `why` in words."""

    order: UpdateRequested
    verdict: str = ""
    why: str = ""


@record
class FetchFirmware(Errand):
    """Fetch, or go on fetching. Answered by `FirmwareFetched`, unless the file is dropped meanwhile."""

    number: int
    location: str


@record
class FirmwareFetched(Event):
    """`why` empty: the file is there. `permanent`: trying again is of no use."""

    number: int
    why: str = ""
    permanent: bool = False


@record
class VerifyFirmware(Errand):
    """Is the file what the bearer of this certificate has signed? Answered by `FirmwareVerified`."""

    number: int
    certificate: str
    signature: str


@record
class FirmwareVerified(Event):
    """`verdict`: "" when it is, "certificate" (no longer good), "signature" or "file" (it cannot be read)."""

    number: int
    verdict: str = ""
    why: str = ""


@record
class InstallFirmware(Errand):
    """Answered by `FirmwareInstalled`."""

    number: int


@record
class FirmwareInstalled(Event):
    """`why` empty: it worked, and `activation` makes it run; `target`: what `FirmwareSeen.running` must be then, empty:
    anything but what it is now. `refused`: the installer says that the file is no firmware for this charger."""

    number: int
    activation: Activation = Activation.NONE
    target: str = ""
    why: str = ""
    refused: bool = False


@record
class KeepFirmware(Errand):
    """What runs is good: the boot loader need not go back. Answered by `FirmwareKept`."""


@record
class FirmwareKept(Event):
    why: str = ""  # what went wrong, if anything


@record
class DropFirmware(Errand):
    """Give up what is done for this number and remove its file; not answered."""

    number: int
