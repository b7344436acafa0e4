"""How far the features of the training frames lie apart, and whether training can see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mtl.features.vectors import FeatureVectors

VISIBLE, VISIBLE_SHARE = 1e-4, 1e-2  # by itself, and of the mean; see `Spread.is_visible`
LOOKED_AT = 1_000  # training frames, to tell the scale
FITTED_ON = 20_000  # training frames, to standardise by: standard deviations to half a percent
BLOCK_BYTES = 32 * 2**20  # of features that are in memory at once, beside their float64 copy


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of every feature.

    Attributes
    ----------
    mean, deviation : ndarray of float64, shape (n_features,)
        Over frames; of feature maps, over frames and positions, per channel.
    n_frames : int
    """

    mean: np.ndarray
    deviation: np.ndarray
    n_frames: int

    @property
    def size(self) -> float:
        """Root mean square of the standard deviations."""
        return float(np.sqrt(np.mean(self.deviation**2)))

    @property
    def level(self) -> float:
        """Root mean square of the means."""
        return float(np.sqrt(np.mean(self.mean**2)))

    @property
    def is_visible(self) -> bool:
        """Whether float32 training sees the differences of frames: `size` is 1e-4 or more, and a hundredth of `level`.

        The shared layer is initialised (he_normal) so that its outputs differ between frames by
        about sqrt(2) `size`, beside about sqrt(2) `level` that is common to all. Gradients are as
        small, and below its epsilon of 1e-7 Adam takes no full steps. Measured with Adam at
        0.001, 350 steps of 32 frames, 128 features and a linear rule whose validation AUC is .97
        once they are standardised: without a mean .91 at 1e-4, .77 at 1e-5, .62 at 1e-6 and .50 at
        1e-11; at a mean of 1, .89 at 0.1, .62 at 0.01 and .56 at 0.001.
        """
        return self.size >= max(VISIBLE, VISIBLE_SHARE * self.level)

    @property
    def is_constant(self) -> np.ndarray:
        """Which features (n_features,) are the same for all frames, as far as a float32 can tell.

        Their standard deviation is no more than the rounding of their mean, or below the
        smallest normal float32, which the graph takes for zero.
        """
        exact = np.finfo(np.float32)
        return self.deviation <= np.maximum(exact.eps * np.abs(self.mean), exact.tiny)

    @property
    def scale(self) -> np.ndarray:
        """What to divide by (n_features,): the standard deviation; 1 for a constant feature, which is only centred."""
        return np.where(self.is_constant, 1.0, self.deviation)

    def warning(self, is_standardised: bool) -> str:
        """One line on features from which training will learn nothing; empty where it can."""
        if self.is_constant.all():
            return (
                f"The features of the training frames do not differ: {self}, which is rounding. There is nothing to "
                "learn from. Right would be other weights or other frames."
            )
        if is_standardised or self.is_visible:
            return ""
        return (
            f"The features of the training frames hardly differ: {self}. Of less than {VISIBLE:g}, or "
            f"{VISIBLE_SHARE:g} of the mean, training in float32 sees little or nothing. "
            "Right would be model.standardise=true, or other weights."
        )

    def __str__(self) -> str:
        return f"standard deviation {self.size:.2g}, mean {self.level:.2g} (root mean squares over features)"


def spread_of(vectors: FeatureVectors, positions: np.ndarray, n_frames: int) -> Spread:
    """Spread of the feature vectors at positions, read in blocks and summed in float64.

    Parameters
    ----------
    vectors : FeatureVectors
    positions : ndarray of int
        Of training frames; not empty.
    n_frames : int
        Of more positions only so many are read, evenly spaced: neighbours are frames of
        one video, so every video has its share.
    """
    if len(positions) > n_frames:
        positions = positions[np.linspace(0, len(positions) - 1, n_frames).astype(int)]
    frame_bytes = max(1, int(np.prod(vectors.shape[1:])) * vectors.dtype.itemsize)
    at_once = max(1, BLOCK_BYTES // frame_bytes)
    first = vectors.take(positions[:1]).astype(np.float64).reshape(-1, vectors.shape[-1])[0]
    count, total, squares = 0, np.zeros_like(first), np.zeros_like(first)
    for i in range(0, len(positions), at_once):
        rows = vectors.take(positions[i : i + at_once]).astype(np.float64).reshape(-1, len(first))
        rows -= first  # else the squares of a large mean would swallow a small deviation
        count += len(rows)
        total += rows.sum(axis=0)
        squares += np.einsum("ij,ij->j", rows, rows)
    shift = total / count
    return Spread(first + shift, np.sqrt(np.maximum(squares / count - shift**2, 0.0)), len(positions))
