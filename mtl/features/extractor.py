"""What turns frames into feature vectors of features, as far as the store goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

NOT_FINITE = "holds NaN or infinity"  # a feature vector that nothing can be learned from


class FeatureExtractor(Protocol):
    """The frozen part of a backbone, as far as features go."""

    @property
    def spec(self) -> Mapping[str, object]:
        """What determines its numbers besides the frames, fit for JSON."""

    @property
    def dtype(self) -> np.dtype:
        """Of a feature vector."""

    @property
    def batch_size(self) -> int:
        """Frames per call, at most."""

    def feature_shape(self, frame_shape: tuple[int, int]) -> tuple[int, ...]:
        """Shape of one feature vector for frames of (height, width)."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Feature vectors (b, *feature_shape) of uint8 frames (b, h, w, 3)."""


class FrameSizes:
    """Height and width of a frame as its feature vector: what is kept of frames whose feature vectors are not."""

    spec: Mapping[str, object] = {"backbone": "frame sizes"}
    dtype = np.dtype(np.int32)

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def feature_shape(self, frame_shape: tuple[int, int]) -> tuple[int, ...]:
        """Two numbers, whatever the frame."""
        return (2,)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Height and width of frames that share them, (b, 2)."""
        return np.full((len(images), 2), images.shape[1:3], np.int32)


def checked_vectors(vectors: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Feature vectors as they were promised."""
    if vectors.shape != shape or vectors.dtype != dtype:
        raise ValueError(f"The frozen part gave {vectors.dtype} {vectors.shape} where it promised {dtype} {shape}.")
    return vectors
