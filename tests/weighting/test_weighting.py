"""Every weighting against its paper: golden values, properties, edges, another program's numbers."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, asked, by_variable, moved_on, sampled, shared_shapes, update_of
from scipy.optimize import nnls

tf = pytest.importorskip("tensorflow")

from hydra.utils import instantiate  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

from mtl.errors import UserError  # noqa: E402
from mtl.weighting.aligned import aligned  # noqa: E402
from mtl.weighting.base import MOST_TASKS_BY_SUBSETS, Adam, Weighting  # noqa: E402
from mtl.weighting.cagrad import cagrad  # noqa: E402
from mtl.weighting.dwa import DWA  # noqa: E402
from mtl.weighting.excess_mtl import ExcessMTL  # noqa: E402
from mtl.weighting.fairgrad import FairGrad, fairgrad  # noqa: E402
from mtl.weighting.famo import FAMO  # noqa: E402
from mtl.weighting.fixed import Fixed, fixed_weights  # noqa: E402
from mtl.weighting.gls import GLS  # noqa: E402
from mtl.weighting.grad_cosine import GradCosine, grad_cosine  # noqa: E402
from mtl.weighting.gradnorm import GradNorm  # noqa: E402
from mtl.weighting.imtl_g import imtl_g  # noqa: E402
from mtl.weighting.metabalance import MetaBalance  # noqa: E402
from mtl.weighting.mgda import MGDA, mgda  # noqa: E402
from mtl.weighting.nash import Nash, nash  # noqa: E402
from mtl.weighting.pcgrad import PCGrad, pcgrad  # noqa: E402
from mtl.weighting.rlw import RLW  # noqa: E402
from mtl.weighting.uncertainty import Uncertainty  # noqa: E402
from mtl.weighting.upgrad import upgrad  # noqa: E402

pytestmark = pytest.mark.tensorflow

YAMLS = sorted((ROOT / "conf" / "weighting").glob("*.yaml"))
TASKS = ["general_anomaly", "violence", "property_crime", "anomaly_type"]  # a table of fixed weights knows these
GOLDEN = np.array([[-4.0, 1, 1], [6, 1, 1]])


def pcgrad_in_order(gramian):
    n_tasks = gramian.shape[0]
    return pcgrad(gramian, tf.tile(tf.range(n_tasks)[None, :], [n_tasks, 1]))


def half_cagrad(gramian):
    return cagrad(gramian, 0.5)


def fairgrad_of(alpha):
    return lambda gramian: fairgrad(gramian, alpha)


SOLVERS = {
    "aligned": aligned,
    "cagrad": half_cagrad,
    "fairgrad": fairgrad_of(2.0),
    "imtl_g": imtl_g,
    "mgda": mgda,
    "nash": nash,
    "pcgrad": pcgrad_in_order,
    "upgrad": upgrad,
}
every_solver = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
every_yaml = pytest.mark.parametrize("yaml", YAMLS, ids=[path.stem for path in YAMLS])


def build(yaml, tasks=TASKS, n=8, **changes):
    """The weighting of a yaml for these tasks and so many shared parameters."""
    config = OmegaConf.create({"seed": 0, "main_task": tasks[0], "weighting": OmegaConf.load(yaml)})
    weighting = instantiate(config.weighting, tasks=list(tasks), **changes)
    weighting.build(shared_shapes(n))
    return weighting


def weights_of(solver, gradients):
    return solver(tf.constant(gradients @ gradients.T)).numpy()


def direction(solver, gradients):
    return gradients.T @ weights_of(solver, gradients)


def random_gradients(seed, n_tasks, conflict=0.7):
    """Rows with less than all of their mean, so that they conflict."""
    gradients = np.random.default_rng(seed).normal(size=(n_tasks, n_tasks + 4))
    return gradients - conflict * gradients.mean(axis=0)


CASES = [(seed, n_tasks) for n_tasks in (2, 3, 6) for seed in range(2)]
every_case = pytest.mark.parametrize(("seed", "n_tasks"), sampled(CASES, every=2))  # each number of tasks


# --- contract: every yaml of the group, found by glob ---------------------------------------------------------------


@every_yaml
@pytest.mark.parametrize("n_tasks", [1, 2, 4])
@pytest.mark.slow
def test_every_yaml_builds_and_weighs_in_graph(yaml, n_tasks):
    weighting = build(yaml, TASKS[:n_tasks], n=50)
    assert isinstance(weighting, Weighting)
    assert all(isinstance(variable, tf.Variable) for variable in weighting.variables)

    @tf.function
    def step(losses, gradients):
        weights = asked(weighting, losses, gradients)
        moved_on(weighting, losses, 0.9 * losses, gradients)
        return weights, weighting.head_weights(weights)

    rng = np.random.default_rng(n_tasks)
    epochs = rng.uniform(0.1, 1, (3, n_tasks))
    for epoch in range(3):
        weighting.start_epoch(epoch, epochs[:epoch])
        gradients = tf.constant(rng.normal(size=(n_tasks, 50)), tf.float32)
        for numbers in step(tf.constant(rng.uniform(0.1, 2, n_tasks), tf.float32), gradients):
            assert numbers.shape == (n_tasks,)
            assert numbers.dtype == tf.float32
            assert np.isfinite(numbers).all()


@every_yaml
@pytest.mark.slow
def test_every_yaml_gives_the_same_when_the_step_is_compiled(yaml):
    losses, after = tf.constant([0.7, 0.2, 1.3, 2.0]), tf.constant([0.6, 0.2, 1.0, 1.9])
    gradients = tf.constant(random_gradients(0, 4), tf.float32)

    def course(jit):
        weighting = build(yaml)

        @tf.function(jit_compile=jit)
        def step():
            weights = asked(weighting, losses, gradients)
            moved_on(weighting, losses, after, gradients)
            return weights

        return [step().numpy() for _ in range(3)]

    compiled = course(True)
    assert np.isfinite(compiled).all()
    if yaml.stem not in {"pcgrad", "rlw"}:  # the compiler draws other random numbers from the same seed
        np.testing.assert_allclose(compiled, course(False), rtol=1e-4, atol=1e-5)


@every_yaml
def test_every_yaml_is_reproducible_and_its_variables_are_its_whole_state(yaml):
    def course(weighting, seeds):
        found = []
        for seed in seeds:
            gradients = random_gradients(seed, 4).astype("f")
            losses = tf.constant(np.random.default_rng(seed).uniform(0.1, 2, 4), tf.float32)
            found.append(asked(weighting, losses, gradients).numpy())
            moved_on(weighting, losses, 0.9 * losses, gradients)
        return found

    first, second, resumed = build(yaml), build(yaml), build(yaml)
    fresh = [variable.numpy() for variable in first.variables]
    whole = course(first, range(4))
    np.testing.assert_array_equal(course(second, range(2)), whole[:2])
    for source, target in zip(second.variables, resumed.variables, strict=True):
        target.assign(source)
    np.testing.assert_array_equal(course(resumed, range(2, 4)), whole[2:])
    for variable, value in zip(first.variables, fresh, strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(course(first, range(4)), whole)


@every_yaml
def test_asking_for_weights_twice_gives_the_same_twice(yaml):
    weighting, gradients = build(yaml), random_gradients(1, 4).astype("f")
    losses = tf.constant([0.7, 0.2, 1.3, 2.0])
    moved_on(weighting, losses, losses, random_gradients(2, 4))
    np.testing.assert_array_equal(asked(weighting, losses, gradients), asked(weighting, losses, gradients))
    if weighting.uses_gradients:
        weights, observed = asked(weighting, losses, gradients), weighting.observe(by_variable(gradients))
        twice = [weighting.by_variable(weights, observed).numpy() for _ in range(2)]
        np.testing.assert_array_equal(*twice)


@every_yaml
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_voids_the_step_and_teaches_nothing(yaml, bad):
    weighting, twin, gradients = build(yaml), build(yaml), random_gradients(3, 4)
    sound = tf.constant([0.7, 0.2, 1.3, 2.0])
    broken = tf.constant([0.7, bad, 1.3, 2.0])
    for each in (weighting, twin):
        asked(each, sound, gradients)
        moved_on(each, sound, 0.9 * sound, gradients)
    assert np.isnan(asked(weighting, broken, gradients)).all()
    weighting.update(broken, sound)
    asked(weighting, sound, gradients)
    weighting.update(sound, broken)
    np.testing.assert_array_equal(asked(weighting, sound, gradients), asked(twin, sound, gradients))
    for mine, other in zip(weighting.variables, twin.variables, strict=True):
        np.testing.assert_array_equal(mine, other)


@every_yaml
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_voids_the_step(yaml, bad):
    gradients = random_gradients(3, 4)
    gradients[1, 2] = bad
    assert np.isnan(asked(build(yaml), np.ones(4), gradients)).all()


@every_yaml
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gramian_that_is_not_finite_voids_the_step(yaml, bad):
    weighting, matrix = build(yaml), np.eye(4, dtype="f")
    matrix[1, 2] = matrix[2, 1] = bad
    observed = weighting.observe(by_variable(np.eye(4, 8))) if weighting.uses_gradients else None
    assert np.isnan(weighting.weights(tf.ones(4), tf.constant(matrix), observed)).all()


EDGES = {
    "zero gradients": np.zeros((4, 9)),
    "one zero gradient": random_gradients(5, 4) * np.array([[1], [0], [1], [1]]),
    "identical": np.tile(random_gradients(5, 1), (4, 1)),
    "opposite": np.array([[1], [-1], [1], [-1]]) * random_gradients(5, 1),
    "a thousandfold apart": random_gradients(5, 4) * np.array([[1], [1e3], [1e-3], [1]]),
    "tiny": random_gradients(5, 4) * 1e-15,
    "huge": random_gradients(5, 4) * 1e15,
    "more tasks than dimensions": random_gradients(5, 4)[:, :2],
}


@every_yaml
@pytest.mark.parametrize("gradients", sampled(EDGES.values(), every=3), ids=EDGES)
def test_weights_are_finite_at_every_edge(yaml, gradients):
    weighting, losses = build(yaml, n=gradients.shape[1]), tf.constant([1e-6, 1e3, 1.0, 0.0])
    for _ in range(2):
        assert np.isfinite(asked(weighting, losses, gradients)).all()
        assert np.isfinite(update_of(weighting, losses, gradients)).all()
        moved_on(weighting, losses, losses, gradients)


@every_yaml
def test_heads_are_never_silenced_by_surgery(yaml):
    weighting, weights = build(yaml), tf.constant([0.0, 2.0, 3.0, 4.0])
    by_gramian = yaml.stem in {*SOLVERS, "grad_cosine", "metabalance"}
    np.testing.assert_array_equal(weighting.head_weights(weights), np.ones(4) if by_gramian else weights)


# --- golden values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pcgrad", (0.584795, 3.801170, 3.801170)),
        ("mgda", (0, 1, 1)),
        ("imtl_g", (0.076697, 1, 1)),
        ("nash", (0.076584, 0.998533, 0.998533)),
        ("cagrad", (0.1835, 1.2041, 1.2041)),
        ("upgrad", (0.2929, 1.9004, 1.9004)),
        ("aligned", (0.2133, 0.9673, 0.9673)),
    ],
)
def test_golden_directions(name, expected):
    np.testing.assert_allclose(direction(SOLVERS[name], GOLDEN), expected, atol=6e-4 if name == "upgrad" else 6e-5)


def test_the_golden_sum_is_that_of_weights_one():
    weights = build(ROOT / "conf" / "weighting" / "equal.yaml", TASKS[:2]).weights(tf.ones(2), tf.eye(2)).numpy()
    np.testing.assert_array_equal(GOLDEN.T @ weights, [2, 2, 2])


def test_golden_weights():
    np.testing.assert_allclose(weights_of(mgda, GOLDEN), (0.6, 0.4), atol=1e-9)
    np.testing.assert_allclose(weights_of(imtl_g, GOLDEN), (0.592330, 0.407670), atol=1e-6)


def test_grad_cosine_counts_an_auxiliary_only_where_it_points_the_main_tasks_way():
    gradients = np.array([[1.0, 0, 0], [1, 5, 0], [-1, 5, 0], [0, 0, 1]])
    np.testing.assert_array_equal(weights_of(lambda gramian: grad_cosine(gramian, 0), gradients), [1, 1, 0, 0])
    np.testing.assert_array_equal(weights_of(lambda gramian: grad_cosine(gramian, 2), gradients), [0, 1, 1, 0])


def test_grad_cosine_needs_its_main_task():
    with pytest.raises(UserError, match=r"'violense' is not in the set. Did you mean 'violence'\?"):
        GradCosine(TASKS, "violense")


def learn(weighting, losses, losses_after=None, matrix=None, steps=1):
    losses = tf.constant(losses, tf.float32)
    after = losses if losses_after is None else tf.constant(losses_after, tf.float32)
    matrix = tf.zeros((weighting.n_tasks, weighting.n_tasks)) if matrix is None else tf.constant(matrix, tf.float32)

    @tf.function
    def many():
        for _ in tf.range(steps):
            weighting.weights(losses, matrix)
            weighting.update(losses, after)

    many()
    return weighting.weights(losses, matrix).numpy()


def test_uncertainty_rests_at_the_logarithm_of_the_loss():
    weighting = Uncertainty("ab", learning_rate=0.01)
    np.testing.assert_allclose(weighting.weights(tf.constant([4.0, 0.25]), tf.zeros((2, 2))), 0.5)
    weights = learn(weighting, [4.0, 0.25], steps=2000)
    np.testing.assert_allclose(weighting.log_variances, (1.386294, -1.386294), atol=1e-5)
    np.testing.assert_allclose(weights, (1 / 8, 2), rtol=1e-4)


def test_uncertainty_stays_finite_where_a_loss_is_zero():
    assert np.isfinite(learn(Uncertainty("ab", learning_rate=1.0), [0.0, 1.0], steps=200)).all()


def test_dwa_counts_from_the_third_epoch():
    weighting, losses = DWA("ab", temperature=2.0), np.array([[0.9, 0.5], [0.72, 0.45], [0.72, 0.45]])
    expected = [(1, 1), (1, 1), (0.975005, 1.024995), (1, 1)]
    for epoch, weights in enumerate(expected):
        weighting.start_epoch(epoch, losses[:epoch])
        np.testing.assert_allclose(weighting.weights(tf.ones(2), tf.zeros((2, 2))), weights, atol=1e-6)


def test_dwa_takes_a_zero_loss_for_unchanged_and_leaves_weights_where_one_is_nan():
    weighting = DWA("ab", temperature=2.0)
    weighting.start_epoch(2, np.array([[0.0, 0.5], [0.0, 0.5]]))
    np.testing.assert_allclose(weighting.current, (1, 1))
    weighting.start_epoch(2, np.array([[0.9, 0.5], [0.72, 0.45]]))
    weighting.start_epoch(3, np.array([[0.9, 0.5], [0.72, 0.45], [np.nan, 0.4]]))
    np.testing.assert_allclose(weighting.current, (0.975005, 1.024995), atol=1e-6)


@pytest.mark.slow
def test_gradnorm_with_equal_rates_makes_the_norms_equal():
    weights = learn(GradNorm("ab", alpha=1.5, learning_rate=1e-3), [1.0, 1.0], matrix=[[1, 0], [0, 100]], steps=5000)
    np.testing.assert_allclose(weights, (1.818182, 0.181818), atol=2e-3)


def test_gradnorm_gives_the_slow_task_the_larger_gradient():
    weighting = GradNorm("ab", alpha=1.0, learning_rate=1e-3)
    learn(weighting, [1.0, 4.0], matrix=np.eye(2))
    weights = learn(weighting, [0.5, 4.0], matrix=np.eye(2), steps=5000)  # rates 2/3 and 4/3
    np.testing.assert_allclose(weights, (2 / 3, 4 / 3), atol=5e-3)


def test_gradnorm_stays_where_nothing_can_be_balanced():
    np.testing.assert_array_equal(learn(GradNorm("ab", 1.5, 0.025), [1.0, 2.0], matrix=np.zeros((2, 2)), steps=3), 1)
    np.testing.assert_array_equal(learn(GradNorm("a", 1.5, 0.025), [1.0], matrix=[[4.0]], steps=3), 1)


def test_famo_starts_with_equal_shares_of_the_logarithms():
    weighting = FAMO("ab", learning_rate=0.025, weight_decay=0.001)
    np.testing.assert_allclose(weighting.weights(tf.constant([2.0, 0.5]), tf.zeros((2, 2))), (0.2, 0.8), rtol=1e-6)


def test_famo_listens_less_to_the_loss_that_fell_faster():
    weighting = FAMO("ab", learning_rate=0.025, weight_decay=0.0)
    learn(weighting, [1.0, 1.0], losses_after=[0.5, 0.9])
    np.testing.assert_allclose(weighting.logits, (-0.025, 0.025), rtol=1e-4)  # Adam's first step is the learning rate
    assert weighting.uses_losses_after


def test_famo_moves_by_logarithms_so_a_scaled_loss_changes_nothing():
    one, other = FAMO("ab", 0.025, 0.001), FAMO("ab", 0.025, 0.001)
    learn(one, [1.0, 2.0], losses_after=[0.5, 1.9], steps=3)
    learn(other, [10.0, 2.0], losses_after=[5.0, 1.9], steps=3)
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-6)


def test_gls_is_the_gradient_of_the_geometric_mean():
    losses = tf.Variable([2.0, 0.5, 4.0])
    with tf.GradientTape() as tape:
        mean = tf.reduce_prod(losses) ** (1 / 3)
    found = GLS("abc").weights(losses, tf.zeros((3, 3)))
    np.testing.assert_allclose(found, tape.gradient(mean, losses), rtol=1e-5)


def test_gls_scales_as_a_whole_with_one_loss():
    losses, scaled = tf.constant([2.0, 0.5, 4.0]), tf.constant([16.0, 0.5, 4.0])
    one, other = (GLS("abc").weights(each, tf.zeros((3, 3))).numpy() for each in (losses, scaled))
    of_losses = other * [8, 1, 1]  # the gradient of the scaled loss is eight times as long
    np.testing.assert_allclose(of_losses / one, 2, rtol=1e-5)


@pytest.mark.parametrize("name", ["dwa", "rlw", "gls", "famo", "gradnorm", "equal"])
def test_one_task_has_weight_one(name):
    weighting = build(ROOT / "conf" / "weighting" / f"{name}.yaml", TASKS[:1])
    np.testing.assert_allclose(learn(weighting, [0.3], [0.2], [[4.0]], steps=3), 1, rtol=1e-6)


def test_rlw_draws_anew_at_every_step_and_sums_to_the_number_of_tasks():
    weighting, draws = RLW("abc", seed=3), []

    @tf.function
    def step():
        weights = weighting.weights(tf.ones(3), tf.zeros((3, 3)))
        weighting.update(tf.ones(3), tf.ones(3))
        return weights

    for _ in range(200):
        draws.append(step().numpy())
    np.testing.assert_allclose(np.sum(draws, axis=1), 3, rtol=1e-5)
    logs = np.log(draws)
    contrasts = (logs[:, 0] - logs[:, 1]) / np.sqrt(2)  # of two standard normals: again one
    assert abs(contrasts.mean()) < 0.2
    assert abs(contrasts.std() - 1) < 0.15
    assert not np.array_equal(RLW("abc", seed=4).weights(tf.ones(3), tf.zeros((3, 3))), draws[0])


def test_adam_is_keras_adam():
    import keras

    mine, theirs = tf.Variable([1.0, -2.0]), keras.Variable([1.0, -2.0])
    small, large = Adam(mine, 0.1), keras.optimizers.Adam(0.1, epsilon=1e-8)
    for step in range(5):
        gradient = tf.constant([1.0, -0.1 * step])
        small.descend(gradient)
        large.apply([gradient], [theirs])
    np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def metabalanced(weighting, *steps):
    """Updates of two tasks' gradients (2, 4) in two shared variables of two parameters, step by step."""
    found = []
    for gradients in steps:
        found.append(update_of(weighting, np.ones(2), np.array(gradients)))
        moved_on(weighting, np.ones(2), np.ones(2), np.array(gradients))
    return found


