"""What one head predicts: labels -> targets, units, loss, scores, probabilities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Protocol

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.special import expit, logsumexp, softmax

from mtl.errors import UserError, misspelt

NORMAL = "Normal"  # the class that is no anomaly
JOINED = "-"  # between the labels of a class that has several
UNLABELLED = -1  # the target of a frame about which the task says nothing
LONGEST_NAME = 100  # characters, so that a file may be named after a task in any script
# what every place takes where a name stands: columns, metrics of MLflow, names of files; other scripts have letters too
_NAME = re.compile(r"(?!.*\s$)\w[\w .-]*")
Probability = Annotated[float, Field(ge=0, le=1)]


class Task(Protocol):
    """What a head needs to know of its task.

    Attributes
    ----------
    units : int
        Width of the head's logits.
    loss : str
        Class name of the Keras loss that takes these logits and targets.
    classes : tuple of str
        One name per class that is told apart, each scored as a question of yes
        or no: a single one for a binary task, one per class otherwise.
    """

    units: int
    loss: str
    classes: tuple[str, ...]

    def check(self, known: Sequence[str]) -> None:
        """Raise `UserError` where the task names a class that is not in `known`."""

    def targets(self, frames: pd.DataFrame) -> np.ndarray:
        """Class index of every frame, or `UNLABELLED`; int32 of shape (n_frames,)."""

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Probability per column, shape (n_frames, len(classes)), from logits (n_frames, units)."""

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """What frames are ranked by, see `log_odds`: (n_frames, len(classes)), from logits (n_frames, units)."""

    def positives(self, targets: np.ndarray) -> np.ndarray:
        """Whether each class is the right one, bool of shape (n_frames, len(classes)); of labelled frames."""


def check_name(name: str) -> None:
    """Raise `UserError` where a task, or a measure, has a name that columns, metrics and files could not bear."""
    if _NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return
    right = re.sub(r"_* +_*", " ", re.sub(r"[^\w .-]+", "_", name)).strip("_ .-")[:LONGEST_NAME].rstrip("_ ")
    more = f" Right would be '{right}'." if right else ""
    raise UserError(
        f"is no name: right are letters and digits of any script, then blanks, '_', '-' and '.' too, at most "
        f"{LONGEST_NAME} in all, found {name!r}.{more}"
    )


def check_classes(named: Sequence[str], known: Sequence[str]) -> None:
    """Raise `UserError` where classes are named that the data set lacks, or named twice."""
    lacking = [name for name in named if name not in known]
    if lacking:
        raise UserError(f"names classes the data set lacks: {lacking}. {misspelt(lacking[0], known)}")
    twice = sorted({name for name in named if list(named).count(name) > 1})
    if twice:
        raise UserError(f"names classes twice: {twice}.")
    if not named:
        raise UserError("names no class.")


def check_unlabelled(named: Sequence[str], unlabelled: Sequence[str], known: Sequence[str]) -> None:
    """Raise `UserError` where `unlabelled` names an unknown class, one twice, or one that the task asks for."""
    if unlabelled:
        try:
            check_classes(unlabelled, known)
        except UserError as error:
            raise UserError(f"in its `unlabelled` {error}") from None
    both = sorted(set(named) & set(unlabelled))
    if both:
        raise UserError(f"names classes both in `classes` and in `unlabelled`: {both}; right would be in one of them.")


