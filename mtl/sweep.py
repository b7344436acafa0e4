"""The multirun: one parent run over its jobs, and the table at its end."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from mtl import commandline
from mtl.mistakes import Mistake

log = logging.getLogger(__name__)


class Sweep(Callback):
    """Opens the parent run before the first job and closes it, with the summary, after the last.

    `on_multirun_end` is not called by Hydra 1.3 after a failed job or Ctrl-C, so
    `finish` hangs on the end of the process as well, and does its work once.
    """

    def __init__(self) -> None:
        self._parent: Any = None
        self._tracking: Any = None
        self._main_task = ""
        self._owner = 0

    def __getstate__(self) -> dict[str, Any]:
        """What a launcher's worker gets: nothing of the parent, which is this process's alone."""
        return {"_parent": None, "_tracking": None, "_main_task": self._main_task, "_owner": 0}

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Create store, experiment and parent once, before any job could race for them."""
        from hydra.utils import instantiate
        from omegaconf import OmegaConf

        OmegaConf.resolve(config.tracking)
        try:
            commandline.check_choices(config.hydra.overrides.task)
            self._tracking = instantiate(config.tracking)
            self._tracking.prepare()
            self._tracking.close_stale()
            words = [str(word) for word in config.hydra.overrides.task]
            folder = Path(str(config.hydra.sweep.dir)).absolute()
            self._parent = self._tracking.start(_name(words), folder, None, {"sweep": "parent"})
        except Mistake as mistake:
            print(mistake, file=sys.stderr)  # noqa: T201  an exception would become a warning of Hydra's
            sys.exit(1)
        os.environ[commandline.PARENT_RUN] = self._parent.id
        self._main_task = str(config.main_task)
        self._owner = os.getpid()
        atexit.register(self.finish, interrupted=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """All jobs came to an end."""
        self.finish(interrupted=False)

    def finish(self, interrupted: bool) -> None:
        """Put the summary into the parent and on the terminal, and close the parent truthfully.

        Parameters
        ----------
        interrupted : bool
            Whether the process ends without Hydra having said that all jobs are done.
        """
        if self._parent is None or self._owner != os.getpid():
            return
        parent, self._parent = self._parent, None
        atexit.unregister(self.finish)
        os.environ.pop(commandline.PARENT_RUN, None)
        from mtl import report
        from mtl.terminal import show
        from mtl.tracking import recorded

        runs = [run for run in recorded(parent.folder) if run.tags.get("sweep") != "parent"]
        statuses = {run.status for run in runs}
        written = parent.folder / "summary"
        try:
            summary = report.summarise(runs, self._main_task, self._tracking)
            for shown in report.sweep_tables(summary):
                show(shown)
            parent.text(report.markdown(summary))
            report.write_summary(written, summary)
            parent.artifacts(written)
        except Exception:  # whatever is wrong with a report, the parent is closed
            log.exception("The report was not made; `python -m mtl.report %s` tries again.", parent.folder)
        killed = "KILLED" in statuses or "RUNNING" in statuses or (interrupted and "FAILED" not in statuses)
        parent.end("KILLED" if killed else "FAILED" if "FAILED" in statuses else "FINISHED")
        show(f"report   {written / 'summary.html'}")
        for line in self._tracking.where_to_look([run.id for run in runs], f"auc/{self._main_task}", parent.id):
            show(line)


def _name(words: list[str]) -> str:
    """What was asked for."""
    return f"sweep {' '.join(words)}"[:250]
