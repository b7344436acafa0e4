#!/usr/bin/env bash
# Frames in 0..1 sent to a served model that takes uint8 are black, and the answer is 200.
#
# A model of frames has the signature uint8 (n, height, width, 3). In Python, MLflow 3.17.2 keeps to it: floats
# handed to `predict` of the loaded model are an error that names both types. The server of the same model, `mlflow
# models serve`, reads the numbers of a request straight into an array of the signature's type. What lies outside
# 0..255 is refused with 400, but a fraction is cut without a word: a client that scales its frames to 0..1, as
# most networks of other frameworks want them, is answered for black frames, with status 200 and plausible scores.
# Only the client can tell: whole numbers of 0..255 must be sent; a check there that the largest number of a
# request is above 1 finds the mistake.
#
# Seen on Python 3.11:
#   mlflow 3.17.2
#   white frame, 255, to the server       status 200, brightness 255.0
#   white frame, 1.0, to the server       status 200, brightness 1.0
#   grey frame, 0.5, to the server        status 200, brightness 0.0
#   brighter than white, 256              status 400
#   grey frame, 0.5, to predict in Python MlflowException
set -euo pipefail
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
server=
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check mlflow==3.17.2
cat > "$work/model.py" <<'PY'
import mlflow


class Brightness(mlflow.pyfunc.PythonModel):
    """Mean of each frame."""

    def predict(self, context, model_input, params=None):
        return {"brightness": model_input["frames"].mean((1, 2, 3))}


mlflow.models.set_model(Brightness())
PY
cat > "$work/save.py" <<'PY'
import numpy as np
import mlflow
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

signature = ModelSignature(
    Schema([TensorSpec(np.dtype("uint8"), (-1, -1, -1, 3), "frames")]),
    Schema([TensorSpec(np.dtype("float64"), (-1,), "brightness")]),
)
mlflow.pyfunc.save_model("saved", python_model="model.py", signature=signature)
PY
cat > "$work/check.py" <<'PY'
import json
import sys
import time
import urllib.error
import urllib.request

import mlflow
import numpy as np

address = f"http://127.0.0.1:{sys.argv[1]}"


def sent(value):
    frames = np.full((1, 4, 4, 3), value).tolist()
    body = json.dumps({"inputs": {"frames": frames}}).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            found = json.load(answer)["predictions"]["brightness"]
            return f"status {answer.status}, brightness {found[0]}"
    except urllib.error.HTTPError as error:
        return f"status {error.code}"


for _ in range(300):
    try:
        urllib.request.urlopen(f"{address}/ping")
        break
    except OSError:
        time.sleep(1)
try:
    mlflow.pyfunc.load_model("saved").predict({"frames": np.full((1, 4, 4, 3), 0.5)})
    in_python = "an answer"
except Exception as error:
    in_python = type(error).__name__
seen = {value: sent(value) for value in (255, 1.0, 0.5, 256)}
print(f"mlflow {mlflow.__version__}")
print(f"white frame, 255, to the server       {seen[255]}")
print(f"white frame, 1.0, to the server       {seen[1.0]}")
print(f"grey frame, 0.5, to the server        {seen[0.5]}")
print(f"brighter than white, 256              {seen[256]}")
print(f"grey frame, 0.5, to predict in Python {in_python}")
assert seen == {
    255: "status 200, brightness 255.0", 1.0: "status 200, brightness 1.0", 0.5: "status 200, brightness 0.0",
    256: "status 400",
}  # fmt: skip
assert in_python == "MlflowException"
PY
cd "$work"
export PATH="$work/venv/bin:$PATH" MLFLOW_TRACKING_URI="sqlite:///$work/mlflow.db"
python save.py > said 2>&1 || { cat said; exit 1; }
port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mlflow models serve --env-manager local -m saved -p "$port" > served 2>&1 &
server=$!
python check.py "$port" 2> errors || { cat errors served; exit 1; }
