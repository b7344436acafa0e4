#!/usr/bin/env bash
# An ONNX model that MLflow has saved once is saved without its weights the second time.
#
# `mlflow.onnx.save_model` (and `log_model`) of MLflow 3.17.2 keeps the weights in a file of their own beside the
# graph, which is its default, `save_as_external_data=True`. For that, onnx takes the weights out of the very
# object that was handed over. The object in memory is then no model any more, and whoever saves it again (the
# best epoch and the last one; the run and the registry; a second run) gets a folder that is written without a
# word and cannot be loaded: its graph names a file of weights that is not there. `onnx.load` of the file
# anew before each save, `copy.deepcopy`, or `save_as_external_data=False` (below 2 GB) keep it whole.
#
# Seen on Python 3.11:
#   mlflow 3.17.2, onnx 1.23.2, onnxruntime 1.32.0
#   before the first save   262144 bytes of weights in the object
#   after it                0 bytes of weights in the object
#   first folder            right
#   second folder           Fail, 1026 bytes in all; the first has 263203
#   save_as_external_data=False, twice: right, right
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
    mlflow==3.17.2 onnx==1.23.2 onnxruntime==1.32.0
cat > "$work/check.py" <<'PY'
import logging
import os
import tempfile
from pathlib import Path

import mlflow
import mlflow.onnx
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

logging.disable(logging.WARNING)
weights = np.random.default_rng(0).normal(size=(1024, 64)).astype(np.float32)


def model():
    """Features (n, 1024) times a matrix: the head of a network."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "w"], ["score"])],
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1024])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", 64])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def held(proto):
    return sum(len(one.raw_data) for one in proto.graph.initializer)


rows = np.ones((2, 1024), np.float32)


def answers(folder):
    try:
        found = mlflow.pyfunc.load_model(str(folder)).predict({"features": rows})
    except Exception as error:
        return type(error).__name__
    return "right" if np.allclose(found["score"], rows @ weights, atol=1e-3) else "wrong"


os.chdir(tempfile.mkdtemp())
proto = model()
print(f"mlflow {mlflow.__version__}, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
before = held(proto)
mlflow.onnx.save_model(proto, "first")
after = held(proto)
mlflow.onnx.save_model(proto, "second")
print(f"before the first save   {before} bytes of weights in the object")
print(f"after it                {after} bytes of weights in the object")
sizes = {name: sum(file.stat().st_size for file in Path(name).rglob("*") if file.is_file()) for name in ("first", "second")}
first, second = answers("first"), answers("second")
print(f"first folder            {first}")
print(f"second folder           {second}, {sizes['second']} bytes in all; the first has {sizes['first']}")
one = model()
for name in ("third", "fourth"):
    mlflow.onnx.save_model(one, name, save_as_external_data=False)
whole = [answers(name) for name in ("third", "fourth")]
print(f"save_as_external_data=False, twice: {', '.join(whole)}")
assert (before, after) == (weights.nbytes, 0)
assert first == "right" and second != "right" and sizes["second"] < weights.nbytes < sizes["first"]
assert whole == ["right", "right"]
PY
"$work/venv/bin/python" "$work/check.py" 2> "$work/errors" || { cat "$work/errors"; exit 1; }
