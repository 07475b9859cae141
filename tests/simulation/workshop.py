"""What errands meet: firmware and boot loader, a file server, an installer, a trust store, code of a vendor.

`Workshop` is the world: it outlives every process and every power cut. `Hands` are the errands of one life: each takes
its time on the loop, changes the world only while that life lives, and is never answered after it. No cryptography: a
certificate, a signature and a signing request are texts that say what they are.

How a file fares is said by its location: scheme://files/PACE/NUMBER, PACE one of `PACES`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from agent.core.certificates import (
    CSMS_ROOT,
    MANUFACTURER_ROOT,
    OWN,
    CertificateAnswered,
    CsrMade,
    DropCertificate,
    Held,
    Holdings,
    InstallRoot,
    ListCertificates,
    MakeCsr,
    TakeSigned,
)
from agent.core.diagnostics import DropLog, LogSent, SendLog
from agent.core.effects import Answer, CertificateIdsAnswer, Errand, StatusAnswer
from agent.core.events import Event
from agent.core.firmware import (
    Activation,
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
    UpdatePolicy,
    VerifyFirmware,
)
from agent.core.signing import BeginSession, EndSession, ProbeSigner, SessionBegun, SessionEnded, SignerProbed
from agent.core.types import CertificateHash
from agent.core.vendor import VendorAnswered, VendorData
from tests.simulation.plan import DAY_S, EPOCH, Plan

PACES: Mapping[
    str, tuple[int, float]
] = {  # pieces, and how long each takes; what is fetched stays when a try breaks off
    "fast": (1, 4.0),
    "slow": (6, 250.0),
    "once": (2, 8.0),  # breaks off at its first try
    "dead": (1, 20.0),  # breaks off at every try
    "gone": (1, 2.0),  # there is no such file, or no such login
    "nonsense": (1, 0.1),
}
ORIGINAL = "as delivered"
MADE = "made with"
STRANGE = "strange "
BOOTS = 3  # of new firmware that nobody has called good, then the old one comes back
LONG_S = (20.0, 90.0, 600.0)
PENDING_MAX = 5
GOOD, BAD = "good", "bad"
Handler = Callable[[Any], Awaitable[Event | None]]


@dataclass(slots=True)
class Writing:
    """An installer at work; it goes on when only the agent is killed."""

    content: str
    ends_at: float


class Workshop:
    def __init__(self, plan: Plan, now: Callable[[], float]) -> None:
        self.kind = plan.installer
        self.quiet = plan.quiet_installs
        self.now = now
        self.rng = plan.rng("workshop")
        self.slots = {"A": ORIGINAL, "B": ""}
        self.booted = self.primary = "A"
        self.kept = True
        self._boots_left = 0
        self.writing: Writing | None = None
        self.ran: list[str] = [ORIGINAL]  # all that has ever run, by where it came from
        self.pieces: dict[tuple[int, str], int] = {}  # of firmware, fetched
        self.tried: dict[str, int] = {}  # by location
        self.uploads: list[str] = []
        self.roots: dict[tuple[str, str], CertificateHash] = {}  # kind and text -> what it is named by
        self.told_ids: tuple[tuple[str, CertificateHash], ...] = ()
        self.pending: list[str] = []  # requests whose keys we hold
        self.own = MADE
        self.strange: set[str] = set()  # marks of certificates of ours that nobody accepts
        self.own_until = EPOCH + self.rng.choice((400.0, 33.0, 31.0)) * DAY_S
        self._requests = 0
        self.disk_full = False

    # --- firmware -------------------------------------------------------------------------------------------------

    @property
    def policy(self) -> UpdatePolicy:
        return UpdatePolicy(installer=True, during_transaction=self.quiet)

    @property
    def running(self) -> str:
        return self.slots[self.booted]

    def tells(self) -> str:
        """What an installer answers when it is asked what runs."""
        return {"slots": self.booted, "blind": ""}.get(self.kind, self.running)

    def power_lost(self) -> None:
        self.settle()
        if self.writing is not None and self.kind == "slots":
            self.slots[self.spare] = ""  # half of it is written
        self.writing = None

    def boots(self) -> None:
        """The board starts: the boot loader chooses, and goes back when the new one comes to nothing."""
        self.settle()
        if self.primary != self.booted:
            if self.kind != "blind" and self.rng.random() < 0.25:
                self.primary = self.booted
            else:
                self._run_primary()
        elif not self.kept:
            self._boots_left -= 1
            if self._boots_left == 0:
                self.booted = self.primary = self.spare
                self.kept = True

    def starts(self) -> None:
        """A process of the agent starts: where firmware is but a program, the new one from now on."""
        self.settle()
        if self.kind == "command" and self.primary != self.booted:
            self.boots()

    def _run_primary(self) -> None:
        self.booted, self.kept, self._boots_left = self.primary, False, BOOTS
        self.ran.append(self.running)

    @property
    def spare(self) -> str:
        return "B" if self.booted == "A" else "A"

    def settle(self) -> None:
        """Installers whose time has come are done, whoever watches."""
        done = self.writing
        if done is not None and self.now() >= done.ends_at:
            self.writing = None
            self.slots[self.spare], self.primary = done.content, self.spare
            if self.kind == "plain":
                self._run_primary()

    # --- certificates ---------------------------------------------------------------------------------------------

    def holdings(self) -> Holdings:
        until = EPOCH + 400 * DAY_S
        held = [Held(kind, text, mark(kind + text), EPOCH, until) for kind, text in self.roots]
        return Holdings(True, (*held, Held(OWN, self.own, mark(self.own), EPOCH, self.own_until)))

    def install_root(self, e: InstallRoot) -> tuple[str, str]:
        """Status and what was done."""
        if e.certificate.split()[0] != GOOD or e.kind not in (CSMS_ROOT, MANUFACTURER_ROOT):
            return "Rejected", ""
        if (e.kind, e.certificate) in self.roots:
            return "Accepted", ""
        if len(self.roots) >= e.most:
            return "Rejected", ""
        self.roots[e.kind, e.certificate] = hash_of(e.certificate)
        return "Accepted", "a root was installed"

    def drop_root(self, e: DropCertificate) -> tuple[str, str]:
        found = [key for key, named in self.roots.items() if named == e.hash]
        for key in found:
            del self.roots[key]
        return ("Accepted", "a root was deleted") if found else ("NotFound", "")

    def take_signed(self, e: TakeSigned) -> tuple[str, str]:
        request = e.chain.removeprefix("chain for ")
        if request.removeprefix(STRANGE) not in self.pending:
            return "Rejected", ""
        self.pending.remove(request.removeprefix(STRANGE))
        if request.startswith(STRANGE):
            self.strange.add(mark(e.chain))
        self.own, self.own_until = e.chain, EPOCH + self.now() + 90 * DAY_S
        return "Accepted", "a new certificate of ours was installed"

    def request(self) -> str:
        self._requests += 1
        self.pending = [*self.pending, f"request {self._requests}"][-PENDING_MAX:]
        return self.pending[-1]


class Hands:
    """The errands of one life. `alive` raises once it is dead; `began` is told of each installing."""

    def __init__(self, shop: Workshop, alive: Callable[[], None], began: Callable[[], None]) -> None:
        self._shop, self._alive, self._began = shop, alive, began
        self._dropped = 0
        self._dropped_logs: set[int] = set()
        self.installing = False

    def handlers(self) -> dict[type[Errand], Handler]:
        return {
            LookAtFirmware: self._look,
            CheckSigner: self._check,
            FetchFirmware: self._fetch,
            VerifyFirmware: self._verify,
            InstallFirmware: self._install,
            KeepFirmware: self._keep,
            DropFirmware: self._drop,
            SendLog: self._send,
            DropLog: self._drop_log,
            MakeCsr: self._csr,
            VendorData: self._vendor,
            **dict.fromkeys((ProbeSigner, BeginSession, EndSession), self._signer),
            **dict.fromkeys((InstallRoot, DropCertificate, ListCertificates, TakeSigned), self._certificate),
        }

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._alive()

    # --- firmware -------------------------------------------------------------------------------------------------

    async def _look(self, _e: LookAtFirmware) -> Event:
        await self._pass(0.3)
        return FirmwareSeen(self._shop.tells())

    async def _check(self, e: CheckSigner) -> Event:
        await self._pass(1.0)
        word = (e.order.certificate or "").split()[0]
        return SignerChecked(e.order, "" if word == GOOD else word, word)

    async def _fetch(self, e: FetchFirmware) -> Event | None:
        shop, pace = self._shop, pace_of(e.location)
        pieces, piece_s = PACES[pace]
        file = (e.number, e.location)
        shop.tried[e.location] = shop.tried.get(e.location, 0) + 1
        while shop.pieces.get(file, 0) < pieces:
            await self._pass(piece_s)
            if e.number <= self._dropped:
                return None
            why = broken(pace, shop.tried[e.location])
            if why or shop.disk_full:
                return FirmwareFetched(e.number, why or "the disk is full", pace in ("gone", "nonsense"))
            shop.pieces[file] = shop.pieces.get(file, 0) + 1
        return FirmwareFetched(e.number)

    def _file(self, number: int) -> str:
        """Where the file of this number came from; empty: it is not here, or not whole."""
        whole = [
            place for (n, place), got in self._shop.pieces.items() if n == number and got >= PACES[pace_of(place)][0]
        ]
        return whole[-1] if whole else ""

    async def _verify(self, e: VerifyFirmware) -> Event:
        await self._pass(2.0)
        word = e.signature.split()[0]
        if not self._file(e.number):
            return FirmwareVerified(e.number, "file", "it is gone")
        return FirmwareVerified(e.number, "" if word == GOOD else "signature", word)

    async def _install(self, e: InstallFirmware) -> Event:
        shop = self._shop
        self._began()
        while shop.writing is not None:  # what a killed process has begun
            await self._pass(10.0)
            shop.settle()
        if not self._file(e.number):
            return FirmwareInstalled(e.number, why="the fetched file is gone")
        self.installing = True
        dice, long_s = shop.rng.random(), shop.rng.choice(LONG_S)
        if dice > 0.2:
            shop.writing = Writing(self._file(e.number), shop.now() + long_s)
        await self._pass(long_s + 0.1)
        self.installing = False
        shop.settle()
        if dice <= 0.2:
            return FirmwareInstalled(e.number, why="it does not fit", refused=dice < 0.1)
        activation = {"command": Activation.RESTART, "plain": Activation.NONE}.get(shop.kind, Activation.REBOOT)
        return FirmwareInstalled(e.number, activation, shop.primary if shop.kind == "slots" else "")

    async def _keep(self, _e: KeepFirmware) -> Event:
        if self._shop.rng.random() < 0.05:
            await self._pass(85.0)
            return FirmwareKept("the boot loader does not answer")
        await self._pass(0.5)
        self._shop.kept = True
        return FirmwareKept()

    async def _drop(self, e: DropFirmware) -> None:
        self._dropped = max(self._dropped, e.number)
        for key in [key for key in self._shop.pieces if key[0] <= e.number]:
            del self._shop.pieces[key]

    # --- logs -----------------------------------------------------------------------------------------------------

    async def _send(self, e: SendLog) -> Event | None:
        shop, pace = self._shop, pace_of(e.location)
        if pace == "nonsense":
            return LogSent(e.number, "no such scheme", "malformed")
        pieces, piece_s = PACES[pace]
        shop.tried[e.location] = shop.tried.get(e.location, 0) + 1
        for _ in range(pieces):
            await self._pass(piece_s)
            if e.number in self._dropped_logs:
                return None
            why = broken(pace, shop.tried[e.location])
            if why:
                return LogSent(e.number, why, "denied" if pace == "gone" else "")
        shop.uploads.append(e.name)
        return LogSent(e.number)

    async def _drop_log(self, e: DropLog) -> None:
        self._dropped_logs.add(e.number)

    # --- certificates and vendors -----------------------------------------------------------------------------------

    async def _certificate(self, e: Any) -> Event:
        shop = self._shop
        await self._pass(shop.rng.choice((0.1, 0.4, 3.0)))
        answer: Answer
        if isinstance(e, ListCertificates):
            found = tuple((kind, named) for (kind, _), named in shop.roots.items() if kind in e.kinds or not e.kinds)
            shop.told_ids = found
            return CertificateAnswered(e.ref, CertificateIdsAnswer(found), shop.holdings())
        jobs: dict[Any, Callable[[Any], tuple[str, str]]]
        jobs = {InstallRoot: shop.install_root, DropCertificate: shop.drop_root, TakeSigned: shop.take_signed}
        failed = "Rejected" if isinstance(e, TakeSigned) else "Failed"
        status, done = (failed, "") if shop.disk_full else jobs[type(e)](e)
        answer = StatusAnswer(status)
        refused = "" if status == "Accepted" else "it is not good"
        return CertificateAnswered(e.ref, answer, shop.holdings(), done, refused, own=isinstance(e, TakeSigned))

    async def _csr(self, _e: MakeCsr) -> Event:
        await self._pass(2.0)
        return CsrMade("", "the disk is full") if self._shop.disk_full else CsrMade(self._shop.request())

    async def _signer(self, e: Any) -> Event:
        """No meter here signs."""
        await self._pass(0.5)
        why = "it does not sign"
        if isinstance(e, ProbeSigner):
            return SignerProbed(e.evse, why=why)
        kind = SessionBegun if isinstance(e, BeginSession) else SessionEnded
        return kind(e.evse, e.transaction, why=why)

    async def _vendor(self, e: VendorData) -> Event:
        await self._pass(0.1)
        return VendorAnswered("Accepted", e.data) if e.vendor == "known" else VendorAnswered("UnknownVendorId")


def pace_of(location: str) -> str:
    parts = location.split("/")
    return parts[3] if len(parts) > 3 and parts[3] in PACES else "nonsense"


def broken(pace: str, tries: int) -> str:
    """Why this try comes to nothing, if it does."""
    whys = {"dead": "the server hangs up", "gone": "not found", "nonsense": "no such scheme"}
    return "the server hangs up" if pace == "once" and tries == 1 else whys.get(pace, "")


def mark(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def hash_of(text: str) -> CertificateHash:
    return CertificateHash("SHA256", mark(text), mark("key of " + text), mark("number of " + text)[:16])
