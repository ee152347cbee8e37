"""The seed tree: study → replicate (or run) → purpose. The only door to randomness.

A seed is the first 63 bits of SHA-256 over its parent seed and a path of names, so it depends on
nothing but those words: not on call order, process, platform or library version. Two purposes never
share a stream, and the same purpose under the same parent always does. Runs of one replicate share
a parent, which is what makes common random numbers possible.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["derive_seed", "generator"]


def derive_seed(parent: int, *path: str | int) -> int:
    """Derive a child seed.

    Args:
        parent: Any integer.
        *path: Names or indices from the parent to the child. ``1`` and ``"1"`` are different names.

    Returns:
        An integer in [0, 2**63).
    """
    words = [f"{type(word).__name__}:{word}" for word in (parent, *path)]
    # Length-prefixed, so that ("ab", "c") and ("a", "bc") can never meet.
    payload = "".join(f"{len(word)}|{word}" for word in words).encode()
    return int.from_bytes(hashlib.sha256(payload).digest()[:8], "big") >> 1


def generator(parent: int, *path: str | int) -> np.random.Generator:
    """Return a NumPy generator (PCG64) seeded by :func:`derive_seed`."""
    return np.random.Generator(np.random.PCG64(derive_seed(parent, *path)))
