"""What is measured of the tasks' gradients on fixed batches, between epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from mtl.seeds import seed_of
from mtl.training.dataset import Dataset
from mtl.training.measure_batchwise import compile_on_all
from mtl.training.measure_dense import compile_on_dense
from mtl.training.measurement import Batches, Measurement
from mtl.training.measurement_plan import Cost, Course, Plan, within_share
from mtl.training.update_scale import update_scale

if TYPE_CHECKING:
    import keras

    from mtl.model.multitask import MultiTaskModel

HELD_BYTES = 64 * 2**20  # features of all batches, up to which they are kept between measurements


class GradientMeasurements:
    """What is measured of the tasks' gradients, when, and on how many frames.

    Parameters
    ----------
    epochs : int, sequence of int or None
        After every so many epochs, or after these epochs, counted from 1. None: where a backbone is trained as
        many as `share` allows, else every epoch.
    batches : int or None
        Of validation frames, every time; fewer where there are not enough frames. With 0 batches nothing is
        measured. None: where a backbone is trained as many as `share` allows of the `most_batches` that take turns,
        else all of these.
    share : float or None
        Of the passes of the training steps that are spent at most where `epochs` or `batches` is None and a backbone is
        trained, see `mtl.training.measurement_plan.within_share`. None: all that can be measured is.
    most_batches : int
        Disjoint batches that are held out where `batches` is None.
    batch_size : int
        Frames of a batch.
    permuted_labels : bool
        Compare also with gradients whose labels are permuted within the batch,
        every time anew: what the cosine is where labels have nothing in common.
    affinity_step : float or None
        Length of the plain gradient step on a training batch whose effect on every
        task's held-out loss is measured: so long that tasks lose about this share of
        their losses by steps for themselves, see `step_size`. None is tried where it
        is None.
    path_steps : int or None
        Where only a dense layer is trained and shared, what updates owe to each task is measured after
        the first of these epochs, and after one that ends at least so many steps later: it takes about as long as
        ten steps. Where a backbone is trained it costs nothing beside the affinity and is measured every
        time. None: never.
    seed : int
        Of which frames they are, and of the permutations.
    """

    def __init__(
        self,
        epochs: PositiveInt | Sequence[PositiveInt] | None,
        batches: NonNegativeInt | None,
        share: PositiveFloat | None,
        most_batches: PositiveInt,
        batch_size: PositiveInt,
        permuted_labels: bool,
        affinity_step: PositiveFloat | None,
        path_steps: PositiveInt | None,
        seed: int,
    ) -> None:
        self.epochs = epochs
        self.batches = batches
        self.share = share
        self.most_batches = most_batches
        self.batch_size = batch_size
        self.permuted_labels = permuted_labels
        self.affinity_step = affinity_step
        self.path_steps = path_steps
        self.seed = seed

    def on(
        self,
        model: MultiTaskModel,
        dataset: Dataset,
        optimizer: keras.Optimizer | None = None,
        course: Course | None = None,
    ) -> GradientMeter:
        """Ready to measure this model.

        Parameters
        ----------
        model : MultiTaskModel
        dataset : Dataset
        optimizer : keras optimizer, optional
            That trains it: what its updates owe to each task is measured too.
        course : Course, optional
            The training, of whose passes a share is kept; without it none is.
        """
        return GradientMeter(self, model, dataset, optimizer, course)

    def plan(self, model: MultiTaskModel, n_batches: int, course: Course | None) -> Plan:
        """When to measure, and on how many of the batches that are held out."""
        all_given = self.epochs is not None and self.batches is not None
        if course is None or self.share is None or model.shares_dense_layer_only or not n_batches or all_given:
            return Plan(1 if self.epochs is None else self.epochs, n_batches)
        cost = Cost.of(len(model.tasks), self.batch_size, self.permuted_labels, self.affinity_step is not None)
        given = None if self.batches is None else n_batches
        return within_share(self.share, course, cost, n_batches, self.epochs, given)


class GradientMeter:
    """The measurements of one training.

    Parameters
    ----------
    settings : GradientMeasurements
    model : MultiTaskModel
    dataset : Dataset
    optimizer : keras optimizer or None
    course : Course or None

    Attributes
    ----------
    plan : Plan
        When it is due, and on how many batches.
    groups : tuple of str
        Names of the layer groups.
    found : list of Measurement
        What was measured so far.
    steps : list of int
        After which steps: one entry per batch.
    """

    def __init__(
        self,
        settings: GradientMeasurements,
        model: MultiTaskModel,
        dataset: Dataset,
        optimizer: keras.Optimizer | None,
        course: Course | None,
    ) -> None:
        self._settings = settings
        self._optimizer = optimizer
        self._model = model
        self._dataset = dataset
        val, train = dataset.positions("val"), dataset.positions("train")
        n_batches = settings.most_batches if settings.batches is None else settings.batches
        self._held_out = held_out_batches(val, n_batches, settings.batch_size, settings.seed)
        self._stepped = step_batches(train, len(self._held_out), settings.batch_size, settings.seed)
        self.plan = settings.plan(model, len(self._held_out), course)
        self._kept: dict[str, Batches] = {}
        measure = compile_on_dense if model.shares_dense_layer_only else compile_on_all
        self._measure = model.compiled(
            ("gradient_measurements", settings.affinity_step), lambda: measure(model, settings.affinity_step)
        )
        self.groups = tuple(model.layer_groups)
        self.steps: list[int] = []
        self.found: list[Measurement] = []

    def due(self, epoch: int) -> bool:
        """Whether to measure after this epoch, counted from 1."""
        return bool(len(self._held_out)) and self.plan.due(epoch)

    def measure(self, step: int) -> None:
        """Measure after so many steps of training."""
        if not len(self._held_out):
            return
        number = len(self.found)
        turn = self.plan.turn(number, len(self._held_out))
        held_out = self._batches("held out", self._held_out, turn)
        rng = np.random.default_rng(seed_of(self._settings.seed, "permuted labels", str(step)))
        permuted = held_out.permuted(rng) if self._settings.permuted_labels else None
        tries = self._settings.affinity_step is not None and number % self.plan.tried == 0
        stepped = self._batches("stepped", self._stepped, turn) if tries else None
        scale = self._scale(stepped, step)
        found = self._measure(held_out, permuted, stepped, number, *(() if scale is None else (scale,)))
        if self._model.is_partial:
            found = found.where_labelled(held_out.present, None if stepped is None else stepped.present)
        self.found.append(found)
        self.steps += [step] * len(turn)

    def _scale(self, stepped: Batches | None, step: int) -> list[tf.Tensor] | None:
        """How far the optimizer moves parameters along a gradient; None where that is not known or not due.

        Not where a backbone is trained: gradients are measured in inference mode, and what batch norm hides from a
        training step, such as a bias before it, has second moments near zero and a huge scale.
        """
        every = self._settings.path_steps
        if stepped is None or self._optimizer is None or every is None or not self._model.shares_dense_layer_only:
            return None
        ends = self.steps[:: self.plan.batches]
        done = [end for end, one in zip(ends, self.found, strict=True) if one.update_rates is not None]
        if done and step - done[-1] < every:
            return None
        return update_scale(self._optimizer, len(self._model.shared_variables))

    def _batches(self, name: str, positions: np.ndarray, turn: np.ndarray) -> Batches:
        """Feature vectors and targets of the batches whose turn it is; kept where they are small."""
        if name not in self._kept:
            features, targets = self._dataset.gather(positions[turn])
            n_bytes = features.nbytes // len(turn) * len(positions)
            if n_bytes > HELD_BYTES:
                return Batches(features, targets)
            if len(turn) < len(positions):
                features, targets = self._dataset.gather(positions)
            self._kept[name] = Batches(tf.constant(features), targets)
        kept = self._kept[name]
        return kept if len(turn) == len(positions) else kept.of(turn)

    def arrays(self) -> dict[str, np.ndarray]:
        """What the Trace takes, by its names."""
        n, n_groups = len(self._model.tasks), len(self.groups)
        gramians = np.concatenate([np.zeros((0, n_groups, n, n)), *(one.gramians for one in self.found)])
        turns = [self.plan.turn(number, len(self._held_out)) for number in range(len(self.found))]
        return {
            "gramians": gramians.sum(axis=1),
            "measurement_steps": np.array(self.steps, dtype=int),
            "mean_gramians": np.reshape([one.mean_gramian for one in self.found], (-1, n, n)),
            "group_gramians": gramians,
            "measurement_batches": np.array(turns, dtype=int).ravel(),
            "permuted_cosines": self._of_all([one.permuted_cosines for one in self.found]),
            "affinities": self._of_all([one.affinities for one in self.found]),
            "update_rates": self._of_all([one.update_rates for one in self.found]),
        }

    def _of_all(self, parts: list[np.ndarray | None]) -> np.ndarray:
        """Of all measurements in a row, NaN where it was not due; empty where it never was."""
        n = len(self._model.tasks)
        if all(part is None for part in parts):
            return np.empty((0, n, n))
        missing = np.full((self.plan.batches, n, n), np.nan)
        return np.concatenate([missing if part is None else part for part in parts])


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
