#!/usr/bin/env bash
# A Resizing layer before a backbone puts the backbone into training mode wherever nothing is said about it.
#
# The image layers of Keras 3.15.1 have `training=True` as their default, Resizing too, though nothing in it is random.
# Where a model is called as `model(x)`, the first layer's default is handed on to what comes after it, so a backbone
# that is a model within the model, as those of keras.applications are used, takes itself to be in training: batch
# normalisation goes by the batch at hand, and calling the model for an answer changes its moving means, so that the
# saved weights are others afterwards. `predict` says training=False and is right, and it is what one tests with. The
# SavedModel of `model.export` is traced without it: it is served in training mode for good, and the score of a frame
# depends on the frames that came in the same request. Pooling in its place does no harm.
# Instead: `model(x, training=False)` everywhere; build the model with `backbone(x, training=False)`, as Keras' guide
# to fine-tuning does for another reason, before an export; and compare the export with `predict`, one frame alone and
# the same frame among others.
#
# Seen on Python 3.11:
#   keras 3.15.1, tensorflow-cpu 2.21.0
#   expected: model(x), predict and the export agree, and an answer changes no weights
#   seen, Resizing        model(x) off by 0.10, weights changed yes; export off by 0.10, one frame alone off by 0.47
#   seen, pooling         model(x) off by 0.00, weights changed no; export off by 0.00, one frame alone off by 0.00
#   seen, Resizing, backbone(x, training=False)
#                         model(x) off by 0.00, weights changed no; export off by 0.00, one frame alone off by 0.00
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check tensorflow-cpu==2.21.0 keras==3.15.1 numpy==2.4.0
cat > "$work/check.py" <<'PY'
import os
import sys
from importlib.metadata import version

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from keras import layers

rng = np.random.default_rng(0)
seen_before = rng.uniform(0, 255, (64, 1, 1, 3)) * rng.uniform(0, 1, (64, 32, 32, 1))  # each of its own colour
seen_before = seen_before.astype(np.float32)
frames = seen_before[:4]


def largest(a, b):
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


def built(smaller, **how):
    """A head on a backbone with batch normalisation, whose moving means fit 64 frames; in front, what makes them smaller."""
    keras.utils.set_random_seed(0)
    backbone = keras.Sequential([
        keras.Input((16, 16, 3)), layers.Conv2D(8, 3), layers.BatchNormalization(momentum=.9), layers.ReLU(),
        layers.GlobalAveragePooling2D(),
    ])
    given = keras.Input((32, 32, 3))
    model = keras.Model(given, layers.Dense(1, name="score")(backbone(smaller(given), **how)))
    for _ in range(100):
        backbone(layers.AveragePooling2D(2)(seen_before), training=True)
    return model, backbone


def looked_at(smaller, **how):
    model, backbone = built(smaller, **how)
    before = [variable.numpy() for variable in backbone.non_trainable_variables]
    right = model.predict(frames, verbose=0)
    assert largest(model.predict(frames[:1], verbose=0), right[:1]) < 1e-3
    model.export(f"{sys.argv[1]}/exported", verbose=False)
    exported = tf.saved_model.load(f"{sys.argv[1]}/exported")
    served, alone = exported.serve(frames), exported.serve(frames[:1])
    assert largest(model(frames, training=False), right) < 1e-3
    called = model(frames)
    after = [variable.numpy() for variable in backbone.non_trainable_variables]
    changed = any(largest(*pair) > 0 for pair in zip(before, after))
    return largest(called, right), changed, largest(served, right), largest(alone, served[:1])


def said(found):
    called, changed, served, alone = found
    return (f"model(x) off by {called:.2f}, weights changed {'yes' if changed else 'no'}; "
            f"export off by {served:.2f}, one frame alone off by {alone:.2f}")


print(f"keras {version('keras')}, tensorflow-cpu {version('tensorflow-cpu')}")
print("expected: model(x), predict and the export agree, and an answer changes no weights")
resizing = looked_at(layers.Resizing(16, 16))
pooling = looked_at(layers.AveragePooling2D(2))
held = looked_at(layers.Resizing(16, 16), training=False)
print(f"seen, Resizing        {said(resizing)}")
print(f"seen, pooling         {said(pooling)}")
print(f"seen, Resizing, backbone(x, training=False)\n                      {said(held)}")
for called, changed, served, alone in (pooling, held):
    assert not changed and max(called, served, alone) < 1e-3
called, changed, served, alone = resizing
assert changed and min(called, served, alone) > .02
PY
"$work/venv/bin/python" "$work/check.py" "$work" 2> "$work/errors" || { tail "$work/errors"; exit 1; }
