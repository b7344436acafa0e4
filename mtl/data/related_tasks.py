"""Tasks whose relatedness is known: features drawn on purpose, no frames.

To see what a gain, a verdict and a measure between tasks can tell, and what they
cannot, where the answer is known beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from mtl.errors import UserError, nearest

RANDOM, HARMFUL = "random", "harmful"  # what an auxiliary may be beside related
WORDS = (RANDOM, HARMFUL)
# which of the main task and the first auxiliary say yes to a feature vector
CLASSES = ("neither", "main_only", "auxiliary_only", "both")
SPLITS = ("train", "val", "test")
SPEED, SPEED_SD = 1.0, 0.5  # of the sines
Labels = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of a direction and noise


class RelatedTasks:
    """Feature vectors with the labels of tasks that share as much as the dial says.

    A task's value is ``y = w.x + sum_k sin(a_k w.x + b_k) + noise`` of a feature vector x of
    independent normal features, and its label whether y is above the median. All
    tasks have the same sines; the cosine between an auxiliary's direction w and the main
    task's is its relatedness. Every vector is a video of its own, so an interval by video is one
    by vector. The vectors and the main task's labels do not depend on the relatedness.

    Of several auxiliaries the parts of w that are not the main task's are orthogonal, so they
    share with each other what they share with it. Two kinds have a word in place of a number:

    * ``random``: a coin per vector. It can teach nothing, and only takes capacity.
    * ``harmful``: its w is orthogonal to the main task's and points where the noise of the main
      task's labels happens to point on the training rows, ``X' noise``. This is the part of the noise that
      a network fits when it overfits: an auxiliary whose labels teach the shared layer that direction
      lets the main task's head fit it too, and on test rows the direction says nothing about
      the main task. A number cannot do that: below zero, a head turns the sign round.

    Parameters
    ----------
    relatedness : float, or list of float and str
        In [-1, 1]. At 1 the auxiliary is the main task again, with noise of its own;
        at 0 it has nothing to give. A list has an auxiliary per entry; another entry
        changes the labels of its own auxiliary alone.
    seed : int
        Of all that is drawn; not the run's seed, so that the runs of a sweep share it.
    n_features : int
        Length of a feature vector, 2 at least: the two directions are to differ. Of a list of
        k entries k + 1.
    n_sines : int
    noise : float
        Standard deviation of what no direction explains.
    train_rows, val_rows, test_rows : int

    Attributes
    ----------
    classes : tuple of str
        Which of the main task and the first auxiliary say yes.
    label_columns : tuple of str
        Of a list: the columns of the frame table that hold the auxiliaries' labels, `related_1` and so on,
        in its order; a `ColumnTask` reads one. The first one's are in the class as well.
    kept, skipped : DataFrame
        After `frames`: feature vectors by split and class; nothing is left out.

    References
    ----------
    Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts, KDD 2018, section 3.2.
    """

    name = "related_tasks"
    classes: tuple[str, ...] = CLASSES
    root: Path | None = None  # features are drawn, not read

    def __init__(
        self,
        relatedness: Annotated[float, Field(ge=-1, le=1)] | list[float | str],
        seed: NonNegativeInt,
        n_features: Annotated[int, Field(ge=2)],
        n_sines: NonNegativeInt,
        noise: NonNegativeFloat,
        train_rows: PositiveInt,
        val_rows: PositiveInt,
        test_rows: PositiveInt,
    ) -> None:
        self.relatedness = relatedness if isinstance(relatedness, float | int) else list(relatedness)
        self.seed = seed
        self.n_features = n_features
        self.n_sines = n_sines
        self.noise = noise
        self.n_rows = {"train": train_rows, "val": val_rows, "test": test_rows}
        self.label_columns: tuple[str, ...] = ()
        if isinstance(self.relatedness, list):
            self.label_columns = tuple(f"related_{i}" for i in range(1, len(self.relatedness) + 1))
        self.kept = pd.DataFrame()
        self.skipped = pd.DataFrame(columns=["path", "reason"])

    def check(self) -> None:
        """Raise `UserError` where a split is too small to have a median, or the list cannot be drawn."""
        for split, n in self.n_rows.items():
            if n < 4:
                raise UserError(f"data.{split}_rows: should be 4 at least, found {n}.")
        if isinstance(self.relatedness, list):
            self._check_list(self.relatedness)

    def _check_list(self, relatedness: list[float | str]) -> None:
        """Raise `UserError` for a list without entries, with a wrong one, or with more than can be drawn."""
        where = "data.relatedness: "
        if not relatedness:
            raise UserError(f"{where}the list is empty. Right would be a number, or one entry per auxiliary.")
        for number, entry in enumerate(relatedness, 1):
            if isinstance(entry, str) and entry not in WORDS:
                hint = nearest(entry, WORDS)
                raise UserError(f"{where}entry {number} is neither a number nor a known word, found {entry!r}. {hint}")
            if not isinstance(entry, str) and (isinstance(entry, bool) or not -1 <= entry <= 1):
                raise UserError(f"{where}entry {number} should be in [-1, 1], found {entry!r}.")
        if self.n_features <= len(relatedness):
            raise UserError(
                f"data.n_features: {len(relatedness)} auxiliaries and the main task have directions of their own, "
                f"so it should be {len(relatedness) + 1} at least, found {self.n_features}."
            )
        if HARMFUL in relatedness and not self.noise:
            raise UserError(
                f"{where}'{HARMFUL}' follows the noise of the main task's labels, and data.noise is 0. "
                "Right would be noise, or no such auxiliary."
            )

    def frames(self) -> pd.DataFrame:
        """A row per "frame": `path`, `class_name`, `video`, `frame`, `split`, in the order of `rows`.

        Of a list also a column per auxiliary, see `label_columns`: 1 for yes, 0 for no.
        """
        n = sum(self.n_rows.values())
        _, main, auxiliaries = self._drawn()
        names = [f"row_{i:06d}" for i in range(n)]
        table = pd.DataFrame(
            {
                "path": pd.Series(names, dtype=pd.StringDtype("pyarrow")),
                "class_name": pd.Categorical.from_codes(
                    main + 2 * auxiliaries[0], dtype=pd.CategoricalDtype(list(CLASSES))
                ),
                "video": pd.Categorical.from_codes(np.arange(n), dtype=pd.CategoricalDtype(names)),
                "frame": np.zeros(n, np.int32),
                "split": pd.Categorical.from_codes(
                    np.repeat(np.arange(len(SPLITS)), list(self.n_rows.values())),
                    dtype=pd.CategoricalDtype(list(SPLITS)),
                ),
            }
        )
        for name, labels in zip(self.label_columns, auxiliaries, strict=bool(self.label_columns)):
            table[name] = labels
        counted = table.groupby(["split", "class_name"], observed=True).size()
        self.kept = counted.rename("frames_kept").reset_index()
        return table

    def features(self) -> np.ndarray:
        """All feature vectors, float32 of shape (n, n_features), in the order of `frames`."""
        return self._drawn()[0]

    def temporal_truth(self) -> None:
        """None: a row is a video of its own, in which nothing begins or ends."""

    def _drawn(self) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """Rows, and the labels of the main task and of the auxiliaries; what the dial changes is drawn last."""
        rng = np.random.default_rng(self.seed)
        n = sum(self.n_rows.values())
        rows = rng.normal(size=(n, self.n_features))
        own, other = rng.normal(size=(2, self.n_features))
        own /= np.linalg.norm(own)
        other -= (other @ own) * own
        other /= np.linalg.norm(other)
        speeds = rng.normal(SPEED, SPEED_SD, self.n_sines)
        shifts = rng.uniform(0, 2 * np.pi, self.n_sines)
        noise = self.noise * rng.normal(size=(2, n))

        def labels(direction: np.ndarray, noise: np.ndarray) -> np.ndarray:
            along = rows @ direction
            return _above_median(along + np.sin(np.outer(along, speeds) + shifts).sum(axis=1) + noise)

        if isinstance(self.relatedness, list):
            auxiliaries = self._auxiliaries(self.relatedness, rows, own, noise[0], labels)
        else:
            towards = self.relatedness * own + np.sqrt(1 - self.relatedness**2) * other
            auxiliaries = [labels(towards, noise[1])]
        return rows.astype(np.float32), labels(own, noise[0]), auxiliaries

    def _auxiliaries(
        self, relatedness: list[float | str], rows: np.ndarray, own: np.ndarray, main_noise: np.ndarray, labels: Labels
    ) -> list[np.ndarray]:
        """Labels by auxiliary; each is drawn from a generator of its own, the same whatever the others are."""
        train, basis, found = self.n_rows["train"], [own], []
        astray = _orthogonal(main_noise[:train] @ rows[:train], basis)
        for number, entry in enumerate(relatedness, 1):
            rng = np.random.default_rng([self.seed, number])
            other = _orthogonal(rng.normal(size=self.n_features), basis)
            basis.append(other)
            noise = self.noise * rng.normal(size=len(rows))
            if entry == RANDOM:
                found.append(_above_median(rng.normal(size=len(rows))))
            elif entry == HARMFUL:
                found.append(labels(astray, noise))
            else:
                share = float(entry)
                found.append(labels(share * own + np.sqrt(1 - share**2) * other, noise))
        return found


def _orthogonal(direction: np.ndarray, basis: list[np.ndarray]) -> np.ndarray:
    """What of a direction is orthogonal to orthonormal ones, with length 1; zeros where nothing is."""
    for one in basis:
        direction = direction - (direction @ one) * one
    return direction / (np.linalg.norm(direction) or 1.0)


def _above_median(value: np.ndarray) -> np.ndarray:
    return (value > np.median(value)).astype(np.int8)
