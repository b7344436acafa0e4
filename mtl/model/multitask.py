"""One shared dense layer and a head per task on the trained part of a backbone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
from pydantic import Field, PositiveInt

from mtl.model.placed_heads import PlacedHeads
from mtl.model.slots import Kind, Slots, kinds_of, slots_for
from mtl.model.stacked_heads import ByKind, StackedHeads
from mtl.model.standardise import Standardisation
from mtl.seeds import seed_of
from mtl.tasks import UNLABELLED, Task

if TYPE_CHECKING:
    from mtl.model.parts import SplitBackbone, TrainedPart

Rate = Annotated[float, Field(ge=0, lt=1)]
Compiled = TypeVar("Compiled")
Targets = Mapping[str, tf.Tensor]  # by task, (b,)
KEPT = 16  # models whose compiled functions are kept for the next job of the same graph


class MultiTaskModel:
    """Features of the frozen part in, logits by task name out.

    Every part is initialised from a seed of its own name, so that the shared
    layer starts equal in every task set and only the set differs.

    Parameters
    ----------
    trained : TrainedPart
        Features -> features (b, d).
    n_features : int
        d.
    tasks : mapping of str to Task
    shared_units : int
        Width of the shared dense layer.
    dropout : float
        Rate on the shared layer's output, in [0, 1).
    standardise : bool
        Whether `trained` is given standardised features, see `standardisation`.
    seed : int

    Attributes
    ----------
    standardisation : Standardisation or None
        Of the frozen part's features, per channel where they are maps; to be fitted before training.
    is_partial : bool
        Whether targets may be `UNLABELLED`. False, as a model begins: losses are of a graph that knows of no mask.
    slots : Slots or None
        Places of the heads that the sets of a sweep share; None where the heads are this set's alone.
    stacked : StackedHeads
        The heads of all places as one layer.
    at : tuple of int
        Place in it of each task's head, in task order.
    """

    def __init__(
        self,
        trained: TrainedPart,
        n_features: PositiveInt,
        tasks: Mapping[str, Task],
        shared_units: PositiveInt,
        dropout: Rate,
        standardise: bool,
        seed: int,
    ) -> None:
        self.standardisation = Standardisation(trained.channels or n_features) if standardise else None
        self.trained = self.standardisation.before(trained) if self.standardisation else trained
        self.tasks = dict(tasks)
        self.n_features = n_features
        self.is_partial = False
        self._compiled: dict[Hashable, object] = {}
        self.shared = keras.layers.Dense(
            shared_units, activation="relu", kernel_initializer=_initializer("he_normal", seed, "shared"), name="shared"
        )
        self.dropout = keras.layers.Dropout(dropout, seed=seed_of(seed, "dropout"))
        self.heads = {
            name: keras.layers.Dense(  # Keras takes no slash in a layer's name, so a task's name is not one
                task.units, kernel_initializer=_initializer("glorot_uniform", seed, name), name=f"head_{i}"
            )
            for i, (name, task) in enumerate(tasks.items())
        }
        self._losses = {
            name: keras.losses.get({"class_name": task.loss, "config": {"from_logits": True, "reduction": None}})
            for name, task in tasks.items()
        }
        self.shared.build((None, n_features))
        for head in self.heads.values():
            head.build((None, shared_units))
        self.slots: Slots | None = None
        self.stacked = StackedHeads(list(self.heads.values()), kinds_of(self.tasks))
        self.at = tuple(range(len(self.heads)))

    def __call__(self, features: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """Logits (b, units) by task name."""
        return self.from_shared(self.shared_outputs(self.trained(features, training)), training)

    @cached_property
    def infer(self) -> Any:  # a tf.function, Callable[[tf.Tensor], dict[str, tf.Tensor]]
        """Logits by task name in inference mode, compiled once, for any number of features.

        NaN for a row whose shared outputs are not finite: in a graph oneDNN computes product,
        bias and relu as one operation, which turns NaN into 0, and heads would know nothing of it.
        """

        def logits(features: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs = self.shared_outputs(self.trained(features, training=False))
            sound = tf.math.is_finite(tf.reduce_sum(outputs, axis=1, keepdims=True))
            return {name: tf.where(sound, one, np.nan) for name, one in self.from_shared(outputs, False).items()}

        return tf.function(logits, reduce_retracing=True, autograph=False)

    def inferred(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """What `infer` gives for features (b, ...), with one graph for any number of rows of a shape.

        Without it the first batch that is not full would be traced again. Of heads in `slots` it is one graph for
        every set of tasks as well.
        """
        dtype = tf.as_dtype(features.dtype)
        spec = tf.TensorSpec((None, *features.shape[1:]), dtype)
        key = ("inferred", features.shape[1:], dtype.name)
        if self.slots is None:
            logits = self.compiled(key, lambda: self.infer.get_concrete_function(spec))(tf.constant(features, dtype))
            return {name: one.numpy() for name, one in logits.items()}
        by_kind = self.by_kind
        infer = self.compiled(
            key, lambda: tf.function(self._stacked_inference, autograph=False).get_concrete_function(
                spec, *ByKind.specs()[:2]
            )
        )  # fmt: skip
        found = infer(tf.constant(features, dtype), *by_kind.tensors()[:2]).numpy()
        units = [list(self.tasks.values())[i].units for i in by_kind.order]
        of_heads = np.split(found, np.cumsum(units)[:-1], axis=1)
        return {name: of_heads[i] for name, i in zip(self.tasks, by_kind.positions, strict=True)}

    def _stacked_inference(self, features: tf.Tensor, counts: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Logits (b, n_units) in inference mode of the heads in these rows, NaN as `infer` has it."""
        outputs = self.shared_outputs(self.trained(features, training=False))
        sound = tf.math.is_finite(tf.reduce_sum(outputs, axis=1, keepdims=True))
        logits = self.stacked.taken(counts, rows).logits(self.shared.activation(outputs))
        return tf.where(sound, logits, np.nan)

    @property
    def by_kind(self) -> ByKind:
        """Where the set's heads are, kind by kind."""
        return self.stacked.by_kind(self.at)

    def compiled(self, key: Hashable, build: Callable[[], Compiled]) -> Compiled:
        """What `build` compiles on this model's variables; once per key, with and without a mask."""
        key = (self.is_partial, key)
        if key not in self._compiled:
            self._compiled[key] = build()
        return self._compiled[key]  # type: ignore[return-value]

    @property
    def graph(self) -> Hashable:
        """Models of equal graphs differ in their variables' values alone; None: like no other."""
        if self.trained.graph is None:
            return None
        tasks = tuple((name, task.units, task.loss) for name, task in self.tasks.items())
        return self.trained.graph, self.n_features, tasks, self.shared.units, self.dropout.rate

    @property
    def state(self) -> list[keras.Variable]:
        """Everything that a training changes, or that is fitted before it."""
        return [*(variable for _, variable in self.named_variables()), *self.dropout.variables]

    def shared_outputs(self, features: tf.Tensor) -> tf.Tensor:
        """Outputs of the shared dense layer before its activation, (b, shared_units)."""
        return tf.matmul(features, self.shared.kernel) + self.shared.bias

    def hidden(self, outputs: tf.Tensor, training: bool) -> tf.Tensor:
        """What heads are given, (b, shared_units), from `shared_outputs`."""
        return self.dropout(self.shared.activation(outputs), training=training)

    def from_shared(self, outputs: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """Logits (b, units) by task name, from `shared_outputs` on."""
        hidden = self.hidden(outputs, training)
        return {name: head(hidden) for name, head in self.heads.items()}

    def losses(self, logits: Mapping[str, tf.Tensor], targets: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        """Unweighted mean loss of each task, scalars in task order; of no labelled frame it is 0, as its gradient."""
        losses = self.frame_losses(logits, targets)
        if not self.is_partial:
            return [tf.reduce_mean(loss) for loss in losses.values()]
        counts = {name: tf.math.count_nonzero(targets[name] != UNLABELLED, dtype=tf.float32) for name in losses}
        return [tf.reduce_sum(loss) / tf.maximum(counts[name], 1) for name, loss in losses.items()]

    def frame_losses(self, logits: Mapping[str, tf.Tensor], targets: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Unweighted loss of every frame (b,) by task name.

        Parameters
        ----------
        logits : mapping of str to tensor (b, units)
        targets : mapping of str to int tensor (b,)
            Where one is `UNLABELLED`, of a model that `is_partial`, the loss is 0.
        """
        if self.is_partial:
            known = {name: targets[name] != UNLABELLED for name in self._losses}
            usable = {name: tf.where(known[name], targets[name], 0)[:, None] for name in self._losses}
            losses = {name: loss(usable[name], logits[name]) for name, loss in self._losses.items()}
            return {name: tf.where(known[name], loss, tf.zeros_like(loss)) for name, loss in losses.items()}
        # targets as (b, 1): beside (b, 1) logits a (b,) would broadcast to (b, b)
        return {name: loss(targets[name][:, None], logits[name]) for name, loss in self._losses.items()}

    @property
    def shares_dense_layer_only(self) -> bool:
        """Whether all that is trained and shared is the dense layer."""
        return not self.trained.trainable_variables

    @property
    def trained_variables(self) -> list[keras.Variable]:
        """What the optimizer steps: `shared_variables`, then `head_variables`."""
        layers = [self.shared, *self.heads.values()]
        return [*self.trained.trainable_variables, *(v for layer in layers for v in layer.trainable_variables)]

    @property
    def shared_variables(self) -> list[tf.Variable]:
        """Trained parameters that every task has a gradient on: backbone and shared dense layer."""
        return [v.value for v in [*self.trained.trainable_variables, *self.shared.trainable_variables]]

    @property
    def layer_groups(self) -> dict[str, list[int]]:
        """Positions in `shared_variables` of the backbone's trained stages and of the shared dense layer."""
        stages = self.trained.stages or ["backbone"] * len(self.trained.trainable_variables)
        names = [*stages, *["shared"] * len(self.shared.trainable_variables)]
        return {name: [i for i, of in enumerate(names) if of == name] for name in dict.fromkeys(names)}

    @property
    def head_variables(self) -> list[tf.Variable]:
        """Parameters of the heads, in task order."""
        return [v.value for head in self.heads.values() for v in head.trainable_variables]

    def named_variables(self) -> Iterator[tuple[str, keras.Variable]]:
        """Every variable behind the frozen part under a name of its own, statistics of features included."""
        if self.standardisation:
            yield from self.standardisation.named_variables()
        for i, variable in enumerate(self.trained.variables):
            yield f"backbone/{i:04d}/{variable.path}", variable
        for place, layer in (("shared", self.shared), *((f"head/{name}", head) for name, head in self.heads.items())):
            for variable in layer.variables:
                yield f"{place}/{variable.name}", variable

    def broken(self) -> list[str]:
        """Names of the variables of the trained parts that hold a NaN or an infinity."""
        return [name for name, variable in self.named_variables() if not np.isfinite(variable.numpy()).all()]

    @property
    def n_bytes(self) -> int:
        """Size of `get_weights`."""
        return sum(array.nbytes for array in self.get_weights().values())

    def get_weights(self) -> dict[str, np.ndarray]:
        """Copies of all variables of the trained parts, by name."""
        return {name: np.array(variable.numpy()) for name, variable in self.named_variables()}

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Put `get_weights` back.

        Raises
        ------
        ValueError
            If names or shapes are not this model's.
        """
        own = dict(self.named_variables())
        if sorted(own) != sorted(weights):
            raise ValueError(f"weights of another model: {sorted(set(own) ^ set(weights))[:4]} do not match.")
        for name, variable in own.items():
            variable.assign(weights[name])

    def share(self, slots: Slots) -> None:
        """Put the heads in their places among those that the sets of a sweep share; the others hold zeros."""
        values = self.get_weights()
        self.slots, self.stacked = slots, PlacedHeads(slots, self.shared.units)
        self._take_places()
        self.set_weights(values)

    def take_over(self, other: MultiTaskModel) -> None:
        """Become a model of the same graph: its tasks, and the values of all that is `state`."""
        self.tasks, self._losses = other.tasks, other._losses
        self.__dict__.pop("infer", None)  # of the heads that were the set's
        self._take_places()
        for own, given in zip(self.state, other.state, strict=True):
            own.assign(given.value)

    def _take_places(self) -> None:
        """Let the heads be those in the set's places."""
        if self.slots is not None and isinstance(self.stacked, PlacedHeads):
            self.stacked.empty()
            self.at = self.slots.places(kinds_of(self.tasks))
            self.heads = {name: self.stacked.head(place) for name, place in zip(self.tasks, self.at, strict=True)}


_kept: OrderedDict[Hashable, MultiTaskModel] = OrderedDict()


def reused(model: MultiTaskModel, sets: Iterable[Sequence[Kind]] = ()) -> MultiTaskModel:
    """The first model of this graph in this process, with the values of the one given.

    TensorFlow keeps whatever was compiled until the process ends, some 20 MB per
    training, and tracing costs a second. So the jobs of a sweep that differ in seeds,
    learning rate or data go through the functions that the first of them compiled, and
    where `sets` are given those that differ in the task set do too. All
    state is set to the given model's, so a job's numbers do not depend on what ran before.
    The model that comes back is the process's only one of its graph: a job uses it while
    no other job runs, and keeps no reference to it.

    Parameters
    ----------
    model : MultiTaskModel
    sets : iterable of sequence of (str, int)
        The sets that the sweep trains, each the kinds of its tasks, see `mtl.model.slots`.
    """
    if model.graph is None:
        return model
    slots = slots_for(model.tasks, sets) if model.shares_dense_layer_only else None
    if slots is None:
        graph = model.graph
    else:
        graph = model.trained.graph, model.n_features, slots, model.shared.units, model.dropout.rate
    kept = _kept.setdefault(graph, model)
    _kept.move_to_end(graph)
    if len(_kept) > KEPT:
        _kept.popitem(last=False)
    if kept is not model:
        kept.take_over(model)
    elif slots is not None and model.slots is None:
        model.share(slots)
    return kept


def _initializer(kind: str, seed: int, name: str) -> keras.Initializer:
    """A seeded initialiser for the part of that name."""
    return keras.initializers.get({"class_name": kind, "config": {"seed": seed_of(seed, name)}})


def assemble(
    make: Callable[..., MultiTaskModel],
    backbone: SplitBackbone,
    tasks: Mapping[str, Task],
    feature_shape: tuple[int, ...],
) -> MultiTaskModel:
    """The model behind a backbone's split point, for features of this shape.

    Parameters
    ----------
    make : callable
        Builds the model from `trained`, `n_features` and `tasks`.
    backbone : SplitBackbone
    tasks : mapping of str to Task
    feature_shape : tuple of int
        Of what the frozen part gives for one frame.
    """
    n_features = int(backbone.trained(tf.zeros((1, *feature_shape)), training=False).shape[-1])
    return make(trained=backbone.trained, n_features=n_features, tasks=tasks)
