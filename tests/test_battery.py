"""What if one input is NaN, infinite, constant, empty, of one class, tied, permuted, duplicated, scaled by 1e6?

Asked of every relation and weighting that `conf/` has, of every score an evaluation gives and of the whole report of
a sweep, so that a new one is asked the day it lands. One rule for all: a number is finite and within its bounds, or
NaN with a reason.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, asked, moved_on, sampled, shared_shapes, update_of
from test_ablation import entry, predictions

from mtl.ablation.comparison import Comparison, compare
from mtl.evaluation.evaluation import Evaluated, Evaluation
from mtl.evaluation.predictions import predictions_table
from mtl.numbers import known
from mtl.results import Relation
from mtl.tasks import BinaryTask, CategoricalTask, Task
from mtl.trace import Trace

if TYPE_CHECKING:
    from mtl.weighting.base import Weighting

NAN, INF = float("nan"), float("inf")
CLASSES = ("Abuse", "Arson", "Normal")
TASKS: dict[str, Task] = {"anomaly": BinaryTask(CLASSES[:2], []), "kind": CategoricalTask(CLASSES, [])}


# --- scores -----------------------------------------------------------------------------------------------------------


def logits_and_frames(classes: tuple[str, ...] = CLASSES * 6, n: int = 6) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Logits by task of a model that is somewhat right, and the frames."""
    rng = np.random.default_rng(0)
    frames = pd.DataFrame({"split": "test", "video": np.repeat([f"v{i:02d}" for i in range(len(classes))], n)})
    frames["frame"] = np.tile(np.arange(n), len(classes))
    frames["class_name"] = np.repeat(np.array(classes, dtype=object), n)
    logits = {}
    for name, task in TASKS.items():
        right = task.positives(task.targets(frames))
        logits[name] = (right + rng.normal(size=right.shape)).astype(np.float32)
    return logits, frames


