"""Wall time of the stages of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from mtl.out_of_memory import STAGE
from mtl.stopwatch import spent_on


class Stages:
    """Wall time of each stage of a run.

    Attributes
    ----------
    seconds : dict of str to float
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block; an exception that leaves it knows the stage."""
        start = time.perf_counter()
        try:
            with spent_on(name):
                yield
        except Exception as error:
            vars(error).setdefault(STAGE, name)
            raise
        self.seconds[name] = time.perf_counter() - start
