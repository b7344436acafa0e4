"""Relations against values worked out by hand, and their properties."""

from __future__ import annotations

import inspect
import time
from functools import partial
from importlib import import_module

import numpy as np
import pytest
import yaml
from conftest import ROOT
from scipy import stats

from mtl.relations.gradient import (
    affinity,
    conflict_rate,
    gradient_similarity,
    gradient_similarity_mean,
    magnitude_similarity,
)
from mtl.relations.labels import as_text, label_information
from mtl.relations.loss import (
    loss_correlation,
    loss_correlation_step,
    loss_correlation_trend,
    loss_correlation_within_class,
)
from mtl.results import Relation, tracked_values
from mtl.statistics.bounded import moved
from mtl.trace import Trace

CONF = ROOT / "conf" / "relations"
STEPS, EPOCHS, BATCHES, FRAMES, VIDEOS = 30, 8, 5, 900, 90

over_videos = partial(loss_correlation, resamples=300, seed=0)
within_class = partial(loss_correlation_within_class, resamples=300, seed=0)
over_steps = partial(loss_correlation_step, window=21, block=20, resamples=300, seed=0)
RANGES = {"condition_number": (1, np.inf), "path_affinity": (-np.inf, np.inf)}  # others lie in [-1, 1]
SOUND = [over_videos, within_class, over_steps]


