"""The figures of a run, drawn from the files it left: right after it, beside the next run, or a year later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mtl.config.build import build
from mtl.config.stored import read_stored
from mtl.evaluation.evaluation import Evaluated
from mtl.evaluation.timeline import timeline
from mtl.plots.rendering import write_pngs
from mtl.report.judge import read_event_table
from mtl.report.stored import CONFIG, EVENTS, PREDICTIONS
from mtl.results import Score
from mtl.tracking.artifacts import ROC_COLUMNS, read_trace
from mtl.tracking.by_events import over_time
from mtl.tracking.figures import figures
from mtl.tracking.metrics_table import METRICS_TABLE, read_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "figures"
HISTORY, TRACE = "history.csv", "trace.npz"
SCORES, CLASSES, ROC = "tables/scores.csv", "tables/classes.csv", "tables/roc.csv"
# what `draw` takes, beside the confusion matrices
NEEDED = (CONFIG, PREDICTIONS, HISTORY, TRACE, METRICS_TABLE, SCORES, CLASSES, ROC)
BEST_EPOCH = "epoch/best"


def draw(artifacts: Path) -> int:
    """Draw a run's figures into the folder `figures` of its artifacts, and say how many there are.

    Parameters
    ----------
    artifacts : Path
        Folder with the files of `NEEDED`, and with those that the run has of confusion matrices and events.

    Raises
    ------
    OSError
        If a file is not there, or no figure can be written.
    UserError
        If the config is not one that a run writes.
    """
    drawn = figures_of(artifacts)
    write_pngs(artifacts / FOLDER, drawn)
    return len(drawn)


def figures_of(artifacts: Path) -> dict[str, Figure]:
    """Figures by file name without suffix, see `draw`."""
    config = read_stored(artifacts / CONFIG, str(artifacts), ("tasks",))
    trace, history = read_trace(artifacts / TRACE), _table(artifacts / HISTORY, index_col=0)
    measures = build(config.relations) if config.get("relations") else {}
    related = {name: relation(trace) for name, relation in measures.items()}
    best = read_metrics(artifacts / METRICS_TABLE).get(BEST_EPOCH)
    evaluated = _evaluated(artifacts)
    drawn = figures(evaluated, related, trace, history, None if best is None else int(best))
    if (artifacts / EVENTS).is_file():
        main_task = str(config.main_task)
        time = timeline(pd.read_parquet(artifacts / PREDICTIONS), read_event_table(artifacts / EVENTS, str(artifacts)))
        threshold = evaluated.scores.get(f"alarm_threshold/{main_task}", Score(np.nan)).value
        task = build(config.tasks)[main_task]
        drawn["scores_over_time"] = over_time(time, task, main_task, float(config.data.fps), threshold)
    return drawn


def _evaluated(artifacts: Path) -> Evaluated:
    """What was found of the predictions, as its tables say."""
    table = _table(artifacts / SCORES, index_col="score")
    rows: Mapping[Any, Mapping[Any, Any]] = table.to_dict("index")
    scores = {str(name): Score(**{str(key): value for key, value in row.items()}) for name, row in rows.items()}
    curves = _table(artifacts / ROC, keep_default_na=False)
    roc = {str(task): tuple(own[ROC_COLUMNS].to_numpy(float).T) for task, own in curves.groupby("task", sort=False)}
    files = sorted((artifacts / "tables").glob("confusion_*.csv"))
    found = {file.stem.removeprefix("confusion_"): _table(file, index_col=0) for file in files}
    order = [name.removeprefix("auc/") for name in scores if name.startswith("auc/")]  # the set's
    confusions = {name: found[name] for name in order if name in found}
    return Evaluated(scores, _table(artifacts / CLASSES), confusions, roc)  # type: ignore[arg-type]


def _table(path: Path, **options: Any) -> pd.DataFrame:
    """A table; a reason that is not there is empty."""
    table: pd.DataFrame = pd.read_csv(path, dtype={"reason": str}, **options)
    return table.fillna({"reason": ""}) if "reason" in table else table