def metabalance(relax_factor=0.5, beta=0.5, tasks="ab", main_task="a", n=4):
    weighting = MetaBalance(tasks, main_task, relax_factor, beta)
    weighting.build(shared_shapes(n))
    return weighting


def test_metabalance_by_hand():
    # norms of the main task 5 and 1; of the auxiliary 10 and 5, then 20 and 5
    first, second = metabalanced(metabalance(), [[3, 4, 0, 1], [0, 10, 5, 0]], [[3, 4, 0, 1], [0, 20, 0, 5]])
    np.testing.assert_allclose(first, [3, 4 + 10 * 0.75, 5 * 0.6, 1], rtol=1e-6)
    # running mean of the auxiliary (.25 * 10 + .5 * 20) / .75 = 50 / 3, so the ratio is .3
    np.testing.assert_allclose(second, [3, 4 + 20 * 0.65, 0, 1 + 5 * 0.6], rtol=1e-6)


def test_metabalance_gives_the_ratio_of_lengths_as_the_weight():
    weights = asked(metabalance(), np.ones(2), np.array([[3, 4, 0, 1], [0, 10, 5, 0]]))
    np.testing.assert_allclose(weights, [1, np.sqrt((7.5**2 + 3**2) / 125)], rtol=1e-6)


def test_metabalance_without_relaxation_is_equal():
    steps = [random_gradients(seed, 2)[:, :4] for seed in range(3)]
    for found, gradients in zip(metabalanced(metabalance(relax_factor=0.0), *steps), steps, strict=True):
        np.testing.assert_allclose(found, gradients.sum(axis=0), rtol=1e-5)


