"""What is measured of the tasks' gradients on fixed batches, between epochs.

In inference mode, and without a trace in the model: a step that is tried is taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from mtl import gradients
from mtl.examples import Examples
from mtl.seeds import seed_of

if TYPE_CHECKING:
    from mtl.model import MultiTaskModel

HELD_BYTES = 64 * 2**20  # rows of all batches, up to which they are kept between probes

Targets = Mapping[str, tf.Tensor]


class Probes:
    """What is measured of the tasks' gradients, when, and on how many frames.

    Parameters
    ----------
    epochs : int or sequence of int
        After every so many epochs, or after these epochs, counted from 1.
    batches, batch_size : int
        Disjoint batches of validation frames, the same every time; fewer where
        there are not enough frames. With 0 batches nothing is measured.
    permuted_labels : bool
        Compare also with gradients whose labels are permuted within the batch,
        every time anew: what the cosine is where labels have nothing in common.
    affinity_step : float or None
        Size of the plain gradient step on a training batch whose effect on every
        task's held-out loss is measured; none is tried where it is None.
    seed : int
        Of which frames they are, and of the permutations.
    """

    def __init__(
        self,
        epochs: PositiveInt | Sequence[PositiveInt],
        batches: NonNegativeInt,
        batch_size: PositiveInt,
        permuted_labels: bool,
        affinity_step: PositiveFloat | None,
        seed: int,
    ) -> None:
        self.epochs = epochs
        self.batches = batches
        self.batch_size = batch_size
        self.permuted_labels = permuted_labels
        self.affinity_step = affinity_step
        self.seed = seed

    def due(self, epoch: int) -> bool:
        """Whether to measure after this epoch, counted from 1."""
        return epoch % self.epochs == 0 if isinstance(self.epochs, int) else epoch in self.epochs

    def on(self, model: MultiTaskModel, examples: Examples) -> Probing:
        """Ready to measure this model."""
        return Probing(self, model, examples)


@dataclass(frozen=True)
class Batches:
    """Frames in batches of one size.

    Attributes
    ----------
    rows : array of shape (n_batches, batch_size, ...)
    targets : mapping of str to array of shape (n_batches, batch_size)
    """

    rows: np.ndarray | tf.Tensor
    targets: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[tf.Tensor, Targets]:
        """Rows and targets of one batch."""
        return self.rows[i], {name: one[i] for name, one in self.targets.items()}

    def permuted(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The targets, those of every task permuted on their own within each batch."""
        return {name: rng.permuted(one, axis=1) for name, one in self.targets.items()}


@dataclass(frozen=True)
class Measured:
    """What one epoch's end showed.

    Attributes
    ----------
    gramians : array of shape (n_batches, n_groups, n_sets * n_tasks, n_sets * n_tasks)
        Inner products of the task gradients; the second set of tasks, where there is
        one, has permuted labels.
    mean_gramian : array of shape (n_tasks, n_tasks)
        Of the gradients averaged over the batches.
    affinities : array of shape (n_batches, n_tasks, n_tasks), or None
    """

    gramians: np.ndarray
    mean_gramian: np.ndarray
    affinities: np.ndarray | None


