"""How well a surrogate foretells runs that were left out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mtl.screening.measured import Measured
from mtl.screening.predictors import Predictor, fit_forward
from mtl.screening.surrogate import Fitted, left_out_means, nested_left_out, r2


@dataclass(frozen=True)
class Foretold:
    """How well runs that were left out are foretold, on one kind of videos.

    Attributes
    ----------
    fitted : Fitted
    gains, left_out : ndarray of shape (n_runs,)
        Measured, and predicted by what was chosen without the run.
    """

    fitted: Fitted
    gains: np.ndarray
    left_out: np.ndarray

    @property
    def residuals(self) -> np.ndarray:
        """Errors of the predictions, (n_runs,)."""
        return self.gains - self.left_out

    @property
    def r2(self) -> float:
        """Against a gain of zero for every set."""
        return r2(self.gains, self.left_out)

    @property
    def r2_of_mean(self) -> float:
        """Against the mean gain of the other runs for every set."""
        return r2(self.gains, self.left_out, left_out_means(self.gains))


def foretold(measured: Measured, predictors: Mapping[str, Predictor]) -> Foretold:
    """The surrogate, and every run as it is predicted without it."""
    used, gains = measured.members[1:], measured.gains

    def procedure(of: np.ndarray, values: np.ndarray) -> Fitted:
        return fit_forward(of, values, predictors)

    return Foretold(procedure(used, gains), gains, nested_left_out(used, gains, procedure))
