"""MTL005: classes with few test videos."""

from __future__ import annotations

from made_evidence import entry, evidence, found, run, videos

from mtl.checks.few_videos import FewTestVideos

UCF = videos(Abuse=2, Assault=3, Arson=9, Normal=150)


def test_a_class_that_a_head_scores_by_itself_is_an_issue():
    typed = run(metrics={"class_auc/anomaly_type.Abuse": 0.7, "class_auc/anomaly_type.Arson": 0.7})
    assert found(FewTestVideos(), evidence(typed, entries=[entry(by_video=UCF)])) == (
        "issue",
        "Fewer than 5 test videos: Abuse 2, Assault 3. The AUC of such a class, and each mean over classes that holds "
        "it (anomaly_type), can change much with one more video.",
    )


def test_few_normal_videos_are_an_issue_of_every_auc():
    line = "Fewer than 5 test videos: Normal 4. Every AUC is made with the frames of so few normal videos."
    few = entry(by_video=videos(Arson=5, Normal=4))
    assert found(FewTestVideos(), evidence(run(), entries=[few])) == ("issue", line)


def test_a_class_that_no_head_scores_is_a_tip_and_where_runs_differ_the_fewest_count():
    fewer = entry("all", by_video=videos(Arson=4, Normal=150))
    few = "Fewer than 5 test videos: Abuse 2, Assault 3, Arson 4."
    line = f"{few} No head of these runs has an AUC for such a class alone."
    assert found(FewTestVideos(), evidence(run(), entries=[entry(by_video=UCF), fewer])) == ("tip", line)


def test_many_classes_are_not_all_named():
    table = videos(**dict.fromkeys("ABCDEFG", 1))
    severity, line = found(FewTestVideos(), evidence(run(), entries=[entry(by_video=table)]))
    assert severity == "tip"
    assert line.startswith("Fewer than 5 test videos: A 1, B 1, C 1, D 1, E 1 and 2 more. ")


def test_five_videos_pass():
    line = "Every class has 5 test videos or more; Arson has the fewest, 5."
    enough = entry(by_video=videos(Arson=5, Normal=6))
    assert found(FewTestVideos(), evidence(run(), entries=[enough])) == ("passed", line)


def test_validation_videos_do_not_count_and_without_predictions_nothing_is_known():
    line = "No run has predictions, so the classes of its test videos are not known."
    val = entry(by_video=videos(Arson=9).assign(split="val"))
    assert found(FewTestVideos(), evidence(run(), entries=[val])) == ("not applicable", line)
    assert found(FewTestVideos(), evidence(run())) == ("not applicable", line)
