"""A finished run, to be used on new frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig, OmegaConf

from mtl.config.build import build
from mtl.config.renamed import of_today
from mtl.errors import UserError
from mtl.job.record import REUSED_FROM
from mtl.terminal import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import SplitBackbone
    from mtl.tasks import Task
    from mtl.tracking.mlflow_tracking import MLflowTracking


@dataclass(frozen=True)
class LoadedRun:
    """A finished run, to be used on new frames.

    Attributes
    ----------
    config : DictConfig
    tasks : mapping of str to Task
    backbone : SplitBackbone
    model : MultiTaskModel
    """

    config: DictConfig
    tasks: Mapping[str, Task]
    backbone: SplitBackbone
    model: MultiTaskModel

    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities by task name.

        Parameters
        ----------
        frames : ndarray of uint8, shape (n, height, width, 3)
            RGB, as `mtl.data.frames.read_frame` gives them; features (n, d)
            where the run had no backbone.

        Returns
        -------
        dict of str to ndarray of shape (n, n_classes)
            In the order of the task's `classes`.
        """
        if self.backbone.frozen.takes == "features":
            if frames.ndim != 2 or frames.shape[1] != self.model.n_features:
                raise UserError(f"features must be (n, {self.model.n_features}), found {frames.shape}.")
        elif frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise UserError(f"frames must be uint8 (n, height, width, 3), found {frames.dtype} {frames.shape}.")
        size = self.backbone.frozen.batch_size
        blocks = [
            self.model(self.backbone.frozen(frames[i : i + size]), training=False) for i in range(0, len(frames), size)
        ]
        logits = {name: np.concatenate([block[name].numpy() for block in blocks]) for name in self.tasks}
        return {name: task.probabilities(logits[name]) for name, task in self.tasks.items()}


def load_run(run_id: str, tracking: MLflowTracking | None = None) -> LoadedRun:
    """The model of a finished run, equal to the one that made its tracked predictions.

    Parameters
    ----------
    run_id : str
    tracking : MLflowTracking, optional
        Where the run was tracked; else `mlflow.db` of the working directory.

    Raises
    ------
    UserError
        If there is no such run, or the backbone's weights are no longer the ones it had.
    """
    from mtl.tracking.mlflow_tracking import MLflowTracking

    tracking = tracking or MLflowTracking("sqlite:///mlflow.db", "mtl", None, timeout_s=10.0)
    run_id = tracking.run(run_id).tags.get(REUSED_FROM, run_id)
    with quiet():
        from mtl.model.multitask import assemble
        from mtl.tracking.artifacts import read_weights

        config = of_today(OmegaConf.load(tracking.download(run_id, "config.yaml")))
        stored = json.loads(tracking.download(run_id, "model.json").read_text(encoding="utf-8"))
        if stored["frozen"]["backbone"] is None:
            config.backbone.weights = "random"  # nothing of it is frozen: all of it was tracked
        if "precision" in stored and "precision" in config.backbone:  # "auto" may be another one here
            config.backbone.precision = stored["precision"]
        backbone: SplitBackbone = build(config.backbone).split(build(config.freeze))
    for key in ("architecture", "weights"):
        if stored["frozen"].get(key) != backbone.frozen.spec.get(key):
            raise UserError(
                f"Run {run_id} was made with another backbone: its {key} has digest {stored['frozen'].get(key)}, "
                f"found {backbone.frozen.spec.get(key)}; right would be the weights file it was made with."
            )
    tasks = build(config.tasks)
    model = assemble(build(config.model), backbone, tasks, tuple(stored["features"]))
    model.set_weights(read_weights(tracking.download(run_id, "weights.npz")))
    return LoadedRun(config, tasks, backbone, model)


def write_model(
    artifacts: Path, model: MultiTaskModel, backbone: SplitBackbone, feature_shape: tuple[int, ...]
) -> None:
    """Write what `load_run` needs beside the config: weights, and what the frozen part was made of."""
    from mtl.tracking.artifacts import write_json, write_weights

    write_weights(artifacts / "weights.npz", model.get_weights())
    described = {"features": feature_shape, "frozen": backbone.frozen.spec, "precision": backbone.precision}
    write_json(artifacts / "model.json", described)
