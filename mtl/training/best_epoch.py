"""Which epoch of a training is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mtl.model.multitask import MultiTaskModel


@dataclass
class BestEpoch:
    """The epoch to go back to: its number, how it was judged, and the weights it left."""

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