class Probing:
    """The probes of one training.

    Parameters
    ----------
    settings : Probes
    model : MultiTaskModel
    examples : Examples

    Attributes
    ----------
    groups : tuple of str
        Names of the layer groups.
    """

    def __init__(self, settings: Probes, model: MultiTaskModel, examples: Examples) -> None:
        self._settings = settings
        self._model = model
        self._examples = examples
        val, train = examples.positions("val"), examples.positions("train")
        self._held_out = held_out_batches(val, settings.batches, settings.batch_size, settings.seed)
        self._stepped = step_batches(train, len(self._held_out), settings.batch_size, settings.seed)
        self._kept: dict[str, Batches] = {}
        measure = compile_on_dense if model.shares_dense_layer_only else compile_on_all
        self._measure = measure(model, settings.affinity_step)
        self.groups = tuple(model.layer_groups)
        self._steps: list[int] = []
        self._found: list[Measured] = []

    def measure(self, step: int) -> None:
        """Measure after so many steps of training."""
        if not len(self._held_out):
            return
        held_out = self._batches("held out", self._held_out)
        rng = np.random.default_rng(seed_of(self._settings.seed, "permuted labels", str(step)))
        permuted = held_out.permuted(rng) if self._settings.permuted_labels else None
        stepped = self._batches("stepped", self._stepped) if self._settings.affinity_step else None
        self._found.append(self._measure(held_out, permuted, stepped))
        self._steps += [step] * len(self._held_out)

    def _batches(self, name: str, positions: np.ndarray) -> Batches:
        """Rows and targets at these positions; kept where they are small."""
        if name in self._kept:
            return self._kept[name]
        rows, targets = self._examples.gather(positions)
        if rows.nbytes > HELD_BYTES:
            return Batches(rows, targets)
        self._kept[name] = Batches(tf.constant(rows), targets)
        return self._kept[name]

    def arrays(self) -> dict[str, np.ndarray]:
        """What the Trace takes, by its names."""
        n, n_groups = len(self._model.tasks), len(self.groups)
        gramians = np.concatenate([np.zeros((0, n_groups, n, n)), *(one.gramians[:, :, :n, :n] for one in self._found)])
        tried = [one.affinities for one in self._found if one.affinities is not None]
        nulls = [null_cosines(one.gramians.sum(axis=1)) for one in self._found if one.gramians.shape[-1] > n]
        return {
            "gramians": gramians.sum(axis=1),
            "probe_steps": np.array(self._steps, dtype=int),
            "mean_gramians": np.reshape([one.mean_gramian for one in self._found], (-1, n, n)),
            "group_gramians": gramians,
            "null_cosines": np.concatenate(nulls) if nulls else np.empty((0, n, n)),
            "affinities": np.concatenate(tried) if tried else np.empty((0, n, n)),
        }


Measure = Callable[[Batches, Mapping[str, np.ndarray] | None, Batches | None], Measured]


