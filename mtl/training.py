"""The loop: one row of trace per step, task gradients on held-out batches after every epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from pydantic import PositiveInt

from mtl import gradients
from mtl.examples import ALIGNMENT, Examples, Rows
from mtl.model import MultiTaskModel
from mtl.probes import Probes
from mtl.seeds import seed_of
from mtl.statistics import macro_auc
from mtl.tasks import Task
from mtl.terminal import progress
from mtl.trace import Trace
from mtl.weighting.base import Weighting

log = logging.getLogger(__name__)

BLOCK_BYTES = 32 * 2**20  # of rows handed to the graph at once, where not all of them are
BLOCK_ROWS = 512  # of a prediction
STEPS_PER_CALL = 256  # at most, so that the progress bar moves and Ctrl-C is heard
COPIED_BYTES = 256 * 2**20  # rows in memory are copied into a tensor up to this size where it cannot share them


@dataclass
class History:
    """What each epoch brought.

    Attributes
    ----------
    epochs : list of mapping
        `train_loss/<task>`, `val_loss/<task>`, `val_auc/<task>`, `weight/<task>` of each epoch.
    chosen : int
        Epoch whose weights the model holds, counted from 0.
    diverged : str
        Where a loss ceased to be a number; empty where none did.
    batch_size : int
    seconds : float
        Wall time of the steps alone.
    probe_seconds : float
        Wall time of the probes.
    first_probe_seconds : float
        Of these the first one's, which compiles; about that of any other where a
        job before it in the same process compiled them.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    chosen: int = 0
    diverged: str = ""
    batch_size: int = 0
    seconds: float = 0.0
    probe_seconds: float = 0.0
    first_probe_seconds: float = 0.0


