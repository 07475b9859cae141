"""Firmware updates in any order of things: whatever happens, also twice or too late, the rules of an update hold.

A walk is a list of steps: orders, news from the errands, cars, restarts of the process and of the board, a CSMS that
answers or does not. The board here is a model of two slots; the walk may break every rule of timing, but not physics.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.effects import Effect, Restart
from agent.core.firmware import (
    Activation,
    CheckSigner,
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
from drivers.api import Pilot
from tests.blocks.helpers import of
from tests.blocks.test_firmware import Updates, leave

# What a status may follow on, within one update; "" is its beginning.
AFTER = {
    "DownloadScheduled": ("",),
    "Downloading": ("", "DownloadScheduled"),
    "Downloaded": ("Downloading",),
    "DownloadFailed": ("Downloading",),
    "SignatureVerified": ("Downloaded",),
    "InvalidSignature": ("Downloaded",),
    "InstallScheduled": ("Downloaded", "SignatureVerified", "Installing"),
    "Installing": ("Downloaded", "SignatureVerified", "InstallScheduled"),
    "InstallRebooting": ("Installing", "InstallRebooting"),
    "Installed": ("Installing", "InstallRebooting"),
    "InstallationFailed": ("Installing", "InstallRebooting", "InstallScheduled"),
    "InstallVerificationFailed": ("Installing", "Downloaded"),
}
LAST = ("DownloadFailed", "InvalidSignature", "Installed", "InstallationFailed", "InstallVerificationFailed")


class Walk:
    """One charger through all its lives. `told`: by request id, over restarts."""

    def __init__(self) -> None:
        self.bench = Updates().idle()
        self.power_ups, self.orders = 1, 0
        self.slot, self.next_slot = "A", "A"
        self.errands: list[Effect] = []
        self.verified: set[int] = set()
        self.told: dict[int | None, list[str]] = {}
        self.car = False
        self._count = 0

    def done(self, found: list[Effect]) -> None:
        kinds = (FetchFirmware, CheckSigner, VerifyFirmware, InstallFirmware, KeepFirmware, LookAtFirmware)
        for effect in found:
            if isinstance(effect, kinds):
                self.errands.append(effect)
            if isinstance(effect, InstallFirmware):
                assert not any(e.tx or e.grant or e.operative for e in self.bench.station.facts.evses.values())
                update = self.bench.station.blocks[0]._update  # type: ignore[attr-defined]
                assert not update.signed or update.number in self.verified
        for status in self.bench.told[self._count :]:
            self.told.setdefault(status.request_id, []).append(status.status)
        self._count = len(self.bench.told)
        if restarts := of(found, Restart):
            assert self.bench.evse.tx is None
            self.restart(board=restarts[0].hard)

    def restart(self, board: bool) -> None:
        self.power_ups += board
        self.slot = self.next_slot if board else self.slot
        self.errands.clear()
        self.car = False
        self.bench = self.bench.after_restart(f"boot-{self.power_ups}", ready=False)
        self._count = 0
        self.bench.online()
        self.bench.read()
        self.bench.meter()
        self.done(list(self.bench.effects))

    # --- steps --------------------------------------------------------------------------------------------------

    def order(self) -> None:
        self.orders += 1
        self.done(self.bench.order(request_id=self.orders, retries=2, retry_interval_s=5))

    def order_signed(self) -> None:
        self.orders += 1
        self.done(self.bench.signed(self.orders, retries=1))

    def order_later(self) -> None:
        self.orders += 1
        later = self.bench.utc + 20
        self.done(self.bench.order(request_id=self.orders, retrieve_at=later, install_at=later + 20))

    def succeed(self) -> None:
        if self.errands:
            self.done(self._answer(self.errands.pop(0), good=True))

    def fail(self) -> None:
        if self.errands:
            self.done(self._answer(self.errands.pop(0), good=False))

    def _answer(self, errand: Effect, good: bool) -> list[Effect]:
        why = "" if good else "it went wrong"
        feed = self.bench.feed
        if isinstance(errand, FetchFirmware):
            return feed(FirmwareFetched(errand.number, why))
        if isinstance(errand, CheckSigner):
            return feed(SignerChecked(errand.order, "" if good else "invalid", why))
        if isinstance(errand, VerifyFirmware):
            self.verified |= {errand.number} if good else set()
            return feed(FirmwareVerified(errand.number, "" if good else "signature", why))
        if isinstance(errand, InstallFirmware):
            other = "B" if self.slot == "A" else "A"
            self.next_slot = other if good else self.next_slot
            return feed(FirmwareInstalled(errand.number, Activation.REBOOT, other, why))
        if isinstance(errand, LookAtFirmware):
            return feed(FirmwareSeen(self.slot if good else ""))
        return feed(FirmwareKept(why))

    def car_comes(self) -> None:
        if not self.car:
            self.car = True
            self.done(self.bench.tap())
            self.done(self.bench.read(Pilot.B))
            self.done(self.bench.read(Pilot.C))

    def car_goes(self) -> None:
        if self.car:
            self.car = False
            self.done(leave(self.bench))

    def wait(self) -> None:
        self.done(self.bench.wait(11))

    def stale_news(self) -> None:
        update = self.bench.station.blocks[0]._update  # type: ignore[attr-defined]
        for number in range(update.number if update else 0):
            self.done(self.bench.feed(FirmwareFetched(number), FirmwareVerified(number), FirmwareInstalled(number)))

    def process_dies(self) -> None:
        self.restart(board=False)

    def power_fails(self) -> None:
        self.restart(board=True)

    def boot_loader_goes_back(self) -> None:
        self.next_slot = self.slot
        self.restart(board=True)

    def csms_falls_silent(self) -> None:
        self.bench.answering = False

    STEPS: tuple[Callable[[Walk], None], ...] = (
        *(succeed, succeed, succeed, succeed, wait, wait),
        *(order, order_signed, order_later, fail, car_comes, car_goes, stale_news),
        *(process_dies, power_fails, boot_loader_goes_back, csms_falls_silent),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(Walk.STEPS), min_size=5, max_size=60))
def test_no_order_of_things_breaks_the_rules_of_an_update(steps: list[Callable[[Walk], None]]) -> None:
    walk = Walk()
    for step in steps:
        step(walk)
    for words in walk.told.values():
        once = [words[0], *(b for a, b in pairwise(words) if a != b)]  # told again when its answer was lost
        for before, after in pairwise(["", *once]):
            assert before in AFTER[after], words


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(Walk.STEPS), max_size=30))
def test_every_update_comes_to_an_end_once_the_world_behaves(steps: list[Callable[[Walk], None]]) -> None:
    walk = Walk()
    for step in steps:
        step(walk)
    walk.bench.answering = True
    walk.restart(board=False)
    walk.car_goes()
    for _ in range(60):
        walk.succeed()
        walk.wait()
    update = walk.bench.station.blocks[0]._update  # type: ignore[attr-defined]
    assert update is None or (not update.pending and update.status in LAST)
    assert walk.bench.evse.operative
    assert not walk.bench.station.blocks[0]._telling  # type: ignore[attr-defined]
