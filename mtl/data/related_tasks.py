"""Two tasks whose relatedness is known: features drawn on purpose, no frames.

To see what a gain, a verdict and a measure between tasks can tell, and what they
cannot, where the answer is known beforehand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from mtl.errors import UserError

# which of the two tasks say yes to a feature vector
CLASSES = ("neither", "main_only", "auxiliary_only", "both")
SPLITS = ("train", "val", "test")
SPEED, SPEED_SD = 1.0, 0.5  # of the sines


class RelatedTasks:
    """Feature vectors with the labels of two tasks that share as much as the dial says.

    A task's value is ``y = w.x + sum_k sin(a_k w.x + b_k) + noise`` of a feature vector x of
    independent normal features, and its label whether y is above the median. Both
    tasks have the same sines; the cosine between their directions w is the
    relatedness. Every vector is a video of its own, so an interval by video is one by
    vector. The vectors and the main task's labels do not depend on the relatedness.

    Parameters
    ----------
    relatedness : float
        In [-1, 1]. At 1 the auxiliary is the main task again, with noise of its own;
        at 0 it has nothing to give.
    seed : int
        Of all that is drawn; not the run's seed, so that the runs of a sweep share it.
    n_features : int
        Length of a feature vector, 2 at least: the two directions are to differ.
    n_sines : int
    noise : float
        Standard deviation of what no direction explains.
    train_rows, val_rows, test_rows : int

    Attributes
    ----------
    classes : tuple of str
        Which of the two tasks say yes.
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
        relatedness: Annotated[float, Field(ge=-1, le=1)],
        seed: NonNegativeInt,
        n_features: Annotated[int, Field(ge=2)],
        n_sines: NonNegativeInt,
        noise: NonNegativeFloat,
        train_rows: PositiveInt,
        val_rows: PositiveInt,
        test_rows: PositiveInt,
    ) -> None:
        self.relatedness = relatedness
        self.seed = seed
        self.n_features = n_features
        self.n_sines = n_sines
        self.noise = noise
        self.n_rows = {"train": train_rows, "val": val_rows, "test": test_rows}
        self.kept = pd.DataFrame()
        self.skipped = pd.DataFrame(columns=["path", "reason"])

    def check(self) -> None:
        """Raise `UserError` where a split is too small to have a median with vectors on either side."""
        for split, n in self.n_rows.items():
            if n < 4:
                raise UserError(f"data.{split}_rows: should be 4 at least, found {n}.")

    def frames(self) -> pd.DataFrame:
        """A row per "frame": `path`, `class_name`, `video`, `frame`, `split`, in the order of `rows`."""
        n = sum(self.n_rows.values())
        _, main, auxiliary = self._drawn()
        names = [f"row_{i:06d}" for i in range(n)]
        table = pd.DataFrame(
            {
                "path": pd.Series(names, dtype=pd.StringDtype("pyarrow")),
                "class_name": pd.Categorical.from_codes(main + 2 * auxiliary, dtype=pd.CategoricalDtype(list(CLASSES))),
                "video": pd.Categorical.from_codes(np.arange(n), dtype=pd.CategoricalDtype(names)),
                "frame": np.zeros(n, np.int32),
                "split": pd.Categorical.from_codes(
                    np.repeat(np.arange(len(SPLITS)), list(self.n_rows.values())),
                    dtype=pd.CategoricalDtype(list(SPLITS)),
                ),
            }
        )
        counted = table.groupby(["split", "class_name"], observed=True).size()
        self.kept = counted.rename("frames_kept").reset_index()
        return table

    def features(self) -> np.ndarray:
        """All feature vectors, float32 of shape (n, n_features), in the order of `frames`."""
        return self._drawn()[0]

    def temporal_truth(self) -> None:
        """None: a row is a video of its own, in which nothing begins or ends."""

    def _drawn(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, and the labels of both tasks; what the dial changes is drawn last."""
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
        towards = self.relatedness * own + np.sqrt(1 - self.relatedness**2) * other

        def labels(direction: np.ndarray, noise: np.ndarray) -> np.ndarray:
            along = rows @ direction
            value = along + np.sin(np.outer(along, speeds) + shifts).sum(axis=1) + noise
            return (value > np.median(value)).astype(np.int8)

        return rows.astype(np.float32), labels(own, noise[0]), labels(towards, noise[1])