def test_metabalance_wholly_relaxed_makes_an_auxiliary_as_long_as_the_main_task():
    gradients = np.array([[3, 4, 0, 1], [0, 1e-6, 1e3, 0]])
    (found,) = metabalanced(metabalance(relax_factor=1.0), gradients)
    np.testing.assert_allclose(found - gradients[0], [0, 5, 1, 0], rtol=1e-5)


def test_metabalance_leaves_the_mean_of_a_gradient_that_is_zero():
    sound, absent = [[3, 4, 0, 1], [0, 10, 5, 0]], [[0, 0, 0, 0], [0, 10, 5, 0]]
    one, other = metabalance(), metabalance()
    metabalanced(one, sound, absent)
    found, _ = metabalanced(other, sound, sound)
    np.testing.assert_allclose(one.sums[0] / one.factors[0], [5, 1], rtol=1e-6)
    np.testing.assert_allclose(one.sums[1], other.sums[1])
    # a task that was never met is not scaled, and nothing is scaled to it
    np.testing.assert_allclose(metabalanced(metabalance(), absent)[0], [0, 10, 5, 0])
    np.testing.assert_allclose(found[0], 3, rtol=1e-6)


def excess(step_size=0.1, n_tasks=2, n=2):
    weighting = ExcessMTL("abcd"[:n_tasks], step_size)
    weighting.build(shared_shapes(n))
    return weighting


