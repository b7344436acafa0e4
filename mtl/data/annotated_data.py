"""What files may say of a data set's frames beside their class: labels by frame, events of test videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mtl.data.events import Events
from mtl.data.temporal_truth import events_of
from mtl.errors import UserError, nearest


class AnnotatedData:
    """A data set whose frames may have labels of their own, and whose test videos may have annotated events.

    Parameters
    ----------
    labels : mapping of str to str or None
        By task a csv file of its labels by frame, see `mtl.data.labels.read_labels`; without one the class tells.
    events : str or None
        Annotation of the test videos' events, see `mtl.data.events.read_events`; None: not known.
    fps : float
        Frames of the original videos in a second; of delays and alarms.

    Attributes
    ----------
    knows_events : bool
        Whether a data set of this kind comes with the events of its test videos, without a file.
    """

    knows_events = False

    def __init__(self, labels: Mapping[str, str | None], events: str | None, fps: float) -> None:
        self.labels = dict(labels)
        self.events = events
        self.fps = fps

    def check_labels(self, tasks: Sequence[str]) -> None:
        """Raise `UserError` where a file is given for a task that nobody knows, or is not there."""
        for task, file in self.labels.items():
            if task not in tasks:
                raise UserError(f"data.labels has no task '{task}'. {nearest(task, tasks)}")
            if file is not None and not Path(file).expanduser().absolute().is_file():
                raise UserError(f"data.labels.{task}: there is no file {Path(file).expanduser().absolute()}.")

    def temporal_truth(self) -> Events | None:
        """The annotated events, of whatever videos the file names; None where there is no file."""
        return None if self.events is None else events_of(self.events)
