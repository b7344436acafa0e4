"""What training the shared layer on a subset of the tasks would give, from one model that was trained on all of them.

Around the trained model each logit is taken as linear in a change of the shared layer: f(x) + phi(x) . delta, where
phi is the gradient of the logit. For a subset of the tasks delta is a ridge regression on the subset's own losses with
their true labels and f(x) as offset; the main task's AUC with that delta is the estimate. Heads stay as they are.

The layer is dense, so phi is the outer product of its inputs and of what its outputs do to the logit, and a random
projection of it to a few dimensions is a product of two small ones: no gradient is written out.

References
----------
Li et al., Scalable Multitask Learning Using Gradient-based Estimation of Task Affinity, KDD 2024, arXiv 2409.06091.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from mtl.statistics.pairwise import macro_auc
from mtl.tasks import UNLABELLED, Task

if TYPE_CHECKING:
    import pandas as pd

JOINED = "+"  # between the auxiliaries of a set in a table: no task's name may hold it
MOST_ITERATIONS = 100  # of a convex problem whose curvature is known at its start: about ten are used


@dataclass(frozen=True)
class DenseModel:
    """A shared dense layer with relu, and a head per task.

    Attributes
    ----------
    kernel, bias : ndarray of shape (n_in, n_units), (n_units,)
    heads : mapping of str to (ndarray of shape (n_units, units), ndarray of shape (units,))
        Kernel and bias by task.
    """

    kernel: np.ndarray
    bias: np.ndarray
    heads: Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Linear:
    """Logits of one task on some frames, as linear functions of a change delta of the shared layer.

    Attributes
    ----------
    logits : ndarray of shape (n, units)
        Where delta is zero.
    slopes : ndarray of shape (n, units, dimensions)
    targets : ndarray of int, shape (n,)
        None of them `UNLABELLED`.
    """

    logits: np.ndarray
    slopes: np.ndarray
    targets: np.ndarray

    def at(self, delta: np.ndarray) -> np.ndarray:
        """Logits (n, units)."""
        flat = self.slopes.reshape(-1, self.slopes.shape[-1])  # in their own precision: a copy would take longer
        return self.logits + (flat @ delta.astype(flat.dtype)).reshape(self.logits.shape)

    def loss(self, delta: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean cross-entropy and its gradient on delta; zero without a frame."""
        if not len(self.targets):
            return 0.0, np.zeros_like(delta)
        logits = self._paired(self.at(delta))
        rows = np.arange(len(logits))
        loss = float((logsumexp(logits, axis=1) - logits[rows, self.targets]).mean())
        error = softmax(logits, axis=1)
        error[rows, self.targets] -= 1
        error = error[:, -self.logits.shape[1] :]
        flat = self.slopes.reshape(-1, self.slopes.shape[-1])
        return loss, (error.ravel().astype(flat.dtype) @ flat).astype(np.float64) / len(rows)

    @cached_property
    def curvature(self) -> np.ndarray:
        """Second derivative of the loss where delta is zero, (dimensions, dimensions)."""
        n, units, d = self.slopes.shape
        if not n:
            return np.zeros((d, d))
        share = softmax(self._paired(self.logits), axis=1)[:, -units:].astype(self.slopes.dtype)
        each = (self.slopes * np.sqrt(share)[:, :, None]).reshape(-1, d)
        mean = np.matmul(share[:, None], self.slopes)[:, 0]
        return (each.T @ each - mean.T @ mean).astype(np.float64) / n

    def _paired(self, logits: np.ndarray) -> np.ndarray:
        """Logits of which a softmax is taken: a single one is that of yes beside a zero for no."""
        return logits if logits.shape[1] > 1 else np.concatenate([np.zeros_like(logits), logits], axis=1)


def linearise(
    model: DenseModel, inputs: np.ndarray, targets: Mapping[str, np.ndarray], dimensions: int, seed: int
) -> dict[str, Linear]:
    """The logits of tasks on frames, their slopes projected to so many random dimensions.

    Parameters
    ----------
    model : DenseModel
    inputs : ndarray of shape (n, n_in)
        Of the shared layer.
    targets : mapping of str to ndarray of int (n,)
        Of the tasks that are wanted; unlabelled frames are left out.
    dimensions : int
        Inner products of slopes are kept to about sqrt(9 / dimensions) of their lengths.
    seed : int
        Of the signs by which inputs and outputs are projected: the same for all frames and tasks.
    """
    rng = np.random.default_rng(seed)
    n_in, n_units = model.kernel.shape
    signs = rng.choice(np.array([-1, 1], np.float32), size=(n_in + 1 + n_units, dimensions))
    of_inputs, of_outputs = signs[: n_in + 1], signs[n_in + 1 :]
    outputs = inputs @ model.kernel + model.bias
    passed = (outputs > 0).astype(np.float32)
    hidden, projected = outputs * passed, inputs @ of_inputs[:-1] + of_inputs[-1]  # the bias has an input of 1
    found = {}
    for name, target in targets.items():
        kernel, bias = model.heads[name]
        known = target != UNLABELLED
        slopes = np.stack([passed[known] @ (of_outputs * column[:, None]) for column in kernel.T], axis=1)
        slopes *= projected[known][:, None] / np.float32(np.sqrt(dimensions))
        found[name] = Linear(hidden[known] @ kernel + bias, slopes, target[known])
    return found