def excess_weights(weighting, *steps):
    found = []
    for gradients in steps:
        losses = np.ones(weighting.n_tasks)
        found.append(asked(weighting, losses, np.array(gradients)).numpy())
        moved_on(weighting, losses, losses, np.array(gradients))
    return found


def test_excess_mtl_by_hand():
    # E of the first task 3 + 4 = 7, then 7 / sqrt(2); of the second 1, then 4 / sqrt(1 + 4): relative .7071 and 1.7889
    first, second, third = excess_weights(excess(), [[3, 4], [1, 0]], [[3, 4], [2, 0]], [[0, 0], [0, 0]])
    np.testing.assert_allclose(first, [1, 1])
    np.testing.assert_allclose(second, [0.945962, 1.054038], rtol=1e-5)
    np.testing.assert_allclose(third, second)


def test_excess_mtl_with_equal_gradients_stays_uniform():
    steps = [np.tile(random_gradients(seed, 1), (3, 1)) for seed in range(4)]
    np.testing.assert_allclose(excess_weights(excess(n_tasks=3, n=5), *steps), 1, rtol=1e-6)


def test_excess_mtl_counts_a_task_more_whose_gradients_stay_large():
    steps = [np.array([[1.0, 1.0], [1.0, 1.0]]) * [[1.0], [0.5**step]] for step in range(6)]
    first, *others = excess_weights(excess(), *steps)
    np.testing.assert_allclose(first, 1)
    assert (np.diff([weights[0] for weights in others]) > 0).all()
    np.testing.assert_allclose(np.sum(others, axis=1), 2, rtol=1e-6)


def test_excess_mtl_does_not_see_the_unit_of_a_loss():
    steps = [random_gradients(seed, 3) for seed in range(4)]
    scaled = [gradients * np.array([[1.0], [1e4], [1e-6]]) for gradients in steps]
    one, other = (excess_weights(excess(n_tasks=3, n=7), *each) for each in (steps, scaled))
    np.testing.assert_allclose(one, other, rtol=1e-4)
    assert np.abs(one[-1] - 1).max() > 1e-3


def test_permuting_tasks_permutes_what_looks_at_gradients():
    order, steps = [2, 0, 1], [random_gradients(seed, 3) for seed in range(3)]
    mine = excess_weights(excess(n_tasks=3, n=7), *steps)
    theirs = excess_weights(excess(n_tasks=3, n=7), *(gradients[order] for gradients in steps))
    np.testing.assert_allclose(np.array(mine)[:, order], theirs, rtol=1e-6)
    one, other = metabalance(tasks="abc", main_task="b", n=7), metabalance(tasks="cab", main_task="b", n=7)
    np.testing.assert_allclose(
        metabalanced(one, *steps), metabalanced(other, *(gradients[order] for gradients in steps)), rtol=1e-5
    )


@pytest.mark.parametrize("kind", ["metabalance", "grad_cosine"])
def test_a_main_task_that_is_not_in_the_set_is_the_users_mistake(kind):
    with pytest.raises(Exception, match=r"'violense' is not in the set. Did you mean 'violence'\?"):
        build(ROOT / "conf" / "weighting" / f"{kind}.yaml", main_task="violense")


# --- length of the update: what the docstrings say ------------------------------------------------------------------

