"""Evaluation against scikit-learn, brute force and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from mtl.evaluation.auc import ROC_POINTS
from mtl.evaluation.evaluation import Evaluated, Evaluation
from mtl.evaluation.predictions import predictions_table
from mtl.statistics.pairwise import macro_auc
from mtl.tasks import BinaryTask, CategoricalTask, Task

CLASSES = ("Abuse", "Arson", "Fighting", "Normal")
TASKS = {"anomaly": BinaryTask(CLASSES[:3], []), "kind": CategoricalTask(CLASSES, [])}


class PerFrame(BinaryTask):
    """A task whose label changes within a video."""

    def targets(self, frames: pd.DataFrame) -> np.ndarray:
        return (frames["frame"] % 2).to_numpy().astype(np.int32)


def predict(
    tasks: dict[str, Task] = TASKS, videos: tuple[str, ...] = CLASSES * 5, n_frames: int = 12, seed: int = 0
) -> pd.DataFrame:
    """Predictions of a scorer that is somewhat right; one video per class name given."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "video": pd.Categorical(np.repeat([f"{name}{i:03d}" for i, name in enumerate(videos)], n_frames)),
            "frame": np.tile(np.arange(n_frames), len(videos)),
            "class_name": pd.Categorical(np.repeat(videos, n_frames), categories=CLASSES),
        }
    )
    for name, task in tasks.items():
        table[f"target/{name}"] = task.targets(table)
        positives = task.positives(table[f"target/{name}"].to_numpy())
        effect = rng.normal(size=(len(videos), positives.shape[1])).repeat(n_frames, axis=0)
        found = task.probabilities(positives + effect + rng.normal(size=positives.shape)).round(2)
        single = len(task.classes) == 1
        for column, probability in zip(task.classes, found.T, strict=True):
            table[f"probability/{name}" if single else f"probability/{name}/{column}"] = probability
    return table


def evaluate(table: pd.DataFrame, tasks: dict[str, Task] = TASKS, resamples: int = 200) -> Evaluated:
    return Evaluation(resamples=resamples, seed=0, threshold=0.5, alarm_gap_s=1.0).evaluate(table, tasks)


def kinds(table: pd.DataFrame) -> np.ndarray:
    return table[[f"probability/kind/{name}" for name in CLASSES]].to_numpy()


def test_scores_equal_scikit_learn() -> None:
    table = predict()
    scores = {name: score.value for name, score in evaluate(table).scores.items()}
    yes, likely, said = table["target/anomaly"], table["probability/anomaly"], table["probability/anomaly"] >= 0.5
    kind, each = table["target/kind"], kinds(table)
    one_hot = pd.get_dummies(kind).to_numpy()
    expected = {
        "auc/anomaly": metrics.roc_auc_score(yes, likely),
        "average_precision/anomaly": metrics.average_precision_score(yes, likely),
        "balanced_accuracy/anomaly": metrics.balanced_accuracy_score(yes, said),
        "f1/anomaly": metrics.f1_score(yes, said),
        "auc/kind": np.mean([metrics.roc_auc_score(one_hot[:, i], each[:, i]) for i in range(4)]),
        "average_precision/kind": np.mean(
            [metrics.average_precision_score(one_hot[:, i], each[:, i]) for i in range(4)]
        ),
        "balanced_accuracy/kind": metrics.balanced_accuracy_score(kind, each.argmax(axis=1)),
        "f1/kind": metrics.f1_score(kind, each.argmax(axis=1), average="macro"),
        "class_auc/kind.Arson": metrics.roc_auc_score(one_hot[:, 1], each[:, 1]),
    }
    by_video = table.groupby("video", observed=True)
    for reduce in ("mean", "max"):
        likely = by_video["probability/anomaly"].agg(reduce)
        expected[f"video_auc_{reduce}/anomaly"] = metrics.roc_auc_score(by_video["target/anomaly"].first(), likely)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value), name


def test_every_score_of_every_task_is_there() -> None:
    quantities = ["auc", "average_precision", "balanced_accuracy", "f1", "video_auc_mean", "video_auc_max"]
    expected = {f"{quantity}/{task}" for quantity in quantities for task in TASKS}
    assert set(evaluate(predict()).scores) == expected | {f"class_auc/kind.{name}" for name in CLASSES}


