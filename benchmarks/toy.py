"""Where each weighting ends on the two-task toy of CAGrad and Nash-MTL, as a table and a figure.

    python benchmarks/toy.py [figure.png]

Two losses of two numbers with one valley, steep gradients that conflict, and the
Pareto set at its bottom. Every method goes from three starts with Adam; the whole
trajectory is one compiled loop, so all of it takes well under a minute.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from mtl.model.gradients import combine, gramian, task_gradients
from mtl.weighting.aligned import Aligned
from mtl.weighting.base import Weighting
from mtl.weighting.cagrad import CAGrad
from mtl.weighting.equal import Equal
from mtl.weighting.imtl_g import IMTLG
from mtl.weighting.mgda import MGDA
from mtl.weighting.nash import Nash
from mtl.weighting.pcgrad import PCGrad
from mtl.weighting.upgrad import UPGrad

TASKS = ("L1", "L2")
STARTS = ((-8.5, 7.5), (-8.5, -5.0), (9.0, 9.0))
STEPS = 100_000
EVERY = 100  # steps between two points of a trajectory
LEARNING_RATE = 1e-3
METHODS: dict[str, Callable[[], Weighting]] = {
    "equal": lambda: Equal(TASKS),
    "mgda": lambda: MGDA(TASKS),
    "pcgrad": lambda: PCGrad(TASKS, seed=0),
    "imtl_g": lambda: IMTLG(TASKS),
    "nash": lambda: Nash(TASKS, max_norm=None),
    "aligned": lambda: Aligned(TASKS),
    "upgrad": lambda: UPGrad(TASKS),
    "cagrad": lambda: CAGrad(TASKS, c=0.5),
}


def losses(x: tf.Tensor) -> list[tf.Tensor]:
    """The two losses at x, shape (..., 2)."""
    x1, x2 = x[..., 0], x[..., 1]
    f1 = tf.math.log(tf.maximum(tf.abs(0.5 * (-x1 - 7) - tf.tanh(-x2)), 5e-6)) + 6
    f2 = tf.math.log(tf.maximum(tf.abs(0.5 * (-x1 + 3) + tf.tanh(-x2) + 2), 5e-6)) + 6
    c1, c2 = tf.maximum(tf.tanh(0.5 * x2), 0.0), tf.maximum(tf.tanh(-0.5 * x2), 0.0)
    q1 = ((-x1 + 7) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20
    q2 = ((-x1 - 7) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20
    return [f1 * c1 + q1 * c2, f2 * c1 + q2 * c2]


def descend(weighting: Weighting, starts: tuple[tuple[float, float], ...] = STARTS, steps: int = STEPS) -> np.ndarray:
    """Trajectories of Adam under a weighting.

    Returns
    -------
    ndarray of shape (n_starts, steps / EVERY + 1, 2)
    """
    fresh = [variable.numpy() for variable in weighting.variables]

    def step(count: tf.Tensor, x: tf.Tensor, first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            values = losses(x)
        gradients = task_gradients(tape, values, [x])
        weights = weighting.weights(tf.stack(values), gramian(gradients))
        (gradient,) = combine(gradients, weights)
        weighting.update(tf.stack(values), tf.stack(values))
        count += 1
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        move = first / (1 - 0.9**count) / (tf.sqrt(second / (1 - 0.999**count)) + 1e-8)
        return count, x - LEARNING_RATE * move, first, second

    @tf.function(jit_compile=True)
    def trajectory(start: tf.Tensor) -> tf.Tensor:
        points = tf.TensorArray(tf.float32, steps // EVERY + 1, element_shape=(2,)).write(0, start)
        state = (tf.zeros(()), start, tf.zeros(2), tf.zeros(2))
        for i in tf.range(steps // EVERY):
            for _ in tf.range(EVERY):
                state = step(*state)
            points = points.write(i + 1, state[1])
        return points.stack()

    trajectories = []
    for start in starts:
        for variable, value in zip(weighting.variables, fresh, strict=True):
            variable.assign(value)
        trajectories.append(trajectory(tf.constant(start)).numpy())
    return np.stack(trajectories)


def draw(trajectories: dict[str, np.ndarray], path: Path) -> None:
    """One panel per method: contours of the mean loss, trajectories from dark to light, the ends."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    across, up = np.meshgrid(np.linspace(-10, 10, 401), np.linspace(-10, 10, 401))
    mean = np.mean([loss.numpy() for loss in losses(tf.constant(np.stack([across, up], -1), tf.float32))], axis=0)
    figure, axes = plt.subplots(2, 4, figsize=(13, 7), sharex=True, sharey=True, layout="constrained")
    for panel, (name, paths) in zip(axes.flat, trajectories.items(), strict=True):
        panel.contour(across, up, mean, levels=18, colors="0.75", linewidths=0.6)
        panel.plot([-7, 7], [-8.39, -8.39], color="0.45", linewidth=3, solid_capstyle="round", label="Pareto set")
        for trajectory in paths:
            panel.scatter(*trajectory.T, c=np.arange(len(trajectory)), cmap="viridis", s=3, rasterized=True)
        panel.scatter(*paths[:, 0].T, color="black", s=22, label="start", zorder=3)
        panel.scatter(*paths[:, -1].T, color="red", marker="X", s=60, edgecolors="white", label="end", zorder=4)
        panel.scatter(0, -8.3551, marker="*", s=110, color="gold", edgecolors="black", label="least mean", zorder=3)
        panel.set_title(name)
    axes.flat[0].legend(loc="upper center", fontsize=8)
    figure.supxlabel("x1")
    figure.supylabel("x2")
    figure.suptitle("Two-task toy: contours of the mean loss, trajectories from dark to light")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run every method, print where it ends, draw how it went there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("figure", nargs="?", type=Path, default=Path("toy.png"))
    parser.add_argument("--steps", type=int, default=STEPS, help="of every descent (default %(default)s)")
    asked = parser.parse_args()
    path = asked.figure
    tf.get_logger().setLevel("ERROR")  # one trace per method is meant
    table = Table("weighting", *(f"from {start}" for start in STARTS), "seconds", title="end (x1, x2), mean loss")
    trajectories = {}
    for name, build in METHODS.items():
        began = time.perf_counter()
        trajectories[name] = descend(build(), steps=asked.steps)
        ends = trajectories[name][:, -1]
        means = tf.add_n(losses(tf.constant(ends))).numpy() / 2
        cells = [f"({x1:.3f}, {x2:.3f}) {mean:.4f}" for (x1, x2), mean in zip(ends, means, strict=True)]
        table.add_row(name, *cells, f"{time.perf_counter() - began:.1f}")
    draw(trajectories, path)
    console = Console(width=120)
    console.print(table)
    console.print(f"Figure: {path}")


if __name__ == "__main__":
    main()
