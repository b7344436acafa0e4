"""The profile of a run that has come to its end: measured, written down, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from mtl.data.frames import read_frame
from mtl.formatting import terminal_table
from mtl.plots.rendering import write_pngs
from mtl.plots.stage_times import stage_times
from mtl.profiling.calibration import calibrate, decode_rate, forward_rate, step_rate
from mtl.profiling.limits import sentence
from mtl.profiling.profile import NAMES, Profile, profile
from mtl.stopwatch import DECODE, FORWARD, MEASUREMENTS, STEPS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import RenderableType

    from mtl.data.frames import FrameRoot
    from mtl.features.features import Features
    from mtl.model.parts import FrozenPart
    from mtl.stopwatch import Stopwatch
    from mtl.training.dataset import Dataset
    from mtl.training.steps import Steps

FIGURE, TABLE = "time_by_stage", "time_by_stage.csv"


def profile_of_run(
    watch: Stopwatch,
    root: FrameRoot | None,
    features: Features,
    frozen: FrozenPart,
    decode_threads: int,
    dataset: Dataset,
    steps: Callable[[], Steps],
    batch_size: int,
    n_measured: int,
) -> Profile:
    """Where a run's time went; what it did is measured once more, at its best.

    Parameters
    ----------
    watch : Stopwatch
        Is stopped first.
    root : Path or FrameReader or None
        Of the frames; None where the data set gives features.
    features : Features
    frozen : FrozenPart
    decode_threads : int
    dataset : Dataset
    steps : callable
        Gives the run's own compiled steps. They train its model on.
    batch_size : int
        Of a step.
    n_measured : int
        Batches on which gradients were measured.
    """
    watch.stop()
    absent = reasons(root is None, features, frozen.layers is None, watch.units.get(STEPS, 0), n_measured)
    paths = features.frames["path"]
    rates: dict[str, Callable[[], float]] = {}
    if root is not None and DECODE not in absent:
        rates[DECODE] = lambda: decode_rate(decode_threads, root, paths, frozen.batch_size)
    if root is not None and FORWARD not in absent:
        rates[FORWARD] = lambda: forward_rate(frozen, _batch(root, paths.iloc[: frozen.batch_size].tolist()))
    if STEPS not in absent:
        rates[STEPS] = lambda: step_rate(steps(), dataset, batch_size)
    return profile(watch, calibrate(rates), absent)


def reasons(has_features: bool, features: Features, is_identity: bool, n_steps: int, n_measured: int) -> dict[str, str]:
    """Why a run had no stage of a name, for those that it did not have.

    Parameters
    ----------
    has_features : bool
        Whether the data set gives features itself.
    features : Features
    is_identity : bool
        Whether nothing of the backbone is frozen.
    n_steps, n_measured : int
        That this process did.
    """
    found = {}
    if has_features:
        found[DECODE] = found[FORWARD] = "the data set gives features"
    elif not features.forwards:
        found[DECODE] = found[FORWARD] = "all feature vectors came from the store"
    elif is_identity:
        found[FORWARD] = "nothing is frozen (freeze=none)"
    if not n_steps:
        found[STEPS] = "a process before this one did all steps"
    if not n_measured:
        found[MEASUREMENTS] = "no gradient was measured (gradient_measurements)"
    return found


def shown(made: Profile) -> list[RenderableType]:
    """For a terminal: table, sentence, why a stage is missing, and the machine."""
    lines = [sentence(made), *made.notes(), made.machine.text(), made.cost()]
    return [terminal_table("Where the time went", made.table()), Text("\n".join(lines))]


def write_profile(artifacts: Path, made: Profile) -> None:
    """The figure and the table beside those of the run."""
    seconds = {stage.title: stage.seconds for stage in made.stages}
    best = {stage.title: stage.best_seconds for stage in made.stages}
    absent = {NAMES.get(name, name): reason for name, reason in made.absent.items()}
    share, _, why = sentence(made).partition(". ")
    below = [f"{share}.", why, made.machine.text().partition(";")[0] + "."]
    write_pngs(artifacts / "figures", {FIGURE: stage_times(seconds, best, absent, below)})
    (artifacts / "tables").mkdir(parents=True, exist_ok=True)
    made.numbers().to_csv(artifacts / "tables" / TABLE)


def _batch(root: FrameRoot, paths: list[str]) -> np.ndarray:
    """Frames of one size, (b, h, w, 3)."""
    images = [read_frame(root, path) for path in paths]
    return np.stack([image for image in images if image.shape == images[0].shape])
