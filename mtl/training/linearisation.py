"""Estimates for subsets of a run's tasks, from the run's own model, where only the shared dense layer is trained."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from mtl.relations.linearised import JOINED, DenseModel, Linear, best_penalty, linearise, linearised_aucs
from mtl.seeds import seed_of
from mtl.training.dataset import Dataset

if TYPE_CHECKING:
    from mtl.model.multitask import MultiTaskModel

log = logging.getLogger(__name__)

JUDGES = ("val", "test")  # validation chooses, test judges afterwards
BLOCK = 2048  # frames whose inputs are made at once


class Linearisation:
    """Which subsets are estimated, and how.

    Parameters
    ----------
    most_auxiliaries : int
        Sets of up to so many auxiliaries are estimated, and that of all; 0: none.
    dimensions : int
        To which gradients of logits are projected.
    penalties : sequence of float
        Of the ridge, of which validation frames choose one for all sets.
    most_frames : int
        Training frames that are fitted, drawn where there are more.
    seed : int
        Of the projection, and of the frames.
    """

    def __init__(
        self,
        most_auxiliaries: NonNegativeInt,
        dimensions: PositiveInt,
        penalties: Sequence[PositiveFloat],
        most_frames: PositiveInt,
        seed: int,
    ) -> None:
        self.most_auxiliaries = most_auxiliaries
        self.dimensions = dimensions
        self.penalties = penalties
        self.most_frames = most_frames
        self.seed = seed

    def of(self, model: MultiTaskModel, dataset: Dataset, main_task: str) -> pd.DataFrame | None:
        """Estimated AUC of the main task for subsets of the model's tasks; None where none is wanted or can be had.

        Returns
        -------
        DataFrame or None
            `auxiliaries`, with + between them, and `n_auxiliaries`; `val_auc`, `val_gain` over the main task alone,
            `test_auc`, `test_gain`; the `penalty` that was chosen. The set of none comes first, more behind fewer.
        """
        auxiliaries = [name for name in model.tasks if name != main_task]
        if not self.most_auxiliaries or not auxiliaries:
            return None
        if not model.shares_dense_layer_only:
            log.warning("No subset is estimated: a part of the backbone is trained, and the estimate needs freeze=all.")
            return None
        began = time.perf_counter()
        train, judges = self._linear(model, dataset, main_task)
        unlabelled = [name for name, one in train.items() if not len(one.targets)]
        if unlabelled or not len(judges["val"].targets):
            log.warning("No subset is estimated: no labelled frame of %s.", ", ".join(unlabelled) or "validation")
            return None
        penalty = best_penalty(train, main_task, judges["val"], self.penalties)
        sizes = dict.fromkeys([*range(min(self.most_auxiliaries, len(auxiliaries)) + 1), len(auxiliaries)])
        sets = [chosen for size in sizes for chosen in combinations(auxiliaries, size)]
        found = linearised_aucs(train, main_task, judges, model.tasks[main_task], sets, penalty)
        log.info(
            "subsets: %d estimated in %.1f s, penalty %g of %s",
            len(sets), time.perf_counter() - began, penalty, list(self.penalties),
        )  # fmt: skip
        alone, rows = found[frozenset()], []
        for chosen in sets:
            row: dict[str, object] = {"auxiliaries": JOINED.join(chosen), "n_auxiliaries": len(chosen)}
            for split, auc in found[frozenset(chosen)].items():
                row |= {f"{split}_auc": auc, f"{split}_gain": auc - alone[split]}
            rows.append(row | {"penalty": penalty})
        return pd.DataFrame(rows)

    def _linear(
        self, model: MultiTaskModel, dataset: Dataset, main_task: str
    ) -> tuple[dict[str, Linear], dict[str, Linear]]:
        """Training frames by task, and the main task on the frames that judge by split."""
        layer = DenseModel(
            model.shared.kernel.numpy(),
            model.shared.bias.numpy(),
            {name: (head.kernel.numpy(), head.bias.numpy()) for name, head in model.heads.items()},
        )

        def of(positions: np.ndarray, names: Sequence[str]) -> dict[str, Linear]:
            blocks = [positions[i : i + BLOCK] for i in range(0, max(len(positions), 1), BLOCK)]
            inputs = [model.trained(dataset.features.take(at), training=False).numpy() for at in blocks]
            targets = {name: dataset.targets[name][positions] for name in names}
            return linearise(layer, np.concatenate(inputs), targets, self.dimensions, seed_of(self.seed, "projection"))

        train = dataset.positions("train")
        if len(train) > self.most_frames:
            rng = np.random.default_rng(seed_of(self.seed, "linearised frames"))
            train = np.sort(rng.choice(train, self.most_frames, replace=False))
        judges = {split: of(dataset.positions(split), [main_task])[main_task] for split in JUDGES}
        return of(train, list(model.tasks)), judges