class BinaryTask:
    """Yes or no: does the frame's class belong to these classes?

    Parameters
    ----------
    classes : sequence of str or None
        Canonical class names that count as yes; None leaves them to the data set, see `of_data`.
    unlabelled : sequence of str
        Canonical class names about which the task says nothing: neither yes nor no.
    """

    units = 1
    loss = "BinaryCrossentropy"

    def __init__(self, classes: Sequence[str] | None, unlabelled: Sequence[str] = ()) -> None:
        self.named_classes = tuple(classes or ())
        self.unlabelled = tuple(unlabelled)
        self.classes: tuple[str, ...] = ("yes",)

    @staticmethod
    def of_data(known: Sequence[str]) -> list[str]:
        """What counts as yes where the config leaves it to the data set: every class but the normal one."""
        if NORMAL not in known:
            raise UserError(
                f"asks for every class but the normal one, and the data set has none, only {', '.join(known)}. "
                "Right would be data.normal=CLASS, or classes of its own."
            )
        return [name for name in known if name != NORMAL]

    def check(self, known: Sequence[str]) -> None:
        """Raise `UserError` where a class is unknown, or where all labelled ones would be yes."""
        check_classes(self.named_classes, known)
        check_unlabelled(self.named_classes, self.unlabelled, known)
        if set(self.named_classes) | set(self.unlabelled) == set(known):
            rest = " that is not in `unlabelled`" if self.unlabelled else ""
            raise UserError(f"names every class of the data set{rest}, so no frame would be a no.")

    def targets(self, frames: pd.DataFrame) -> np.ndarray:
        """1 where the frame's class is one of `classes`, -1 where it is `unlabelled`, else 0; int32, (n_frames,)."""
        is_yes = frames["class_name"].isin(self.named_classes).to_numpy().astype(np.int32)
        return np.where(frames["class_name"].isin(self.unlabelled), np.int32(UNLABELLED), is_yes)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Logistic of the logits, shape (n_frames, 1); NaN where a logit is not finite."""
        return expit(_finite(logits)).reshape(-1, 1)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """The logits, float64 of shape (n_frames, 1); NaN where one is not finite."""
        return log_odds(logits.reshape(-1, 1))

    def positives(self, targets: np.ndarray) -> np.ndarray:
        """The targets as a column of bool, shape (n_frames, 1)."""
        return targets.reshape(-1, 1) == 1


class LabelTask(BinaryTask):
    """Yes or no: is one of these labels among those of the frame's class, which may have several?

    Parameters
    ----------
    labels : sequence of str
        Those that count as yes: label B2 is in the classes `B2` and `B2-G`.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(labels, ())

    def check(self, known: Sequence[str]) -> None:
        """Raise `UserError` where a label is in no class, or where every class would be yes."""
        check_classes(self.named_classes, list(dict.fromkeys(label for name in known for label in name.split(JOINED))))
        if all(map(self._is_yes, known)):
            raise UserError("names labels of every class of the data set, so no frame would be a no.")

    def targets(self, frames: pd.DataFrame) -> np.ndarray:
        """1 where a label of the frame's class is one of `labels`, else 0; int32 of shape (n_frames,)."""
        names = frames["class_name"].astype("category").cat
        return np.array([self._is_yes(str(name)) for name in names.categories], np.int32)[names.codes]

    def _is_yes(self, class_name: str) -> bool:
        return not set(self.named_classes).isdisjoint(class_name.split(JOINED))


class CategoricalTask:
    """Which one of these classes is the frame?

    Parameters
    ----------
    classes : sequence of str or None
        Canonical class names in the order of the logits. None leaves them to the data set, see `of_data`.
    unlabelled : sequence of str
        Canonical class names about which the task says nothing; together with `classes` they
        must be every class of the data set, so that no frame is without a target by mistake.
    """

    loss = "SparseCategoricalCrossentropy"

    def __init__(self, classes: Sequence[str] | None, unlabelled: Sequence[str] = ()) -> None:
        self.named_classes = tuple(classes or ())
        self.unlabelled = tuple(unlabelled)
        self.classes = self.named_classes
        self.units = len(self.named_classes)

    @staticmethod
    def of_data(known: Sequence[str]) -> list[str]:
        """The classes where the config leaves them to the data set: all, in its order."""
        return list(known)

    def check(self, known: Sequence[str]) -> None:
        """Raise `UserError` where a class is unknown or missing."""
        check_classes(self.named_classes, known)
        check_unlabelled(self.named_classes, self.unlabelled, known)
        missing = sorted(set(known) - {*self.named_classes, *self.unlabelled})
        if missing:
            raise UserError(
                f"leaves frames without a target, their classes are not named: {missing}. "
                f"Where the task is to say nothing about them, name them in its `unlabelled`."
            )

    def targets(self, frames: pd.DataFrame) -> np.ndarray:
        """Position of the frame's class in `classes`, -1 where it is `unlabelled`; int32 of shape (n_frames,)."""
        position = dict.fromkeys(self.unlabelled, UNLABELLED) | {name: i for i, name in enumerate(self.named_classes)}
        return frames["class_name"].astype(str).map(position).to_numpy().astype(np.int32)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Softmax of the logits, shape (n_frames, n_classes); NaN where one of a frame's is not finite."""
        return softmax(_finite(logits), axis=1)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Log-odds of each class against the rest, (n_frames, n_classes); NaN where a frame's logit is not finite."""
        return log_odds(logits)

    def positives(self, targets: np.ndarray) -> np.ndarray:
        """One-hot targets as bool, shape (n_frames, n_classes)."""
        return targets[:, None] == np.arange(self.units)


