"""The dataset and the tasks of the real job."""

from __future__ import annotations

from pathlib import Path

from mtl.data.class_names import CLASSES
from mtl.data.ucf_crime import UCFCrime
from mtl.tasks import BinaryTask, CategoricalTask, Task


def real_data(root: Path) -> UCFCrime:
    """All frames of a tree."""
    return UCFCrime(str(root), {}, {"train": None, "val": None, "test": None}, 0.15, 0, 1, None, None, None, None, 30)


def real_tasks() -> dict[str, Task]:
    """The four tasks, as `conf/tasks/all.yaml` has them."""
    return {
        "general_anomaly": BinaryTask(CLASSES[:13], ()),
        "violence": BinaryTask(("Assault", "Fighting", "Shooting"), ()),
        "property_crime": BinaryTask(("Burglary", "Stealing", "Shoplifting", "Vandalism"), ()),
        "anomaly_type": CategoricalTask(CLASSES, []),
    }