# of two equal gradients of length 5 and equal losses of 1, in their lengths
LENGTHS = {
    "aligned": 1,
    "cagrad": 1.5,
    "dwa": 2,
    "equal": 2,
    "excess_mtl": 2,
    "fairgrad": 2 ** (1 / 3) * 5 ** (-1 / 3) / 5,
    "famo": 1,
    "fixed": 2,
    "gls": 1,
    "grad_cosine": 2,
    "gradnorm": 2,
    "imtl_g": 1,
    "metabalance": 2,
    "mgda": 1,
    "nash": 1 / 5,
    "notebook": 1.5,
    "pcgrad": 2,
    "rlw": 2,
    "uncertainty": 1,
    "upgrad": 1,
}


@every_yaml
def test_the_length_of_an_update_is_said_and_as_said(yaml):
    weighting = build(yaml, TASKS[:2], n=2)
    assert "Length of the update: for T equal gradients" in " ".join((type(weighting).__doc__ or "").split())
    found = update_of(weighting, np.ones(2), np.tile([3.0, 4.0], (2, 1)))
    if yaml.stem in LENGTHS:  # a method of one's own says it in its docstring alone
        np.testing.assert_allclose(found, LENGTHS[yaml.stem] * np.array([3.0, 4.0]), rtol=1e-5)


# --- fixed weights --------------------------------------------------------------------------------------------------


def test_fixed_weights_go_by_name_and_fall_back_to_the_default():
    assert fixed_weights(["a", "b"], {"b": 0.5}, 1.0, strict=True) == (1.0, 0.5)
    np.testing.assert_allclose(Fixed(["a", "b"], {"b": 0.5}, 1, True).weights(tf.ones(2), tf.eye(2)), (1, 0.5))


def test_notebook_is_one_table_for_every_set():
    notebook = ROOT / "conf" / "weighting" / "notebook.yaml"
    np.testing.assert_array_equal(build(notebook).given, (1, 0.5, 0.5, 1))
    np.testing.assert_array_equal(build(notebook, ["general_anomaly", "property_crime"]).given, (1, 0.5))
    with pytest.raises(Exception, match="No weight is given for task 'random_labels'"):
        build(notebook, ["general_anomaly", "random_labels"])


@pytest.mark.parametrize(
    ("weights", "default", "message"),
    [
        ({"violense": 1.0}, 1.0, r"'violense', which is not in the set. Did you mean 'violence'\?"),
        ({}, None, "No weight is given for task 'general_anomaly'"),
        ({"violence": -1.0}, 1.0, "finite number of at least 0, found -1.0"),
        ({"violence": float("nan")}, 1.0, "finite number of at least 0, found nan"),
        ({"violence": "high"}, 1.0, "finite number of at least 0, found 'high'"),
        ({"violence": True}, 1.0, "finite number of at least 0, found True"),
        ({}, float("inf"), "default weight must be a finite number"),
        ({}, 0.0, "Every weight of the set is 0"),
    ],
)
def test_wrong_fixed_weights_are_the_users_mistake(weights, default, message):
    with pytest.raises(UserError, match=message):
        fixed_weights(TASKS, weights, default, strict=True)


def test_fixed_weights_are_checked_without_tensorflow():
    code = (
        "import sys; from mtl.weighting.equal import Equal; from mtl.weighting.fixed import Fixed;"
        "Equal(['a']); Fixed(['a'], {'a': 2.0}, None, True); assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# --- exactness: each solution meets the conditions of its problem -----------------------------------------------------


@every_case
def test_mgda_is_the_nearest_point_of_the_hull(seed, n_tasks):
    gradients = random_gradients(seed, n_tasks)
    weights = weights_of(mgda, gradients)
    shortest = gradients.T @ weights
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-12)
    assert (gradients @ shortest).min() >= shortest @ shortest - 1e-9  # no vertex is nearer


@every_case
@pytest.mark.parametrize("c", [0.2, 0.5, 1.0, 1.5])
def test_cagrad_has_the_radius_and_no_duality_gap(seed, n_tasks, c):
    gradients = random_gradients(seed, n_tasks)
    weights = weights_of(lambda gramian: cagrad(gramian, c), gradients)
    mean, shift = gradients.mean(axis=0), weights - 1 / n_tasks
    radius = c * np.linalg.norm(mean)
    np.testing.assert_allclose(np.linalg.norm(gradients.T @ shift), radius, rtol=1e-6)
    assert shift.min() >= -1e-9
    on_simplex = gradients.T @ (shift / shift.sum())
    upper = on_simplex @ mean + radius * np.linalg.norm(on_simplex)  # what the paper minimises
    np.testing.assert_allclose((gradients @ (gradients.T @ weights)).min(), upper, atol=1e-8)


def test_cagrad_without_radius_is_the_mean():
    np.testing.assert_allclose(weights_of(lambda gramian: cagrad(gramian, 0.0), random_gradients(0, 4)), 0.25)


@every_case
def test_nash_solves_its_equation(seed, n_tasks):
    gradients = random_gradients(seed, n_tasks)
    weights = weights_of(nash, gradients)
    assert weights.min() > 0
    np.testing.assert_allclose(weights * (gradients @ gradients.T @ weights), 1, atol=1e-8)
    np.testing.assert_allclose(np.linalg.norm(gradients.T @ weights), np.sqrt(n_tasks), rtol=1e-8)


def test_nash_is_shortened_to_its_norm():
    gradients = random_gradients(0, 3)
    matrix = tf.constant(gradients @ gradients.T)
    free, short = Nash("abc", None).solve(matrix).numpy(), Nash("abc", 1.0).solve(matrix).numpy()
    np.testing.assert_allclose(short, free / np.sqrt(3), rtol=1e-8)
    np.testing.assert_allclose(Nash("abc", 5.0).solve(matrix), free)


ALPHAS = [0.001, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0]


@every_case
@pytest.mark.parametrize("alpha", sampled(ALPHAS, every=3))
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_fairgrad_solves_its_equation(seed, n_tasks, alpha, scale):
    gradients = scale * random_gradients(seed, n_tasks) * np.geomspace(1e-3, 1e3, n_tasks)[:, None]
    weights, lengths = weights_of(fairgrad_of(alpha), gradients), np.linalg.norm(gradients, axis=1)
    assert weights.min() > 0
    gains = gradients @ (gradients.T @ weights)
    parts = lengths * (lengths * weights).sum()  # what the gains are the difference of
    np.testing.assert_allclose(gains / parts, weights ** (-1 / alpha) / parts, atol=1e-10)


