"""An exported model beside its run: the largest difference on the run's own rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mtl.config.build import build
from mtl.data.frames import BadFrame, FrameReader, only_what_is_decoded, read_frame
from mtl.errors import UserError
from mtl.export.described import takes
from mtl.load_run import LoadedRun

log = logging.getLogger(__name__)

ROWS = 32  # of the test split, at equal distances
DRAWN = (64, 64)  # height and width of drawn frames, where a run's own are of no one size
LARGEST = 1e-5  # difference of probabilities from a run in float32, on frames that need no resizing by OpenCV
LARGEST_ROUNDED = 1e-2  # in less than float32; and on frames that OpenCV resizes, by its own rounding to grey levels
OTHER_SIZES = ((240, 320), (97, 131), (48, 56))  # one that is usual, an odd one, one that is enlarged


def own_rows(run: LoadedRun) -> tuple[np.ndarray, str]:
    """Rows of a run's test split, and what they are in words; drawn ones where its data are not there."""
    name, _, _ = takes(run)
    rng = np.random.default_rng(0)
    try:
        rows = _test_rows(run, name == "features")
        return rows, f"{len(rows)} {name} of the test split"
    except (UserError, BadFrame, OSError) as error:
        why = " ".join(str(error).split())
    if name == "features":
        rows = rng.normal(size=(ROWS, run.model.n_features)).astype(np.float32)
    else:
        made = run.training_frames
        size = DRAWN if made is None or made.height is None or made.width is None else (made.height, made.width)
        rows = rng.integers(0, 256, (ROWS, *size, 3)).astype(np.uint8)
    log.warning("The run's own data cannot be had (%s): the model is compared on %d drawn %s.", why, ROWS, name)
    return rows, f"{ROWS} drawn {name}"


def _test_rows(run: LoadedRun, has_features: bool) -> np.ndarray:
    """Rows of the test split, at equal distances; of frames those that have the first one's size."""
    data = build(run.config.data)
    reader = data.root if isinstance(data.root, FrameReader) else None  # of videos, which looks after its own folder
    if not has_features and reader is None and (data.root is None or not Path(data.root).is_dir()):
        raise UserError(f"there is no {data.root}")
    data.check()
    with only_what_is_decoded():  # a whole data set of videos is not decoded for some rows
        table = data.frames()
    at = np.flatnonzero((table["split"] == "test").to_numpy())
    if not len(at):
        raise UserError("it has no test split")
    at = at[np.unique(np.linspace(0, len(at) - 1, min(ROWS, len(at))).astype(int))]
    if has_features:
        return np.asarray(data.features()[at], np.float32)
    frames = [read_frame(reader or Path(data.root), str(path)) for path in table["path"].iloc[at]]
    return np.stack([frame for frame in frames if frame.shape == frames[0].shape])


def refuse_difference(run: LoadedRun, call: Callable[[np.ndarray], Mapping[str, np.ndarray]], rows: np.ndarray) -> str:
    """Compare a model with its run, together and one by one, and in other sizes; the differences in words.

    Raises
    ------
    UserError
        If outputs are not the run's tasks, or a difference is above what is allowed.
    """
    exact = LARGEST if run.backbone.precision == "float32" else LARGEST_ROUNDED
    made = run.training_frames
    own_size = made is None or made.height is None or rows.shape[1:3] == (made.height, made.width)
    allowed_here = exact if own_size else LARGEST_ROUNDED
    parts = [("rows", rows, allowed_here), ("a row alone", rows[:1], allowed_here)]
    if takes(run)[1][1] is None:  # of any size
        parts += [(f"{w}x{h}", _in_size(rows[:2], h, w), LARGEST_ROUNDED) for h, w in OTHER_SIZES]
    said = []
    for what, given, allowed in parts:
        found = _largest(run, call(given), given)
        said.append(f"{found:.1e} ({what})")
        if not found <= allowed:
            raise UserError(
                f"The model's probabilities are not the run's: they differ by {found:.1e} on {what}, {allowed:.0e} is "
                "the most that is allowed. The file was removed."
            )
    return ", ".join(said)


def _largest(run: LoadedRun, found: Mapping[str, np.ndarray], rows: np.ndarray) -> float:
    """Largest difference to the run over all tasks; NaN where either has one."""
    if set(found) != set(run.tasks):
        raise UserError(f"The model's outputs are {sorted(found)}, right would be the tasks {sorted(run.tasks)}.")
    wanted = run(rows)
    for name, each in wanted.items():
        if found[name].shape != each.shape:
            raise UserError(f"The model's output {name} has shape {found[name].shape}, right would be {each.shape}.")
    return float(max(np.max(np.abs(found[name] - each)) for name, each in wanted.items()))


def _in_size(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Frames in another size by repeating or leaving out pixels, with noise of a few grey levels."""
    rows = np.arange(height) * frames.shape[1] // height
    columns = np.arange(width) * frames.shape[2] // width
    large = frames[:, rows][:, :, columns].astype(int)
    return (large + np.random.default_rng(0).integers(-8, 9, large.shape)).clip(0, 255).astype(np.uint8)
