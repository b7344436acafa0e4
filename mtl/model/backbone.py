"""Frames in, features out; and the split point between what is frozen and what is trained."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from pydantic import NonNegativeInt, PositiveInt

from mtl import moved
from mtl.errors import UserError, nearest
from mtl.model import weights_file
from mtl.model.device import all_devices, best_batch_size, best_precision, computing_in, computing_on
from mtl.model.digests import architecture_digest, weights_digest
from mtl.model.networks import pooled, resized
from mtl.model.parts import FrozenPart, Layers, SplitBackbone, TrainedPart, n_parameters, nothing_trained

log = logging.getLogger(__name__)


class Freeze:
    """How many of the backbone's stages, counted from the input, are frozen.

    Parameters
    ----------
    stages : int or "all"
    """

    def __init__(self, stages: NonNegativeInt | Literal["all"]) -> None:
        self.stages = stages


class Backbone:
    """An architecture with its weights, its own preprocessing and its stages.

    Parameters
    ----------
    name : str
    network : callable
        ``network(weights=..., input_shape=(s, s, 3))`` gives a functional Keras
        model that ends in feature maps; any of `keras.applications` does.
    preprocess : callable or None
        Float RGB images in [0, 255] -> what the network was trained on.
    image_size : int
        Side of the square that frames are resized to, in pixels.
    weights : str
        "imagenet", "random", or the path of a weights file.
    stages : mapping of str to str
        From the input on, each stage's name and the name of its last layer; the
        output of that layer must be all that later layers read.
    precision : {"float32", "bfloat16", "auto"}
        Of the layers' arithmetic; variables stay float32. "auto" takes bfloat16
        where the machine computes in it. float32 is never TF32.
    batch_size : int or "auto"
        Frames per call of the frozen part; "auto" goes by the device and the image size.
    seed : int
        Of random weights.
    """

    def __init__(
        self,
        name: str,
        network: Callable[..., keras.Model],
        preprocess: Callable[[Any], Any] | None,
        image_size: PositiveInt,
        weights: str,
        stages: Mapping[str, str],
        precision: Literal["float32", "bfloat16", "auto"],
        batch_size: PositiveInt | Literal["auto"],
        seed: int,
    ) -> None:
        self.name = name
        self.preprocess = preprocess
        self.image_size = image_size
        self.weights = weights
        self.stages = dict(stages)
        self.precision = best_precision() if precision == "auto" else precision
        self.batch_size = best_batch_size(image_size) if batch_size == "auto" else batch_size
        # a GPU would round the factors of float32 products to 10 bits of mantissa, close to bfloat16, without saying so
        tf.config.experimental.enable_tensor_float_32_execution(False)
        keras.utils.set_random_seed(seed)
        with computing_in(self.precision):
            self.network = self._load(network)
        self._architecture = network

    def _twin(self, precision: str) -> Backbone:
        """The same backbone with variables of its own, in another precision or on other devices."""
        twin = copy.copy(self)
        twin.precision = precision
        with computing_in(precision):
            twin.network = self._architecture(weights=None, input_shape=(self.image_size, self.image_size, 3))
        twin.network.set_weights(self.network.get_weights())
        return twin

    def _load(self, network: Callable[..., keras.Model]) -> keras.Model:
        """The network with its weights, or one line on how to get them."""
        shape = (self.image_size, self.image_size, 3)
        if self.weights == "random":
            return network(weights=None, input_shape=shape)
        if self.weights != "imagenet":
            path = weights_file.found(self.weights)
            built = network(weights=None, input_shape=shape)
            weights_file.load(built, path, self.name)
            _check_finite(built, f"backbone.weights={self.weights}")
            return built
        try:
            return network(weights="imagenet", input_shape=shape)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"backbone.weights={self.weights}: {' '.join(str(error).split())}") from error
        except Exception as error:  # keras wraps whatever the download met in a bare Exception
            if "URL fetch failure" not in str(error):
                raise
            raise UserError(self._where_to_get_weights(str(error))) from error

    def _where_to_get_weights(self, failure: str) -> str:
        """One line: where ImageNet weights were looked for, what to download, where to put it, what else to set."""
        url = next((word.rstrip(".:,") for word in failure.split() if word.startswith("http")), "")
        folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
        return (
            f"ImageNet weights of {self.name} are not in {folder} and could not be downloaded. "
            f"Download {url} on a machine that can, put it into {folder}, "
            "or set backbone.weights=/path/to/the/file, or backbone.weights=random to do without."
        )

    def split(self, freeze: Freeze) -> SplitBackbone:
        """The backbone taken apart after the frozen stages.

        Raises
        ------
        UserError
            If more stages are to be frozen than there are.
        """
        n = len(self.stages) if freeze.stages == "all" else freeze.stages
        if n > len(self.stages):
            raise UserError(
                f"freeze.stages: {self.name} has {len(self.stages)} stages ({', '.join(self.stages)}), found {n}."
            )
        if n == 0:
            return self._all_trained()
        if n == len(self.stages):
            return self._all_frozen()
        return self._cut_after(list(self.stages)[n - 1], n)

    def _all_trained(self) -> SplitBackbone:
        """The frozen part is the identity: the features are the frames."""
        spec: Mapping[str, object] = {"backbone": None}
        frozen = FrozenPart(spec, self.image_size, self.batch_size, np.dtype(np.uint8), None)

        def layers(features: tf.Tensor, training: bool) -> tf.Tensor:
            return pooled(self.network(self._front(features), training=training))

        variables = self.network.trainable_variables
        trained = TrainedPart(
            layers, variables, self.network.variables, self._stages_of(variables), self._graph("input", self.network)
        )
        where = "before the first layer: the whole backbone is trained"
        return SplitBackbone(frozen, trained, where, 0, n_parameters(trained.variables), self.precision)

    def _all_frozen(self) -> SplitBackbone:
        """The trained part is the identity: the features are pooled features."""
        if self.weights == "random":
            log.warning("%s is frozen with random weights: its features are arbitrary.", self.name)
        variables = self.network.variables
        shape = (int(self.network.output_shape[-1]),)
        frozen = self._frozen("end", shape, lambda of: lambda x: pooled(of.network(x, training=False)), variables)
        where = "after the last layer: the whole backbone is frozen"
        return SplitBackbone(frozen, nothing_trained(), where, n_parameters(variables), 0, self.precision)

    def _cut_after(self, stage: str, n: int) -> SplitBackbone:
        """The features are the feature maps at the end of a stage."""
        layer = self.stages[stage]
        known = [one.name for one in self.network.layers]
        if layer not in known:
            raise UserError(f"backbone.stages.{stage}: {self.name} has no layer '{layer}'. {nearest(layer, known)}")
        at = self.network.get_layer(layer).output
        first = self._until(layer)
        rest = keras.Model(at, self.network.outputs[0])
        if {id(v) for v in first.variables} & {id(v) for v in rest.variables}:
            raise UserError(f"backbone.stages.{stage}: later layers read past '{layer}', so there is no cut.")
        shape = tuple(int(size) for size in at.shape[1:])
        frozen = self._frozen(layer, shape, lambda of: partial(of._until(layer), training=False), first.variables)
        trained = TrainedPart(
            lambda features, training: pooled(rest(tf.cast(features, rest.inputs[0].dtype), training=training)),
            rest.trainable_variables,
            rest.variables,
            self._stages_of(rest.trainable_variables),
            self._graph(layer, rest),
            channels=shape[-1],
        )
        where = f"after stage {n} of {len(self.stages)}, '{stage}' (layer {layer})"
        return SplitBackbone(
            frozen, trained, where, n_parameters(first.variables), n_parameters(rest.variables), self.precision
        )

    def _stages_of(self, variables: Sequence[keras.Variable]) -> list[str]:
        """The stage of every variable; what comes behind the last one's last layer belongs to it too."""
        position = {layer.name: i for i, layer in enumerate(self.network.layers)}
        ends = [position.get(last, -1) for last in self.stages.values()]
        names = list(self.stages)
        of: dict[int, str] = {}
        for i, layer in enumerate(self.network.layers):
            stage = next((name for name, end in zip(names, ends, strict=True) if i <= end), names[-1])
            of |= {id(variable): stage for variable in layer.variables}
        return [of[id(variable)] for variable in variables]

    def _graph(self, at: str, network: keras.Model) -> str:
        """What determines what the trained part does, besides its variables' values."""
        front = (self.image_size, _dotted(self.preprocess), self.precision)
        return " ".join(map(str, (self.name, architecture_digest(network), at, *front)))

    def _until(self, layer: str) -> keras.Model:
        """The network up to a layer."""
        return keras.Model(self.network.inputs, self.network.get_layer(layer).output)

    def _frozen(
        self,
        at: str,
        shape: tuple[int, ...],
        part: Callable[[Backbone], Layers],
        variables: Sequence[keras.Variable],
    ) -> FrozenPart:
        """The frozen part as one compiled function with its spec; of several devices each has a copy."""
        strategy = all_devices()
        with strategy.scope():
            network = part(self if strategy.num_replicas_in_sync == 1 else self._twin(self.precision))

        def in_graph(images: tf.Tensor) -> tf.Tensor:
            return tf.cast(network(self._front(images)), tf.float32)

        features_of = tf.function(in_graph, input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])

        @tf.function(reduce_retracing=True)
        def layers(shares: tf.Tensor) -> tf.Tensor:
            return strategy.run(lambda images: features_of(images), args=(shares,))

        spec = {
            "backbone": self.name,
            "architecture": architecture_digest(self.network),
            "weights": weights_digest(variables),
            "cut": at,
            "image_size": self.image_size,
            "preprocess": _dotted(self.preprocess),
            "interpolation": "bilinear, antialiased",
            "precision": self.precision,
            "device": computing_on(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }

        def in_float32() -> FrozenPart:
            twin = self._twin("float32")
            return twin._frozen(at, shape, part, twin.network.variables)

        exact = None if self.precision == "float32" else in_float32
        n_frames = self.batch_size * strategy.num_replicas_in_sync
        return FrozenPart(
            spec, self.image_size, n_frames, np.dtype(np.float32), layers, shape, strategy, exact, in_graph=in_graph
        )

    def _front(self, images: tf.Tensor) -> tf.Tensor:
        """Resized and preprocessed images (b, s, s, 3) of uint8 frames of any size."""
        images = resized(tf.cast(images, tf.float32), (self.image_size, self.image_size))
        return images if self.preprocess is None else self.preprocess(images)


class NoBackbone:
    """Nothing between the data and the shared layer: the data set gives features, not frames."""

    def split(self, freeze: Freeze) -> SplitBackbone:
        """Both sides are the identity, however much of nothing is frozen.

        Raises
        ------
        UserError
            If stages are to be frozen.
        """
        if freeze.stages not in (0, "all"):
            raise UserError(
                f"freeze.stages: backbone=none has no stages, found {freeze.stages}; right would be 0 or all."
            )
        frozen = FrozenPart({"backbone": "none"}, 0, 1, np.dtype(np.float32), None, takes="features")
        return SplitBackbone(frozen, nothing_trained(), "nowhere: there is no backbone", 0, 0, "float32")


def _check_finite(network: keras.Model, where: str) -> None:
    """Refuse weights that hold NaN: oneDNN would make zeros of it, which pass for features."""
    broken = [variable.path for variable in network.variables if not np.isfinite(variable.numpy()).all()]
    if broken:
        raise UserError(f"{where}: {len(broken)} of its arrays hold NaN or infinity, the first is {broken[0]}.")


def _dotted(function: Callable[..., object] | None) -> str | None:
    """Module and name of a function, with the arguments that a partial holds."""
    if function is None:
        return None
    if not isinstance(function, partial):
        return moved.first(f"{function.__module__}.{function.__qualname__}")  # a key of what is stored
    held = [*map(repr, function.args), *(f"{name}={value!r}" for name, value in sorted(function.keywords.items()))]
    return f"{_dotted(function.func)}({', '.join(held)})" if held else _dotted(function.func)
