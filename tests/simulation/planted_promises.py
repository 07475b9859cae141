"""Bugs in what the station promises beyond charging, planted like those of `planted`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from agent.blocks.diagnostics import Diagnostics
from agent.blocks.firmware import Firmware
from agent.blocks.local_list import LocalList
from agent.blocks.network import Network
from agent.blocks.network_course import Course
from agent.blocks.reservation import Reservations
from agent.blocks.security import Security
from agent.blocks.telling import Telling
from agent.core.firmware import FirmwareInstalled, Phase
from agent.core.network import State
from agent.core.security import Entry
from tests.simulation.planted import swapped
from tests.simulation.scene import changed

Planted = contextlib.AbstractContextManager[None]


def _forgets(block: type[Any]) -> Planted:
    """What it remembered is not taken up after a restart."""
    return swapped(block, "on_restored", lambda _self, _event, _now: iter(()))


def forgets_reservations() -> Planted:
    return _forgets(Reservations)


def forgets_the_list() -> Planted:
    return _forgets(LocalList)


def forgets_logs() -> Planted:
    return _forgets(Diagnostics)


def installs_in_mid_transaction() -> Planted:
    """Nobody looks whether somebody charges."""
    return swapped(Firmware, "_idle", lambda _self, _now, _allow_new: True)


def tells_firmware_twice() -> Planted:
    """Each change of status is told two times."""
    tell = Telling.tell

    def twice(self: Telling, status: Any) -> Any:
        yield from tell(self, status)
        yield from tell(self, status)

    return swapped(Telling, "tell", twice)


def installed_before_the_boot() -> Planted:
    """What lies on the disk counts as installed."""

    def on_installed(self: Firmware, e: FirmwareInstalled, _now: Any) -> Any:
        u = self._expected(e.number, Phase.INSTALLING)
        if u is not None:
            yield from self._move(u, Phase.CONFIRMING)

    return swapped(Firmware, "on_installed", on_installed)


@contextlib.contextmanager
def new_id_for_a_security_event() -> Iterator[None]:
    """A security event that was not answered goes out once more under another id."""
    tries: dict[str, int] = {}
    notice, on_failed = Security._notice, Security.on_failed

    def renamed(self: Security, entry: Entry) -> Any:
        found = notice(self, entry)
        tries[found.message_id] = tries.get(found.message_id, -1) + 1
        again = tries[found.message_id]
        return changed(found, message_id=f"{found.message_id}-{again}") if again else found

    def forgetful(self: Security, e: Any, now: Any) -> Any:
        yield from on_failed(self, e, now)
        self._repeat = None

    with swapped(Security, "_notice", renamed), swapped(Security, "on_failed", forgetful):
        yield


def believes_in_links_at_once() -> Planted:
    """Whoever accepts us once is never left for the link before."""
    return swapped(Course, "doubt", lambda _self, _now: iter(()))


def trials_without_end() -> Planted:
    """Nobody looks how long a new link takes to accept us, nor how often it has failed."""
    fail = Network._failed

    def failed(self: Network, why: str, now: Any) -> Any:
        return iter(()) if self.state is State.TRYING else fail(self, why, now)

    return _both(swapped(Network, "_limit", lambda _self, _now: None), swapped(Network, "_failed", failed))


@contextlib.contextmanager
def _both(one: Planted, other: Planted) -> Iterator[None]:
    with one, other:
        yield
