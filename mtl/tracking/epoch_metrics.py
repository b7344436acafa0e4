"""What is tracked of every epoch, and under which names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtl.results import BEST

if TYPE_CHECKING:
    from mtl.training.history import Epoch


def best_metrics(epoch: Epoch) -> dict[str, float]:
    """`<quantity>_best/<task>` -> value: what the kept epoch brought, beside scores that are of that epoch too."""
    split = ((name.partition("/"), value) for name, value in epoch_metrics(epoch).items())
    return {f"{quantity}{BEST}/{task}": value for (quantity, _, task), value in split}


def epoch_metrics(epoch: Epoch) -> dict[str, float]:
    """`<quantity>/<task>` -> value: the metrics of an epoch, and its columns in `history.csv`, in this order."""
    quantities = {
        "val_loss": epoch.val_losses,
        "val_auc": epoch.val_aucs,
        "val_auc_video_weighted": epoch.weighted_val_aucs,
        "train_loss": epoch.train_losses,
        "weight": epoch.weights,
    }
    return {
        f"{quantity}/{task}": float(value)
        for quantity, values in quantities.items()
        for task, value in zip(epoch.tasks, values, strict=True)
    }
