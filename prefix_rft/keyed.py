"""Randomness by name: a draw depends on what it is for, never on worker count, batch order or resumption."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Part = str | int

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def key(*parts: Part) -> int:
    """A 64-bit key of the named parts; ("1", 2) and (1, 2) differ."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def generator(*parts: Part) -> np.random.Generator:
    """A generator whose stream belongs to the named parts alone."""
    return np.random.Generator(np.random.Philox(key=key(*parts)))


def share(*parts: Part) -> float:
    """One number in [0, 1) that belongs to the named parts; thresholds on it give nested subsets."""
    return key(*parts) / 2.0**64


def uniforms(key_B: NDArray[np.uint64], position_T: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in (0, 1], one for every key and position; [B, T].

    A counter-based hash (splitmix64, doi:10.1145/2660193.2660195): row b's numbers do not depend on the other
    rows or on how many positions are asked for. The largest of the 2**53 values rounds to 1.
    """
    with np.errstate(over="ignore"):
        z = _mix(key_B[:, None] + _GOLDEN * (position_T[None, :] + np.uint64(1)))
    return ((z >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