def make_trace(n_tasks: int = 4, seed: int = 0, **given: np.ndarray) -> Trace:
    """Independent tasks with falling losses, random gradients; anything given takes its place."""
    rng = np.random.default_rng(seed)
    n_steps = STEPS * EPOCHS
    falling = 0.3 + 2.0 * np.exp(-np.arange(n_steps) / 60)[:, None] * (1 + np.arange(n_tasks))
    gradients = rng.normal(size=(EPOCHS * BATCHES, n_tasks, 400))
    video = np.repeat(np.arange(VIDEOS), FRAMES // VIDEOS)
    labels = np.stack([video % (i + 2) for i in range(n_tasks)], axis=1)[:: FRAMES // VIDEOS]
    fields = {
        "losses": falling * rng.lognormal(0, 0.2, size=(n_steps, n_tasks)),
        "gramians": np.einsum("bik,bjk->bij", gradients, gradients).astype(np.float32),
        "measurement_steps": np.repeat(np.arange(1, EPOCHS + 1) * STEPS, BATCHES),
        "val_losses": rng.lognormal(size=(VIDEOS, n_tasks))[video] * rng.lognormal(0, 0.3, size=(FRAMES, n_tasks)),
        "val_videos": video,
        "val_classes": video % 9,
        "affinities": rng.normal(0, 0.1, size=(EPOCHS * BATCHES, n_tasks, n_tasks)),
        "permuted_cosines": rng.normal(0, 0.1, size=(EPOCHS * BATCHES, n_tasks, n_tasks)),
        "update_rates": rng.normal(0, 0.1, size=(EPOCHS * BATCHES, n_tasks, n_tasks)),
        "labels": labels,
        "label_frames": np.arange(1, VIDEOS + 1),
        "label_videos": np.ones(VIDEOS, int),
    } | given
    n_tasks = fields["losses"].shape[1]
    steps, gramians = fields["measurement_steps"], fields["gramians"]
    means = np.reshape([gramians[steps == step].mean(axis=0) for step in np.unique(steps)], (-1, n_tasks, n_tasks))
    fields = {"mean_gramians": means} | fields
    for name in {"affinities", "permuted_cosines", "update_rates"} - set(given):
        fields[name] = fields[name][: len(steps), :n_tasks, :n_tasks]
    fields["labels"] = fields["labels"][:, :n_tasks]
    tasks = tuple("abcdefgh"[:n_tasks])
    return Trace(tasks=tasks, weights=np.ones_like(fields["losses"]), steps_per_epoch=STEPS, **fields)


def every_relation() -> list:
    """Every yaml's function with its numbers."""
    built = []
    for path in sorted(CONF.glob("*.yaml")):
        ((name, node),) = yaml.safe_load(path.read_text()).items()
        assert name == path.stem
        module, function = node.pop("_target_").rsplit(".", 1)
        assert node.pop("_partial_") is True
        built.append(pytest.param(partial(getattr(import_module(module), function), **node), id=name))
    return built


@pytest.mark.parametrize("relation", every_relation())
def test_yaml_names_every_number_and_no_other(relation: partial) -> None:
    wanted = [p for p in inspect.signature(relation.func).parameters.values() if p.name != "trace"]
    assert {p.name for p in wanted} == set(relation.keywords)
    assert all(p.default is p.empty for p in wanted)


@pytest.mark.parametrize("n_tasks", [1, 2, 4])
@pytest.mark.parametrize("relation", every_relation())
def test_every_relation_has_the_shape_of_the_task_set(relation: partial, n_tasks: int) -> None:
    found = relation(make_trace(n_tasks))
    assert found.values.shape == (n_tasks, n_tasks)
    for end in (found.low, found.high):
        assert end is None or end.shape == (n_tasks, n_tasks)
    assert found.trajectory is None or found.trajectory.shape == (EPOCHS, n_tasks, n_tasks)
    assert np.isfinite(found.values).all()
    assert found.reason == ""


@pytest.mark.parametrize("relation", every_relation())
def test_permuting_the_tasks_permutes_the_matrix(relation: partial) -> None:
    trace, order = make_trace(), np.array([2, 0, 3, 1])
    permuted = make_trace(
        losses=trace.losses[:, order],
        val_losses=trace.val_losses[:, order],
        labels=trace.labels[:, order],
        **{
            name: getattr(trace, name)[:, order][:, :, order]
            for name in ("gramians", "permuted_cosines", "affinities", "update_rates")
        },
    )
    before, after = relation(trace), relation(permuted)
    for name in ("values", "low", "high"):
        if getattr(before, name) is not None:
            np.testing.assert_allclose(getattr(after, name), getattr(before, name)[np.ix_(order, order)], atol=1e-9)


@pytest.mark.parametrize("relation", every_relation())
def test_interval_holds_the_value_and_stays_in_range(relation: partial) -> None:
    found = relation(make_trace())
    if found.low is not None:
        assert (found.low <= found.values + 1e-9).all()
        assert (found.values <= found.high + 1e-9).all()
        least, most = RANGES.get(relation.func.__name__, (-1, 1))
        assert found.low.min() >= least
        assert found.high.max() <= most


@pytest.mark.parametrize("relation", every_relation())
def test_nothing_recorded_is_nan_with_a_reason(relation: partial) -> None:
    empty = make_trace(
        losses=np.empty((0, 2)),
        gramians=np.empty((0, 2, 2)),
        measurement_steps=np.empty(0, int),
        val_losses=np.empty((0, 2)),
        val_videos=np.empty(0, int),
        val_classes=np.empty(0, int),
        labels=np.empty((0, 2), int),
        label_frames=np.empty(0, int),
        label_videos=np.empty(0, int),
    )
    found = relation(empty)
    assert found.values.shape == (2, 2)
    assert np.isnan(found.values).all()
    assert found.reason


@pytest.mark.parametrize("relation", every_relation())
def test_a_dead_task_leaves_the_others_alone(relation: partial) -> None:
    """NaN losses and gradients of one task: its row and column are NaN, with its name in the reason."""
    if relation.func is label_information:
        return  # labels are never dead
    trace = make_trace()
    losses, val_losses = trace.losses.copy(), trace.val_losses.copy()
    names = ("gramians", "permuted_cosines", "affinities", "update_rates")
    measured = {name: getattr(trace, name).copy() for name in names}
    losses[50:, 1] = np.nan
    val_losses[:, 1] = np.nan
    for one in measured.values():
        one[:, 1, :] = one[:, :, 1] = np.nan
    dead = relation(make_trace(losses=losses, val_losses=val_losses, **measured))
    alive = [0, 2, 3]
    assert np.isnan(dead.values[1]).all()
    assert np.isnan(dead.values[:, 1]).all()
    np.testing.assert_allclose(dead.values[np.ix_(alive, alive)], relation(trace).values[np.ix_(alive, alive)])
    assert "b" in dead.reason
    assert "finite" in dead.reason


# gradients


def test_golden_values_of_two_gradients() -> None:
    jacobian = np.array([[-4.0, 1, 1], [6, 1, 1]])
    trace = make_trace(2, gramians=np.tile(jacobian @ jacobian.T, (EPOCHS * BATCHES, 1, 1)))
    assert gradient_similarity(trace, 0).values[0, 1] == pytest.approx(-0.841191, abs=5e-7)
    assert magnitude_similarity(trace, 0).values[0, 1] == pytest.approx(0.934050, abs=5e-7)
    assert conflict_rate(trace, 0).values[0, 1] == 1
    assert conflict_rate(trace, 0).values[0, 0] == 0
    np.testing.assert_allclose(np.diagonal(gradient_similarity(trace, 0).values), 1)
    np.testing.assert_allclose(np.diagonal(magnitude_similarity(trace, 0).values), 1)


def test_scaling_a_loss_leaves_the_cosine() -> None:
    trace = make_trace()
    scale = np.array([1.0, 1e-3, 50, 7])
    scaled = make_trace(gramians=trace.gramians * scale[:, None] * scale)
    for relation in (gradient_similarity, conflict_rate):
        np.testing.assert_allclose(relation(scaled, 1).values, relation(trace, 1).values, atol=1e-6)
    assert magnitude_similarity(scaled, 1).values[0, 1] < 0.01


def test_mean_is_over_batches_then_over_epochs_after_warm_up() -> None:
    """Epoch 1: two batches; epoch 2: one batch of cosine .2; epoch 3: cosines .4 and .8."""
    cosines = [-0.5, 0.5, 0.2, 0.4, 0.8]
    gramians = np.array([[[1, c], [c, 1]] for c in cosines])
    steps = np.array([1, 1, 2, 3, 3]) * STEPS
    found = gradient_similarity(make_trace(2, gramians=gramians, measurement_steps=steps), 1)
    np.testing.assert_allclose(found.trajectory[:, 0, 1], [0, 0.2, 0.6])
    assert found.values[0, 1] == pytest.approx(0.4)
    assert gradient_similarity(make_trace(2, gramians=gramians, measurement_steps=steps), 0).values[
        0, 1
    ] == pytest.approx(0.8 / 3)


def test_interval_is_over_batches() -> None:
    """Two epochs of three batches: the t interval of the batches' means (.1, .2, .6)."""
    cosines = [0.0, 0.1, 0.5, 0.2, 0.3, 0.7]
    gramians = np.array([[[1, c], [c, 1]] for c in cosines])
    found = gradient_similarity(make_trace(2, gramians=gramians, measurement_steps=np.repeat([STEPS, 2 * STEPS], 3)), 0)
    low, high = stats.t.interval(0.95, 2, loc=0.3, scale=stats.sem([0.1, 0.2, 0.6]))
    low, high = (moved(np.array(0.3), end - 0.3, (-1.0, 1.0)) for end in (low, high))  # on Fisher's scale
    assert found.low[0, 1] == pytest.approx(low)
    assert found.high[0, 1] == pytest.approx(high)


def test_interval_is_over_all_that_took_turns() -> None:
    """Three epochs of one batch each, the first batch twice: the t interval of the batches' means (.25, .1)."""
    cosines = [0.0, 0.1, 0.5]
    gramians = np.array([[[1, c], [c, 1]] for c in cosines])
    turns = {"measurement_steps": np.arange(1, 4) * STEPS, "measurement_batches": np.array([0, 1, 0])}
    trace = make_trace(2, gramians=gramians, mean_gramians=gramians, **turns)
    found = gradient_similarity(trace, 0)
    assert found.values[0, 1] == pytest.approx(0.2)
    assert found.spread[0, 1] == pytest.approx(np.std([0.25, 0.1], ddof=1))
    low, high = stats.t.interval(0.95, 1, loc=0.2, scale=stats.sem([0.25, 0.1]))
    low, high = (moved(np.array(0.2), end - 0.2, (-1.0, 1.0)) for end in (low, high))  # on Fisher's scale
    assert (found.low[0, 1], found.high[0, 1]) == (pytest.approx(low), pytest.approx(high))
    assert gradient_similarity_mean(trace, 0).low is None
    assert (
        gradient_similarity(make_trace(2, gramians=gramians, measurement_steps=turns["measurement_steps"]), 0).low
        is None
    )


def test_warm_up_of_the_whole_run_is_nan_with_a_reason() -> None:
    found = gradient_similarity(make_trace(), EPOCHS)
    assert np.isnan(found.values).all()
    assert f"warm-up of {EPOCHS}" in found.reason
    assert np.isfinite(found.trajectory).all()


def test_zero_gradient_is_left_out_and_said() -> None:
    trace = make_trace(2)
    gramians = trace.gramians.copy()
    gramians[-1, 0, :] = gramians[-1, :, 0] = 0
    found = gradient_similarity(make_trace(2, gramians=gramians), 0)
    assert np.isfinite(found.values).all()
    assert found.reason == f"gradient of a is zero or not finite on 1 of {EPOCHS * BATCHES} batches"
    gramians[:, 0, :] = gramians[:, :, 0] = 0
    found = gradient_similarity(make_trace(2, gramians=gramians), 0)
    assert np.isnan(found.values[0]).all()
    assert found.values[1, 1] == pytest.approx(1)
    assert magnitude_similarity(make_trace(2, gramians=gramians), 0).values[0, 1] == 0


def test_unrelated_gradients_conflict_on_half_of_the_batches() -> None:
    found = conflict_rate(make_trace(), 0)
    apart = found.values[~np.eye(4, dtype=bool)]
    assert abs(apart - 0.5).max() < 0.25
    assert abs(apart.mean() - 0.5) < 0.1


def test_cosine_of_the_mean_gradient_outgrows_the_mean_cosine() -> None:
    """Gradients of a common signal and noise of their own in every batch: averaging leaves the signal."""
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(EPOCHS, BATCHES, 1, 400)) * 0 + rng.normal(size=400) * 0.5
    gradients = gradients + rng.normal(size=(EPOCHS, BATCHES, 2, 400))
    mean = gradients.mean(axis=1)
    trace = make_trace(
        2,
        gramians=(gradients @ gradients.swapaxes(-1, -2)).reshape(-1, 2, 2),
        mean_gramians=mean @ mean.swapaxes(-1, -2),
    )
    by_batch, of_mean = gradient_similarity(trace, 1), gradient_similarity_mean(trace, 1)
    assert by_batch.values[0, 1] == pytest.approx(0.2, abs=0.05)  # .25 / (.25 + 1)
    assert of_mean.values[0, 1] == pytest.approx(0.25 / (0.25 + 1 / BATCHES), abs=0.08)
    assert of_mean.low is None
    assert of_mean.trajectory.shape == (EPOCHS, 2, 2)


def test_layer_groups_have_their_own_cosine_and_add_up() -> None:
    groups = np.zeros((EPOCHS * BATCHES, 2, 2, 2))
    groups[:, 0] = [[4, 2], [2, 4]]  # cosine .5
    groups[:, 1] = [[1, -1], [-1, 1]]  # cosine -1
    trace = make_trace(2, gramians=groups.sum(axis=1), group_gramians=groups, layer_groups=("stage1", "shared"))
    found = gradient_similarity(trace, 1)
    assert found.values[0, 1] == pytest.approx(0.2)
    assert {group: values[0, 1] for group, values in found.by_layer.items()} == pytest.approx(
        {"stage1": 0.5, "shared": -1}
    )
    assert tracked_values("gradient_similarity", found, trace.tasks) == pytest.approx(
        {
            "gradient_similarity/a_vs_b": 0.2,
            "gradient_similarity_by_layer/stage1.a_vs_b": 0.5,
            "gradient_similarity_by_layer/shared.a_vs_b": -1,
        }
    )
    assert not gradient_similarity(make_trace(), 1).by_layer


def test_conflict_and_magnitude_are_told_by_layer_too() -> None:
    groups = np.zeros((EPOCHS * BATCHES, 2, 2, 2))
    groups[:, 0] = [[4, 2], [2, 1]]  # lengths 2 and 1, together
    groups[:, 1] = [[1, -1], [-1, 1]]  # of one length, apart
    trace = make_trace(2, gramians=groups.sum(axis=1), group_gramians=groups, layer_groups=("stage1", "shared"))
    rate, alike = conflict_rate(trace, 1), magnitude_similarity(trace, 1)
    assert {group: values[0, 1] for group, values in rate.by_layer.items()} == {"stage1": 0, "shared": 1}
    assert {group: values[0, 1] for group, values in alike.by_layer.items()} == pytest.approx(
        {"stage1": 0.8, "shared": 1}
    )
    assert alike.values[0, 1] == pytest.approx(2 * np.sqrt(10) / 7)


def test_conflict_rate_has_its_permutation_baseline_beside_it() -> None:
    """Cosines of a kept and b permuted are negative on 1 of 4 batches, the other way round on 3 of 4."""
    baselines = np.full((8, 2, 2), 0.5)
    baselines[[0, 4], 0, 1] = -0.5
    baselines[[0, 1, 2, 4, 5, 6], 1, 0] = -0.5
    gramians = np.tile([[1.0, -0.1], [-0.1, 1.0]], (8, 1, 1))
    trace = make_trace(
        2, gramians=gramians, permuted_cosines=baselines, measurement_steps=np.repeat([STEPS, 2 * STEPS], 4)
    )
    found = conflict_rate(trace, 0)
    assert found.values[0, 1] == 1
    assert found.baseline.values[0, 1] == found.baseline.values[1, 0] == pytest.approx(0.5)
    assert found.baseline.trajectory.shape == (2, 2, 2)
    assert tracked_values("conflict_rate", found, trace.tasks) == {
        "conflict_rate/a_vs_b": 1,
        "conflict_rate_baseline/a_vs_b": 0.5,
    }
    assert conflict_rate(Trace(**vars(trace) | {"permuted_cosines": np.empty((0, 2, 2))}), 0).baseline is None


def test_affinity_is_directed_and_a_mean_over_batches_and_epochs() -> None:
    tried = np.tile([[0.3, 0.1], [-0.2, 0.4]], (EPOCHS * BATCHES, 1, 1))
    tried[:BATCHES] = 9  # warm-up
    tried[BATCHES, 0, 1] = np.inf  # left out
    found = affinity(make_trace(2, affinities=tried), 1)
    np.testing.assert_allclose(found.values, [[0.3, 0.1], [-0.2, 0.4]])
    assert found.directed
    assert tracked_values("affinity", found, ("b", "a")) == pytest.approx(
        {"affinity/a_to_b": -0.2, "affinity/b_to_a": 0.1, "affinity_to_itself/b": 0.3, "affinity_to_itself/a": 0.4}
    )
    assert found.reason == ""
    off = affinity(make_trace(2, affinities=np.empty((0, 2, 2))), 1)
    assert "affinity_step is null" in off.reason
    assert np.isnan(off.values).all()


def test_a_turn_of_another_task_is_no_fault() -> None:
    """Each batch tries one task's step, as where a backbone is trained."""
    tried = np.full((EPOCHS * BATCHES, 2, 2), np.nan)
    tried[::2, 0], tried[1::2, 1] = [0.3, 0.1], [0.2, 0.4]
    found = affinity(make_trace(2, affinities=tried), 1)
    np.testing.assert_allclose(found.values, [[0.3, 0.1], [0.2, 0.4]])
    assert found.reason == ""


def test_the_trajectory_says_which_epochs_it_is_of() -> None:
    steps = np.repeat([2, 5], 3) * STEPS
    gramians = np.tile(np.eye(2), (6, 1, 1))
    found = gradient_similarity(make_trace(2, gramians=gramians, measurement_steps=steps), 2)
    assert found.trajectory_epochs.tolist() == [2, 5]
    assert found.trajectory.shape == (2, 2, 2)
    assert np.isfinite(found.values).all()


def test_spread_is_the_standard_deviation_between_batches() -> None:
    cosines = [0.0, 0.1, 0.5, 0.2, 0.3, 0.7]
    gramians = np.array([[[1, c], [c, 1]] for c in cosines])
    found = gradient_similarity(make_trace(2, gramians=gramians, measurement_steps=np.repeat([STEPS, 2 * STEPS], 3)), 0)
    assert found.spread[0, 1] == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    one = gradient_similarity(make_trace(2, gramians=gramians[::3], measurement_steps=np.array([STEPS, 2 * STEPS])), 0)
    assert one.low is one.high is one.spread is None


# labels


def labelled(labels, frames, videos=None) -> Trace:
    """A trace of these label combinations."""
    labels, frames = np.array(labels), np.array(frames)
    videos = frames if videos is None else np.array(videos)
    return make_trace(labels.shape[1], labels=labels, label_frames=frames, label_videos=videos)


def test_a_label_that_determines_another_tells_all_of_it_and_not_the_reverse() -> None:
    """Four equal types, of which two are anomalies: H(type) = 2 bits, H(anomaly) = 1 bit."""
    found = label_information(labelled([[0, 0], [1, 0], [2, 1], [3, 1]], [25, 25, 25, 25]))
    np.testing.assert_allclose(found.values, [[1, 1], [0.5, 1]])
    np.testing.assert_allclose(found.of_tasks["label_entropy"], [2, 1])
    assert found.baseline.values[0, 1] == pytest.approx(3 / (200 * np.log(2)))
    assert tracked_values("label_information", found, ("type", "anomaly"))["label_entropy/type"] == pytest.approx(2)
    assert "label_information/type_to_anomaly" in tracked_values("label_information", found, ("type", "anomaly"))
    np.testing.assert_allclose(found.of_pairs["label_mutual_information"], [[2, 1], [1, 1]])
    tracked = tracked_values("label_information", found, ("type", "anomaly"))
    assert tracked["label_mutual_information/anomaly_vs_type"] == pytest.approx(1)


def test_labels_are_told_in_one_line_before_there_is_a_trace() -> None:
    labels, frames = np.array([[0, 0], [1, 0], [2, 1], [3, 1]]), np.full(4, 25)
    line = as_text(("type", "anomaly"), labels, frames)
    assert line == "entropy in bits: type 2.000, anomaly 1.000; shared: anomaly_vs_type 1.000"
    assert as_text(("type",), labels[:, :1], frames) == "entropy in bits: type 2.000"


def test_independent_labels_tell_nothing_and_scikit_learn_agrees_on_others() -> None:
    from sklearn.metrics import mutual_info_score

    assert label_information(labelled([[0, 0], [0, 1], [1, 0], [1, 1]], [6, 2, 3, 1])).values[0, 1] == pytest.approx(0)
    frames = [7, 1, 3, 4, 9]
    labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 1]])
    first, second = labels.repeat(frames, axis=0).T
    shared, entropy = mutual_info_score(first, second), mutual_info_score(second, second)
    assert label_information(labelled(labels, frames)).values[0, 1] == pytest.approx(shared / entropy)


