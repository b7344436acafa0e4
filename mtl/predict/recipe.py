"""Which frames a run takes of a video, and from what that is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.data.making import EXTRACTION
from mtl.files import read_json

if TYPE_CHECKING:
    from omegaconf import DictConfig

USUAL_STEP = 10  # of the usual frame set of UCF-Crime, and of `mtl.extract_frames`


@dataclass(frozen=True)
class Step:
    """Every how-manieth frame is taken.

    Attributes
    ----------
    frames : int
    known_from : str
        In words.
    """

    frames: int
    known_from: str


def step_of(config: DictConfig, given: int | None) -> Step:
    """The distance between the frames that a run was trained on, in frames of the video.

    Parameters
    ----------
    config : DictConfig
        Of the run.
    given : int or None
        What the person asked for, which goes first.

    Returns
    -------
    Step
        By the data's own key `step`, or of the marker of the extraction that made the frame tree, else the
        usual 10; times the run's `data.every`.
    """
    if given is not None:
        return Step(given, "as asked for")
    data: Any = config.get("data") or {}
    every = int(data.get("every") or 1)
    thinned = f", of which the run took every {ordinal(every)}" if every > 1 else ""
    if data.get("step"):
        return Step(int(data.get("step")) * every, f"the run's data.step{thinned}")
    root = data.get("root")
    plan = read_json(Path(str(root)).expanduser() / EXTRACTION) if root else None
    marked = (plan or {}).get("cut", {}).get("step")
    if isinstance(marked, int) and marked > 0:
        return Step(marked * every, f"the marker of the extraction that made its frames{thinned}")
    return Step(USUAL_STEP * every, f"the usual step of frame trees, as nothing tells another{thinned}")


def ordinal(number: int) -> str:
    """As in 1st, 22nd, 13th."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else endings.get(number % 10, 'th')}"
