"""MTL011: not all runs are judged by the same frames."""

from __future__ import annotations

from made_evidence import evidence, found, run

from mtl.checks.unlike_frames import UnlikeFrames

UNREAD = "all seed=0: its predictions cannot be read, so it is left out (there is no predictions.parquet)."
APART = (
    "The test frames differ between runs: in 2 videos the runs did not evaluate the same frames with the same targets."
)
BROKEN = "all, seed 1: no AUC, because 96 of 96 predictions are not finite."
DIVERGED = "all, seed 2: no AUC, because it diverged (nothing sound is left)."


def test_what_is_left_out_and_what_differs_are_lines_of_an_issue_and_what_diverged_is_said_elsewhere():
    at = evidence(run(), left_out=(UNREAD,), compared={"warnings": (BROKEN, DIVERGED, APART)})
    assert found(UnlikeFrames(), at) == ("issue", "\n".join([UNREAD, BROKEN, APART]))


def test_the_same_frames_pass():
    line = "All frames of 24 test videos judge 2 runs."
    at = evidence(run(), run(seed=1), compared={"n_videos": 24, "warnings": (DIVERGED,)})
    assert found(UnlikeFrames(), at) == ("passed", line)


def test_without_a_run_there_is_nothing_to_look_at():
    assert found(UnlikeFrames(), evidence()) == ("not applicable", "No run has finished.")
