"""Everything that one epoch of a training leaves to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

from mtl.training.best_epoch import BestEpoch
from mtl.training.history import Epoch, History
from mtl.training.measurement import Measurement

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from mtl.model.multitask import MultiTaskModel
    from mtl.training.gradient_measurements import GradientMeter
    from mtl.training.steps import Steps

OF_EPOCH = tuple(each.name for each in fields(Epoch) if each.name != "tasks")
OF_MEASUREMENT = tuple(each.name for each in fields(Measurement))
SECONDS = ("seconds", "measurement_seconds", "first_measurement_seconds")


@dataclass
class State:
    """Everything that one epoch of a training leaves to the next.

    The order of frames is not in it: a generator of the same seed that has given as many
    orders gives the same next one. Nor are a weighting's notes on epochs, which are made
    from the losses.

    Attributes
    ----------
    model : MultiTaskModel
        With the state of its dropout.
    steps : Steps
        With weighting and optimizer.
    meter : GradientMeter
    losses, weights : list of ndarray of shape (n_steps, n_tasks)
        Of the steps so far, in runs of steps.
    best : BestEpoch
    history : History
    """

    model: MultiTaskModel
    steps: Steps
    meter: GradientMeter
    history: History
    losses: list[np.ndarray] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    best: BestEpoch = field(default_factory=BestEpoch)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it that is an array, by name: copies, and views of what no step changes."""
        found = {f"{group}/{i:04d}": np.array(variable.numpy()) for group, i, variable in self._variables()}
        found |= {"losses": np.concatenate(self.losses), "weights": np.concatenate(self.weights)}
        found |= {
            f"epochs/{name}": np.stack([getattr(each, name) for each in self.history.epochs]) for name in OF_EPOCH
        }
        for i, one in enumerate(self.meter.found):
            parts = {name: getattr(one, name) for name in OF_MEASUREMENT}
            found |= {f"measured/{i:04d}/{name}": part for name, part in parts.items() if part is not None}
        found["measured_after"] = np.array(self.meter.steps, dtype=np.int64)
        if self.best.weights is not None:
            found |= {f"best/{name}": array for name, array in self.best.weights.items()}
            found["best_val_losses"] = self.best.val_losses
        return found

    def facts(self) -> dict[str, object]:
        """All of it that is no array."""
        seconds = {name: getattr(self.history, name) for name in SECONDS}
        best = {"epoch": self.best.epoch, "judged": float(self.best.judged)}
        return {"variables": self._names(), "best": best, "seconds": seconds}

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, object]) -> int:
        """Put `arrays` and `facts` back; return how many whole epochs they are of.

        Raises
        ------
        ValueError
            If they are of another model, weighting or optimizer; nothing is changed then.
        """
        if facts["variables"] != self._names():
            raise ValueError("it is of another model, weighting or optimizer")
        of_epochs = {name: arrays[f"epochs/{name}"] for name in OF_EPOCH}
        n_epochs = len(of_epochs[OF_EPOCH[0]])
        epochs = [
            Epoch(tuple(self.model.tasks), **{name: of[i] for name, of in of_epochs.items()}) for i in range(n_epochs)
        ]
        numbers = sorted({name.split("/")[1] for name in arrays if name.startswith("measured/")})
        found = [
            Measurement(**{name: arrays.get(f"measured/{i}/{name}") for name in OF_MEASUREMENT})  # type: ignore[arg-type]
            for i in numbers
        ]
        best, seconds = _mapping(facts["best"]), _mapping(facts["seconds"])
        weights = {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith("best/")}
        for group, i, variable in self._variables():
            variable.assign(arrays[f"{group}/{i:04d}"])
        self.losses, self.weights = [arrays["losses"]], [arrays["weights"]]
        self.meter.found, self.meter.steps = found, arrays["measured_after"].tolist()
        if weights:
            val_losses = arrays["best_val_losses"]
            self.best = BestEpoch(int(best["epoch"]), float(best["judged"]), weights, val_losses)
        self.history.epochs = epochs
        for name in SECONDS:
            setattr(self.history, name, float(seconds[name]))
        return n_epochs

    def _variables(self) -> Iterator[tuple[str, int, keras.Variable | tf.Variable]]:
        """Every variable that a step changes: its group and number in it."""
        groups: dict[str, Sequence] = {
            "model": self.model.state,
            "weighting": self.steps.weighting.variables,
            "optimizer": self.steps.state,
        }
        for group, variables in groups.items():
            yield from ((group, i, variable) for i, variable in enumerate(variables))

    def _names(self) -> list[list[object]]:
        """What tells variables of another training from these: names of the model's, shapes of all."""
        named = [name for name, _ in self.model.named_variables()]
        names = {("model", i): name for i, name in enumerate(named)}
        return [
            [group, names.get((group, i), ""), [int(n) for n in variable.shape]]
            for group, i, variable in self._variables()
        ]


def _mapping(found: object) -> Mapping[str, float]:
    if not isinstance(found, Mapping):
        raise ValueError("its facts are not whole")
    return found