def fitted(train: Mapping[str, Linear], members: Collection[str], penalty: float) -> np.ndarray:
    """The change of the shared layer, (dimensions,), by which the members' losses fall most for its size.

    Parameters
    ----------
    train : mapping of str to Linear
        Training frames by task.
    members : collection of str
    penalty : float
        On the squared length of the change, beside the sum of the members' mean losses; in units of the mean squared
        length of all slopes.
    """
    own = [train[name] for name in members]
    size = float(np.mean([np.square(one.slopes).sum(axis=-1).mean() for one in train.values() if len(one.targets)]))
    ridge = penalty * (size or 1.0)
    root = np.linalg.cholesky(np.sum([one.curvature for one in own], axis=0) + ridge * np.eye(own[0].slopes.shape[-1]))

    def objective(turned: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient on coordinates in which the curvature at the start is that of a sphere."""
        delta = solve_triangular(root, turned, trans="T", lower=True)
        losses, gradients = zip(*(one.loss(delta) for one in own), strict=True)
        total, gradient = np.sum(losses) + ridge / 2 * delta @ delta, np.sum(gradients, axis=0) + ridge * delta
        return float(total), solve_triangular(root, gradient, lower=True)

    start = np.zeros(len(root))
    best = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": MOST_ITERATIONS})
    return np.asarray(solve_triangular(root, best.x, trans="T", lower=True))


def best_penalty(train: Mapping[str, Linear], main_task: str, val: Linear, penalties: Sequence[float]) -> float:
    """The penalty with the least validation loss of the main task, by itself and with all tasks together.

    Parameters
    ----------
    train : mapping of str to Linear
    main_task : str
    val : Linear
        Validation frames of the main task.
    penalties : sequence of float
    """

    def loss(penalty: float) -> float:
        return sum(val.loss(fitted(train, members, penalty))[0] for members in ([main_task], list(train)))

    return min(penalties, key=loss)


def linearised_aucs(
    train: Mapping[str, Linear],
    main_task: str,
    frames: Mapping[str, Linear],
    task: Task,
    sets: Iterable[Collection[str]],
    penalty: float,
) -> dict[frozenset[str], dict[str, float]]:
    """Estimated AUC of the main task for each set of auxiliaries, on each split.

    Parameters
    ----------
    train : mapping of str to Linear
        Training frames by task.
    main_task : str
        A member of every set, whether named or not.
    frames : mapping of str to Linear
        The main task on frames that judge, by split.
    task : Task
        The main task.
    sets : iterable of collections of str
        Auxiliaries.
    penalty : float

    Returns
    -------
    dict of frozenset of str to dict of str to float
        By the set's auxiliaries, then by split; NaN where the split shows one outcome only.
    """
    found = {}
    for chosen in dict.fromkeys(frozenset(one) - {main_task} for one in sets):
        delta = fitted(train, [main_task, *sorted(chosen)], penalty)
        found[chosen] = {
            split: macro_auc(task.positives(one.targets), task.scores(one.at(delta))) for split, one in frames.items()
        }
    return found


def linearised_gains(
    train: Mapping[str, Linear],
    main_task: str,
    judged_on: Linear,
    task: Task,
    sets: Iterable[Collection[str]],
    penalty: float,
) -> dict[frozenset[str], float]:
    """Estimated gain in AUC of the main task by each set of auxiliaries, over itself alone; as `linearised_aucs`."""
    aucs = linearised_aucs(train, main_task, {"judged": judged_on}, task, [(), *sets], penalty)
    return {chosen: found["judged"] - aucs[frozenset()]["judged"] for chosen, found in aucs.items()}


def gains_of(table: pd.DataFrame, split: str) -> dict[frozenset[str], float]:
    """Estimated gains by the auxiliaries of each set, from a run's `tables/linearised.csv` as pandas reads it.

    Parameters
    ----------
    table : DataFrame
    split : str
        `val`, by which sets are chosen, or `test`, by which they are judged.
    """
    named = table["auxiliaries"].fillna("").astype(str)
    sets = [frozenset(filter(None, names.split(JOINED))) for names in named]
    return dict(zip(sets, table[f"{split}_gain"].astype(float), strict=True))
