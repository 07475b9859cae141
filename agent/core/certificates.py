"""The words of certificates: what is held, what can be done with them beside the loop, and what came of it."""

from __future__ import annotations

from agent.core.effects import Answer, Call, Errand
from agent.core.events import Event
from agent.core.record import record
from agent.core.requests import Ref
from agent.core.types import CertificateHash

OWN, CSMS_ROOT, MANUFACTURER_ROOT, CONFIGURED = "ChargingStation", "CSMSRoot", "ManufacturerRoot", "Configured"


@record
class Held:
    """One certificate that counts. `kind`: one of the four words above; `mark` names it for ever; `since` and `until`
    are UTC epoch seconds. Of several of our own the newest stands last."""

    kind: str
    name: str
    mark: str
    since: float
    until: float


@record
class Holdings:
    """`able`: certificates can be made and checked here (a package for it is installed)."""

    able: bool = False
    certificates: tuple[Held, ...] = ()
    trouble: str = ""  # why not all of them could be read


# --- orders ---------------------------------------------------------------------------------------------------


@record
class MakeCsr(Errand):
    """A new key, and a request to sign it; answered with `CsrMade`."""

    organization: str = ""


@record
class CertificateErrand(Errand):
    """Answered with `CertificateAnswered`. `utc`: the time, None when nobody has told it: then no date is judged."""

    ref: Ref
    utc: float | None


@record
class TakeSigned(CertificateErrand):
    """A chain that came for a key of ours; at most `most` characters."""

    chain: str
    most: int


@record
class InstallRoot(CertificateErrand):
    """`most`: how many roots there may be. `chained`: a root for the CSMS must be signed by the one before."""

    kind: str
    certificate: str
    most: int
    chained: bool = False


@record
class DropCertificate(CertificateErrand):
    hash: CertificateHash


@record
class ListCertificates(CertificateErrand):
    kinds: tuple[str, ...] = ()


# --- what came of them ----------------------------------------------------------------------------------------


@record
class HoldingsSeen(Event):
    """The trust store was looked at."""

    holdings: Holdings


@record
class CsrMade(Event):
    """`csr` is PEM; empty: it could not be made, and `why` says why not."""

    csr: str
    why: str = ""


@record
class CertificateAnswered(Event):
    """One request is done. `done` says what has changed, in words; `refused` why it was not done. `alarm`: a word of
    the list of security events that the refusal is."""

    ref: Ref
    answer: Answer
    holdings: Holdings
    done: str = ""
    refused: str = ""
    alarm: str = ""
    own: bool = False  # it was about a certificate of ours


@record
class SignAnswered(Event):
    """The CSMS has our request for a certificate, and will send one if `accepted`."""

    call: Call
    accepted: bool
