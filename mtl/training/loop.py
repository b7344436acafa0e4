"""The loop: losses and weights of every step, task gradients on held-out batches after every epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

import keras
import numpy as np
from pydantic import PositiveInt

from mtl.model.multitask import MultiTaskModel
from mtl.seeds import seed_of
from mtl.stopwatch import CHECKPOINTS, MEASUREMENTS, STEPS, VALIDATION, spent_on
from mtl.tasks import UNLABELLED, Task
from mtl.terminal import progress
from mtl.trace import Trace
from mtl.training.best_epoch import BestEpoch
from mtl.training.checkpoint import NO_CHECKPOINT, Checkpoint, Checkpoints
from mtl.training.dataset import Dataset
from mtl.training.divergence import fault_of_losses, fault_of_parameters, fault_of_steps
from mtl.training.gradient_measurements import GradientMeasurements
from mtl.training.history import Epoch, History, epoch_means
from mtl.training.measurement_plan import Course
from mtl.training.source import Source
from mtl.training.state import State
from mtl.training.steps import compiled_steps
from mtl.training.validation import Validation
from mtl.weighting.base import Weighting

log = logging.getLogger(__name__)


class Training:
    """How a model is trained.

    Parameters
    ----------
    epochs, batch_size : int
        An epoch is ceil(n_train / batch_size) steps of full batches; the last
        one is filled from the start of the same shuffle.
    optimizer : callable
        Builds a Keras optimizer.
    sampling : {"natural", "balanced", "balanced_tasks"}
        Every frame once per epoch; or frames drawn so that every class comes equally often; or so that every
        task does: a task is drawn, each alike, then one of the frames that it has a label for.
    early_stopping : bool
        Keep the epoch with the best validation AUC of the main task, each video counting alike; else the last.
    patience : int
        Epochs without a better one before training stops early.
    gradients_of : {"parameters", "representation"}
        What the gradients are taken on that a weighting compares: all that is trained and shared, or the outputs of
        the shared layer, frame by frame (Sener, Koltun, NeurIPS 2018, section 3.3). The latter takes a single backward
        pass through the backbone; a weighting that looks at no gradient is the same either way.
    checkpoint : Checkpoints
        How often the state is written, and where, so that a killed training goes on.
    seed : int
    """

    def __init__(
        self,
        epochs: PositiveInt,
        batch_size: PositiveInt,
        optimizer: Callable[[], keras.Optimizer],
        sampling: Literal["natural", "balanced", "balanced_tasks"],
        early_stopping: bool,
        patience: PositiveInt,
        gradients_of: Literal["parameters", "representation"],
        checkpoint: Checkpoints,
        seed: int,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.sampling = sampling
        self.early_stopping = early_stopping
        self.patience = patience
        self.gradients_of = gradients_of
        self.checkpoint = checkpoint
        self.seed = seed

    def train(
        self,
        model: MultiTaskModel,
        dataset: Dataset,
        weighting: Weighting,
        measurements: GradientMeasurements,
        main_task: str,
        on_epoch: Callable[[int, Epoch], None],
        checkpoint: Checkpoint | None = None,
    ) -> tuple[Trace, History]:
        """Train the model in place; leave the best epoch's weights in it.

        Parameters
        ----------
        model : MultiTaskModel
        dataset : Dataset
            With splits `train` and `val`.
        weighting : Weighting
        measurements : GradientMeasurements
            What is measured of the task gradients between the epochs.
        main_task : str
            Judges the epochs.
        on_epoch : callable
            Takes the epoch's number, from 0, and what it brought; of a training that goes on, all
            epochs so far as well.
        checkpoint : Checkpoint, optional
            Where the state after an epoch is written, and what is gone on from: held by the caller.
            None is kept without it.

        Returns
        -------
        (Trace, History)
        """
        model.is_partial = dataset.is_partial
        train, validation = dataset.positions("train"), Validation(dataset, model.tasks)
        classes = dataset.frames["class_name"].cat.codes.to_numpy()[train]
        chances = _chances(self.sampling, classes, [target[train] for target in dataset.targets.values()])
        order = _orders(len(train), chances, self.batch_size, self.seed)
        steps_per_epoch = -(-len(train) // self.batch_size)
        steps = compiled_steps(model, weighting, self.optimizer(), self.gradients_of)
        course = Course(self.epochs, steps_per_epoch * self.batch_size)
        meter = measurements.on(model, dataset, steps.optimizer, course)
        if meter.plan.text:
            log.info("gradient measurements: %s", meter.plan.text)
        state = State(model, steps, meter, History(batch_size=self.batch_size))
        source, began = Source(dataset, self.batch_size), time.perf_counter()
        checkpoint = checkpoint or NO_CHECKPOINT
        begin = _gone_on(state, checkpoint, on_epoch)
        losses, weights, best, history = state.losses, state.weights, state.best, state.history
        self._say_undefined(validation.undefined(main_task))
        for _ in range(begin):  # the orders of the epochs that are done
            next(order)
        with progress("training", self.epochs * steps_per_epoch * self.batch_size, "frames") as advance:
            advance(begin * steps_per_epoch * self.batch_size, "")
            for epoch in range(begin, self.epochs):
                if self._is_enough(best, epoch - 1):
                    break
                steps.weighting.start_epoch(epoch, epoch_means(losses, weights, steps_per_epoch))
                start = time.perf_counter()
                runs = source.runs(train[next(order)].reshape(steps_per_epoch, self.batch_size))
                with spent_on(STEPS, steps_per_epoch):
                    for features, targets, at in runs:
                        step_losses, step_weights = steps.run(features, targets, at)
                        losses.append(step_losses.numpy())
                        weights.append(step_weights.numpy())
                        advance(at.size, _note(epoch, model.tasks, losses[-1]))
                history.seconds += time.perf_counter() - start
                fault = fault_of_steps(model.tasks, losses, weights, steps_per_epoch) or fault_of_parameters(model)
                if meter.due(epoch + 1) and not fault:
                    start = time.perf_counter()
                    with spent_on(MEASUREMENTS, 1):
                        meter.measure((epoch + 1) * steps_per_epoch)
                    history.measurement_seconds += time.perf_counter() - start
                    history.first_measurement_seconds = history.first_measurement_seconds or history.measurement_seconds
                with spent_on(VALIDATION, len(validation.positions)):
                    validated = validation.of(model)
                val_losses = validated.frame_losses
                brought = Epoch(
                    tasks=tuple(model.tasks),
                    train_losses=epoch_means(losses, weights, steps_per_epoch)[-1],
                    val_losses=validated.losses,
                    val_aucs=validated.aucs,
                    weighted_val_aucs=validated.weighted_aucs,
                    weights=np.concatenate(weights)[-steps_per_epoch:].mean(axis=0),
                )
                history.epochs.append(brought)
                on_epoch(epoch, brought)
                fault = fault or fault_of_losses(model.tasks, val_losses, "validation loss", validation.labelled)
                if fault:
                    history.diverged = f"{fault} in epoch {epoch + 1}"
                    break
                best.offer(
                    epoch, brought.weighted_val_auc(main_task) if self.early_stopping else epoch, model, val_losses
                )
                if checkpoint.is_due(epoch + 1):
                    took = history.earlier_seconds + time.perf_counter() - began
                    with spent_on(CHECKPOINTS, 1):
                        checkpoint.write(epoch + 1, state.arrays(), {**state.facts(), "took": took})
        if best.weights is None:
            history.sound = not model.broken() and bool(np.isfinite(val_losses[validation.labelled]).all())
            best.offer(epoch, 0.0, model, val_losses if history.sound else np.full_like(val_losses, np.nan))
        elif history.diverged or self.early_stopping:
            model.set_weights(best.weights)
        history.best_epoch, history.checkpoint_seconds = best.epoch, checkpoint.seconds
        if history.diverged:
            history.diverged += f"; {history.kept()}"
            log.warning("Training stopped: %s.", history.diverged)
        labels, label_frames, label_videos = dataset.label_combinations("train")
        trace = Trace(
            tasks=tuple(model.tasks),
            losses=np.concatenate(losses),
            weights=np.concatenate(weights),
            steps_per_epoch=steps_per_epoch,
            layer_groups=meter.groups,
            **meter.arrays(),
            val_losses=best.val_losses,
            val_videos=dataset.frames["video"].cat.codes.to_numpy()[validation.positions],
            val_classes=dataset.frames["class_name"].cat.codes.to_numpy()[validation.positions],
            labels=labels,
            label_frames=label_frames,
            label_videos=label_videos,
            **({"val_labelled": validation.labelled} if model.is_partial else {}),
        )
        return trace, history

    def _is_enough(self, best: BestEpoch, epoch: int) -> bool:
        """Whether after this epoch too many have gone by without a better one."""
        return self.early_stopping and best.weights is not None and best.age(epoch) >= self.patience

    def _say_undefined(self, reason: str) -> None:
        """Say once that there will be no validation AUC of the main task, why, and which epoch is kept."""
        if reason:
            so = "no epoch is better than another, so all are trained" if self.early_stopping else "it stays undefined"
            log.warning("validation AUC of the main task: %s; %s, and the last one is kept.", reason, so)


def _gone_on(state: State, checkpoint: Checkpoint, on_epoch: Callable[[int, Epoch], None]) -> int:
    """Epochs that are done already, by a process that was killed; their state is put in place."""
    left = checkpoint.read()
    if left is None:
        checkpoint.goes_on(0)
        return 0
    try:
        done = state.restore(*left)
        state.history.earlier_seconds = float(left[1]["took"])  # type: ignore[arg-type]
    except (KeyError, ValueError, TypeError) as error:
        log.warning("The checkpoint in %s cannot be used (%s): the training starts anew.", checkpoint.folder, error)
        checkpoint.goes_on(0)
        return 0
    log.info("The training goes on after epoch %d, from the checkpoint in %s.", done, checkpoint.folder)
    for number, epoch in enumerate(state.history.epochs):
        on_epoch(number, epoch)
    checkpoint.goes_on(done)
    return done


def _chances(sampling: str, classes: np.ndarray, targets: Iterable[np.ndarray]) -> np.ndarray | None:
    """Chance of every training frame to be drawn, of sum 1; None where each comes once per epoch.

    Parameters
    ----------
    sampling : str
        See `Training`.
    classes : ndarray of int, shape (n_train,)
    targets : iterable of ndarray of int, shape (n_train,)
        By task; one without a labelled frame has no say.
    """
    if sampling == "natural":
        return None
    if sampling == "balanced":
        chance = 1.0 / np.bincount(classes)[classes]
    else:  # a task is drawn, then one of the frames it has a label for
        labelled = [mask / mask.sum() for each in targets if (mask := each != UNLABELLED).any()]
        chance = np.sum(labelled, axis=0)
    found: np.ndarray = chance / chance.sum()
    return found


def _orders(n: int, chances: np.ndarray | None, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Per epoch the positions of its frames, out of n; a whole number of batches."""
    rng = np.random.default_rng(seed_of(seed, "order"))
    full = -(-n // batch_size) * batch_size
    while True:
        yield np.resize(rng.permutation(n), full) if chances is None else rng.choice(n, size=full, p=chances)


def _note(epoch: int, tasks: Mapping[str, Task], losses: np.ndarray) -> str:
    """What stands behind the bar."""
    shown = ", ".join(f"{name} {value:.3f}" for name, value in zip(tasks, losses.mean(axis=0), strict=True))
    return f"epoch {epoch + 1}: loss {shown}"
