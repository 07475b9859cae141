"""These tests want a whole Linux. Where it is lacking that is said in one line, and it counts as a failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platform.host import lacks
from tests.platform.machine import Machine
from tests.platform.network import Network
from tests.platform.package import installed, package
from tests.platform.rootfs import rootfs


def pytest_configure() -> None:
    lacking = lacks()
    if lacking:
        raise pytest.UsageError(lacking)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those first that are long in making their system, each for one worker."""
    slow = ("test_guest", "armhf")
    items.sort(key=lambda item: next((place for place, word in enumerate(slow) if word in item.nodeid), len(slow)))


@pytest.fixture(scope="session")
def debian() -> Path:
    """Debian 12 as it comes, without the agent."""
    return rootfs()


@pytest.fixture(scope="session")
def deb() -> Path:
    """The package of this checkout."""
    return package()


@pytest.fixture(scope="session")
def layers(debian: Path, deb: Path) -> Iterator[tuple[Path, ...]]:
    """Debian 12 with the package on it."""
    with installed(debian, deb) as layers:
        yield layers


@pytest.fixture(scope="session")
def layers13(deb: Path) -> Iterator[tuple[Path, ...]]:
    """Debian 13 with the package on it."""
    with installed(rootfs("trixie"), deb) as layers:
        yield layers


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture
def bare(debian: Path) -> Iterator[Machine]:
    """A booted Debian 12 without the agent."""
    with Machine(debian) as machine:
        machine.boot()
        yield machine


@pytest.fixture
def installed_machine(layers: tuple[Path, ...]) -> Iterator[Machine]:
    """A booted Debian 12 with the package, and no central system."""
    with Machine(*layers) as machine:
        machine.boot(wait=False)
        machine.until(lambda: machine.is_active("sockets.target"), "its sockets")
        yield machine
