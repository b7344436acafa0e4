"""Features with their targets, by split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mtl.tasks import UNLABELLED

if TYPE_CHECKING:
    from mtl.features.vectors import FeatureVectors
    from mtl.tasks import Task


@dataclass(frozen=True)
class Dataset:
    """What the loop needs to know of the frames: features, targets, and who belongs where.

    Attributes
    ----------
    features : FeatureVectors
        One per frame of the table.
    targets : mapping of str to int32 ndarray (n_frames,)
        `UNLABELLED` where the task says nothing about the frame.
    frames : DataFrame
        The frame table without images; `split`, `video` and `class_name` are used.
    """

    features: FeatureVectors
    targets: Mapping[str, np.ndarray]
    frames: pd.DataFrame

    def positions(self, split: str) -> np.ndarray:
        """Positions of a split's frames."""
        return np.flatnonzero((self.frames["split"] == split).to_numpy())

    @property
    def is_partial(self) -> bool:
        """Whether some task says nothing about some frame."""
        return any((target == UNLABELLED).any() for target in self.targets.values())

    def labelled(self, positions: np.ndarray) -> np.ndarray:
        """Whether each task says something about each frame, bool of shape (n, n_tasks)."""
        return np.stack([target[positions] != UNLABELLED for target in self.targets.values()], axis=1)

    def gather(self, positions: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Feature vectors and targets by task at positions of any shape, in that shape."""
        features = self.features.take(positions.ravel())
        targets = {name: one[positions] for name, one in self.targets.items()}
        return features.reshape(*positions.shape, *features.shape[1:]), targets

    def trained_classes(self, tasks: Mapping[str, Task]) -> dict[str, np.ndarray]:
        """Per task which of its classes the training frames show, beside others: bool of shape (n_classes,)."""
        train, found = self.positions("train"), {}
        for name, task in tasks.items():
            shown = np.unique(self.targets[name][train])
            positives = task.positives(shown[shown != UNLABELLED])
            found[name] = np.logical_and(positives.any(axis=0), ~positives.all(axis=0))
        return found

    def label_combinations(self, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which targets of the tasks come together in a split, and how often.

        Returns
        -------
        labels : ndarray of int, shape (n_combinations, n_tasks)
            Distinct, in ascending order; `UNLABELLED` stands as such.
        frames, videos : ndarray of int, shape (n_combinations,)
            How many of either have the combination.
        """
        chosen = self.positions(split)
        video = self.frames["video"].cat.codes.to_numpy()[chosen]
        new = np.zeros(len(chosen), bool)
        new[:1] = True
        for column in (video, *(target[chosen] for target in self.targets.values())):
            new[1:] |= column[1:] != column[:-1]
        starts = np.flatnonzero(new)  # frames of a video lie together and are labelled alike: few stretches to count
        lengths = np.diff(starts, append=len(chosen))
        codes = np.zeros(len(starts), np.int64)  # one number per combination: quicker to tell apart than combinations
        values = []
        for target in self.targets.values():
            value, code = np.unique(target[chosen[starts]], return_inverse=True)
            codes = codes * len(value) + code
            values.append(value)
        codes, combination = np.unique(codes, return_inverse=True)
        frames = np.bincount(combination, lengths, minlength=len(codes)).astype(int)
        sizes = [len(value) for value in values]
        places = np.unravel_index(codes, sizes) if len(chosen) else [[] for _ in sizes]
        labels = np.stack([value[np.array(place, int)] for value, place in zip(values, places, strict=True)], axis=1)
        n_videos = int(video.max(initial=0)) + 1
        seen = np.unique(combination * n_videos + video[starts])
        videos = np.bincount(seen // n_videos, minlength=len(codes))
        return labels, frames, videos
