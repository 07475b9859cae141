"""Fixtures: a store on a real file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.store import Limits, Store

Opener = Callable[..., Store]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Opener]:
    """Opens the store of this test, once more after each close; what is left open is closed at the end."""
    made: list[Store] = []

    def opener(limits: Limits | None = None, boot: str = "") -> Store:
        for old in made:
            old.close()
        store = Store(path, limits, fast=True)
        store.open(boot)
        made.append(store)
        return store

    yield opener
    for store in made:
        store.close()


@pytest.fixture
def store(opened: Opener) -> Store:
    return opened()