def test_the_permutation_baseline_is_what_independent_labels_of_so_many_videos_show() -> None:
    rng = np.random.default_rng(0)
    found, baselines = [], []
    for _ in range(200):
        labels, counts = np.unique(rng.integers(0, [2, 14], size=(400, 2)), axis=0, return_counts=True)
        relation = label_information(labelled(labels, counts * 100, counts))
        found.append(relation.values[1, 0])
        baselines.append(relation.baseline.values[1, 0])
    assert np.mean(found) == pytest.approx(np.mean(baselines), rel=0.15)


def test_labels_all_alike_have_no_share() -> None:
    found = label_information(labelled([[0, 5], [1, 5]], [3, 4]))
    assert np.isnan(found.values[:, 1]).all()
    assert found.values[1, 0] == 0
    assert found.reason == "labels of b are all alike"


# losses


def test_independent_falling_losses_do_not_correlate_but_trend() -> None:
    off = ~np.eye(4, dtype=bool)
    for relation in SOUND:
        means = np.mean([relation(make_trace(seed=seed)).values for seed in range(20)], axis=0)
        assert abs(means[off]).max() < 0.1
    assert loss_correlation_trend(make_trace()).values.min() > 0.9


def test_related_losses_are_found_by_every_variant() -> None:
    rng = np.random.default_rng(1)
    common, common_val = rng.normal(size=(STEPS * EPOCHS, 1)), rng.normal(size=VIDEOS).repeat(FRAMES // VIDEOS)[:, None]
    trace = make_trace(
        2, losses=common + rng.normal(size=(STEPS * EPOCHS, 2)), val_losses=common_val + rng.normal(size=(FRAMES, 2))
    )
    for relation in SOUND:
        assert relation(trace).low[0, 1] > 0.2


def test_loss_correlation_is_spearman_of_video_means() -> None:
    trace = make_trace()
    means = np.array([trace.val_losses[trace.val_videos == v].mean(axis=0) for v in range(VIDEOS)])
    np.testing.assert_allclose(over_videos(trace).values, stats.spearmanr(means).statistic, atol=1e-12)


def test_loss_correlation_counts_a_video_once() -> None:
    """Frames listed twice, in another order, change neither the value nor the interval."""
    trace = make_trace()
    again = np.random.default_rng(3).permutation(np.tile(np.arange(FRAMES), 2))
    doubled = make_trace(
        val_losses=trace.val_losses[again], val_videos=trace.val_videos[again], val_classes=trace.val_classes[again]
    )
    before, after = over_videos(trace), over_videos(doubled)
    np.testing.assert_allclose(after.values, before.values, atol=1e-12)
    np.testing.assert_allclose(after.low, before.low, atol=1e-12)


def test_within_class_forgets_level_and_spread_of_the_classes() -> None:
    """Hard classes make all losses large: across classes that correlates, within them nothing does."""
    within, across = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        video = np.repeat(np.arange(VIDEOS), FRAMES // VIDEOS)
        hard = np.exp(rng.normal(0, 2, size=9))[video % 9]
        trace = make_trace(2, val_losses=hard[:, None] * rng.lognormal(0, 0.5, size=(VIDEOS, 2))[video])
        across.append(over_videos(trace).values[0, 1])
        within.append(within_class(trace).values[0, 1])
    assert np.mean(across) > 0.6
    assert abs(np.mean(within)) < 0.06


def test_within_class_worked_by_hand() -> None:
    """Class 0: ranks 1 2 3 and 1 3 2; class 1: ranks 1 2 and 2 1; class 2 has one video and falls out."""
    losses = np.array([[1, 10], [2, 30], [3, 20], [100, 8], [200, 7], [5.0, 5]])
    trace = make_trace(2, val_losses=losses, val_videos=np.arange(6), val_classes=np.array([0, 0, 0, 1, 1, 2]))
    first, second = np.array([-1 / 3, 0, 1 / 3, -1 / 4, 1 / 4]), np.array([-1 / 3, 1 / 3, 0, 1 / 4, -1 / 4])
    assert within_class(trace).values[0, 1] == pytest.approx(first @ second / (first @ first))


def test_step_correlation_is_pearson_around_the_running_mean() -> None:
    trace = make_trace()
    running = np.array([trace.losses[t - 10 : t + 11].mean(axis=0) for t in range(10, STEPS * EPOCHS - 10)])
    expected = np.corrcoef((trace.losses[10:-10] - running).T)
    np.testing.assert_allclose(over_steps(trace).values, expected, atol=1e-10)
    even = loss_correlation_step(trace, window=20, block=20, resamples=10, seed=0)
    np.testing.assert_allclose(even.values, expected, atol=1e-10)


def test_trend_is_pearson_of_epoch_means_and_drops_a_cut_epoch() -> None:
    trace = make_trace()
    means = trace.losses.reshape(EPOCHS, STEPS, 4).mean(axis=1)
    cut = make_trace(losses=np.concatenate([trace.losses, np.full((STEPS - 1, 4), 99.0)]))
    np.testing.assert_allclose(loss_correlation_trend(cut).values, np.corrcoef(means.T), atol=1e-12)


@pytest.mark.parametrize("relation", [*SOUND, loss_correlation_trend])
def test_constant_loss_is_nan_with_a_reason(relation: partial) -> None:
    trace = make_trace()
    losses, val_losses = trace.losses.copy(), trace.val_losses.copy()
    losses[:, 2] = val_losses[:, 2] = 0.1
    found: Relation = relation(make_trace(losses=losses, val_losses=val_losses))
    assert np.isnan(found.values[2]).all()
    assert np.isfinite(found.values[[0, 1, 3]][:, [0, 1, 3]]).all()
    assert found.reason == "loss of c is constant"


def test_too_few_points_are_nan_with_a_reason() -> None:
    short = make_trace(losses=np.random.default_rng(0).random((50, 4)))
    assert "fewer than 5 blocks" in over_steps(short).reason
    assert "1 epochs are fewer" in loss_correlation_trend(short).reason
    few = make_trace(
        2, val_losses=np.random.default_rng(0).random((4, 2)), val_videos=np.arange(4), val_classes=np.zeros(4, int)
    )
    for relation in (over_videos, within_class):
        assert "4 videos are fewer than 5" in relation(few).reason


def test_a_thousand_resamples_take_less_than_a_second() -> None:
    video = np.repeat(np.arange(160), 300)
    rng = np.random.default_rng(0)
    big = make_trace(
        losses=rng.random((9000, 4)), val_losses=rng.random((48000, 4)), val_videos=video, val_classes=video % 14
    )
    for relation in (
        loss_correlation,
        loss_correlation_within_class,
        partial(loss_correlation_step, window=21, block=20),
    ):
        started = time.process_time()
        relation(big, resamples=1000, seed=0)
        assert time.process_time() - started < 1
