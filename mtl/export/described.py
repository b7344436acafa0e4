"""What a model's user has to know, as one JSON text that lies in the exported file."""

from __future__ import annotations

import json

from mtl.data.making import INTERPOLATION
from mtl.load_run import LoadedRun
from mtl.tasks import BinaryTask

NAME = "mtl.json"  # of the text, where a format keeps files
KEY = "mtl"  # of the text, where a format keeps keys and values


def takes(run: LoadedRun) -> tuple[str, tuple[int | None, ...], str]:
    """Name, shape and type of what a run's graph is given.

    Frames are of any size, but where they would have to be resized in a way that a graph cannot: of
    training frames that were made with another interpolation than INTER_AREA.
    """
    if run.backbone.frozen.takes == "features":
        return "features", (None, run.model.n_features), "float32"
    made = run.training_frames
    if made is not None and made.height is not None and made.interpolation != INTERPOLATION:
        return "frames", (None, made.height, made.width, 3), "uint8"
    return "frames", (None, None, None, 3), "uint8"


def description(run: LoadedRun, run_id: str) -> str:
    """Input, outputs in the order of the tasks, classes, threshold, recipe of the frames, and the run's id, as JSON.

    Parameters
    ----------
    run : LoadedRun
    run_id : str
        Where it was tracked; empty where that is not known.
    """
    name, shape, kind = takes(run)
    wanted = {"name": name, "type": kind, "shape": shape}
    if name == "frames":
        wanted |= {"colour": "RGB, channels last", "range": [0, 255]}
    made, size = run.training_frames, run.backbone.frozen.image_size
    recipe = None
    if made is not None and made.height is not None:
        recipe = {"height": made.height, "width": made.width, "interpolation": f"cv2.{made.interpolation}"}
    outputs = []
    for task_name, task in run.tasks.items():
        outputs.append(
            {
                "name": task_name,
                "classes": list(task.classes),  # the columns, in their order
                "yes_means": list(task.named_classes) if isinstance(task, BinaryTask) else None,
                "threshold": float(run.config.evaluation.threshold) if isinstance(task, BinaryTask) else None,
            }
        )
    found = {
        "run": run_id,
        "input": wanted,
        "outputs": outputs,
        "training_frames": recipe if name == "frames" else None,
        "network_size": [size, size] if name == "frames" else None,
        "precision": run.backbone.precision,
    }
    return json.dumps(found, ensure_ascii=False, indent=1)
