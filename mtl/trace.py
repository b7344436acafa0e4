"""What a training leaves behind: losses, weights and task gradients as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


def _absent() -> np.ndarray:
    """In place of what was not measured."""
    return np.empty(0)


@dataclass(frozen=True)
class Trace:
    """What was recorded while one set of tasks was trained.

    Attributes
    ----------
    tasks : tuple of str
        Task names in the order of the set; every axis over tasks keeps it.
    losses : ndarray of shape (n_steps, n_tasks)
        Unweighted batch-mean training loss of every step; NaN, with weight 0, where no frame
        of the batch was labelled for the task.
    weights : ndarray of shape (n_steps, n_tasks)
        Weight of every task's loss on the shared parameters at every step.
    steps_per_epoch : int
    gramians : ndarray of shape (n_measurements, n_tasks, n_tasks)
        Inner products of the task gradients on the shared parameters, each on
        one fixed held-out batch, dropout off and batch norm in inference mode. NaN for a
        task without a labelled frame in the batch.
    measurement_steps : ndarray of shape (n_measurements,)
        Steps done when the measurement was taken, ascending; the batches of one
        epoch's end share the number.
    measurement_batches : ndarray of int, shape (n_measurements,)
        Which of the held-out batches it is; empty where all epochs had the same ones in the same order.
    val_losses : ndarray of shape (n_val, n_tasks)
        Loss per validation frame at the best epoch; NaN where the task says nothing about it.
    val_videos, val_classes : ndarray of int, shape (n_val,)
        Video and class of each validation frame, as codes.
    mean_gramians : ndarray of shape (n_measured_epochs, n_tasks, n_tasks)
        Inner products of the task gradients that are averaged over an epoch's batches first.
    layer_groups : tuple of str
        Parts of the shared parameters, from the input on.
    group_gramians : ndarray of shape (n_measurements, n_groups, n_tasks, n_tasks)
        The `gramians` by layer group, whose sum they are.
    permuted_cosines : ndarray of shape (n_measurements, n_tasks, n_tasks)
        Cosine between the row task's gradient and the column task's once that one's
        labels are permuted within the batch; empty where not measured.
    affinities : ndarray of shape (n_measurements, n_tasks, n_tasks)
        Share of its held-out loss that the column task loses by a plain step down the
        row task's gradient on a training batch; NaN where it was not due, empty where not measured.
    update_rates : ndarray of shape (n_measurements, n_tasks, n_tasks)
        First-order drop of the column task's held-out loss by that part of one step of the optimizer that
        comes from the row task, were its weight 1; NaN where it was not due or not the row's turn, empty where
        never measured.
    labels : ndarray of int, shape (n_combinations, n_tasks)
        Combinations of the tasks' targets that training frames have; -1 where a task has none.
    label_frames, label_videos : ndarray of int, shape (n_combinations,)
        Training frames, and videos, with each combination.
    val_labelled : ndarray of bool, shape (n_val, n_tasks)
        Whether each task says something about each validation frame; empty where all do about all.
    """

    tasks: tuple[str, ...]
    losses: np.ndarray
    weights: np.ndarray
    steps_per_epoch: int
    gramians: np.ndarray
    measurement_steps: np.ndarray
    val_losses: np.ndarray
    val_videos: np.ndarray
    val_classes: np.ndarray
    measurement_batches: np.ndarray = field(default_factory=_absent)
    mean_gramians: np.ndarray = field(default_factory=_absent)
    layer_groups: tuple[str, ...] = ()
    group_gramians: np.ndarray = field(default_factory=_absent)
    permuted_cosines: np.ndarray = field(default_factory=_absent)
    affinities: np.ndarray = field(default_factory=_absent)
    update_rates: np.ndarray = field(default_factory=_absent)
    labels: np.ndarray = field(default_factory=_absent)
    label_frames: np.ndarray = field(default_factory=_absent)
    label_videos: np.ndarray = field(default_factory=_absent)
    val_labelled: np.ndarray = field(default_factory=_absent)

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        n = len(self.tasks)
        if self.losses.shape[1:] != (n,) or self.weights.shape != self.losses.shape:
            raise ValueError(f"losses {self.losses.shape} and weights {self.weights.shape} need (n_steps, {n}).")
        if self.gramians.shape != (len(self.measurement_steps), n, n):
            raise ValueError(f"gramians {self.gramians.shape} need ({len(self.measurement_steps)}, {n}, {n}).")
        if self.val_losses.shape != (len(self.val_videos), n) or len(self.val_classes) != len(self.val_videos):
            raise ValueError(f"val_losses {self.val_losses.shape} need ({len(self.val_videos)}, {n}).")
        n_measurements, n_combinations = len(self.measurement_steps), len(self.label_frames)
        wanted = {
            "measurement_batches": (n_measurements,),
            "mean_gramians": (len(np.unique(self.measurement_steps)), n, n),
            "group_gramians": (n_measurements, len(self.layer_groups), n, n),
            "permuted_cosines": (n_measurements, n, n),
            "affinities": (n_measurements, n, n),
            "update_rates": (n_measurements, n, n),
            "labels": (n_combinations, n),
            "label_videos": (n_combinations,),
            "val_labelled": self.val_losses.shape,
        }
        for name, shape in wanted.items():
            found = getattr(self, name).shape
            if found != shape and 0 not in found:
                raise ValueError(f"{name} {found} need {shape}.")

    @property
    def absent(self) -> np.ndarray:
        """Steps whose batch had no labelled frame of a task, see `absent_steps`."""
        return absent_steps(self.losses, self.weights)


def absent_steps(losses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Steps without a labelled frame of a task, bool (n_steps, n_tasks): loss NaN, and weight 0 rather than NaN."""
    return np.isnan(losses) & (weights == 0)
