"""Noise without a stream: the same seed, name and moment give the same value, whoever asks and however often."""

from __future__ import annotations

_MASK = (1 << 64) - 1


def noise(seed: int, channel: int, tick: int) -> float:
    """An even value in [-1, 1), mixed from three integers (the finaliser of a splitmix generator)."""
    x = (seed * 0x9E3779B97F4A7C15 + channel * 0xD1B54A32D192ED03 + tick * 0x8CB92BA72F3D8DD7) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((x ^ (x >> 31)) >> 11) / (1 << 52) - 1.0