class Training:
    """How a model is trained.

    Parameters
    ----------
    epochs, batch_size : int
        An epoch is ceil(n_train / batch_size) steps of full batches; the last
        one is filled from the start of the same shuffle.
    optimizer : callable
        Builds a Keras optimizer.
    sampling : {"natural", "balanced"}
        Every frame once per epoch, or frames drawn so that every class comes equally often.
    early_stopping : bool
        Keep the epoch with the best validation AUC of the main task; else the last.
    patience : int
        Epochs without a better one before training stops early.
    seed : int
    """

    def __init__(
        self,
        epochs: PositiveInt,
        batch_size: PositiveInt,
        optimizer: Callable[[], keras.Optimizer],
        sampling: Literal["natural", "balanced"],
        early_stopping: bool,
        patience: PositiveInt,
        seed: int,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.sampling = sampling
        self.early_stopping = early_stopping
        self.patience = patience
        self.seed = seed

    def train(
        self,
        model: MultiTaskModel,
        examples: Examples,
        weighting: Weighting,
        probes: Probes,
        main_task: str,
        on_epoch: Callable[[int, Mapping[str, float]], None],
    ) -> tuple[Trace, History]:
        """Train the model in place; leave the chosen epoch's weights in it.

        Parameters
        ----------
        model : MultiTaskModel
        examples : Examples
            With splits `train` and `val`.
        weighting : Weighting
        probes : Probes
            What is measured of the task gradients between the epochs.
        main_task : str
            Judges the epochs.
        on_epoch : callable
            Takes the epoch's number and its row of the history.

        Returns
        -------
        (Trace, History)
        """
        train, val = examples.positions("train"), examples.positions("val")
        classes = examples.frames["class_name"].cat.codes.to_numpy()[train]
        order = _orders(classes, self.sampling, self.batch_size, self.seed)
        steps_per_epoch = -(-len(train) // self.batch_size)
        probing = probes.on(model, examples)
        steps = compiled_steps(model, weighting, self.optimizer())
        weighting = steps.weighting
        source = Source(examples, self.batch_size)
        losses: list[np.ndarray] = []
        weights: list[np.ndarray] = []
        best = _Best()
        history = History(batch_size=self.batch_size)
        with progress("training", self.epochs * steps_per_epoch * self.batch_size, "frames") as advance:
            for epoch in range(self.epochs):
                weighting.start_epoch(epoch, epoch_means(losses, steps_per_epoch))
                start = time.perf_counter()
                for rows, targets, at in source.runs(train[next(order)].reshape(steps_per_epoch, self.batch_size)):
                    step_losses, step_weights = steps.run(rows, targets, at)
                    losses.append(step_losses.numpy())
                    weights.append(step_weights.numpy())
                    advance(at.size, _note(epoch, model.tasks, losses[-1]))
                history.seconds += time.perf_counter() - start
                if probes.due(epoch + 1):
                    start = time.perf_counter()
                    probing.measure((epoch + 1) * steps_per_epoch)
                    history.probe_seconds += time.perf_counter() - start
                    history.first_probe_seconds = history.first_probe_seconds or history.probe_seconds
                val_losses, row = _validate(model, examples, val)
                row |= _named("train_loss", model.tasks, epoch_means(losses, steps_per_epoch)[-1])
                row |= _named("weight", model.tasks, np.concatenate(weights)[-steps_per_epoch:].mean(axis=0))
                history.epochs.append(row)
                on_epoch(epoch, row)
                history.diverged = _divergence(model.tasks, losses, epoch)
                if history.diverged:
                    log.warning("%s: training stops.", history.diverged)
                    break
                judged = row[f"val_auc/{main_task}"] if self.early_stopping else float(epoch)
                best.offer(epoch, judged, model, val_losses)
                if self.early_stopping and best.age(epoch) >= self.patience:
                    break
        if best.weights is None:
            best.offer(len(history.epochs) - 1, 0.0, model, val_losses)
        elif history.diverged or self.early_stopping:
            model.set_weights(best.weights)
        history.chosen = best.epoch
        labels, label_frames, label_videos = examples.label_combinations("train")
        trace = Trace(
            tasks=tuple(model.tasks),
            losses=np.concatenate(losses),
            weights=np.concatenate(weights),
            steps_per_epoch=steps_per_epoch,
            layer_groups=probing.groups,
            **probing.arrays(),
            val_losses=best.val_losses,
            val_videos=examples.frames["video"].cat.codes.to_numpy()[val],
            val_classes=examples.frames["class_name"].cat.codes.to_numpy()[val],
            labels=labels,
            label_frames=label_frames,
            label_videos=label_videos,
        )
        return trace, history


@dataclass
class _Best:
    """The epoch to go back to."""

    epoch: int = 0
    judged: float = -np.inf
    weights: dict[str, np.ndarray] | None = None
    val_losses: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    def offer(self, epoch: int, judged: float, model: MultiTaskModel, val_losses: np.ndarray) -> None:
        """Take the epoch where it is better, or as good as undefined: then the later one counts."""
        if self.weights is None or judged > self.judged or np.isnan(self.judged):
            self.epoch, self.judged = epoch, judged
            self.weights, self.val_losses = model.get_weights(), val_losses

    def age(self, epoch: int) -> int:
        """Epochs since the best one; 0 while no score is defined, so that nothing stops on it."""
        return 0 if np.isnan(self.judged) else epoch - self.epoch


@dataclass(frozen=True)
class Steps:
    """Compiled steps with the state they change.

    Attributes
    ----------
    run : callable
        As `compile_steps` gives it.
    weighting : Weighting
    optimizer : keras optimizer
    """

    run: Callable[[tf.Tensor, Mapping[str, tf.Tensor], np.ndarray], tuple[tf.Tensor, tf.Tensor]]
    weighting: Weighting
    optimizer: keras.Optimizer

    def start_from(self, weighting: Weighting, optimizer: keras.Optimizer) -> None:
        """Take over the state of others of the same settings."""
        own = [*self.weighting.variables, *self.optimizer.variables]
        for variable, given in zip(own, [*weighting.variables, *optimizer.variables], strict=True):
            variable.assign(given)


def compiled_steps(model: MultiTaskModel, weighting: Weighting, optimizer: keras.Optimizer) -> Steps:
    """Steps that start from the given state; compiled once per model and settings, see `mtl.model.reused`."""
    optimizer.build(model.trained_variables)
    key = ("steps", settings_of(weighting), settings_of(optimizer))
    steps = model.compiled(key, lambda: Steps(compile_steps(model, weighting, optimizer), weighting, optimizer))
    steps.start_from(weighting, optimizer)
    return steps


def settings_of(thing: object) -> Hashable:
    """What of a thing enters a graph: equal for things that differ in their variables' values alone.

    A thing that cannot be looked into is equal to nothing but itself.
    """
    if thing is None or isinstance(thing, str | int | float):
        return type(thing).__name__, repr(thing)
    if isinstance(thing, tf.Variable):
        return "variable", tuple(thing.shape), thing.dtype.name
    if isinstance(thing, tf.Tensor | np.ndarray):
        array = np.asarray(thing)
        return "array", array.shape, array.dtype.str, array.tobytes()
    if isinstance(thing, keras.Optimizer):
        config = thing.get_config()
        if isinstance(config["learning_rate"], float):  # else a schedule; a number is kept in a variable
            del config["learning_rate"]
        return type(thing), settings_of({key: value for key, value in config.items() if key != "name"})
    if isinstance(thing, Mapping):
        return "mapping", *((key, settings_of(value)) for key, value in thing.items())
    if isinstance(thing, list | tuple):
        return "sequence", *map(settings_of, thing)
    if type(thing).__module__.startswith("mtl."):
        return type(thing), settings_of(vars(thing))
    return thing if isinstance(thing, Hashable) else object()


@dataclass
class _Step:
    """What a step's backward passes gave: losses and weights (n_tasks,), gradients by variable."""

    losses: tf.Tensor
    weights: tf.Tensor
    gradients: list[tf.Tensor]


def compile_steps(
    model: MultiTaskModel, weighting: Weighting, optimizer: keras.Optimizer
) -> Callable[[tf.Tensor, Mapping[str, tf.Tensor], np.ndarray], tuple[tf.Tensor, tf.Tensor]]:
    """A compiled function that does as many steps as it is handed batches.

    Returns
    -------
    callable
        (rows (n, ...), targets by task (n,), positions in them (k, b)) ->
        unweighted losses and weights, both (k, n_tasks). Where one of a step's is not
        finite, no parameter moved.
    """
    shared, heads = model.shared_variables, model.head_variables
    apply = stepper(optimizer, model.trained_variables)
    n_tasks = len(model.tasks)

    def losses_of(rows: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        return model.losses(model(rows, training=True), targets)

    def by_weighted_sum(rows: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> _Step:
        """One backward pass: the weight of a loss is the same on shared parameters and head."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*shared, *heads])
            losses = tf.stack(losses_of(rows, targets))
            weights = tf.stop_gradient(weighting.weights(losses, tf.zeros((n_tasks, n_tasks))))
            total = tf.reduce_sum(weights * losses)
        return _Step(losses, weights, tape.gradient(total, [*shared, *heads]))

    def by_task_gradients(rows: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> _Step:
        """One backward pass per task over the shared part: the weights come from the Gramian."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch([*shared, *heads])
            losses = losses_of(rows, targets)
            total = tf.add_n(losses)
        by_task = gradients.task_gradients(tape, losses, shared)
        weights = tf.stop_gradient(weighting.weights(tf.stack(losses), gradients.gramian(by_task)))
        of_heads = weigh_heads(weights, tape.gradient(total, heads))
        return _Step(tf.stack(losses), weights, [*gradients.combine(by_task, weights), *of_heads])

    def by_closed_form(rows: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> _Step:
        """One backward pass per task over its head alone: the rest is the algebra of one dense layer."""
        features = model.trained(rows, training=True)
        outputs = model.shared_outputs(features)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch([outputs, *heads])
            losses = model.losses(model.from_shared(outputs, training=True), targets)
            total = tf.add_n(losses)
        of_outputs = tf.stack([tape.gradient(loss, outputs) for loss in losses])  # (n_tasks, b, shared_units)
        gramian = gradients.dense_gramian(features, of_outputs)
        weights = tf.stop_gradient(weighting.weights(tf.stack(losses), gramian))
        of_heads = weigh_heads(weights, tape.gradient(total, heads))
        combined = tf.einsum("t,tbn->bn", weights, of_outputs)
        return _Step(tf.stack(losses), weights, [*gradients.dense_gradients(features, combined), *of_heads])

    def weigh_heads(weights: tf.Tensor, of_heads: list[tf.Tensor]) -> list[tf.Tensor]:
        base = weighting.head_weights(weights)
        scale = [base[i] for i, head in enumerate(model.heads.values()) for _ in head.trainable_variables]
        return [gradient * weight for gradient, weight in zip(of_heads, scale, strict=True)]

    def apply_where_sound(step: _Step) -> None:
        """A void step leaves parameters, moments and the count of steps alone: one NaN would be in all of them."""

        def do() -> None:
            apply(step.gradients)

        finite = tf.math.is_finite(tf.concat([step.losses, step.weights], 0))
        tf.cond(tf.reduce_all(finite), do, lambda: None)

    if not weighting.uses_gramian:
        differentiate = by_weighted_sum
    else:
        differentiate = by_closed_form if model.shares_dense_layer_only else by_task_gradients

    @tf.function(reduce_retracing=True, autograph=False)  # plain graph code: to convert it takes as long as to trace it
    def run_steps(
        rows: tf.Tensor, targets: Mapping[str, tf.Tensor], positions: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        n_steps = tf.shape(positions)[0]
        kept = [tf.TensorArray(tf.float32, n_steps, element_shape=(n_tasks,)) for _ in range(2)]  # losses and weights

        def do_one(i: tf.Tensor, losses: tf.TensorArray, weights: tf.TensorArray) -> tuple:
            at = positions[i]
            batch, labels = tf.gather(rows, at), {name: tf.gather(one, at) for name, one in targets.items()}
            step = differentiate(batch, labels)
            apply_where_sound(step)
            after = tf.stack(losses_of(batch, labels)) if weighting.uses_losses_after else step.losses
            weighting.update(step.losses, after)
            return i + 1, losses.write(i, step.losses), weights.write(i, step.weights)

        _, losses, weights = tf.while_loop(lambda i, *_: i < n_steps, do_one, (tf.constant(0), *kept))
        return losses.stack(), weights.stack()

    def run(rows: tf.Tensor, targets: Mapping[str, tf.Tensor], positions: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        """Traced once, whatever the number of rows and steps."""
        traced = run_steps.get_concrete_function(
            tf.TensorSpec((None, *rows.shape[1:]), rows.dtype),
            {name: tf.TensorSpec((None,), tf.int32) for name in targets},
            tf.TensorSpec((None, positions.shape[1]), tf.int32),
        )
        return traced(rows, targets, tf.constant(positions, tf.int32))

    return run


def stepper(optimizer: keras.Optimizer, variables: Sequence[keras.Variable]) -> Callable[[list[tf.Tensor]], None]:
    """What takes an optimizer's step along gradients of variables, in graph.

    Plain Adam goes through TensorFlow's fused kernel, one pass over memory where
    Keras takes ten; that is a third of a step of heads on features. Same formula, same
    state, in the optimizer's own variables. Any other optimizer steps itself.
    """
    if not optimizer.built:
        optimizer.build(variables)
    if not _is_plain_adam(optimizer, variables):
        return lambda gradients: optimizer.apply(gradients, variables)
    moments = list(zip(optimizer._momentums, optimizer._velocities, strict=True))

    def apply(gradients: list[tf.Tensor]) -> None:
        beta_1, beta_2 = tf.constant(optimizer.beta_1, tf.float32), tf.constant(optimizer.beta_2, tf.float32)
        rate = tf.convert_to_tensor(optimizer.learning_rate, tf.float32)
        step = tf.cast(optimizer.iterations.value + 1, tf.float32)
        for variable, (first, second), gradient in zip(variables, moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.value.handle,
                m=first.value.handle,
                v=second.value.handle,
                beta1_power=beta_1**step,
                beta2_power=beta_2**step,
                lr=rate,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=optimizer.epsilon,
                grad=gradient,
            )
        optimizer.iterations.assign_add(1)

    return apply


def _is_plain_adam(optimizer: keras.Optimizer, variables: Sequence[keras.Variable]) -> bool:
    """Whether Adam is all that a step does."""
    more = ("amsgrad", "clipnorm", "clipvalue", "global_clipnorm", "weight_decay", "use_ema")
    return (
        type(optimizer) is keras.optimizers.Adam
        and not any(getattr(optimizer, name) for name in (*more, "gradient_accumulation_steps"))
        and all(v.constraint is None and v.dtype == "float32" for v in variables)
    )


class Source:
    """Where the steps take their rows from: all of them in the graph, or blocks read ahead of use.

    Either way the batches are the same ones, in the same order, bit for bit: a
    shuffle of all training frames, not one within a block.

    Parameters
    ----------
    examples : Examples
    batch_size : int
    """

    def __init__(self, examples: Examples, batch_size: int) -> None:
        self._examples = examples
        self._rows = resident(examples.rows)
        step_bytes = batch_size * _row_bytes(examples.rows)
        self._steps = int(np.clip(BLOCK_BYTES // step_bytes, 1, STEPS_PER_CALL))
        if self._rows is not None:
            self._targets = {name: tf.constant(one, tf.int32) for name, one in examples.targets.items()}

    def runs(self, chosen: np.ndarray) -> Iterator[tuple[tf.Tensor, Mapping[str, tf.Tensor], np.ndarray]]:
        """Rows, targets by task, and positions in them (k, b): a run of steps at a time.

        Parameters
        ----------
        chosen : ndarray of int, shape (n_steps, batch_size)
        """
        runs = [chosen[i : i + self._steps] for i in range(0, len(chosen), self._steps)]
        if self._rows is not None:
            yield from ((self._rows, self._targets, at) for at in runs)
            return
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._block, runs[0])
            for at, following in zip(runs, [*runs[1:], None], strict=True):
                rows, targets = coming.result()
                if following is not None:
                    coming = ahead.submit(self._block, following)
                yield rows, targets, np.arange(at.size).reshape(at.shape)

    def _block(self, positions: np.ndarray) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Rows and targets at positions, as tensors."""
        rows, targets = self._examples.gather(positions.ravel())
        return tf.constant(rows), {name: tf.constant(one) for name, one in targets.items()}


def resident(rows: Rows) -> tf.Tensor | None:
    """All rows as one tensor where they are in memory; None where they are not, or would have to be there twice.

    The tensor shares the array's memory where that is aligned; on a GPU, and where the
    array is small, it is a copy.
    """
    array = rows.array
    if array is None:
        return None
    if tf.config.list_physical_devices("GPU"):
        try:
            return tf.constant(array)
        except tf.errors.ResourceExhaustedError:
            return None
    if array.ctypes.data % ALIGNMENT == 0 and (shareable := _writable(array)) is not None:
        return tf.experimental.dlpack.from_dlpack(shareable.__dlpack__())
    return tf.constant(array) if array.nbytes <= COPIED_BYTES else None


def predict(model: MultiTaskModel, rows: Rows, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Logits (n, units) by task name of the rows at these positions, in blocks."""
    if not len(positions):
        return {name: np.empty((0, task.units), np.float32) for name, task in model.tasks.items()}
    size = int(np.clip(BLOCK_BYTES // _row_bytes(rows), 1, BLOCK_ROWS))
    blocks = [model.infer(rows.take(positions[i : i + size])) for i in range(0, len(positions), size)]
    return {name: np.concatenate([block[name].numpy() for block in blocks]) for name in model.tasks}


def epoch_means(losses: list[np.ndarray], steps_per_epoch: int) -> np.ndarray:
    """Mean unweighted loss of each finished epoch, shape (n_epochs, n_tasks); (0, 0) before the first."""
    if not losses:
        return np.empty((0, 0))
    steps = np.concatenate(losses)
    return steps.reshape(-1, steps_per_epoch, steps.shape[1]).mean(axis=1)


def task_auc(task: Task, targets: np.ndarray, logits: np.ndarray) -> float:
    """ROC AUC by frames, macro over the task's columns; NaN where none has both outcomes."""
    if not len(targets) or not np.isfinite(logits).all():
        return float("nan")
    return macro_auc(task.events(targets), task.probabilities(logits))


def _validate(model: MultiTaskModel, examples: Examples, val: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Losses per validation frame (n_val, n_tasks), and the epoch's `val_loss` and `val_auc`."""
    logits = predict(model, examples.rows, val)
    targets = {name: examples.targets[name][val] for name in model.tasks}
    per_frame = np.stack([np.asarray(loss) for loss in model.frame_losses(logits, targets).values()], axis=1)
    row = _named("val_loss", model.tasks, per_frame.mean(axis=0) if len(val) else np.full(len(model.tasks), np.nan))
    for name, task in model.tasks.items():
        row[f"val_auc/{name}"] = task_auc(task, targets[name], logits[name])
    return per_frame, row


def _orders(classes: np.ndarray, sampling: str, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Per epoch the positions of its frames, given by their classes' codes; a whole number of batches."""
    rng = np.random.default_rng(seed_of(seed, "order"))
    n = len(classes)
    full = -(-n // batch_size) * batch_size
    if sampling != "balanced":
        while True:
            yield np.resize(rng.permutation(n), full)
    chance = 1.0 / np.bincount(classes)[classes]
    while True:
        yield rng.choice(n, size=full, p=chance / chance.sum())


def _row_bytes(rows: Rows) -> int:
    return max(1, int(np.prod(rows.shape[1:])) * rows.dtype.itemsize)


def _writable(array: np.ndarray) -> np.ndarray | None:
    """A view that may be exported; None where the memory is nobody's to write to."""
    view = array.view()
    try:
        view.flags.writeable = True
    except ValueError:
        return None
    return view


def _named(quantity: str, tasks: Mapping[str, Task], values: np.ndarray) -> dict[str, float]:
    """`<quantity>/<task>` -> value."""
    return {f"{quantity}/{name}": float(value) for name, value in zip(tasks, values, strict=True)}


def _note(epoch: int, tasks: Mapping[str, Task], losses: np.ndarray) -> str:
    """What stands behind the bar."""
    shown = ", ".join(f"{name} {value:.3f}" for name, value in zip(tasks, losses.mean(axis=0), strict=True))
    return f"epoch {epoch + 1}: loss {shown}"


def _divergence(tasks: Mapping[str, Task], losses: list[np.ndarray], epoch: int) -> str:
    """Which loss ceased to be a number in this epoch; empty where none did."""
    lost = ~np.isfinite(losses[-1]).all(axis=0)
    names = [name for name, bad in zip(tasks, lost, strict=True) if bad]
    return f"loss of {', '.join(names)} is not finite in epoch {epoch + 1}" if names else ""