def test_interval_is_the_bootstrap_over_videos_within_strata() -> None:
    """Brute force: list the frames of the videos drawn, count again."""
    table = predict()
    score = evaluate(table).scores["auc/anomaly"]
    frames_of = table.groupby("video", observed=True).indices
    anomalous = sorted(v for v in frames_of if not v.startswith("Normal"))
    normal = sorted(v for v in frames_of if v.startswith("Normal"))
    yes, likely = table[["target/anomaly"]].to_numpy() == 1, table[["probability/anomaly"]].to_numpy()
    rng, draws = np.random.default_rng(1), []
    for _ in range(2000):
        chosen = np.concatenate([rng.choice(anomalous, len(anomalous)), rng.choice(normal, len(normal))])
        listed = np.concatenate([frames_of[video] for video in chosen])
        draws.append(macro_auc(yes[listed], likely[listed]))
    many = evaluate(table, resamples=4000).scores["auc/anomaly"]
    np.testing.assert_allclose([many.low, many.high], np.quantile(draws, [0.025, 0.975]), atol=0.015)
    assert score.low < score.value < score.high


def test_frames_listed_twice_leave_every_score_and_interval() -> None:
    table = predict()
    once, twice = evaluate(table), evaluate(pd.concat([table, table], ignore_index=True))
    for name, score in once.scores.items():
        other = twice.scores[name]
        np.testing.assert_allclose(
            [other.value, other.low, other.high], [score.value, score.low, score.high], atol=1e-9
        )


def test_order_of_the_frames_does_not_matter() -> None:
    table = predict()
    shuffled = evaluate(table.sample(frac=1, random_state=0, ignore_index=True))
    for name, score in evaluate(table).scores.items():
        other = shuffled.scores[name]
        np.testing.assert_allclose(
            [other.value, other.low, other.high], [score.value, score.low, score.high], atol=1e-9
        )


def test_one_task_scores_as_it_does_among_others() -> None:
    table = predict()
    alone = evaluate(table, {"anomaly": TASKS["anomaly"]})
    # as text: a NaN is not equal to itself
    assert {name: str(score) for name, score in alone.scores.items()} == {
        name: str(score) for name, score in evaluate(table).scores.items() if name.endswith("/anomaly")
    }
    assert list(alone.classes.columns)[:4] == ["task", "class", "videos", "frames"]
    assert alone.classes.empty


def test_absent_class_is_nan_and_the_mean_says_over_how_many() -> None:
    evaluated = evaluate(predict(videos=("Abuse", "Fighting", "Normal") * 4))
    assert np.isnan(evaluated.scores["class_auc/kind.Arson"].value)
    assert evaluated.scores["class_auc/kind.Arson"].reason == "no positive frame"
    for quantity in ("auc", "average_precision", "balanced_accuracy", "f1", "video_auc_mean"):
        score = evaluated.scores[f"{quantity}/kind"]
        assert np.isfinite([score.value]).all()
        assert score.reason == "mean over 3 of 4 classes, without Arson"
    row = evaluated.classes.set_index("class").loc["Arson"]
    assert (row["videos"], row["frames"]) == (0, 0)


def test_full_set_says_over_how_many_too() -> None:
    assert evaluate(predict()).scores["auc/kind"].reason == "mean over 4 of 4 classes"


@pytest.mark.parametrize(
    ("videos", "reason"), [(("Normal",) * 4, "no positive frame"), (("Abuse",) * 4, "no negative frame")]
)
def test_one_outcome_only_is_nan_never_zero_nor_a_half(videos: tuple[str, ...], reason: str) -> None:
    evaluated = evaluate(predict(videos=videos))
    for quantity in ("auc", "average_precision", "balanced_accuracy", "f1", "video_auc_mean", "video_auc_max"):
        score = evaluated.scores[f"{quantity}/anomaly"]
        assert np.isnan([score.value, score.low, score.high]).all(), quantity
        assert score.reason == reason
    assert "anomaly" not in evaluated.roc
    assert evaluated.confusions["anomaly"].to_numpy().sum() == 4 * 12


