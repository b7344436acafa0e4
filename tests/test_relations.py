"""Relations against values worked out by hand, and their properties."""

from __future__ import annotations

import inspect
import time
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from mtl.relations.gradient import conflict_rate, gradient_similarity, magnitude_similarity
from mtl.relations.loss import (
    loss_correlation,
    loss_correlation_step,
    loss_correlation_trend,
    loss_correlation_within_class,
)
from mtl.trace import Relation, Trace

CONF = Path(__file__).parents[1] / "conf" / "relations"
STEPS, EPOCHS, BATCHES, FRAMES, VIDEOS = 30, 8, 5, 900, 90

over_videos = partial(loss_correlation, resamples=300, seed=0)
within_class = partial(loss_correlation_within_class, resamples=300, seed=0)
over_steps = partial(loss_correlation_step, window=21, block=20, resamples=300, seed=0)
SOUND = [over_videos, within_class, over_steps]


def make_trace(n_tasks: int = 4, seed: int = 0, **given: np.ndarray) -> Trace:
    """Independent tasks with falling losses, random gradients; anything given takes its place."""
    rng = np.random.default_rng(seed)
    n_steps = STEPS * EPOCHS
    falling = 0.3 + 2.0 * np.exp(-np.arange(n_steps) / 60)[:, None] * (1 + np.arange(n_tasks))
    gradients = rng.normal(size=(EPOCHS * BATCHES, n_tasks, 400))
    video = np.repeat(np.arange(VIDEOS), FRAMES // VIDEOS)
    fields = {
        "losses": falling * rng.lognormal(0, 0.2, size=(n_steps, n_tasks)),
        "gramians": np.einsum("bik,bjk->bij", gradients, gradients).astype(np.float32),
        "probe_steps": np.repeat(np.arange(1, EPOCHS + 1) * STEPS, BATCHES),
        "val_losses": rng.lognormal(size=(VIDEOS, n_tasks))[video] * rng.lognormal(0, 0.3, size=(FRAMES, n_tasks)),
        "val_videos": video,
        "val_classes": video % 9,
    } | given
    n_tasks = fields["losses"].shape[1]
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
    assert found.course is None or found.course.shape == (EPOCHS, n_tasks, n_tasks)
    assert np.isfinite(found.values).all()
    assert found.reason == ""


@pytest.mark.parametrize("relation", every_relation())
def test_permuting_the_tasks_permutes_the_matrix(relation: partial) -> None:
    trace, order = make_trace(), np.array([2, 0, 3, 1])
    permuted = make_trace(
        losses=trace.losses[:, order],
        val_losses=trace.val_losses[:, order],
        gramians=trace.gramians[:, order][:, :, order],
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
        assert found.low.min() >= -1
        assert found.high.max() <= 1


@pytest.mark.parametrize("relation", every_relation())
def test_nothing_recorded_is_nan_with_a_reason(relation: partial) -> None:
    empty = make_trace(
        losses=np.empty((0, 2)),
        gramians=np.empty((0, 2, 2)),
        probe_steps=np.empty(0, int),
        val_losses=np.empty((0, 2)),
        val_videos=np.empty(0, int),
        val_classes=np.empty(0, int),
    )
    found = relation(empty)
    assert found.values.shape == (2, 2)
    assert np.isnan(found.values).all()
    assert found.reason


@pytest.mark.parametrize("relation", every_relation())
def test_a_dead_task_leaves_the_others_alone(relation: partial) -> None:
    """NaN losses and gradients of one task: its row and column are NaN, with its name in the reason."""
    trace = make_trace()
    losses, val_losses, gramians = trace.losses.copy(), trace.val_losses.copy(), trace.gramians.copy()
    losses[50:, 1] = np.nan
    val_losses[:, 1] = np.nan
    gramians[:, 1, :] = gramians[:, :, 1] = np.nan
    dead = relation(make_trace(losses=losses, val_losses=val_losses, gramians=gramians))
    alive = [0, 2, 3]
    assert np.isnan(dead.values[1]).all()
    assert np.isnan(dead.values[:, 1]).all()
    np.testing.assert_allclose(dead.values[np.ix_(alive, alive)], relation(trace).values[np.ix_(alive, alive)])
    assert "b" in dead.reason
    assert "not finite" in dead.reason


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
    found = gradient_similarity(make_trace(2, gramians=gramians, probe_steps=steps), 1)
    np.testing.assert_allclose(found.course[:, 0, 1], [0, 0.2, 0.6])
    assert found.values[0, 1] == pytest.approx(0.4)
    assert gradient_similarity(make_trace(2, gramians=gramians, probe_steps=steps), 0).values[0, 1] == pytest.approx(
        0.8 / 3
    )


def test_interval_is_over_batches() -> None:
    """Two epochs of three batches: the t interval of the batches' means (.1, .2, .6)."""
    cosines = [0.0, 0.1, 0.5, 0.2, 0.3, 0.7]
    gramians = np.array([[[1, c], [c, 1]] for c in cosines])
    found = gradient_similarity(make_trace(2, gramians=gramians, probe_steps=np.repeat([STEPS, 2 * STEPS], 3)), 0)
    low, high = stats.t.interval(0.95, 2, loc=0.3, scale=stats.sem([0.1, 0.2, 0.6]))
    assert found.low[0, 1] == pytest.approx(low)
    assert found.high[0, 1] == pytest.approx(min(high, 1))


def test_warm_up_of_the_whole_run_is_nan_with_a_reason() -> None:
    found = gradient_similarity(make_trace(), EPOCHS)
    assert np.isnan(found.values).all()
    assert f"warm-up of {EPOCHS}" in found.reason
    assert np.isfinite(found.course).all()


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
        started = time.perf_counter()
        relation(big, resamples=1000, seed=0)
        assert time.perf_counter() - started < 1
