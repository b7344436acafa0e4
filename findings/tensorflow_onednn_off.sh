#!/usr/bin/env bash
# TensorFlow without oneDNN's operations still multiplies matrices by oneDNN, so its sums differ between kinds of CPU.
#
# TF_ENABLE_ONEDNN_OPTS=0 is what TensorFlow itself names at its start to turn off operations whose results may
# differ slightly, and with `enable_op_determinism()` and one thread it looks like the way to have one seed give one
# run on unlike machines. In the builds of PyPI for Linux on x86 a plain float32 product of matrices, a convolution
# and its gradient go through oneDNN's product of matrices all the same, which is made for the instruction set that
# is found at run time: holding oneDNN at another one (ONEDNN_MAX_CPU_ISA) changes the last digits, with the operations
# turned off. Training carries such a digit far: two machines that share a sweep then disagree by more than the
# effects that a study of seeds looks for, and nothing says so. Instead: set ONEDNN_MAX_CPU_ISA to one value on all
# machines too (AVX2 is in all x86 CPUs of the last ten years), and write down with each run what computed it.
#
# Needs an x86 CPU with AVX2 on Linux. Seen on Python 3.11:
#   tensorflow-cpu 2.21.0
#   expected: without oneDNN's operations the instruction set that oneDNN may use changes no number
#   seen, the same inputs: yes
#   seen, SSE41 and AVX2, the same bits: product of matrices no, convolution no, its gradient no
#   seen, AVX2 twice, the same bits: product of matrices yes, convolution yes, its gradient yes
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check tensorflow-cpu==2.21.0 numpy==2.4.0
cat > "$work/compute.py" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.experimental.enable_op_determinism()
normal = tf.random.stateless_normal
left, right = normal((64, 1000), [1, 2]), normal((1000, 64), [3, 4])
images, kernel = normal((16, 32, 32, 8), [5, 6]), normal((3, 3, 8, 16), [7, 8])
with tf.GradientTape() as tape:
    tape.watch(kernel)
    convolved = tf.nn.conv2d(images, kernel, 1, "SAME")
    energy = tf.reduce_sum(tf.square(convolved))
np.savez(
    sys.argv[1],
    version=version("tensorflow-cpu"),
    inputs=np.concatenate([each.numpy().ravel() for each in (left, right, images, kernel)]),
    product=(left @ right).numpy(),
    convolution=convolved.numpy(),
    gradient=tape.gradient(energy, kernel).numpy(),
)
PY
compute() {
  TF_ENABLE_ONEDNN_OPTS=0 TF_CPP_MIN_LOG_LEVEL=3 ONEDNN_MAX_CPU_ISA=$1 "$work/venv/bin/python" "$work/compute.py" \
    "$work/$2.npz" 2> "$work/$2.err" || { cat "$work/$2.err" >&2; exit 1; }
}
compute SSE41 old
compute AVX2 new
compute AVX2 again
cat > "$work/compare.py" <<'PY'
import sys

import numpy as np

old, new, again = (np.load(f"{sys.argv[1]}/{name}.npz") for name in ("old", "new", "again"))
names = {"product": "product of matrices", "convolution": "convolution", "gradient": "its gradient"}


def same(first, second):
    return {name: bool(np.array_equal(first[name], second[name])) for name in names}


def words(found):
    return ", ".join(f"{names[name]} {'yes' if equal else 'no'}" for name, equal in found.items())


print(f"tensorflow-cpu {new['version']}")
print("expected: without oneDNN's operations the instruction set that oneDNN may use changes no number")
print(f"seen, the same inputs: {'yes' if np.array_equal(old['inputs'], new['inputs']) else 'no'}")
apart, alike = same(old, new), same(new, again)
print(f"seen, SSE41 and AVX2, the same bits: {words(apart)}")
print(f"seen, AVX2 twice, the same bits: {words(alike)}")
for name in names:
    assert np.allclose(old[name], new[name], rtol=1e-3, atol=1e-3), f"{name}: more than the last digits differ"
if any(apart.values()) or not all(alike.values()) or not np.array_equal(old["inputs"], new["inputs"]):
    sys.exit("changed: the instruction set no longer decides the last digits, or chance does.")
PY
"$work/venv/bin/python" "$work/compare.py" "$work"