def test_fairgrad_of_orthogonal_gradients_by_hand():
    # of one gradient alone n ** 2 w = w ** (-1 / alpha), so w = n ** (-2 alpha / (1 + alpha))
    gradients = np.diag([1.0, 8.0, 27.0])
    np.testing.assert_allclose(weights_of(fairgrad_of(2.0), gradients), [1, 1 / 16, 1 / 81])
    np.testing.assert_allclose(weights_of(fairgrad_of(0.5), gradients), [1, 1 / 4, 1 / 9])


@every_case
def test_fairgrad_of_one_is_nash(seed, n_tasks):
    gradients = random_gradients(seed, n_tasks) * np.geomspace(0.1, 10, n_tasks)[:, None]
    np.testing.assert_allclose(weights_of(fairgrad_of(1.0), gradients), weights_of(nash, gradients), rtol=1e-8)
    shortened = FairGrad("ab", alpha=1.0, max_norm=1.0), Nash("ab", max_norm=1.0)
    fair, bargained = (one.solve(tf.constant(GOLDEN @ GOLDEN.T)).numpy() for one in shortened)
    np.testing.assert_allclose(fair, bargained, rtol=1e-8)


@every_case
def test_fairgrad_of_a_small_alpha_is_the_sum_where_that_harms_no_task(seed, n_tasks):
    small = fairgrad_of(0.001)
    np.testing.assert_allclose(weights_of(small, np.abs(random_gradients(seed, n_tasks))), 1, rtol=0.01)
    gradients = random_gradients(seed, n_tasks, conflict=0.95)
    total = gradients.sum(axis=0)
    projected = total + gradients.T @ nnls(gradients.T, -total)[0]
    np.testing.assert_allclose(direction(small, gradients), projected, atol=0.01 * np.linalg.norm(total))


@every_case
def test_fairgrad_of_a_large_alpha_serves_the_worst_served_task_best(seed, n_tasks):
    gradients = random_gradients(seed, n_tasks)
    fair, best = direction(fairgrad_of(100.0), gradients), direction(mgda, gradients)
    fair, best = fair / np.linalg.norm(fair), best / np.linalg.norm(best)
    np.testing.assert_allclose((gradients @ fair).min(), (gradients @ best).min(), rtol=0.02)


@every_case
def test_imtl_g_has_one_projection_on_all(seed, n_tasks):
    gradients = random_gradients(seed, n_tasks)
    weights = weights_of(imtl_g, gradients)
    projections = (gradients @ (gradients.T @ weights)) / np.linalg.norm(gradients, axis=1)
    np.testing.assert_allclose(projections, projections[0], rtol=1e-7)
    assert projections[0] > 0
    np.testing.assert_allclose(abs(weights.sum()), 1, rtol=1e-9)


@every_case
def test_upgrad_is_the_mean_of_the_projections_by_nonnegative_least_squares(seed, n_tasks):
    gradients = random_gradients(seed, n_tasks)
    projections = [g + gradients.T @ nnls(gradients.T, -g)[0] for g in gradients]  # Moreau's decomposition
    np.testing.assert_allclose(direction(upgrad, gradients), np.mean(projections, axis=0), atol=1e-7)


def dependent_gradients(seed, n_dimensions=3):
    """More tasks than dimensions; the odd seeds' convex hull keeps away from zero, the others' may hold it."""
    gradients = np.random.default_rng(seed).normal(size=(n_dimensions + 1, n_dimensions))
    if seed % 2:
        gradients[:, 0] = 0.02 + np.abs(gradients[:, 0]) * (seed % 4 == 1)
    return gradients


every_dependence = pytest.mark.parametrize("seed", sampled(range(10), every=3))


@every_dependence
@pytest.mark.parametrize("c", [0.5, 1.0])
def test_cagrad_of_dependent_gradients_keeps_the_radius_and_serves_the_worst(seed, c):
    gradients = dependent_gradients(seed)
    weights = weights_of(lambda gramian: cagrad(gramian, c), gradients)
    mean, shift = gradients.mean(axis=0), weights - 1 / len(gradients)
    radius = c * np.linalg.norm(mean)
    np.testing.assert_allclose(np.linalg.norm(gradients.T @ shift), radius, rtol=1e-9)
    on_simplex = gradients.T @ (np.maximum(shift, 0) / np.maximum(shift, 0).sum())
    upper = on_simplex @ mean + radius * np.linalg.norm(on_simplex)  # no direction within the radius does better
    assert (gradients @ (gradients.T @ weights)).min() >= upper - 1e-5 * (gradients**2).sum(axis=1).max()


@every_dependence
def test_nash_of_dependent_gradients_solves_its_equation_where_there_is_a_solution(seed):
    gradients = dependent_gradients(seed)
    weights = weights_of(nash, gradients)
    lengths = np.linalg.norm(gradients, axis=1)
    if np.linalg.norm(direction(mgda, gradients)) > 0.01:
        np.testing.assert_allclose(weights * (gradients @ gradients.T @ weights), 1, atol=1e-6)
    else:  # the hull holds zero: nothing to agree on
        assert seed % 2 == 0
        assert np.linalg.norm(gradients.T @ weights) < 0.02 * lengths.max()
        assert (lengths * weights).max() <= 2000


@every_dependence
def test_upgrad_of_dependent_gradients_is_the_mean_of_the_projections(seed):
    gradients = dependent_gradients(seed)
    projections = [g + gradients.T @ nnls(gradients.T, -g)[0] for g in gradients]
    longest = np.linalg.norm(gradients, axis=1).max()
    np.testing.assert_allclose(direction(upgrad, gradients), np.mean(projections, axis=0), atol=1e-5 * longest)


@every_case
def test_aligned_is_the_mean_of_orthogonal_gradients_of_one_length(seed, n_tasks):
    gradients = random_gradients(seed, n_tasks)
    left, lengths, right = np.linalg.svd(gradients, full_matrices=False)
    np.testing.assert_allclose(direction(aligned, gradients), (lengths[-1] * left @ right).mean(axis=0), atol=1e-8)


@every_case
def test_pcgrad_is_the_surgery_on_the_vectors_themselves(seed, n_tasks):
    gradients = random_gradients(seed, n_tasks)
    orders = np.argsort(np.random.default_rng(seed).random((n_tasks, n_tasks)))
    total = np.zeros(gradients.shape[1])
    for i in range(n_tasks):
        left = gradients[i].copy()
        for j in orders[i]:
            if j != i and left @ gradients[j] < 0:
                left -= left @ gradients[j] / (gradients[j] @ gradients[j]) * gradients[j]
        total += left
    np.testing.assert_allclose(direction(lambda gramian: pcgrad(gramian, tf.constant(orders)), gradients), total)


def test_pcgrad_meets_the_tasks_in_every_order():
    weighting, gradients = PCGrad("abc", seed=0), random_gradients(2, 3, conflict=0.95)
    seen = set()
    for _ in range(60):
        seen.add(tuple(np.round(weighting.solve(tf.constant(gradients @ gradients.T)).numpy(), 6)))
        weighting.update(tf.ones(3), tf.ones(3))
    assert len(seen) == 8  # two orders for each of three gradients


