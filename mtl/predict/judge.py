"""A run with all that its own data tell of how to apply and read it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.errors import UserError
from mtl.load_run import file_of_run, load_run
from mtl.predict.curves import Curve, Threshold, curves_of, thresholds
from mtl.predict.recipe import Step, ordinal, step_of

if TYPE_CHECKING:
    from mtl.load_run import LoadedRun
    from mtl.tracking.mlflow_tracking import MLflowTracking

log = logging.getLogger(__name__)

STORE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Judge:
    """How a run is applied and read.

    Attributes
    ----------
    run : LoadedRun
    name : str
    step : Step
    curves : list of Curve
        The leading one first.
    limits : mapping of str to Threshold
        By the curve's name.
    smooth : float
        Seconds.
    """

    run: LoadedRun
    name: str
    step: Step
    curves: Sequence[Curve]
    limits: Mapping[str, Threshold]
    smooth: float

    def said(self) -> list[str]:
        """What a reader of the scores must know, a sentence each."""
        making = self.run.training_frames
        size = "as they come" if making is None or making.height is None else f"resized to {making}"
        how = "none" if not self.smooth else f"mean over {self.smooth:g} s inside a video; tables keep raw scores"
        return [
            f"Every {ordinal(self.step.frames)} frame is taken ({self.step.known_from}), {size}.",
            *(
                f"Threshold of {curve.name}: {self.limits[curve.name].value:.4g} "
                f"({self.limits[curve.name].known_from})."
                for curve in self.curves
            ),
            f"Smoothing: {how}.",
        ]


def judge_of(name: str, uri: str | None, every: int | None, smooth: float) -> Judge:
    """The run of this id or folder.

    Parameters
    ----------
    uri : str or None
        Of the MLflow store.
    every : int or None
        Distance of the frames that was asked for.
    smooth : float
        Seconds.

    Raises
    ------
    UserError
        If there is no such run, or it takes no frames.
    """
    tracking = _tracking(uri)
    run = load_run(name, tracking)
    if run.backbone.frozen.takes == "features":
        raise UserError(
            f"{name} was trained on feature vectors (backbone=none) and cannot take frames; right would be a run "
            "with a backbone."
        )
    curves = curves_of(run.tasks, run.config.get("main_task"))
    predictions: Path | str
    try:
        predictions = file_of_run(name, "predictions.parquet", tracking)
    except UserError as error:
        log.debug("%s", error)
        predictions = "the run's stored predictions are not to be had"
    limits = thresholds(predictions, curves, run.tasks, smooth)
    return Judge(run, name, step_of(run.config, every), curves, limits, smooth)


def _tracking(uri: str | None) -> MLflowTracking | None:
    """The store that was named."""
    from mtl.tracking.mlflow_tracking import MLflowTracking

    return None if uri is None else MLflowTracking(uri, "mtl", None, STORE_TIMEOUT_S)
