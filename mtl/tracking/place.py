"""Where an experiment keeps its artifacts, and whether that is what was asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.masking import masked
from mtl.tracking.beside import local_path

if TYPE_CHECKING:
    import mlflow.entities

ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:/")  # two letters or more: one is a drive
DEFAULT_ID = "0"  # MLflow's own first experiment, whose artifacts lie below the place of the store's


def absolute(artifacts: str) -> str:
    """A place as an address: a folder is made absolute against the working directory."""
    return artifacts if ADDRESS.match(artifacts) else Path(artifacts).absolute().as_uri()


def is_same(one: str, other: str) -> bool:
    """Whether two addresses name one place, however it is spelled and whatever links lead there."""
    here, there = local_path(one), local_path(other)
    if here is not None and there is not None:
        return here.resolve() == there.resolve()
    return one.rstrip("/") == other.rstrip("/")


def differing(experiment: mlflow.entities.Experiment, asked: str) -> str:
    """The one line on an experiment that has its artifacts elsewhere than was asked; nothing where it has not."""
    own = experiment.artifact_location
    first = experiment.experiment_id == DEFAULT_ID and is_same(own, f"{asked.rstrip('/')}/{DEFAULT_ID}")
    if first or is_same(own, asked):
        return ""
    return (
        f"Experiment '{experiment.name}' has its artifacts in {_shown(own)}, not in {_shown(asked)} as "
        "tracking.artifacts asks: MLflow fixes the place when the experiment is made. Right would be to leave "
        "tracking.artifacts out, or another tracking.experiment."
    )


def _shown(uri: str) -> str:
    """A folder as it is typed; of any other address no password."""
    path = local_path(uri)
    return masked(uri) if path is None else str(path)