class ColumnTask(BinaryTask):
    """Yes or no, as a column of the data set's frame table says.

    Parameters
    ----------
    column : str
        Holds 1 for yes, 0 for no and -1 for frames about which the task says nothing.
    """

    def __init__(self, column: str) -> None:
        super().__init__((), ())
        self.column = column

    def check(self, known: Sequence[str]) -> None:
        """A column names no class: see `check_columns`."""

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raise `UserError` where the column is not one of those that the data set has labels in."""
        if self.column not in columns:
            has = f"it has {', '.join(columns)}" if columns else "it has none"
            raise UserError(f"reads its labels in a column that the data set lacks, {self.column!r}: {has}.")

    def targets(self, frames: pd.DataFrame) -> np.ndarray:
        """The column, int32 of shape (n_frames,)."""
        return frames[self.column].to_numpy().astype(np.int32)


class RandomTask(BinaryTask):
    """A coin per video: the control that must not help.

    Parameters
    ----------
    probability : float
        Chance of a yes, in [0, 1].
    seed : int
        The coin's seed. A video's coin depends on its name and on this only, so
        it is the same in every run and whatever other videos there are.
    """

    def __init__(self, probability: Probability, seed: int) -> None:
        super().__init__((), ())
        self.probability = probability
        self.seed = seed

    def check(self, known: Sequence[str]) -> None:
        """A coin names no class: nothing to check."""

    def targets(self, frames: pd.DataFrame) -> np.ndarray:
        """The coin of each frame's video, int32 of shape (n_frames,)."""
        videos = frames["video"].astype("category").cat
        names = pd.Series(videos.categories.astype(str) + f"#{self.seed}")
        uniform = pd.util.hash_pandas_object(names, index=False).to_numpy() / 2.0**64
        return (uniform < self.probability).astype(np.int32)[videos.codes]


def log_odds(logits: np.ndarray) -> np.ndarray:
    """Log-odds of every class, in float64: they rank frames as probabilities do, but never saturate.

    A float32 logistic is 1 from a logit of about 17 on, a float64 one from 37 on: frames that
    the model tells apart would be tied.

    Parameters
    ----------
    logits : ndarray of shape (n_frames, units)

    Returns
    -------
    ndarray of float64, shape (n_frames, units)
        A single unit's logit as it is: the log-odds of its logistic. Of several units
        ``z_c - log(sum of exp(z_k) over k != c)``: the log-odds of class c in their
        softmax. NaN where one of a frame's logits is not finite.
    """
    found = _finite(logits)
    if found.shape[1] < 2 or not len(found):
        return found
    rows, top = np.arange(len(found)), found.argmax(axis=1)
    shares = np.exp(found - found[rows, top][:, None])
    # without class c; at least 1 but for the largest, whose rest has a scale of its own
    rest = shares.sum(axis=1, keepdims=True) - shares
    rest[rows, top] = 1
    odds = found - found[rows, top][:, None] - np.log(rest)
    others = found.copy()
    others[rows, top] = -np.inf
    odds[rows, top] = found[rows, top] - logsumexp(others, axis=1)
    odds[np.isnan(found).any(axis=1)] = np.nan
    return odds


def _finite(logits: np.ndarray) -> np.ndarray:
    """Logits as float64, NaN for what is not finite: the logistic of an infinity would pass for a sure answer."""
    return np.where(np.isfinite(logits), logits.astype(np.float64), np.nan)
