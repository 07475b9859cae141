"""What comes of errands in a charger without edges: the same kinds of luck and misfortune, turn by turn.

An errand that is not in the table is under way for ever; whoever adds a kind of errand may add its fate here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent.core.certificates import (
    CertificateAnswered,
    CsrMade,
    DropCertificate,
    Holdings,
    InstallRoot,
    ListCertificates,
    MakeCsr,
    TakeSigned,
)
from agent.core.diagnostics import DropLog, LogSent, SendLog
from agent.core.effects import CertificateIdsAnswer, Errand, StatusAnswer
from agent.core.events import Event
from agent.core.firmware import (
    CheckSigner,
    DropFirmware,
    FetchFirmware,
    FirmwareFetched,
    FirmwareInstalled,
    FirmwareKept,
    FirmwareSeen,
    FirmwareVerified,
    InstallFirmware,
    KeepFirmware,
    LookAtFirmware,
    SignerChecked,
    VerifyFirmware,
)
from agent.core.types import CertificateHash
from agent.core.vendor import VendorAnswered, VendorData

Fate = Callable[[Any], tuple[Event, ...]]  # the ways in which an errand may end

ABLE = Holdings(able=True)
FOUND = (("CSMSRoot", CertificateHash("SHA256", "a" * 64, "b" * 64, "1f")),)


def certificate(errand: Any) -> tuple[Event, ...]:
    """Done, or refused with an alarm."""
    return (
        CertificateAnswered(errand.ref, StatusAnswer("Accepted"), ABLE, done="done"),
        CertificateAnswered(
            errand.ref, StatusAnswer("Rejected"), ABLE, refused="garbage", alarm="InvalidCsmsCertificate"
        ),
        CertificateAnswered(errand.ref, StatusAnswer("Accepted"), ABLE, done="done", own=True),
    )


FATES: Mapping[type[Errand], Fate] = {
    CheckSigner: lambda e: tuple(SignerChecked(e.order, verdict) for verdict in ("", "invalid", "revoked")),
    DropCertificate: certificate,
    DropFirmware: lambda _e: (),
    DropLog: lambda _e: (),
    FetchFirmware: lambda e: (
        FirmwareFetched(e.number),
        FirmwareFetched(e.number, "no such host"),
        FirmwareFetched(e.number, "not found", permanent=True),
        FirmwareFetched(e.number + 1),
    ),
    InstallFirmware: lambda e: (FirmwareInstalled(e.number), FirmwareInstalled(e.number, why="the disk is full")),
    InstallRoot: certificate,
    KeepFirmware: lambda _e: (FirmwareKept(), FirmwareKept("no boot loader")),
    LookAtFirmware: lambda _e: (FirmwareSeen("a"), FirmwareSeen("")),
    ListCertificates: lambda e: tuple(CertificateAnswered(e.ref, CertificateIdsAnswer(f), ABLE) for f in ((), FOUND)),
    MakeCsr: lambda _e: (CsrMade("-----BEGIN CERTIFICATE REQUEST-----"), CsrMade("", "no package for it")),
    SendLog: lambda e: (LogSent(e.number), LogSent(e.number, "refused", "denied"), LogSent(e.number + 1, "late")),
    TakeSigned: certificate,
    VendorData: lambda _e: (
        VendorAnswered("UnknownVendorId"),
        VendorAnswered("Accepted", {"a": [None]}, ((None, "x"),)),
        VendorAnswered("nonsense", why="it raised"),
    ),
    VerifyFirmware: lambda e: tuple(FirmwareVerified(e.number, v) for v in ("", "certificate", "signature", "file")),
}


class Luck:
    """Takes errands, and gives for each what has come of it; turn by turn another of its fates."""

    def __init__(self) -> None:
        self.unfinished: list[Errand] = []
        self._turn = 0

    def of(self, errand: Errand) -> Event | None:
        fate = FATES.get(type(errand))
        if fate is None:
            self.unfinished.append(errand)
            return None
        ends = fate(errand)
        self._turn += 1
        return ends[self._turn % len(ends)] if ends else None