def test_single_video_of_a_side_has_no_interval() -> None:
    scores = evaluate(predict(videos=("Abuse", "Normal", "Normal"))).scores
    for name in ("auc/anomaly", "balanced_accuracy/anomaly", "f1/anomaly", "video_auc_max/anomaly"):
        assert np.isfinite(scores[name].value)
        assert np.isnan([scores[name].low, scores[name].high]).all()
        assert scores[name].reason == "no interval: all positive frames are from a single video"


def test_mean_over_classes_keeps_a_class_of_a_single_video() -> None:
    """Value and interval are of the same classes: Abuse is perfect, the others are guessed."""
    table = predict(videos=("Abuse", *("Arson", "Fighting", "Normal") * 8))
    rng = np.random.default_rng(0)
    for name in CLASSES:
        table[f"probability/kind/{name}"] = rng.random(len(table))
    table["probability/kind/Abuse"] = (table["class_name"] == "Abuse").astype(float)
    scores = evaluate(table).scores
    assert scores["class_auc/kind.Abuse"].reason == "no interval: all positive frames are from a single video"
    assert scores["auc/kind"].reason == "mean over 4 of 4 classes"
    assert scores["auc/kind"].low < scores["auc/kind"].value < scores["auc/kind"].high


def test_label_changing_within_a_video_has_no_video_score() -> None:
    tasks: dict[str, Task] = {"odd": PerFrame(("Abuse",), ())}
    scores = evaluate(predict(tasks), tasks).scores
    assert np.isfinite(scores["auc/odd"].low)
    assert np.isnan(scores["video_auc_mean/odd"].value)
    assert scores["video_auc_max/odd"].reason == "the label changes within 20 of 20 videos"


def test_probabilities_that_are_not_finite_are_no_scores() -> None:
    table = predict()
    table.loc[3:5, "probability/anomaly"] = np.nan
    evaluated = evaluate(table)
    of_task = [score for name, score in evaluated.scores.items() if name.endswith("/anomaly")]
    assert all(np.isnan(score.value) and score.reason == "3 of 240 predictions are not finite" for score in of_task)
    assert set(evaluated.confusions) == set(evaluated.roc) == {"kind"}
    assert np.isfinite(evaluated.scores["auc/kind"].value)


def test_predictions_that_do_not_count_are_no_scores_and_say_why() -> None:
    evaluated = Evaluation(200, seed=0, threshold=0.5, alarm_gap_s=1.0).evaluate(
        predict(), TASKS, "diverged in epoch 1"
    )
    assert all(np.isnan(score.value) and score.reason == "diverged in epoch 1" for score in evaluated.scores.values())
    assert not evaluated.confusions
    assert not evaluated.roc


def test_logits_that_are_not_finite_are_no_answers() -> None:
    """The logistic of infinity is 1: a broken network would be sure of it, and equally sure of all frames."""
    for broken in (np.nan, np.inf, -np.inf):
        single, several = np.array([[0.0], [broken]]), np.array([[0.0] * 4, [0, 0, broken, 0]])
        np.testing.assert_array_equal(TASKS["anomaly"].probabilities(single), [[0.5], [np.nan]])
        np.testing.assert_array_equal(TASKS["kind"].probabilities(several), [[0.25] * 4, [np.nan] * 4])


def test_no_frame_at_all_is_nan() -> None:
    scores = evaluate(predict().iloc[:0]).scores
    assert all(np.isnan(score.value) and score.reason == "no frames" for score in scores.values())


def test_confusion_counts_frames_by_name() -> None:
    table = predict()
    confusions = evaluate(table).confusions
    said = (table["probability/anomaly"] >= 0.5).map({True: "yes", False: "no"})
    true = table["target/anomaly"].map({1: "yes", 0: "no"})
    assert confusions["anomaly"].loc["no", "yes"] == ((true == "no") & (said == "yes")).sum()
    expected = metrics.confusion_matrix(table["target/kind"], kinds(table).argmax(axis=1))
    np.testing.assert_array_equal(confusions["kind"], expected)
    assert tuple(confusions["kind"].index) == tuple(confusions["kind"].columns) == CLASSES


def test_class_table_counts_videos_and_frames() -> None:
    evaluated = evaluate(predict(videos=("Abuse", "Arson", "Arson", "Fighting", "Normal", "Normal")))
    table = evaluated.classes.set_index("class")
    assert table["videos"].to_dict() == {"Abuse": 1, "Arson": 2, "Fighting": 1, "Normal": 2}
    assert table.loc["Arson", "frames"] == 24
    assert table.loc["Arson", "auc"] == evaluated.scores["class_auc/kind.Arson"].value