def crosscheck():
    return json.loads((ROOT / "tests" / "weighting" / "weightings.json").read_text())["cases"]


# their solvers stop early (Frank-Wolfe, interior points on the objective): the tolerance is theirs
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("mgda", 2e-3),
        ("cagrad_c0.5", 1e-3),
        ("imtl_g", 1e-8),
        ("nash_direction", 1e-5),
        ("aligned", 1e-8),
        ("upgrad", 1e-7),
        ("pcgrad", 1e-8),
    ],
)
def test_another_program_finds_the_same_direction(name, tolerance):
    solver, compared = SOLVERS[name.split("_c0")[0].removesuffix("_direction")], 0
    for case in crosscheck():
        if name not in case["directions"]:
            continue
        mine, theirs = direction(solver, np.array(case["gradients"])), np.array(case["directions"][name])
        if name == "nash_direction":
            mine /= np.linalg.norm(mine)
        assert np.linalg.norm(mine - theirs) < tolerance * np.linalg.norm(theirs)
        compared += 1
    assert compared >= (3 if name == "pcgrad" else 15)


def test_where_another_program_differs_it_is_further_from_the_optimum():
    for case in crosscheck():
        gradients = np.array(case["gradients"])
        theirs = np.array(case["directions"]["mgda"])
        assert np.linalg.norm(direction(mgda, gradients)) <= np.linalg.norm(theirs) * (1 + 1e-8)
        their_direction, mean = np.array(case["directions"]["cagrad_c0.5"]), gradients.mean(axis=0)
        stretch = 0.5 * np.linalg.norm(mean) / np.linalg.norm(their_direction - mean)
        theirs_in_ball = mean + min(1.0, stretch) * (their_direction - mean)
        assert (gradients @ direction(half_cagrad, gradients)).min() >= (gradients @ theirs_in_ball).min() - 1e-8


# --- properties -----------------------------------------------------------------------------------------------------


@every_solver
@pytest.mark.parametrize(
    "gradients", sampled([*EDGES.values(), random_gradients(3, 4)], every=4), ids=[*EDGES, "regular"]
)
def test_permuting_tasks_permutes_the_weights(solver, gradients):
    if solver is pcgrad_in_order:
        pytest.skip("its order of the tasks is an argument")
    order = [2, 0, 3, 1]
    mine, theirs = weights_of(solver, gradients)[order], weights_of(solver, gradients[order])
    scale = np.linalg.norm(gradients, axis=1)[order]  # what a zero gradient is weighted with does not show
    atol = 1e-6 * np.abs(theirs * scale).max() + 1e-15 * min(1.0, scale.max())
    np.testing.assert_allclose(mine * scale, theirs * scale, rtol=1e-6, atol=atol)


def test_permuting_tasks_permutes_grad_cosine_with_its_main_task():
    gradients, order = random_gradients(3, 4), [2, 0, 3, 1]
    mine = weights_of(lambda gramian: grad_cosine(gramian, 1), gradients)[order]
    theirs = weights_of(lambda gramian: grad_cosine(gramian, order.index(1)), gradients[order])
    np.testing.assert_array_equal(mine, theirs)
    assert 0 in mine


def test_permuting_tasks_and_orders_permutes_pcgrad():
    gradients, order = random_gradients(3, 4), np.array([2, 0, 3, 1])
    orders = np.argsort(np.random.default_rng(0).random((4, 4)))
    place = np.argsort(order)  # where a task has gone
    mine = pcgrad(tf.constant(gradients @ gradients.T), tf.constant(orders)).numpy()[order]
    permuted = gradients[order]
    theirs = pcgrad(tf.constant(permuted @ permuted.T), tf.constant(place[orders[order]])).numpy()
    np.testing.assert_allclose(mine, theirs)


@pytest.mark.parametrize("name", sampled(["gradnorm", "gls", "famo", "uncertainty", "dwa"], every=3))
def test_permuting_tasks_permutes_scalar_weights(name):
    order = [2, 0, 3, 1]
    losses, after = np.array([0.7, 0.2, 1.3, 2.0]), np.array([0.6, 0.19, 1.2, 1.0])
    matrix, epochs = np.diag([1.0, 4, 9, 2]), np.array([[0.9, 0.5, 2.0, 1.0], [0.7, 0.45, 1.0, 1.1]])
    yaml = ROOT / "conf" / "weighting" / f"{name}.yaml"

    def final(order):
        weighting = build(yaml)
        weighting.start_epoch(2, epochs[:, order])
        return learn(weighting, losses[order], after[order], matrix[np.ix_(order, order)], steps=3)

    np.testing.assert_allclose(final([0, 1, 2, 3])[order], final(order), rtol=1e-5)


@pytest.mark.parametrize("name", ["nash", "imtl_g"])
def test_scaling_a_loss_leaves_the_direction(name):
    gradients = random_gradients(2, 4)
    scaled = gradients * np.array([[1.0], [7.0], [0.01], [300.0]])
    one, other = direction(SOLVERS[name], gradients), direction(SOLVERS[name], scaled)
    np.testing.assert_allclose(one / np.linalg.norm(one), other / np.linalg.norm(other), atol=1e-8)


@pytest.mark.parametrize("name", ["aligned", "cagrad", "mgda", "pcgrad", "upgrad"])
def test_scaling_all_losses_scales_the_direction(name):
    gradients = random_gradients(2, 4)
    one, other = direction(SOLVERS[name], gradients), direction(SOLVERS[name], 1e-3 * gradients)
    np.testing.assert_allclose(1e-3 * one, other, rtol=1e-7)


@every_case
@pytest.mark.parametrize("conflict", [0.0, 0.7, 0.99])
@pytest.mark.parametrize("name", ["mgda", "upgrad", "nash", "fairgrad", "cagrad_1", "cagrad_2"])
def test_no_task_is_harmed(name, seed, n_tasks, conflict):
    solvers = {**SOLVERS, "cagrad_1": lambda k: cagrad(k, 1.0), "cagrad_2": lambda k: cagrad(k, 2.0)}
    gradients = random_gradients(seed, n_tasks, conflict)
    found = direction(solvers[name], gradients)
    cosines = gradients @ found / np.linalg.norm(gradients, axis=1) / np.linalg.norm(found)
    assert cosines.min() > -1e-6


def test_pcgrad_of_two_tasks_harms_none():
    for seed in range(5):
        gradients = random_gradients(seed, 2, conflict=0.95)
        assert (gradients @ direction(pcgrad_in_order, gradients)).min() > 0


