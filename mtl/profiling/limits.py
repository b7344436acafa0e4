"""Which stage took the largest share, and what limits it, as far as the numbers say so."""

from __future__ import annotations

import numpy as np

from mtl.profiling.profile import Profile, Stage
from mtl.stopwatch import BLOCKS, COMPILE, DECODE, FORWARD, REST, STEPS, TRACKING, TURN, VIDEOS

NEAR = 1.5  # times the best: the rest is what shuffling, copies and a busy machine take
IDLE = 0.5  # share of the cores that are busy, below which a stage that decodes was waiting
ONE_CORE = (0.6, 1.4)  # cores busy where a single thread works
UNKNOWN = "These numbers do not say what limits it."


def sentence(profile: Profile) -> str:
    """The largest share and its limit."""
    largest = max(profile.stages, key=lambda stage: stage.seconds)
    share = f"{largest.seconds:.1f} s of {profile.seconds:.1f} s, {profile.share(largest):.0%}"
    return f"The largest share is {largest.title}: {share}. {limit(largest, profile.machine.n_cores)}"


def limit(stage: Stage, n_cores: int) -> str:
    """What a stage could be made faster by, where the numbers show it; else that they do not."""
    if stage.name in (DECODE, FORWARD, STEPS) and np.isfinite(stage.times_best):
        return _beside_best(stage, n_cores)
    return _by_name(stage) or _by_cores(stage, n_cores)


def _beside_best(stage: Stage, n_cores: int) -> str:
    """Of a stage whose best is known."""
    if stage.times_best <= NEAR:
        near = f"It took {stage.times_best:.1f} times the best"
        return {
            DECODE: f"{near}: decoding itself is the limit.",
            FORWARD: f"{near}: the arithmetic of the frozen part is the limit.",
            STEPS: f"{near}: the arithmetic of the compiled step is the limit.",
        }[stage.name]
    over = f"It took {stage.times_best:.1f} times the best, so 1 part in {stage.times_best:.1f} is"
    if stage.name == DECODE:
        busy = stage.cores / n_cores
        if busy < IDLE:
            return (
                f"{over} decoding; {busy:.0%} of the processor was busy meanwhile: "
                "it waited for the disk, or for the network behind it."
            )
        return f"{over} decoding. The processor was busy all the same. {UNKNOWN}"
    first = (
        "the tracing of the first batch, copies" if stage.name == FORWARD else "the first call, Python between calls"
    )
    cores = f"{stage.cores:.1f} of {n_cores} cores were busy"
    return f"{over} arithmetic; the others are {first}, and waiting for other work of the machine ({cores})."


def _by_name(stage: Stage) -> str:
    """Of a stage that has one cause; empty for others."""
    if stage.name == TRACKING:
        return f"MLflow is the limit: {stage.units} calls, the import of MLflow and the upload of files."
    known = {
        COMPILE: "Python is the limit: TensorFlow traces the step, once for each model, however long it trains.",
        BLOCKS: "The steps waited for feature vectors that are not in memory: features.memory_gib and features.max_gib "
        "say from which size on.",
        TURN: "Other jobs of the sweep were at work.",
        VIDEOS: "Each video is decoded once; later runs find its frames.",
    }
    return known.get(stage.name, "")


def _by_cores(stage: Stage, n_cores: int) -> str:
    """Of a stage of which only the processor's time is known."""
    if stage.name == REST or not np.isfinite(stage.cores) or n_cores == 1:
        return UNKNOWN
    if stage.cores < ONE_CORE[0]:
        return f"{stage.cores:.1f} of {n_cores} cores were busy: it waited, for the disk or for other processes."
    if stage.cores <= ONE_CORE[1]:
        what = "Python (imports)" if stage.name == "start" else "Python and NumPy in one thread"
        return f"{stage.cores:.1f} of {n_cores} cores were busy: {what}, not the machine's arithmetic, is the limit."
    return f"{stage.cores:.1f} of {n_cores} cores were busy. {UNKNOWN}"
