"""Effects of auxiliaries from predictions alone: against scikit-learn, by hand, and where the design has holes."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mtl.ablation import comparison
from mtl.ablation.comparison import compare
from mtl.ablation.predictions import ComparedRun, needed, reduced
from mtl.evaluation.evaluation import Evaluation
from mtl.tasks import BinaryTask, CategoricalTask

CLASSES = ("Arson", "Fighting", "Normal")
FRAMES = 4


def predictions(seed: int, skill: float, videos: int = 24, type_head: bool = False) -> pd.DataFrame:
    """Scores that are the better the higher the skill; a third of the videos of each class."""
    rng = np.random.default_rng(seed)
    classes = np.array(CLASSES)[np.arange(videos) % 3]
    table = pd.DataFrame(
        {
            "video": np.repeat([f"v{i:03d}" for i in range(videos)], FRAMES),
            "frame": np.tile(np.arange(FRAMES), videos),
            "class_name": np.repeat(classes, FRAMES),
        }
    )
    table["target/main"] = (table["class_name"] != "Normal").astype(int)
    noise = rng.normal(size=len(table)) + np.repeat(rng.normal(size=videos), FRAMES)
    table["probability/main"] = 1 / (1 + np.exp(-(skill * table["target/main"] + noise)))
    if type_head:
        table["target/type"] = pd.Categorical(table["class_name"], CLASSES).codes
        normal = rng.uniform(size=len(table))
        table["probability/type/Arson"] = table["probability/type/Fighting"] = (1 - normal) / 2
        table["probability/type/Normal"] = normal
    return table


def auc(table: pd.DataFrame) -> float:
    return float(roc_auc_score(table["target/main"], table["probability/main"]))


def entry(arm: str, seed: int, table: pd.DataFrame, condition: str = "", **measures: float) -> ComparedRun:
    """A run of the set named by its auxiliaries, `main` alone where there are none."""
    auxiliaries = [] if arm == "main" else arm.split("+")
    found = {("cosine", name): value for name, value in measures.items()}
    row = f"{arm}, {condition}" if condition else arm
    return ComparedRun(row, arm, condition, str(seed), frozenset({"main", *auxiliaries}), reduced(table, "main"), found)


def design(
    arms: list[str], seeds: int = 3, skill: float = 1.0
) -> tuple[list[ComparedRun], dict[tuple[str, int], float]]:
    tables = {(arm, s): predictions(97 * i + s, skill + 0.1 * i) for i, arm in enumerate(arms) for s in range(seeds)}
    return [entry(arm, s, table) for (arm, s), table in tables.items()], {k: auc(t) for k, t in tables.items()}


def compared(
    entries: list[ComparedRun], controls: tuple[str, ...] = (), resamples: int = 200, margin: float = 0.01
) -> comparison.Comparison:
    return compare(entries, "main", controls, resamples, seed=0, margin=margin)


# --- one run ----------------------------------------------------------------------------------------------------------


def test_only_what_is_read_is_needed():
    columns = ["video", "frame", "class_name", "target/main", "probability/main", "target/other", "probability/other"]
    typed = ["probability/type/Normal", "probability/type/Arson"]
    assert needed([*columns, *typed, "probability/main_2"], "main") == [*columns[:5], *typed]
    logits = ["split", "logit/main", "logit/type/Normal", "logit/type/Arson"]
    assert needed([*columns, *typed, *logits, "logit/other"], "main") == [*columns[:4], *logits]


def with_logits(table: pd.DataFrame) -> pd.DataFrame:
    """The table as runs write it now: logits, and the test frames beside validation frames that answer nothing."""
    p = table["probability/main"]
    table = table.assign(split="test", **{"logit/main": np.log(p / (1 - p))})
    val = table.assign(split="val", **{"logit/main": 0.0}, video="val" + table["video"])
    return pd.concat([val, table], ignore_index=True)


def test_logits_of_test_frames_are_ranked_and_validation_frames_left_out():
    table = predictions(0, 1.0)
    one, other = reduced(table, "main"), reduced(with_logits(table), "main")
    np.testing.assert_array_equal(one.counts[0].counts, other.counts[0].counts)
    np.testing.assert_array_equal(one.videos, other.videos)
    assert one.ties == other.ties == 0
    assert (one.by_logits, other.by_logits) == (False, True)
    assert set(other.by_video["split"]) == {"val", "test"}
    assert other.by_video["frames"].sum() == len(with_logits(table))


def test_saturated_probabilities_tie_and_their_logits_do_not():
    """20 positives with logits 20 to 30 above 20 negatives with 17.5 to 19.5: apart, but 1 all of them in float32."""
    logits = np.concatenate([np.linspace(17.5, 19.5, 20), np.linspace(20, 30, 20)])
    table = pd.DataFrame({"video": [f"v{i:02d}" for i in range(40)], "frame": 0})
    table["class_name"] = np.repeat(["Normal", "Arson"], 20)
    table["target/main"] = np.repeat([0, 1], 20)
    table["probability/main"] = (1 / (1 + np.exp(-logits))).astype(np.float32)
    tied = reduced(table, "main")
    apart = reduced(table.assign(**{"logit/main": logits}), "main")
    once = np.ones((1, 40))
    assert tied.counts[0].auc(once)[0] < 0.6
    assert tied.ties > 0.8
    assert apart.counts[0].auc(once)[0] == 1


def test_a_head_answers_by_the_log_odds_of_normal():
    table = predictions(0, 1.0, type_head=True)
    logits = {f"logit/type/{name}": np.log(table[f"probability/type/{name}"]) + 40 for name in CLASSES}
    found = reduced(table.assign(**logits, **{"logit/main": table["probability/main"]}), "main").by_head["type"]
    np.testing.assert_array_equal(found.counts, reduced(table, "main").by_head["type"].counts)


def test_classes_that_were_never_trained_are_left_out_of_the_mean():
    rng = np.random.default_rng(0)
    table = predictions(0, 1.0, type_head=True).drop(columns="probability/main")
    table = table.assign(**{f"logit/type/{name}": rng.normal(size=len(table)) for name in CLASSES})
    every, fewer = reduced(table, "type"), reduced(table, "type", ["Fighting"])
    assert (len(every.counts), len(fewer.counts)) == (3, 2)
    assert "nothing was learned" in reduced(table, "type", CLASSES).fault


def test_order_of_frames_makes_no_difference():
    table = predictions(0, 1.0)
    one, other = reduced(table, "main"), reduced(table.sample(frac=1, random_state=1), "main")
    np.testing.assert_array_equal(one.frames, other.frames)
    np.testing.assert_allclose(one.counts[0].counts, other.counts[0].counts)


def test_another_frame_or_target_changes_the_digest_of_its_video_only():
    table = predictions(0, 1.0)
    for column, value in (("frame", 99), ("target/main", 0)):
        changed = table.copy()
        changed.loc[5, column] = value
        differ = reduced(table, "main").frames != reduced(changed, "main").frames
        assert differ.nonzero()[0].tolist() == [1]


def test_predictions_that_are_not_finite_are_a_fault():
    table = predictions(0, 1.0)
    table.loc[3, "probability/main"] = np.nan
    found = reduced(table, "main")
    assert found.fault == "1 of 96 predictions are not finite"
    assert not found.counts


def test_one_outcome_is_a_fault():
    table = predictions(0, 1.0)
    assert "same label" in reduced(table[table["class_name"] == "Normal"], "main").fault


def test_a_table_without_the_main_task_is_refused():
    with pytest.raises(ValueError, match="target/violence"):
        reduced(predictions(0, 1.0), "violence")


# --- sets -------------------------------------------------------------------------------------------------------------


def test_means_and_differences_are_those_of_scikit_learn():
    entries, aucs = design(["main", "a", "b"])
    sets = compared(entries).sets.set_index("row")
    for arm in ("main", "a", "b"):
        values = [aucs[arm, s] for s in range(3)]
        assert sets.loc[arm, "auc"] == pytest.approx(np.mean(values))
        assert sets.loc[arm, "sd"] == pytest.approx(np.std(values, ddof=1))
        difference = [aucs[arm, s] - aucs["main", s] for s in range(3)]
        if arm != "main":
            assert sets.loc[arm, "difference"] == pytest.approx(np.mean(difference))
            assert sets.loc[arm, "difference_sd"] == pytest.approx(np.std(difference, ddof=1))
            assert sets.loc[arm, "difference_low"] < np.mean(difference) < sets.loc[arm, "difference_high"]
    assert np.isnan(sets.loc["main", "difference"])


def test_one_seed_has_the_interval_of_the_run_itself():
    table = predictions(3, 1.0)
    row = compared([entry("main", 0, table)], resamples=500).sets.iloc[0]
    own = Evaluation(500, 0, 0.5, 1.0).evaluate(table, {"main": BinaryTask(CLASSES[:2], [])}).scores["auc/main"]
    assert (row["auc"], row["low"], row["high"]) == pytest.approx((own.value, own.low, own.high))
    assert "one seed" in compared([entry(a, 0, table) for a in ("main", "a")]).sets.loc[1, "reason"]


def test_equal_predictions_differ_by_nothing():
    tables = [predictions(s, 1.0) for s in range(3)]
    found = compared([entry(arm, s, table) for arm in ("main", "a") for s, table in enumerate(tables)])
    row = found.sets.set_index("row").loc["a"]
    assert (row["difference"], row["difference_low"], row["difference_high"], row["p"]) == (0, 0, 0, 1)
    assert found.auxiliaries.loc[0, "verdict"] == "does not matter"
    assert found.auxiliaries.loc[0, ["share_above", "share_within", "share_below"]].tolist() == [0, 1, 0]


def test_the_order_in_which_seeds_were_run_changes_no_number():
    entries, _ = design(["main", "a", "b"], seeds=11)
    one = compared(entries)
    order = np.random.default_rng(3).permutation(11)
    for some in (entries[::-1], [each for s in order for each in entries if each.seed == str(s)]):
        other = compared(some)
        for name, key in (("sets", "row"), ("auxiliaries", "auxiliary")):
            tables = [getattr(found, name).sort_values(key, ignore_index=True) for found in (one, other)]
            pd.testing.assert_frame_equal(*tables)


def test_a_large_gain_on_six_seeds_helps():
    tables = {(arm, s): predictions(s, skill, 90) for arm, skill in (("main", 0.5), ("a", 1.5)) for s in range(6)}
    found = compared([entry(arm, s, table) for (arm, s), table in tables.items()])
    row = found.sets.set_index("row").loc["a"]
    assert row["difference_low"] > 0
    assert row["p"] == pytest.approx(2 / 2**6)
    assert found.auxiliaries.loc[0, "verdict"] == "helps"


def test_the_single_task_is_the_base_wherever_it_stands():
    entries, _ = design(["a", "main", "b"])
    found = compared(entries)
    assert found.base == "main"
    assert found.sets["row"].tolist() == ["a", "main", "b"]


def test_without_a_single_task_the_first_set_is_the_base():
    entries, aucs = design(["a", "a+b"])
    found = compared(entries)
    assert found.base == "a"
    assert found.sets.loc[1, "difference"] == pytest.approx(np.mean([aucs["a+b", s] - aucs["a", s] for s in range(3)]))
    by_name = found.auxiliaries.set_index("auxiliary")
    assert by_name.loc["b", "pairs"] == 1
    assert by_name.loc["a", "verdict"] == "cannot tell"
    assert "no two task sets" in by_name.loc["a", "reason"]


def test_a_seed_that_one_set_lacks_is_left_out_of_the_difference_only():
    entries, aucs = design(["main", "a"])
    found = compared([each for each in entries if (each.arm, each.seed) != ("a", "1")]).sets.set_index("row")
    assert found["seeds"].tolist() == [3, 2]
    assert found.loc["a", "difference"] == pytest.approx(np.mean([aucs["a", s] - aucs["main", s] for s in (0, 2)]))
    assert found.loc["a", "paired_seeds"] == 2
    assert "1 seed is missing in some of the compared sets" in found.loc["a", "reason"]


def test_holm_is_over_all_differences():
    entries, _ = design(["main", "a", "b", "c"])
    sets = compared(entries).sets
    smallest = sets["p"].min()
    assert sets["p_holm"].min() == pytest.approx(min(1, 3 * smallest))


def test_conditions_are_compared_within_themselves():
    tables = {
        (arm, s, condition): predictions(11 * i + s, 1 + i)
        for i, (condition, arm) in enumerate([("w=1", "main"), ("w=1", "a"), ("w=2", "main"), ("w=2", "a")])
        for s in range(2)
    }
    found = compared([entry(arm, s, table, condition) for (arm, s, condition), table in tables.items()])
    for condition in ("w=1", "w=2"):
        wanted = np.mean([auc(tables["a", s, condition]) - auc(tables["main", s, condition]) for s in range(2)])
        assert found.sets.set_index("row").loc[f"a, {condition}", "difference"] == pytest.approx(wanted)
    assert found.auxiliaries["condition"].tolist() == ["w=1", "w=2"]


def test_a_condition_without_the_base_says_so():
    table = predictions(0, 1.0)
    found = compared([entry("main", 0, table, "w=1"), entry("a", 0, table, "w=2")])
    assert "'main' has no finished run" in found.sets.loc[1, "reason"]
    assert np.isnan(found.sets.loc[1, "difference"])


def test_an_undefined_run_is_named_and_the_others_count():
    tables = [predictions(s, 1.0) for s in range(2)]
    broken = tables[1].assign(**{"probability/main": np.nan})
    found = compared(
        [*(entry("main", s, t) for s, t in enumerate(tables)), entry("a", 0, tables[0]), entry("a", 1, broken)]
    )
    assert found.sets.set_index("row").loc["a", "seeds"] == 1
    assert found.warnings == ("a, seed 1: no AUC, because 96 of 96 predictions are not finite.",)


def test_nothing_to_compare_is_no_error():
    found = compared([])
    assert found.sets.empty
    assert found.auxiliaries.empty
    assert found.gain_predictors.empty


# --- test data that differ --------------------------------------------------------------------------------------------


def test_differences_are_over_the_videos_that_all_scored():
    whole, part = predictions(0, 1.0), predictions(1, 1.0)
    part = part[part["video"] != "v004"]
    found = compared([entry("main", 0, whole), entry("a", 0, part)])
    common = whole[whole["video"] != "v004"]
    assert found.sets.loc[1, "difference"] == pytest.approx(auc(part) - auc(common))
    assert found.sets.loc[0, "auc"] == pytest.approx(auc(whole))
    assert "v004 were not evaluated in all" in found.warnings[0]
    assert "23 videos" in found.warnings[0]


def test_other_frames_of_the_same_videos_are_named():
    table = predictions(0, 1.0)
    found = compared([entry("main", 0, table), entry("a", 0, table.drop(index=[1, 9]))])
    assert "in 2 videos the runs did not evaluate the same frames" in found.warnings[0]


def test_the_same_test_data_need_no_warning():
    assert not compared(design(["main", "a"])[0]).warnings


# --- auxiliaries ------------------------------------------------------------------------------------------------------


def factorial(names: str) -> list[str]:
    return ["+".join(some) or "main" for k in range(len(names) + 1) for some in combinations(names, k)]


def test_main_effects_and_shapley_values_by_hand():
    entries, aucs = design(factorial("ab"))
    mean = {arm: np.mean([aucs[arm, s] for s in range(3)]) for arm in factorial("ab")}
    found = compared(entries).auxiliaries.set_index("auxiliary")
    alone, beside = mean["a"] - mean["main"], mean["a+b"] - mean["b"]
    assert found.loc["a", "effect"] == pytest.approx((alone + beside) / 2)
    assert found.loc["a", "shapley"] == pytest.approx((alone + beside) / 2)
    assert found.loc["a", "pairs"] == 2


def test_shapley_values_share_out_the_whole_gain():
    entries, aucs = design(factorial("abc"))
    found = compared(entries).auxiliaries
    gain = np.mean([aucs["a+b+c", s] - aucs["main", s] for s in range(3)])
    assert found["shapley"].sum() == pytest.approx(gain)
    assert (found["pairs"] == 4).all()


def test_auxiliaries_always_used_together_are_reported_together():
    entries, _ = design(["main", "a+b", "c", "a+b+c"])
    assert compared(entries).auxiliaries["auxiliary"].tolist() == ["a + b", "c"]


def test_no_full_factorial_has_a_shapley_value_only_where_it_holds_one():
    entries, _ = design(["main", "a", "b", "c", "a+b"])
    found = compared(entries).auxiliaries.set_index("auxiliary")
    assert found["shapley"].notna().tolist() == [True, True, False]
    assert found["within"].tolist() == ["a, b", "a, b", ""]
    assert np.isfinite(found.loc["c", "effect"])


def test_a_single_auxiliary_needs_no_shapley_value():
    assert compared(design(["main", "a", "b"])[0]).auxiliaries["shapley"].isna().all()


def test_no_interval_of_two_very_different_seeds_leaves_its_bounds():
    """The t of two seeds, 12.7, would reach far beyond; the interval is wide, and not cut at the bound."""
    skills = {"main": (0.1, 4.0), "a": (4.0, 0.1), "a+b": (2.0, 1.0)}
    found = compared([entry(a, s, predictions(s, one, 6)) for a, both in skills.items() for s, one in enumerate(both)])
    sets, auxiliaries = found.sets.set_index("row"), found.auxiliaries
    assert ((sets["low"] >= 0) & (sets["high"] <= 1)).all()
    assert 0 < sets.loc["main", "low"] < 0.1 < 0.99 < sets.loc["main", "high"] < 1
    bounded = (sets["difference_low"], sets["difference_high"], auxiliaries["low"], auxiliaries["high"])
    assert all((each.dropna().abs() <= 1).all() for each in bounded)
    assert sets.loc["a", "difference_low"] < -0.9
    assert (found.points[["low", "high"]].abs() <= 1).all(axis=None)


def test_an_auc_of_one_in_every_seed_says_that_its_interval_has_no_width():
    """A head that never errs beside one that does."""
    tables = {(arm, s): predictions(s, 1.0 if arm == "main" else 400.0) for arm in ("main", "a") for s in range(2)}
    sets = compared([entry(arm, s, table) for (arm, s), table in tables.items()]).sets.set_index("row")
    assert (sets.loc["a", "auc"], sets.loc["a", "low"], sets.loc["a", "high"]) == (1, 1, 1)
    assert "AUC of 1 in every seed" in sets.loc["a", "reason"]
    assert "no width" in sets.loc["a", "reason"]
    assert sets.loc["main", "reason"] == ""


def test_a_control_is_named():
    entries, _ = design(["main", "a", "coin"])
    assert compared(entries, ("coin",)).auxiliaries["control"].tolist() == [False, True]


def test_holm_of_auxiliaries_is_over_those_of_the_condition_as_their_intervals_are():
    first, _ = design(["main", "a", "b", "coin"])
    entries = [replace(each, row=f"{each.row}, {w}", condition=w) for w in ("w=1", "w=2") for each in first]
    found = compared(entries, ("coin",)).auxiliaries
    alone = compared(first, ("coin",)).auxiliaries
    np.testing.assert_array_equal(found["p_holm"], [*alone["p_holm"], *alone["p_holm"]])
    assert alone["p_holm"].min() == pytest.approx(min(1, 3 * alone["p"].min()))


def test_intervals_of_several_auxiliaries_are_wider_than_that_of_one():
    entries, _ = design(["main", "a", "b", "c"])
    few = [each for each in entries if each.arm in ("main", "a")]
    one, three = (compared(some).auxiliaries.loc[0] for some in (few, entries))
    assert three["effect"] == pytest.approx(one["effect"])
    assert three["high"] - three["low"] > one["high"] - one["low"]


# --- heads ------------------------------------------------------------------------------------------------------------


def test_the_type_head_alone_is_scored_as_scikit_learn_does():
    tables = [predictions(s, 1.0, type_head=True) for s in range(2)]
    found = compared([entry("type", s, table) for s, table in enumerate(tables)]).heads
    alone = [roc_auc_score(t["target/main"], 1 - t["probability/type/Normal"]) for t in tables]
    assert found["head"].tolist() == ["type"]
    assert found.loc[0, "auc"] == pytest.approx(np.mean(alone))
    assert found.loc[0, "difference"] == pytest.approx(np.mean(alone) - np.mean([auc(t) for t in tables]))


def test_a_type_head_is_no_score_of_another_question():
    table = predictions(0, 1.0, type_head=True)
    table["target/main"] = (table["class_name"] == "Arson").astype(int)
    assert not reduced(table, "main").by_head


def test_a_main_task_of_classes_is_scored_as_the_run_scores_it():
    table = predictions(0, 1.0, type_head=True)
    own = Evaluation(200, 0, 0.5, 1.0).evaluate(table, {"type": CategoricalTask(CLASSES, [])}).scores["auc/type"]
    run = ComparedRun("type", "type", "", "0", frozenset({"type"}), reduced(table, "type"))
    row = compare([run], "type", (), 200, 0, 0.01).sets.iloc[0]
    assert (row["auc"], row["low"], row["high"]) == pytest.approx((own.value, own.low, own.high))


# --- predicted gains --------------------------------------------------------------------------------------------------


def test_points_hold_the_mean_measure_beside_the_gain():
    tables = {(arm, s): predictions(7 * s + len(arm), 1.0) for arm in ("main", "a", "a+b") for s in range(2)}
    entries = [
        entry(arm, s, table, **({} if arm == "main" else {name: 0.1 * s + len(arm) for name in arm.split("+")}))
        for (arm, s), table in tables.items()
    ]
    points = compared(entries).points.set_index(["arm", "auxiliary"])
    assert points.index.tolist() == [("a", "a"), ("a+b", "b")]  # b + a without a is not there: a is no gain in it
    assert points.loc[("a", "a"), "value"] == pytest.approx(1.05)
    gain = np.mean([auc(tables["a+b", s]) - auc(tables["a", s]) for s in range(2)])
    assert points.loc[("a+b", "b"), "gain"] == pytest.approx(gain)


def test_a_measure_that_orders_the_gains_is_found():
    arms = [*"abcdef"]
    entries = [entry("main", s, predictions(s, 0.5, 60)) for s in range(2)]
    for i, arm in enumerate(arms):
        entries += [entry(arm, s, predictions(s, 0.6 + 0.3 * i, 60), **{arm: float(i)}) for s in range(2)]
    row = compared(entries).gain_predictors.iloc[0]
    assert (row["measure"], row["points"], row["correlation"]) == ("cosine", 6, pytest.approx(1.0))
    assert row["low"] > 0


def test_few_points_have_no_interval_and_a_reason():
    entries, _ = design(["main", "a", "b", "c"])
    entries = [
        replace(each, measures={("cosine", each.arm): len(each.seed) + ord(each.arm[0])} if each.arm != "main" else {})
        for each in entries
    ]
    row = compared(entries).gain_predictors.iloc[0]
    assert row["points"] == 3
    assert np.isnan(row["low"])
    assert "too few" in row["reason"]


@pytest.mark.slow
def test_the_whole_comparison_at_full_size_takes_seconds():
    rng = np.random.default_rng(0)
    sizes = rng.lognormal(5, 1, 290)
    sizes = np.maximum(1, (sizes / sizes.sum() * 111_308)).astype(int)
    video = np.repeat(np.arange(290), sizes)
    table = pd.DataFrame({"video": np.char.add("v", video.astype(str)), "frame": np.arange(len(video))})
    table["class_name"] = np.where(video < 140, "Arson", "Normal")
    table["target/main"] = (video < 140).astype(int)
    start = time.process_time()
    entries = []
    for s in range(6):
        for arm in ("main", "a", "b", "a+b"):
            table["probability/main"] = rng.normal(size=len(video)) + table["target/main"]
            entries.append(entry(arm, s, table))
    found = compared(entries, resamples=2000)
    assert found.sets["seeds"].tolist() == [6] * 4
    assert time.process_time() - start < 60  # 8 s on an idle core