# --- edges: what the docstrings say -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("pcgrad", 1),
        ("mgda", 1),
        ("cagrad", 1.5),
        ("imtl_g", 1),
        ("nash", 1 / 5),
        ("aligned", 1),
        ("upgrad", 1),
        ("fairgrad", 5 ** (-4 / 3)),
    ],
)
def test_one_task(name, weight):
    np.testing.assert_allclose(weights_of(SOLVERS[name], np.array([[3.0, 4.0]])), [weight])


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("pcgrad", 4),
        ("mgda", 1),
        ("cagrad", 1.5),
        ("imtl_g", 1),
        ("nash", 2 / 5),
        ("aligned", 1),
        ("upgrad", 1),
        ("fairgrad", 4 * (4 * 25) ** (-2 / 3)),
    ],
)
def test_identical_gradients_share_alike(name, times):
    gradients = np.tile([3.0, 4.0], (4, 1))
    weights = weights_of(SOLVERS[name], gradients)
    np.testing.assert_allclose(weights, weights[0], rtol=1e-6)
    np.testing.assert_allclose(gradients.T @ weights, times * gradients[0], rtol=2e-6)


@every_solver
def test_opposite_gradients_cancel(solver):
    gradients = np.array([[3.0, 4.0], [-3.0, -4.0]])
    np.testing.assert_allclose(direction(solver, gradients), 0, atol=1e-9)
    assert np.abs(weights_of(solver, gradients)).max() <= 1e3  # what float32 can still cancel


@every_solver
def test_zero_gradients_give_bounded_weights(solver):
    assert np.abs(weights_of(solver, np.zeros((4, 3)))).max() <= 1


@pytest.mark.parametrize("name", ["pcgrad", "imtl_g", "nash", "fairgrad"])
def test_the_others_are_as_without_the_zero_gradient(name):
    gradients = random_gradients(1, 3)
    with_zero = np.insert(gradients, 1, 0.0, axis=0)
    weights = weights_of(SOLVERS[name], with_zero)
    np.testing.assert_allclose(np.delete(weights, 1), weights_of(SOLVERS[name], gradients), rtol=1e-9)
    assert weights[1] == (1 if name == "pcgrad" else 0)


@pytest.mark.parametrize("name", ["aligned", "upgrad"])
def test_a_zero_gradient_counts_in_the_mean_only(name):
    gradients = random_gradients(1, 3)
    with_zero = np.insert(gradients, 1, 0.0, axis=0)
    expected = 0.75 * direction(SOLVERS[name], gradients)
    np.testing.assert_allclose(direction(SOLVERS[name], with_zero), expected, rtol=1e-6)


def test_mgda_rests_where_a_gradient_is_zero():
    gradients = np.insert(random_gradients(1, 3), 1, 0.0, axis=0)
    np.testing.assert_allclose(weights_of(mgda, gradients), [0, 1, 0, 0], atol=1e-12)


def test_cagrad_takes_the_mean_where_a_gradient_is_zero_and_no_other_is_harmed():
    gradients = np.insert(np.abs(random_gradients(1, 3)), 1, 0.0, axis=0)
    np.testing.assert_allclose(direction(half_cagrad, gradients), gradients.mean(axis=0), rtol=1e-6)


def test_grad_cosine_at_its_edges():
    def gate(gradients):
        return weights_of(lambda gramian: grad_cosine(gramian, 0), np.array(gradients))

    np.testing.assert_array_equal(gate([[3.0, 4], [3, 4]]), [1, 1])
    np.testing.assert_array_equal(gate([[3.0, 4], [-3, -4]]), [1, 0])
    np.testing.assert_array_equal(gate([[3.0, 4], [0, 0]]), [1, 0])
    np.testing.assert_array_equal(gate([[0.0, 0], [3, 4]]), [1, 0])
    np.testing.assert_array_equal(gate([[3.0, 4]]), [1])


@every_solver
def test_lengths_a_thousandfold_apart_keep_the_method_exact(solver):
    lengths = np.array([1e3, 1.0, 1e-3])
    gradients = random_gradients(4, 3) * lengths[:, None]
    exact = weights_of(solver, gradients)
    in_single = solver(tf.cast(tf.constant((gradients @ gradients.T).astype("f")), tf.float64)).numpy()
    np.testing.assert_allclose(
        in_single * lengths, exact * lengths, rtol=1e-3, atol=1e-4 * np.abs(exact * lengths).max()
    )


@every_solver
def test_float32_noise_of_dependent_gradients_does_no_harm(solver):
    gradients = np.random.default_rng(0).normal(size=(1, 20_000)).astype("f") * np.array([[1], [1], [2], [-1]], "f")
    noise = 1 + 1e-7 * np.random.default_rng(1).normal(size=(4, 4))
    matrix = (gradients @ gradients.T) * (noise + noise.T) / 2
    weights = solver(tf.constant(matrix, tf.float64)).numpy()
    assert np.abs(weights).max() <= 1e3
    assert np.linalg.norm(gradients.T @ weights) <= 5 * np.linalg.norm(gradients[2])


def test_methods_that_look_at_every_subset_refuse_too_many_tasks():
    with pytest.raises(UserError, match=f"MGDA takes at most {MOST_TASKS_BY_SUBSETS} tasks, found 11"):
        MGDA("abcdefghijk")
    most = random_gradients(0, MOST_TASKS_BY_SUBSETS)
    shortest = direction(mgda, most)
    assert (most @ shortest).min() >= shortest @ shortest - 1e-9


# --- the two-task toy of CAGrad and Nash-MTL ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy():
    spec = importlib.util.spec_from_file_location("toy", ROOT / "benchmarks" / "toy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ends_of(toy, name):
    ends = toy.descend(toy.METHODS[name]())[:, -1]
    return ends, np.mean([loss.numpy() for loss in toy.losses(tf.constant(ends))], axis=0)


@pytest.mark.slow
def test_toy_cagrad_reaches_the_least_mean_from_everywhere(toy):
    ends, means = ends_of(toy, "cagrad")
    np.testing.assert_allclose(ends, np.tile([0, -8.3551], (3, 1)), atol=0.01)
    np.testing.assert_allclose(means, -15.0916, atol=1e-3)


@pytest.mark.slow
def test_toy_equal_weights_get_stuck_from_two_starts(toy):
    assert sorted(ends_of(toy, "equal")[1] > 3) == [False, True, True]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mgda", "pcgrad", "imtl_g", "nash", "upgrad"])
def test_toy_others_end_elsewhere_on_the_pareto_set(toy, name):
    ends, means = ends_of(toy, name)
    assert np.abs(ends[:, 1] + 8.39).max() < 0.06
    assert np.abs(ends[:, 0]).max() <= 7
    assert means.min() > -15
