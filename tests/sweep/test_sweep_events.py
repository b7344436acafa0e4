"""Stored predictions are scored by the events that a sweep names; nothing is trained for it."""

from __future__ import annotations

import pandas as pd
import pytest
from conftest import BARE, call, tracking_of

from mtl.data.demo import Drawing, write_tree
from mtl.results import is_event_score

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

DRAWING = Drawing(
    seed=0, train_videos=3, test_videos=2, normal_train_videos=12, normal_test_videos=8, frames_per_video=4
)


def test_a_sweep_with_other_events_trains_nothing_and_is_scored_by_them(tmp_path):
    tree = tmp_path / "frames"
    write_tree(tree, DRAWING)
    official = tmp_path / "events of all.txt"
    lines = [
        f"{row.video}.mp4  Class  {row.start}  {row.end}  -1  -1  " for row in DRAWING.events().table().itertuples()
    ]
    official.write_text("\n".join([*lines, "Unknown001_x264.mp4  Abuse  5  10  -1  -1"]), encoding="utf-8")
    some = tmp_path / "some.txt"
    some.write_text("\n".join(lines[:-1]), encoding="utf-8")
    of_set = [word for word in BARE if not word.startswith("data.")]
    words = ("-m", "tasks=anomaly,all", "data=ucf_crime", f"data.root={tree}", "seed=0", *of_set)

    def swept(*more):
        done = call(tmp_path, *words, *more)
        assert done.returncode == 0, done.stdout + done.stderr
        tracking = tracking_of(tmp_path)
        parents = tracking.runs(tags={"sweep": "parent"})
        jobs = {run.params["tasks"]: run for run in tracking.runs(parent=parents[-1].id)}
        return done.stdout, tracking, jobs

    _, _, without = swept()
    assert not any(map(is_event_score, without["all"].metrics))

    said, tracking, judged = swept(f'data.events="{official}"')
    assert "2 of 2 jobs were done already" in said
    for name, job in judged.items():
        assert job.tags["reused_from"] == without[name].id
        assert {key: value for key, value in job.metrics.items() if not is_event_score(key)} == without[name].metrics
        assert job.params == without[name].params
        kept = pd.read_csv(tracking.download(job.id, "events.csv"))
        assert len(kept) == 34
        assert "Unknown001_x264" not in set(kept["video"])
        assert (job.metrics["event_videos/annotated"], job.metrics["event_frames/scored"]) == (34, 34 * 4)
        assert 0 <= job.metrics["auc_event_low/general_anomaly"] <= job.metrics["auc_event/general_anomaly"]
    assert judged["all"].metrics["auc_event/anomaly_type"] > 0

    _, _, others = swept(f"data.events={some}")
    assert others["anomaly"].metrics["event_videos/annotated"] == 33
    _, _, again = swept()
    assert not any(map(is_event_score, again["all"].metrics))
    assert again["all"].tags["reused_from"] == without["all"].id
