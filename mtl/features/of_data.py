"""Features of all frames of a data set, whether it gives frames or features itself."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from mtl.data.frames import FrameRoot, read_frame
from mtl.errors import UserError
from mtl.features.feature_key import Stats
from mtl.features.features import Features, given
from mtl.features.store import FeatureStore
from mtl.features.vectors import FiledVectors
from mtl.terminal import progress

if TYPE_CHECKING:
    from mtl.model.parts import FrozenPart

COSINE, COMPARED = "cosine_to_float32", 32  # frames whose features are computed in float32 too


class FrameSource(Protocol):
    """A data set, as far as its features go."""

    @property
    def name(self) -> str:
        """As in `data=<name>`."""

    @property
    def root(self) -> FrameRoot | None:
        """Where the frames lie; None where there are no files."""

    def features(self) -> np.ndarray | FiledVectors | None:
        """Features that the data set has already, a row per frame; None where it has frames."""


def features_of(
    data: FrameSource, frames: pd.DataFrame, frozen: FrozenPart, store: FeatureStore, found: Stats
) -> Features:
    """What the frozen part gives for every frame; what is on disk already is not computed again.

    Parameters
    ----------
    data : FrameSource
    frames : DataFrame
        Its frame table.
    frozen : FrozenPart
    store : FeatureStore
    found : Stats
        Of the frames' files.

    Raises
    ------
    UserError
        If the data set gives frames and the backbone takes features, or the other way round.
    """
    given_features = data.features()
    if frozen.takes == "features" and given_features is None:
        raise UserError(f"data={data.name} gives frames, the backbone takes features; right would be another backbone.")
    if frozen.takes == "frames" and given_features is not None:
        raise UserError(f"data={data.name} gives features, the backbone takes frames; right would be backbone=none.")
    if given_features is not None:
        return given(frames, given_features, store.memory_gib)
    assert data.root is not None  # a data set without files gives features
    with ExitStack() as stack:
        bar: list[Any] = []

        def start(total: int) -> None:
            bar.append(stack.enter_context(progress("frames -> features", total, "frames")))

        def advance(n: int) -> None:
            bar[0](n)

        return store.of(frames, data.root, frozen, progress=advance, on_start=start, found=found)


def cosine_to_float32(frozen: FrozenPart, root: FrameRoot, features: Features) -> float:
    """Mean cosine to float32 features of frames from all over the table, of one size; measured once per archive."""
    from mtl.model import device

    assert features.archive is not None  # what is computed has a place
    known = features.archive.noted(COSINE)
    if known is not None:
        return known
    at = np.unique(np.linspace(0, len(features.frames) - 1, min(COMPARED, frozen.batch_size)).astype(int))
    images = [read_frame(root, path) for path in features.frames["path"].iloc[at]]
    same = [i for i, image in enumerate(images) if image.shape == images[0].shape]
    cosine = device.cosine_to_float32(frozen, np.stack([images[i] for i in same]), features.vectors.take(at[same]))
    features.archive.note(COSINE, cosine)
    return cosine
