"""Stages of a run with their times and rates, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mtl.formatting import NOTHING, number
from mtl.stopwatch import (
    BLOCKS,
    CHECKPOINTS,
    COMPILE,
    DECODE,
    FIGURES,
    FORWARD,
    MEASUREMENTS,
    MODEL,
    REST,
    STEPS,
    TRACKING,
    TURN,
    VALIDATION,
    VIDEOS,
    Stopwatch,
)

# in the order of a run, with what is counted; a stage that the watch knows and this table does not comes last but one
UNITS = {
    TURN: "",
    "start": "",
    "index": "frames",
    VIDEOS: "videos",
    DECODE: "frames",
    FORWARD: "frames",
    "features": "",
    MODEL: "",
    COMPILE: "",
    STEPS: "steps",
    BLOCKS: "",
    MEASUREMENTS: "measurements",
    VALIDATION: "frames",
    CHECKPOINTS: "",
    "training": "",
    "evaluation": "frames",
    "events": "",
    "relations": "",
    FIGURES: "figures",
    "record": "",
    TRACKING: "calls",
    REST: "",
}
# stages whose own name would say more, or less, than what is left for them
NAMES = {
    COMPILE: "compile steps",
    "features": "feature store",
    "training": "rest of training",
    "record": "result files",
    "events": "scores by events",
}


@dataclass(frozen=True)
class Stage:
    """What one stage took.

    Attributes
    ----------
    name : str
        As `mtl.stopwatch` has it.
    seconds : float
        Wall time, stages within it left out.
    cores : float
        Processor time of all threads by wall time: how many cores were busy on the average. NaN where it took no time.
    units : int
        What it did; 0 where nothing is counted.
    best : float
        Units per second that this machine could do at best; NaN where that is not measured.
    """

    name: str
    seconds: float
    cores: float = float("nan")
    units: int = 0
    best: float = float("nan")

    @property
    def title(self) -> str:
        """For a reader."""
        return NAMES.get(self.name, self.name)

    @property
    def rate(self) -> float:
        """Units per second; NaN where nothing is counted."""
        return self.units / self.seconds if self.units and self.seconds > 0 else float("nan")

    @property
    def best_seconds(self) -> float:
        """What it would have taken at best; NaN where that is not known."""
        return self.units / self.best if self.units else float("nan")

    @property
    def times_best(self) -> float:
        """How many times that it took; below 1 where other threads did a part of it meanwhile."""
        return self.best / self.rate


@dataclass(frozen=True)
class Machine:
    """What this machine does at best.

    Attributes
    ----------
    n_cores : int
        That the process may use.
    gflops : float
        Billions of operations per second in a large matrix product in float32.
    copy_gb_s : float
        Billions of bytes per second, read and written, in a copy by one core.
    rates : mapping of str to float
        Units per second by stage, as far as they could be measured.
    seconds : float
        What it took to measure them.
    span_seconds : float
        What it takes to begin and end a stage.
    """

    n_cores: int
    gflops: float
    copy_gb_s: float
    rates: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    span_seconds: float = 0.0

    def text(self) -> str:
        """In a line."""
        return (
            f"This machine at best: {self.n_cores} cores, {self.gflops:,.0f} GFLOP/s in a matrix product, "
            f"{self.copy_gb_s:,.1f} GB/s in a copy by one core; measured after the run in {self.seconds:.1f} s, "
            "which is not counted above."
        )


@dataclass(frozen=True)
class Profile:
    """Where the wall time of a run went.

    Attributes
    ----------
    stages : tuple of Stage
        In the order of a run; they sum to the wall time.
    machine : Machine
    absent : mapping of str to str
        Stages that the run did not have, with the reason.
    n_spans : int
        How often a stage was begun.
    """

    stages: tuple[Stage, ...]
    machine: Machine
    absent: Mapping[str, str] = field(default_factory=dict)
    n_spans: int = 0

    @property
    def seconds(self) -> float:
        """Wall time."""
        return sum(stage.seconds for stage in self.stages)

    def share(self, stage: Stage) -> float:
        """Of the wall time, from 0 to 1."""
        return stage.seconds / self.seconds

    def numbers(self) -> pd.DataFrame:
        """All numbers, by stage.

        Returns
        -------
        DataFrame
            `seconds`, `share`, `cores`, `units`, `unit`, `rate`, `best_rate` (both in units per second),
            `best_seconds`, `times_best`; and `reason` of stages that the run did not have, all else of which is empty.
        """
        rows = [
            {
                "stage": stage.title,
                "seconds": stage.seconds,
                "share": self.share(stage),
                "cores": stage.cores,
                "units": stage.units or np.nan,
                "unit": UNITS.get(stage.name, ""),
                "rate": stage.rate,
                "best_rate": stage.best,
                "best_seconds": stage.best_seconds,
                "times_best": stage.times_best,
                "reason": "",
            }
            for stage in self.stages
        ]
        rows += [{"stage": NAMES.get(name, name), "reason": reason} for name, reason in self.absent.items()]
        return pd.DataFrame(rows).set_index("stage")

    def table(self) -> pd.DataFrame:
        """As text, for a person; a stage that the run did not have is `none`, and `notes` says why."""
        rows = [
            {
                "stage": stage.title,
                "seconds": number(stage.seconds, 2),
                "share": f"{self.share(stage):.0%}",
                "cores busy": number(stage.cores, 1),
                "rate": _rate(stage.rate, UNITS.get(stage.name, "")),
                "at best": _rate(stage.best, UNITS.get(stage.name, "")),
                "times the best": number(stage.times_best, 1),
            }
            for stage in self.stages
        ]
        nothing = dict.fromkeys(("share", "cores busy", "rate", "at best", "times the best"), NOTHING)
        rows += [{"stage": NAMES.get(name, name), "seconds": "none"} | nothing for name in self.absent]
        busy = sum(stage.cores * stage.seconds for stage in self.stages if np.isfinite(stage.cores))
        whole = {"seconds": number(self.seconds, 2), "share": "100%", "cores busy": number(busy / self.seconds, 1)}
        rows.append({"stage": "wall time"} | nothing | whole)
        return pd.DataFrame(rows).set_index("stage")

    def cost(self) -> str:
        """What the timing itself took, in a sentence."""
        each = self.machine.span_seconds
        share = 100 * self.n_spans * each / self.seconds
        return (
            f"Timing itself: {self.n_spans:,} stages begun and ended, {1e6 * each:.1f} µs each, "
            f"{share:.3f} % of the wall time."
        )

    def notes(self) -> list[str]:
        """Why the run did not have a stage, or took less for one than the best."""
        said = [f"{NAMES.get(name, name)}: none, because {reason}." for name, reason in self.absent.items()]
        beside = [stage.title for stage in self.stages if stage.times_best < 1]
        if DECODE in beside:
            said.append("decode: less than the best, because threads decode while the frozen part computes.")
        return said


def profile(watch: Stopwatch, machine: Machine, absent: Mapping[str, str]) -> Profile:
    """Where the time went that a watch has counted.

    Parameters
    ----------
    watch : Stopwatch
        Stopped.
    machine : Machine
    absent : mapping of str to str
        Why the run had no stage of a name; the microseconds in which that was found count as everything else.
    """
    seconds, cpu = dict(watch.seconds), dict(watch.cpu_seconds)
    for name in absent:
        for times in (seconds, cpu):
            times[REST] = times.get(REST, 0.0) + times.pop(name, 0.0)
    order = [name for name in UNITS if name != REST]
    names = [name for name in order if name in seconds]
    names += [*sorted(set(seconds) - set(UNITS)), *({REST} & set(seconds))]
    stages = [
        Stage(
            name,
            seconds[name],
            cpu[name] / seconds[name] if seconds[name] > 0 else float("nan"),
            watch.units.get(name, 0),
            machine.rates.get(name, float("nan")),
        )
        for name in names
    ]
    return Profile(tuple(stages), machine, absent, watch.n_spans)


def _rate(value: float, unit: str) -> str:
    """With its unit, a space that does not break between them."""
    digits = 0 if value >= 10 else 1 if value >= 1 else 2
    return f"{value:,.{digits}f}\N{NO-BREAK SPACE}{unit}/s" if np.isfinite(value) and unit else NOTHING
