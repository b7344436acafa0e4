"""Seeds: every part has its own, so that one part more or less shifts no other."""

from __future__ import annotations

import zlib


def seed_of(seed: int, *names: str) -> int:
    """A seed of its own for every named part, the same whatever other parts there are.

    Parameters
    ----------
    seed : int
        The run's.
    *names : str
        The part's.

    Returns
    -------
    int
        In [0, 2**31).
    """
    return zlib.crc32("/".join([str(seed), *names]).encode()) & 0x7FFFFFFF
