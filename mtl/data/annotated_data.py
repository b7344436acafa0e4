"""What files may say of a data set's frames beside their class: labels by frame, events of test videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mtl.data.events import Events, read_events
from mtl.errors import UserError, nearest


class AnnotatedData:
    """A data set whose frames may have labels of their own, and whose test videos may have annotated events.

    Parameters
    ----------
    labels : mapping of str to str or None
        By task a csv file of its labels by frame, see `mtl.data.labels.read_labels`; without one the class tells.
    events : str or None
        Annotation of the test videos' events, see `read_events`; None: not known.
    """

    def __init__(self, labels: Mapping[str, str | None], events: str | None) -> None:
        self.labels = dict(labels)
        self.events = None if events is None else Path(events).expanduser().absolute()

    def check_labels(self, tasks: Sequence[str]) -> None:
        """Raise `UserError` where a file is given for a task that nobody knows, or is not there."""
        for task, file in self.labels.items():
            if task not in tasks:
                raise UserError(f"data.labels has no task '{task}'. {nearest(task, tasks)}")
            if file is not None and not Path(file).expanduser().absolute().is_file():
                raise UserError(f"data.labels.{task}: there is no file {Path(file).expanduser().absolute()}.")

    def temporal_truth(self) -> Events | None:
        """When something happens in the videos that were annotated; None where nothing says so.

        Raises
        ------
        UserError
            If the file is not there, or a line of it is not understood.
        """
        if self.events is None:
            return None
        if not self.events.is_file():
            raise UserError(f"data.events: there is no file {self.events}.")
        return read_events(self.events)