def compile_on_all(model: MultiTaskModel, affinity_step: float | None) -> Measure:
    """A compiled measurement, whatever is trained, batch by batch.

    Parameters
    ----------
    model : MultiTaskModel
    affinity_step : float or None

    Returns
    -------
    callable
        (held-out batches, their permuted targets or None, training batches or None) -> Measured.
    """
    shared, groups = model.shared_variables, list(model.layer_groups.values())
    n_tasks = len(model.tasks)

    def mean_losses(rows: tf.Tensor, *label_sets: Targets) -> list[tf.Tensor]:
        logits = model(rows, training=False)
        return [loss for labels in label_sets for loss in model.losses(logits, labels)]

    @tf.function(reduce_retracing=True)
    def compare(
        rows: tf.Tensor, label_sets: list[Targets], totals: list[list[tf.Tensor]]
    ) -> tuple[tf.Tensor, list[list[tf.Tensor]]]:
        """Gramian by layer group, and the running sums of the tasks' gradients."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(shared)
            losses = mean_losses(rows, *label_sets)
        found = gradients.task_gradients(tape, losses, shared)
        by_group = [gradients.gramian([[one[i] for i in group] for one in found]) for group in groups]
        sums = [[a + b for a, b in zip(*both, strict=True)] for both in zip(totals, found[:n_tasks], strict=True)]
        return tf.stack(by_group), sums

    @tf.function(reduce_retracing=True)
    def affect(rows: tf.Tensor, labels: Targets, step_rows: tf.Tensor, step_labels: Targets) -> tf.Tensor:
        assert affinity_step is not None
        return affinity(
            lambda: mean_losses(step_rows, step_labels), lambda: mean_losses(rows, labels), shared, affinity_step
        )

    def measure(held: Batches, permuted: Mapping[str, np.ndarray] | None, stepped: Batches | None) -> Measured:
        gramians, affinities = [], []
        totals = [[tf.zeros_like(variable) for variable in shared] for _ in range(n_tasks)]
        for i in range(len(held)):
            rows, labels = held[i]
            more = [{name: one[i] for name, one in permuted.items()}] if permuted else []
            gramian, totals = compare(rows, [labels, *more], totals)
            gramians.append(gramian.numpy())
            if stepped is not None:
                affinities.append(affect(rows, labels, *stepped[i]).numpy())
        mean = gradients.gramian(totals).numpy() / len(held) ** 2
        return Measured(np.array(gramians), mean, np.array(affinities) if affinities else None)

    return measure


def compile_on_dense(model: MultiTaskModel, affinity_step: float | None) -> Measure:
    """A compiled measurement where only the shared dense layer is trained, all batches at once.

    A gradient on that layer is the product of its inputs and the gradient on its
    outputs. So inner products of gradients, and the outputs after a step down one,
    come from inner products of inputs: no gradient on the layer is written out.

    Parameters
    ----------
    model : MultiTaskModel
    affinity_step : float or None

    Returns
    -------
    callable
        As `compile_on_all`, to rounding.
    """
    n_tasks = len(model.tasks)

    def features(rows: tf.Tensor) -> tf.Tensor:
        """Inputs of the shared layer, (n_frames, n_in)."""
        return model.trained(tf.reshape(rows, [-1, *rows.shape[2:]]), training=False)

    def frame_losses(outputs: tf.Tensor, labels: Targets) -> list[tf.Tensor]:
        return list(model.frame_losses(model.from_shared(outputs, training=False), labels).values())

    def output_gradients(outputs: tf.Tensor, label_sets: Sequence[Targets]) -> tf.Tensor:
        """Gradients of every frame's losses, (n_sets * n_tasks, n_frames, n_out)."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(outputs)
            losses = [tf.reduce_sum(loss) for labels in label_sets for loss in frame_losses(outputs, labels)]
        return tf.stack([tape.gradient(loss, outputs) for loss in losses])

    def by_batch(flat: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
        """(..., n_frames, n) -> (..., n_batches, batch_size, n)."""
        return tf.reshape(flat, [*flat.shape[:-2], *shape, flat.shape[-1]])

    @tf.function(reduce_retracing=True)
    def compare(rows: tf.Tensor, label_sets: list[Targets]) -> tuple[tf.Tensor, tf.Tensor]:
        k, b = rows.shape[:2]
        inputs = features(rows)
        flat = [{name: tf.reshape(one, [-1]) for name, one in labels.items()} for labels in label_sets]
        found = output_gradients(model.shared_outputs(inputs), flat) / b
        pieces = (by_batch(inputs, (k, b)), tf.transpose(by_batch(found, (k, b)), [1, 0, 2, 3]))
        gramians = tf.map_fn(lambda one: gradients.dense_gramian(*one), pieces, fn_output_signature=tf.float32)
        of_tasks = found[:n_tasks] / k
        if k * b <= inputs.shape[-1]:
            return gramians, gradients.dense_gramian(inputs, of_tasks)
        # with more frames than inputs the gradients themselves are the smaller arrays
        return gramians, gradients.gramian([gradients.dense_gradients(inputs, one) for one in tf.unstack(of_tasks)])

    @tf.function(reduce_retracing=True)
    def affect(rows: tf.Tensor, labels: Targets, step_rows: tf.Tensor, step_labels: Targets) -> tf.Tensor:
        assert affinity_step is not None
        (k, b), (_, c) = rows.shape[:2], step_rows.shape[:2]
        inputs, step_inputs = features(rows), features(step_rows)
        before = model.shared_outputs(inputs)
        flat = {name: tf.reshape(one, [-1]) for name, one in step_labels.items()}
        found = by_batch(
            output_gradients(model.shared_outputs(step_inputs), [flat]) / c, (k, c)
        )  # (n_tasks, k, c, n_out)
        # 1 for the bias, whose input is always 1
        alike = 1 + tf.matmul(by_batch(inputs, (k, b)), by_batch(step_inputs, (k, c)), transpose_b=True)
        after = by_batch(before, (k, b)) - affinity_step * tf.matmul(alike, found)  # (n_tasks, k, b, n_out)
        tried = tf.concat([tf.reshape(before, [1, k, b, -1]), after], axis=0)
        tiled = {name: tf.tile(tf.reshape(one, [-1]), [1 + n_tasks]) for name, one in labels.items()}
        losses = frame_losses(tf.reshape(tried, [-1, tried.shape[-1]]), tiled)
        means = tf.reduce_mean(tf.reshape(tf.stack(losses, axis=-1), [1 + n_tasks, k, b, n_tasks]), axis=2)
        return tf.transpose(_relative_gain(means[0], means[1:]), [1, 0, 2])

    def measure(held: Batches, permuted: Mapping[str, np.ndarray] | None, stepped: Batches | None) -> Measured:
        gramians, mean = compare(held.rows, [held.targets, *([permuted] if permuted else [])])
        affinities = None
        if stepped is not None:
            affinities = affect(held.rows, held.targets, stepped.rows, stepped.targets).numpy()
        return Measured(gramians.numpy()[:, None], mean.numpy(), affinities)

    return measure


def affinity(
    step_losses: Callable[[], Sequence[tf.Tensor]],
    other_losses: Callable[[], Sequence[tf.Tensor]],
    shared: Sequence[tf.Variable],
    step: float,
) -> tf.Tensor:
    """Share of each task's loss that a plain step down each task's gradient takes away.

    Heads are not stepped, and the shared variables are put back as they were.

    Parameters
    ----------
    step_losses, other_losses : callable
        Give the tasks' losses on the batch that the gradients come from, and on the
        batch that is judged by.
    shared : sequence of tf.Variable
    step : float

    Returns
    -------
    float32 tensor of shape (n_tasks, n_tasks)
        1 - L_j(theta - step g_i) / L_j(theta); row i is the source, column j the
        recipient. NaN where a loss is zero to begin with.

    References
    ----------
    Fifty et al., Efficiently identifying task groupings for multi-task learning, NeurIPS 2021, eq. 1.
    """
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(list(shared))
        losses = step_losses()
    by_task = gradients.task_gradients(tape, losses, shared)
    saved = [tf.identity(variable) for variable in shared]
    before, after = tf.stack(other_losses()), []
    for of_task in by_task:
        for variable, value, gradient in zip(shared, saved, of_task, strict=True):
            variable.assign(value - step * gradient)
        after.append(tf.stack(other_losses()))
    for variable, value in zip(shared, saved, strict=True):
        variable.assign(value)
    return _relative_gain(before, tf.stack(after))


def _relative_gain(before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """1 - after / before; NaN where there was nothing to gain."""
    return tf.where(before == 0, np.float32(np.nan), 1 - after / tf.where(before == 0, 1.0, before))


def null_cosines(gramians: np.ndarray) -> np.ndarray:
    """Cosines between gradients of tasks and of tasks with permuted labels.

    Parameters
    ----------
    gramians : ndarray of shape (n, 2 * n_tasks, 2 * n_tasks)
        Of the tasks, then of the same with permuted labels.

    Returns
    -------
    ndarray of shape (n, n_tasks, n_tasks)
        The column's task is the permuted one. NaN where a gradient is zero.
    """
    n = gramians.shape[-1] // 2
    length = np.sqrt(np.diagonal(gramians, axis1=1, axis2=2).astype(np.float64))
    product = length[:, :n, None] * length[:, None, n:]
    with np.errstate(invalid="ignore"):
        return np.divide(gramians[:, :n, n:], product, out=np.full(product.shape, np.nan), where=product > 0)


def held_out_batches(val: np.ndarray, n_batches: int, batch_size: int, seed: int) -> np.ndarray:
    """Positions (n, b) of disjoint batches of validation frames, as many as there are frames for."""
    shuffled = np.random.default_rng(seed_of(seed, "probes")).permutation(val)
    size = min(batch_size, len(val))
    n_batches = min(n_batches, len(val) // size) if size else 0
    return shuffled[: n_batches * size].reshape(n_batches, size)


def step_batches(train: np.ndarray, n_batches: int, batch_size: int, seed: int) -> np.ndarray:
    """Positions (n, b) of as many batches of training frames; no frame twice while there are enough."""
    shuffled = np.random.default_rng(seed_of(seed, "probe steps")).permutation(train)
    return np.resize(shuffled, (n_batches, min(batch_size, len(train))))
