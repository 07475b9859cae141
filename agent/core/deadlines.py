"""Deadlines as data: what a block waits for, by name, and the moment (monotonic seconds) when it ends."""

from __future__ import annotations

from collections.abc import Hashable


class Deadlines:
    def __init__(self) -> None:
        self._at: dict[Hashable, float] = {}

    def set(self, name: Hashable, mono: float) -> None:
        self._at[name] = mono

    def keep(self, name: Hashable, mono: float) -> None:
        """Set it unless it stands already."""
        self._at.setdefault(name, mono)

    def clear(self, name: Hashable) -> None:
        self._at.pop(name, None)

    def get(self, name: Hashable) -> float | None:
        return self._at.get(name)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._at

    def next(self) -> float | None:
        return min(self._at.values()) if self._at else None

    def due(self, mono: float) -> list[Hashable]:
        """Names whose moment has come, each reported once, the earliest first."""
        names = [name for name, at in self._at.items() if at <= mono] if self._at else []
        names.sort(key=lambda name: self._at[name])
        for name in names:
            del self._at[name]
        return names