def test_roc_curve_is_thin_and_holds_its_area() -> None:
    table = predict(n_frames=500)
    table["probability/anomaly"] += np.random.default_rng(0).random(len(table)) / 1000
    evaluated = evaluate(table)
    for name, (false, true) in evaluated.roc.items():
        assert len(false) <= ROC_POINTS + 2
        assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
        assert (np.diff(false) >= 0).all()
        assert (np.diff(true) >= 0).all()
        assert metrics.auc(false, true) == pytest.approx(evaluated.scores[f"auc/{name}"].value, abs=0.005)


def test_same_seed_same_numbers_and_undefined_is_warned(caplog: pytest.LogCaptureFixture) -> None:
    table = predict(videos=("Abuse", "Fighting", "Normal") * 4)
    first, second = evaluate(table), evaluate(table)
    pd.testing.assert_frame_equal(first.classes, second.classes)
    assert "class_auc/kind.Arson is undefined: no positive frame." in caplog.text


def test_saturated_scores_are_ranked_by_their_logits() -> None:
    """20 positives with logits 20 to 30 beside 20 negatives with 17.5 to 19.5: 1 is right."""
    classes = np.repeat(["Normal", "Abuse"], 20)
    frames = pd.DataFrame({"split": "test", "video": [f"v{i:02d}" for i in range(40)], "frame": 0})
    frames["class_name"] = classes
    logits = {"anomaly": np.concatenate([np.linspace(17.5, 19.5, 20), np.linspace(20, 30, 20)])[:, None]}
    logits["kind"] = np.zeros((40, 4))
    logits["kind"][:, 3] = -logits["anomaly"][:, 0] * 2
    targets = {name: task.targets(frames) for name, task in TASKS.items()}
    table = predictions_table(frames, targets, {name: one.astype(np.float32) for name, one in logits.items()}, TASKS)
    scores = evaluate(table).scores
    assert table["probability/anomaly"].nunique() < 5
    assert scores["auc/anomaly"].value == scores["average_precision/anomaly"].value == 1
    assert scores["video_auc_max/anomaly"].value == 1
    assert scores["class_auc/kind.Normal"].value == 1
    assert scores["auc/anomaly"].low == 1


def test_validation_frames_are_kept_beside_the_test_frames_and_not_scored() -> None:
    table = predict().assign(split="test")
    both = pd.concat([table.assign(split="val", **{"probability/anomaly": 0.5}), table], ignore_index=True)
    expected, found = evaluate(table).scores, evaluate(both).scores
    assert {name: score.value for name, score in found.items()} == {name: s.value for name, s in expected.items()}


def test_classes_that_were_never_trained_are_marked_and_left_out_of_means() -> None:
    table = predict()
    trained = {"kind": np.array([True, False, True, True])}
    judge = Evaluation(200, seed=0, threshold=0.5, alarm_gap_s=1.0)
    evaluated, every = judge.evaluate(table, TASKS, trained=trained), judge.evaluate(table, TASKS)
    aucs = every.classes.set_index("class")["auc"]
    for quantity in ("auc", "average_precision", "balanced_accuracy", "f1"):
        reason = evaluated.scores[f"{quantity}/kind"].reason
        assert reason == "mean over 3 of 4 classes, without Arson (no training frame)", quantity
    assert evaluated.scores["auc/kind"].value == pytest.approx(aucs.drop("Arson").mean())
    assert evaluated.scores["auc/kind"].low < evaluated.scores["auc/kind"].value
    assert evaluated.classes.set_index("class").loc["Arson", "reason"] == "no training frame"
    assert evaluated.classes["trained"].tolist() == [True, False, True, True]
    assert evaluated.classes.set_index("class").loc["Arson", "auc"] == pytest.approx(aucs["Arson"])
    nothing = judge.evaluate(table, TASKS, trained={"anomaly": np.array([False])})
    assert {np.isnan(s.value) for name, s in nothing.scores.items() if name.endswith("/anomaly")} == {True}
    assert "nothing was learned" in nothing.scores["auc/anomaly"].reason
    assert nothing.scores["auc/kind"].value == pytest.approx(aucs.mean())
