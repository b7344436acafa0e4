"""The loop: one row of trace per step, task gradients on held-out batches after every epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from pydantic import NonNegativeInt, PositiveInt

from mtl import gradients
from mtl.examples import Examples, Rows
from mtl.model import MultiTaskModel
from mtl.probes import Probes
from mtl.seeds import seed_of
from mtl.statistics import macro_auc
from mtl.tasks import Task
from mtl.terminal import progress
from mtl.trace import Trace
from mtl.weighting.base import Weighting

log = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 2**20  # of rows handed to the graph at once
CHUNK_STEPS = 64
PREDICT_ROWS = 512


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
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    chosen: int = 0
    diverged: str = ""
    batch_size: int = 0
    seconds: float = 0.0
    probe_seconds: float = 0.0


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
    probe_batches, probe_batch_size : int
        Held-out batches on which the task gradients are compared after every epoch.
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
        probe_batches: NonNegativeInt,
        probe_batch_size: PositiveInt,
        seed: int,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.sampling = sampling
        self.early_stopping = early_stopping
        self.patience = patience
        self.probe_batches = probe_batches
        self.probe_batch_size = probe_batch_size
        self.seed = seed

    def train(
        self,
        model: MultiTaskModel,
        examples: Examples,
        weighting: Weighting,
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
        main_task : str
            Judges the epochs.
        on_epoch : callable
            Takes the epoch's number and its row of the history.

        Returns
        -------
        (Trace, History)
        """
        train, val = examples.positions("train"), examples.positions("val")
        order = _orders(examples.frames.iloc[train], self.sampling, self.batch_size, self.seed)
        steps_per_epoch = -(-len(train) // self.batch_size)
        probes = Probes(model, examples, self.probe_batches, self.probe_batch_size, self.seed)
        run_steps = compile_steps(model, weighting, self.optimizer())
        losses: list[np.ndarray] = []
        weights: list[np.ndarray] = []
        best = _Best()
        history = History(batch_size=self.batch_size)
        with progress("training", self.epochs * steps_per_epoch * self.batch_size, "frames") as advance:
            for epoch in range(self.epochs):
                weighting.start_epoch(epoch, epoch_means(losses, steps_per_epoch))
                start = time.perf_counter()
                chosen = train[next(order)].reshape(steps_per_epoch, self.batch_size)
                for rows, targets, n_steps in _chunks(examples, chosen):
                    step_losses, step_weights = run_steps(rows, targets)
                    losses.append(step_losses.numpy())
                    weights.append(step_weights.numpy())
                    advance(n_steps * self.batch_size, _note(epoch, model.tasks, losses[-1]))
                history.seconds += time.perf_counter() - start
                start = time.perf_counter()
                probes.measure((epoch + 1) * steps_per_epoch)
                history.probe_seconds += time.perf_counter() - start
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
        trace = Trace(
            tasks=tuple(model.tasks),
            losses=np.concatenate(losses),
            weights=np.concatenate(weights),
            steps_per_epoch=steps_per_epoch,
            **probes.arrays(),
            val_losses=best.val_losses,
            val_videos=examples.frames["video"].cat.codes.to_numpy()[val],
            val_classes=examples.frames["class_name"].cat.codes.to_numpy()[val],
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


def compile_steps(
    model: MultiTaskModel, weighting: Weighting, optimizer: keras.Optimizer
) -> Callable[[tf.Tensor, Mapping[str, tf.Tensor]], tuple[tf.Tensor, tf.Tensor]]:
    """A compiled function that does as many steps as it is handed batches.

    Returns
    -------
    callable
        (rows (k, b, ...), targets by task (k, b)) -> unweighted losses and weights, both (k, n_tasks).
    """
    shared, heads = model.shared_variables, model.head_variables
    trained = [*_keras_variables(model)]
    optimizer.build(trained)
    n_tasks = len(model.tasks)

    def losses_of(rows: tf.Tensor, targets: Mapping[str, tf.Tensor], training: bool) -> list[tf.Tensor]:
        logits = model(rows, training=training)
        return [tf.reduce_mean(loss) for loss in model.frame_losses(logits, targets).values()]

    def by_weighted_sum(rows: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, list]:
        """One backward pass: the weight of a loss is the same on shared parameters and head."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*shared, *heads])
            losses = tf.stack(losses_of(rows, targets, training=True))
            weights = tf.stop_gradient(weighting.weights(losses, tf.zeros((n_tasks, n_tasks))))
            total = tf.reduce_sum(weights * losses)
        return losses, weights, tape.gradient(total, [*shared, *heads])

    def by_task_gradients(rows: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, list]:
        """One backward pass per task over the shared part: the weights come from the Gramian."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch([*shared, *heads])
            separate = losses_of(rows, targets, training=True)
            losses = tf.stack(separate)
            total = tf.reduce_sum(losses)
        by_task = gradients.task_gradients(tape, separate, shared)
        weights = tf.stop_gradient(weighting.weights(losses, gradients.gramian(by_task)))
        of_heads = tape.gradient(total, heads)
        base = weighting.head_weights(weights)
        scale = [base[i] for i, head in enumerate(model.heads.values()) for _ in head.trainable_variables]
        of_heads = [g * w for g, w in zip(of_heads, scale, strict=True)]
        return losses, weights, [*gradients.combine(by_task, weights), *of_heads]

    differentiate = by_task_gradients if weighting.uses_gramian else by_weighted_sum

    @tf.function(reduce_retracing=True)
    def run_steps(rows: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        n_steps = tf.shape(rows)[0]
        all_losses = tf.TensorArray(tf.float32, n_steps, element_shape=(n_tasks,))
        all_weights = tf.TensorArray(tf.float32, n_steps, element_shape=(n_tasks,))
        for i in tf.range(n_steps):
            batch, labels = rows[i], {name: one[i] for name, one in targets.items()}
            losses, weights, grads = differentiate(batch, labels)
            optimizer.apply(grads, trained)
            after = losses
            if weighting.uses_losses_after:
                after = tf.stack(losses_of(batch, labels, training=True))
            weighting.update(losses, after)
            all_losses = all_losses.write(i, losses)
            all_weights = all_weights.write(i, weights)
        return all_losses.stack(), all_weights.stack()

    return run_steps


def predict(model: MultiTaskModel, rows: Rows, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Logits (n, units) by task name of the rows at these positions, in blocks."""
    if not len(positions):
        return {name: np.empty((0, task.units), np.float32) for name, task in model.tasks.items()}
    forward = tf.function(lambda block: model(block, training=False), reduce_retracing=True)
    size = _block_rows(rows)
    blocks = [forward(rows.take(positions[i : i + size])) for i in range(0, len(positions), size)]
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


def _orders(frames: pd.DataFrame, sampling: str, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Per epoch the positions of its frames, a whole number of batches."""
    rng = np.random.default_rng(seed_of(seed, "order"))
    n = len(frames)
    full = -(-n // batch_size) * batch_size
    codes = frames["class_name"].cat.codes.to_numpy()
    chance = 1.0 / np.bincount(codes)[codes]
    while True:
        if sampling == "balanced":
            yield rng.choice(n, size=full, p=chance / chance.sum())
        else:
            yield np.resize(rng.permutation(n), full)


def _chunks(examples: Examples, chosen: np.ndarray) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray], int]]:
    """Rows (k, b, ...) and targets (k, b) of k steps at a time; the next chunk is gathered meanwhile."""
    bytes_per_step = max(1, chosen.shape[1] * int(np.prod(examples.rows.shape[1:])) * examples.rows.dtype.itemsize)
    k = int(np.clip(CHUNK_BYTES // bytes_per_step, 1, CHUNK_STEPS))
    chunks = [chosen[i : i + k] for i in range(0, len(chosen), k)]
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(examples.gather, chunks[0])
        for i, chunk in enumerate(chunks):
            rows, targets = coming.result()
            if i + 1 < len(chunks):
                coming = ahead.submit(examples.gather, chunks[i + 1])
            yield rows, targets, len(chunk)


def _block_rows(rows: Rows) -> int:
    """Rows per block of a prediction."""
    bytes_per_row = max(1, int(np.prod(rows.shape[1:])) * rows.dtype.itemsize)
    return int(np.clip(CHUNK_BYTES // bytes_per_row, 1, PREDICT_ROWS))


def _keras_variables(model: MultiTaskModel) -> Iterator[keras.Variable]:
    """The variables the optimizer steps: shared ones, then the heads'."""
    yield from model.trained.trainable_variables
    yield from model.shared.trainable_variables
    for head in model.heads.values():
        yield from head.trainable_variables


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
