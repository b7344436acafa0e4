"""An ONNX model as MLflow keeps and serves one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtl.tracking.store import import_mlflow


def write_served(
    folder: Path, proto: Any, run_id: str, given: tuple[str, Sequence[int | None], str], outputs: Sequence[str]
) -> None:
    """Write an MLflow model of an ONNX one, with the signature without which the server takes no JSON.

    Parameters
    ----------
    folder : Path
        Not there yet.
    proto : onnx.ModelProto
        Fresh from its file: once saved, MLflow may leave it without weights.
    run_id : str
    given : (str, sequence of int or None, str)
        Name, shape and numpy type of the input.
    outputs : sequence of str
        Names; each is float32 of shape (n, n_classes).
    """
    import_mlflow()
    import mlflow.onnx
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    name, shape, kind = given
    signature = ModelSignature(
        Schema([TensorSpec(np.dtype(kind), tuple(-1 if n is None else n for n in shape), name)]),
        Schema([TensorSpec(np.dtype(np.float32), (-1, -1), output) for output in outputs]),
    )
    model = Model(artifact_path=folder.name, run_id=run_id)
    mlflow.onnx.save_model(proto, str(folder), mlflow_model=model, signature=signature, save_as_external_data=False)
