"""A backbone taken apart: the frozen part, the trained part, and where they meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

Layers = Callable[[tf.Tensor], tf.Tensor]


@dataclass(frozen=True, eq=False)
class FrozenPart:
    """The frozen part: a function of the frame, always in inference mode.

    Attributes
    ----------
    spec : mapping
        Everything that determines its numbers besides the frames, fit for JSON.
    image_size : int
    batch_size : int
        Frames per call.
    dtype : numpy dtype
        Of the features.
    layers : callable or None
        uint8 frames (b, h, w, 3), as many sets of them as there are devices -> features;
        None for the identity.
    shape : tuple of int
        Of one frame's features; without meaning for the identity.
    strategy : tf.distribute.Strategy
        Devices that share a batch.
    takes : {"frames", "features"}
        Whether it is given frames, or features that a data set has already.
    in_float32 : callable or None
        Builds the same in float32, where it is in anything less.
    in_graph : callable or None
        Images (b, h, w, 3) of any number type -> features, to be traced within a caller's graph; None for the identity.
    """

    spec: Mapping[str, object]
    image_size: int
    batch_size: int
    dtype: np.dtype
    layers: Layers | None
    shape: tuple[int, ...] = ()
    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)
    in_float32: Callable[[], FrozenPart] | None = None
    takes: Literal["frames", "features"] = "frames"
    in_graph: Layers | None = None

    def feature_shape(self, frame_shape: tuple[int, int]) -> tuple[int, ...]:
        """Shape of one frame's features, for frames of (height, width)."""
        return (*frame_shape, 3) if self.layers is None else self.shape

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features (b, *feature_shape) of uint8 frames (b, h, w, 3)."""
        if self.layers is None:
            return images
        features = self.strategy.experimental_local_results(self.layers(self._given(images)))
        return np.concatenate([share.numpy() for share in features])[: len(images)]

    def on_resident(self, images: np.ndarray) -> Callable[[], None]:
        """The layers on these frames, brought to where they are computed before the first call.

        Parameters
        ----------
        images : ndarray of uint8, shape (b, h, w, 3)

        Raises
        ------
        ValueError
            If there are no layers.
        """
        if self.layers is None:
            raise ValueError("The frozen part is the identity: there is nothing to compute.")
        layers, given = self.layers, self._given(images)

        def forward() -> None:
            for share in self.strategy.experimental_local_results(layers(given)):
                share.numpy()

        return forward

    def _given(self, images: np.ndarray) -> tf.Tensor:
        """Frames as the layers take them: a share of them for each device."""
        n = self.strategy.num_replicas_in_sync
        shares = np.array_split(images if len(images) >= n else np.resize(images, (n, *images.shape[1:])), n)
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(shares[context.replica_id_in_sync_group])
        )


@dataclass(frozen=True)
class TrainedPart:
    """The trained part: features of the frozen part -> features (b, d).

    Attributes
    ----------
    layers : callable
        (features, training) -> (b, d).
    trainable_variables, variables : sequence of keras variables
        In the order of the network; batch norm's statistics are in the second only.
    stages : sequence of str
        The stage of each of the trainable variables.
    graph : str or None
        Equal where `layers` do the same with variables of the same shapes; None: like no other.
    channels : int or None
        Of the feature maps it is given; None where those are features (b, d) already.
    """

    layers: Callable[[tf.Tensor, bool], tf.Tensor]
    trainable_variables: Sequence[keras.Variable]
    variables: Sequence[keras.Variable]
    stages: Sequence[str] = ()
    graph: str | None = None
    channels: int | None = None

    def __call__(self, features: tf.Tensor, training: bool) -> tf.Tensor:
        """Features (b, d)."""
        return self.layers(features, training)


@dataclass(frozen=True)
class SplitBackbone:
    """A backbone taken apart.

    Attributes
    ----------
    frozen : FrozenPart
    trained : TrainedPart
    split_point : str
        Where the cut is, in words.
    n_frozen, n_trained : int
        Parameters on either side.
    precision : str
        Of the layers' arithmetic on either side, as it was found where "auto" was asked for.
    """

    frozen: FrozenPart
    trained: TrainedPart
    split_point: str
    n_frozen: int
    n_trained: int
    precision: str


_frozen: dict[str, SplitBackbone] = {}


def split_once(key: str, make: Callable[[], SplitBackbone]) -> SplitBackbone:
    """The backbone, taken apart; one of which nothing is trained is kept for the next job of the process.

    Parameters
    ----------
    key : str
        Equal where `make` gives the same.
    make : callable
    """
    if key in _frozen:
        return _frozen[key]
    backbone = make()
    if not backbone.n_trained:
        _frozen.clear()  # one at a time: it may be large
        _frozen[key] = backbone
    return backbone


def nothing_trained() -> TrainedPart:
    """The identity, where all of a backbone is frozen or there is none."""
    return TrainedPart(lambda features, training: tf.cast(features, tf.float32), [], [], graph="identity")


def n_parameters(variables: Sequence[tf.Variable]) -> int:
    """Number of parameters in variables."""
    return int(sum(np.prod(v.shape) for v in variables))