def scored(logits: dict[str, np.ndarray], frames: pd.DataFrame) -> Evaluated:
    """Every score; a warning of numpy is an error."""
    targets = {name: task.targets(frames) for name, task in TASKS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Evaluation(100, seed=0, threshold=0.5, alarm_gap_s=1.0).evaluate(
            predictions_table(frames, targets, logits, TASKS), TASKS
        )


def sound(evaluated: Evaluated) -> None:
    """Every score is in [0, 1] within its interval, or NaN with a reason."""
    for name, score in evaluated.scores.items():
        assert known(name) is not None, name
        if np.isnan(score.value):
            assert score.reason, name
            assert np.isnan([score.low, score.high]).all(), name
        else:
            assert 0 <= score.value <= 1, name
            assert np.isnan(score.low) or 0 <= score.low <= score.high <= 1, name


# each test below asks for one score of what is evaluated once


@cache
def whole() -> Evaluated:
    """Of nothing that went wrong."""
    return scored(*logits_and_frames())


@cache
def one_logit(broken: str, bad: float) -> Evaluated:
    """One logit of one task is bad."""
    logits, frames = logits_and_frames()
    found = scored(logits | {broken: np.where(np.arange(len(frames)) == 7, bad, logits[broken].T).T}, frames)
    sound(found)
    return found


@cache
def all_constant() -> Evaluated:
    """Every logit is the same."""
    logits, frames = logits_and_frames()
    found = scored({task: np.full_like(one, 3) for task, one in logits.items()}, frames)
    sound(found)
    return found


@cache
def nothing_and_alone() -> tuple[Evaluated, Evaluated]:
    """Of no frame at all, and of one class alone."""
    logits, frames = logits_and_frames()
    nothing = scored({task: one[:0] for task, one in logits.items()}, frames.iloc[:0])
    alone = scored(*logits_and_frames(("Normal",) * 6))
    for found in (nothing, alone):
        sound(found)
    return nothing, alone


@cache
def listed_otherwise() -> tuple[Evaluated, Evaluated, Evaluated]:
    """As they are, in another order, and all twice; with ties."""
    logits, frames = logits_and_frames()
    logits = {task: one.round(1) for task, one in logits.items()}
    order = np.random.default_rng(1).permutation(len(frames))
    twice = np.tile(np.arange(len(frames)), 2)
    expected, shuffled, doubled = (
        scored({task: one[at] for task, one in logits.items()}, frames.iloc[at].reset_index(drop=True))
        for at in (np.arange(len(frames)), order, twice)
    )
    for found in (shuffled, doubled):
        sound(found)
    return expected, shuffled, doubled


SCORES = sorted(whole().scores)
BROKEN = [NAN, INF, -INF]


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("bad", BROKEN)
def test_a_logit_that_is_not_finite_leaves_no_score_of_its_task_and_all_of_the_other(name: str, bad: float) -> None:
    task = re.split(r"[/.]", name)[1]
    for broken in TASKS:
        score = one_logit(broken, bad).scores[name]
        assert np.isnan(score.value) if broken == task else score == whole().scores[name]


@pytest.mark.parametrize("name", [name for name in SCORES if "auc" in name])
def test_constant_scores_rank_nothing(name: str) -> None:
    assert all_constant().scores[name].value == pytest.approx(0.5)


@pytest.mark.parametrize("name", SCORES)
def test_no_frame_or_one_class_leaves_no_score_and_a_reason(name: str) -> None:
    nothing, alone = nothing_and_alone()
    assert np.isnan(nothing.scores[name].value)
    if "auc" in name or name.endswith("/anomaly"):
        assert np.isnan(alone.scores[name].value)


@pytest.mark.parametrize("name", SCORES)
def test_scores_do_not_know_the_order_of_frames_nor_how_often_all_are_listed(name: str) -> None:
    expected, *others = (found.scores[name] for found in listed_otherwise())
    for score in others:
        np.testing.assert_allclose(vars(score)["value"], expected.value, atol=1e-9)
        np.testing.assert_allclose([score.low, score.high], [expected.low, expected.high], atol=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scores_of_logits_of_any_scale_are_sound_and_rank_alike(scale: float) -> None:
    logits, frames = logits_and_frames()
    found = scored({task: one * np.float32(scale) for task, one in logits.items()}, frames)
    sound(found)
    for name in ("auc/anomaly", "average_precision/anomaly", "video_auc_max/anomaly", "f1/anomaly", "f1/kind"):
        assert found.scores[name].value == pytest.approx(whole().scores[name].value)


# --- relations --------------------------------------------------------------------------------------------------------

STEPS, EPOCHS, BATCHES, VIDEOS, PER_VIDEO = 60, 4, 3, 24, 3
UNBOUNDED = ("affinity", "path_affinity", "condition_number")


def every_relation() -> list:
    """The function of every yaml with its numbers, of few resamples."""
    found = []
    for path in sorted((ROOT / "conf" / "relations").glob("*.yaml")):
        ((name, node),) = yaml.safe_load(path.read_text(encoding="utf-8")).items()
        module, function = node.pop("_target_").rsplit(".", 1)
        del node["_partial_"]
        node |= {"resamples": 40} if "resamples" in node else {}
        found.append(pytest.param(partial(getattr(import_module(module), function), **node), id=name))
    return found


def arrays(n_tasks: int = 3) -> dict[str, np.ndarray]:
    """What a training of so many tasks leaves behind."""
    rng = np.random.default_rng(0)
    n_measured = EPOCHS * BATCHES
    gradients = rng.normal(size=(n_measured, n_tasks, 50))
    video = np.repeat(np.arange(VIDEOS), PER_VIDEO)
    gramians = np.einsum("bik,bjk->bij", gradients, gradients)
    return {
        "losses": rng.lognormal(size=(STEPS * EPOCHS, n_tasks)),
        "gramians": gramians,
        "mean_gramians": gramians.reshape(EPOCHS, BATCHES, n_tasks, n_tasks).mean(axis=1),
        "affinities": rng.normal(0, 0.1, size=(n_measured, n_tasks, n_tasks)),
        "permuted_cosines": rng.normal(0, 0.1, size=(n_measured, n_tasks, n_tasks)),
        "update_rates": rng.normal(0, 0.1, size=(n_measured, n_tasks, n_tasks)),
        "val_losses": rng.lognormal(size=(len(video), n_tasks)),
        "val_videos": video,
        "val_classes": video % 4,
        "labels": np.stack([np.arange(VIDEOS) % (i + 2) for i in range(n_tasks)], axis=1),
        "label_frames": np.full(VIDEOS, PER_VIDEO),
        "label_videos": np.ones(VIDEOS, int),
    }


def trace_of(found: dict[str, np.ndarray]) -> Trace:
    """The trace of these arrays."""
    n_steps, n_tasks = found["losses"].shape
    steps = np.repeat(np.arange(1, EPOCHS + 1) * STEPS, BATCHES)[: len(found["gramians"])]
    named = {"tasks": tuple("abcdef"[:n_tasks]), "weights": np.ones((n_steps, n_tasks)), "steps_per_epoch": STEPS}
    return Trace(**named, measurement_steps=steps, **found)


FLOATS = ("losses", "gramians", "mean_gramians", "affinities", "permuted_cosines", "update_rates", "val_losses")


def with_one(bad: float) -> dict[str, np.ndarray]:
    """One number of every array of numbers is bad, always the first task's."""
    found = {name: value.copy() for name, value in arrays().items()}
    for name in FLOATS:
        found[name][(0,) * found[name].ndim] = bad
    return found


def constant() -> dict[str, np.ndarray]:
    """Nothing ever changes, in no direction."""
    return {name: np.ones_like(value) if name not in ("val_videos",) else value for name, value in arrays().items()}


def empty() -> dict[str, np.ndarray]:
    """Nothing was recorded."""
    return {name: value[:0] for name, value in arrays().items()}


def scaled() -> dict[str, np.ndarray]:
    """Losses and gradients of the first task a million times as large, as a badly chosen unit makes them."""
    found = {name: value.copy() for name, value in arrays().items()}
    for name in ("losses", "val_losses"):
        found[name][:, 0] *= 1e6
    for name in ("gramians", "mean_gramians"):
        found[name][:, 0, :] *= 1e6
        found[name][:, :, 0] *= 1e6
    return found


def duplicated() -> dict[str, np.ndarray]:
    """Every validation frame twice, every combination of labels with twice the frames."""
    found = arrays()
    for name in ("val_losses", "val_videos", "val_classes"):
        found[name] = np.repeat(found[name], 2, axis=0)
    return found | {"label_frames": found["label_frames"] * 2}


INPUTS: dict[str, Callable[[], dict[str, np.ndarray]]] = {
    "nan": partial(with_one, NAN),
    "infinite": partial(with_one, INF),
    "constant": constant,
    "empty": empty,
    "scaled": scaled,
    "duplicated": duplicated,
    "one task": partial(arrays, 1),
    "six tasks": partial(arrays, 6),
}


@pytest.mark.parametrize("relation", every_relation())
@pytest.mark.parametrize("made", INPUTS.values(), ids=INPUTS)
def test_a_relation_is_finite_and_bounded_or_nan_with_a_reason(relation: partial, made: Callable) -> None:
    found: Relation = relation(trace_of(made()))
    bound = np.inf if relation.func.__name__ in UNBOUNDED else 1 + 1e-9
    for values in (found.values, found.low, found.high):
        assert values is None or not np.isinf(values).any()
        assert values is None or not (np.abs(values) > bound).any()
    if np.isnan(found.values).any():
        assert found.reason
    if found.low is not None and found.high is not None:
        there = np.isfinite(found.low)
        assert (found.low[there] <= found.high[there]).all()
        assert not (there & np.isnan(found.values)).any()


@pytest.mark.parametrize("relation", every_relation())
def test_one_bad_number_of_one_task_is_no_business_of_the_others(relation: partial) -> None:
    whole, found = relation(trace_of(arrays())), relation(trace_of(with_one(NAN)))
    assert np.isfinite(found.values[1:, 1:]).all()
    if found.trajectory is None:  # a measure by batches leaves out the batch, for all of its pairs that lack it
        np.testing.assert_allclose(found.values[1:, 1:], whole.values[1:, 1:])


@pytest.mark.parametrize("relation", every_relation())
def test_frames_listed_twice_change_no_relation(relation: partial) -> None:
    whole, found = relation(trace_of(arrays())), relation(trace_of(duplicated()))
    np.testing.assert_allclose(found.values, whole.values, atol=1e-9)
    if whole.low is not None and found.low is not None:
        np.testing.assert_allclose(found.low, whole.low, atol=1e-9)


@pytest.mark.parametrize("relation", every_relation())
def test_units_of_a_loss_change_no_correlation_and_no_cosine(relation: partial) -> None:
    if relation.func.__name__ in ("magnitude_similarity", "loss_scale_balance"):
        pytest.skip("compares the units")
    whole, found = relation(trace_of(arrays())), relation(trace_of(scaled()))
    np.testing.assert_allclose(found.values, whole.values, atol=1e-6)


# --- weightings -------------------------------------------------------------------------------------------------------

LOSSES = np.array([0.7, 0.2, 1.3, 2.0], np.float32)
WEIGHTINGS = sorted((ROOT / "conf" / "weighting").glob("*.yaml"))
NAMES = ["general_anomaly", "violence", "property_crime", "anomaly_type"]  # a table of fixed weights knows these


def weighting_of(path: Path, n_tasks: int, n_parameters: int) -> Weighting:
    """The weighting of a yaml, built for so many tasks and shared parameters."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    config = OmegaConf.create({"seed": 0, "main_task": NAMES[0], "weighting": OmegaConf.load(path)})
    weighting = instantiate(config.weighting, tasks=NAMES[:n_tasks])
    weighting.build(shared_shapes(n_parameters))
    return weighting


def weigh(path: Path, losses: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Weights after some steps on these losses."""
    weighting = weighting_of(path, *gradients.shape)
    for epoch in range(3):
        weighting.start_epoch(epoch, np.tile(losses, (epoch, 1)) if epoch else np.empty((0, 0)))
        weights = asked(weighting, losses, gradients)
        moved_on(weighting, losses, losses * np.float32(0.9), gradients)
    return weights.numpy()


def directions(n: int = 4) -> np.ndarray:
    """Gradients of so many tasks."""
    return np.random.default_rng(0).normal(size=(n, 9))


@pytest.mark.tensorflow
@pytest.mark.parametrize("path", WEIGHTINGS, ids=[path.stem for path in WEIGHTINGS])
@pytest.mark.parametrize("bad", sampled([NAN, INF], every=2))
def test_a_weighting_of_what_is_not_finite_is_all_nan(path: Path, bad: float) -> None:
    losses = LOSSES.copy()
    losses[1] = bad
    assert np.isnan(weigh(path, losses, directions())).all()


EDGES = {
    "constant": (np.ones(4, np.float32), np.ones((4, 9))),
    "zero": (np.zeros(4, np.float32), np.zeros((4, 9))),
    "one task": (LOSSES[:1], directions(1)),
    "large": (LOSSES * np.float32(1e6), directions() * 1e6),
    "small": (LOSSES * np.float32(1e-6), directions() * 1e-6),
    "one large": (LOSSES * np.float32([1e6, 1, 1, 1]), directions() * np.array([[1e6], [1], [1], [1]])),
    "duplicated": (np.repeat(LOSSES[:2], 2), np.repeat(directions(2), 2, axis=0)),
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("path", WEIGHTINGS, ids=[path.stem for path in WEIGHTINGS])
@pytest.mark.parametrize("edge", sampled(EDGES, every=4))
def test_a_weighting_is_finite_at_every_edge(path: Path, edge: str) -> None:
    assert np.isfinite(weigh(path, *EDGES[edge])).all()


@pytest.mark.tensorflow
@pytest.mark.parametrize("path", WEIGHTINGS, ids=[path.stem for path in WEIGHTINGS])
def test_small_gradients_have_the_direction_of_large_ones(path: Path) -> None:
    """Gradients of norm 1e-6 in conflict: no NaN, and no method falls back on the mean or on zero."""
    rng = np.random.default_rng(4)
    steps = rng.normal(size=(3, 4, 9)) - 0.6 * rng.normal(size=9)
    steps /= np.linalg.norm(steps, axis=2, keepdims=True)
    steps *= np.array([1.0, 0.3, 2.0, 0.5])[:, None]  # their mean is none of them, where gradnorm would toss a coin
    found = []
    for scale in (1.0, 1e-6):
        weighting = weighting_of(path, *steps.shape[1:])
        for gradients in steps * scale:
            found.append(update_of(weighting, LOSSES, gradients))
            moved_on(weighting, LOSSES, LOSSES * np.float32(0.9), gradients)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    assert (lengths > 0).all()
    large, small = np.split(np.array(found) / lengths, 2)
    np.testing.assert_allclose(small, large, atol=1e-3)
    mean = steps.mean(axis=1) / np.linalg.norm(steps.mean(axis=1), axis=1, keepdims=True)
    if weighting.uses_gramian and not weighting.variables:  # what looks at nothing but how the gradients conflict
        assert np.abs(small - mean).max() > 0.01


# --- the report of a sweep --------------------------------------------------------------------------------------------


def changed(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The predictions of one run, gone wrong in one way."""
    scores = table["probability/main"]
    ways: dict[str, Callable[[], pd.DataFrame]] = {
        "nan": lambda: table.assign(**{"probability/main": scores.where(table.index != 3)}),
        "infinite": lambda: table.assign(**{"logit/main": scores.where(table.index != 3, INF)}),
        "constant": lambda: table.assign(**{"probability/main": 0.5}),
        "empty": lambda: table.iloc[:0],
        "one class": lambda: table[table["class_name"] == "Normal"],
        "tied": lambda: table.assign(**{"probability/main": scores.round(1)}),
        "permuted": lambda: table.sample(frac=1, random_state=0),
        "duplicated": lambda: pd.concat([table, table], ignore_index=True),
        "scaled": lambda: table.assign(**{"logit/main": (scores - 0.5) * 1e6}),
        "perfect": lambda: table.assign(**{"logit/main": table["target/main"] * 2.0 - 1}),
        "reversed": lambda: table.assign(**{"logit/main": 1 - table["target/main"] * 2.0}),
    }
    return ways[kind]()


KINDS = (
    *("nan", "infinite", "constant", "empty", "one class"),
    *("tied", "permuted", "duplicated", "scaled", "perfect", "reversed"),
)


def compared(kind: str, seeds: int, every: bool) -> Comparison:
    """Four sets, one run of which went wrong, or all of them."""
    runs = []
    for a, arm in enumerate(("main", "x", "y", "x+y")):
        for s in range(seeds):
            table = predictions(10 * a + s, 1 + a / 10)
            wrong = every or (arm == "x" and s == 0)
            runs.append(entry(arm, s, changed(table, kind) if wrong else table, x=0.1 * a, y=0.2))
    return compare(runs, "main", ("y",), 60, seed=0, margin=0.01)


# a step of five, of six cases each: every kind is met, and every number of seeds and either way
@pytest.mark.parametrize(("kind", "seeds", "every"), sampled(product(KINDS, (1, 2, 4), (False, True)), every=5))
def test_a_comparison_stays_within_bounds_whatever_went_wrong(kind: str, seeds: int, every: bool) -> None:
    found = compared(kind, seeds, every)
    json.dumps(json.loads(found.sets.to_json()), allow_nan=False)
    for table, prefix, low in ((found.sets, "", 0), (found.sets, "difference_", -1), (found.auxiliaries, "", -1)):
        ends = table[[f"{prefix}low", f"{prefix}high"]].to_numpy(float)
        there = np.isfinite(ends).all(axis=1)
        assert (ends[there] >= low).all()
        assert (ends[there] <= 1).all()
        assert (ends[there, 0] <= ends[there, 1]).all()
    for row in found.sets.to_dict("records"):
        if np.isnan(row["auc"]):
            assert row["reason"] or found.warnings
    p = found.sets["p"].dropna()
    assert ((p > 0) & (p <= 1)).all()
