"""What is tracked of every epoch, and under which names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtl.training.history import Epoch


def epoch_metrics(epoch: Epoch) -> dict[str, float]:
    """`<quantity>/<task>` -> value: the metrics of an epoch, and its columns in `history.csv`, in this order."""
    quantities = {
        "val_loss": epoch.val_losses,
        "val_auc": epoch.val_aucs,
        "train_loss": epoch.train_losses,
        "weight": epoch.weights,
    }
    return {
        f"{quantity}/{task}": float(value)
        for quantity, values in quantities.items()
        for task, value in zip(epoch.tasks, values, strict=True)
    }
