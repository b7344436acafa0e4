"""A run that is there already is scored again by a job's own events; nothing is trained for it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import BARE, ROOT, call, tracking_of
from omegaconf import OmegaConf

from mtl.data.class_names import CLASSES
from mtl.evaluation.predictions import predictions_table
from mtl.job.reuse import _scores_by_events
from mtl.results import TrackedRun, is_temporal
from mtl.tasks import BinaryTask
from mtl.tracking.metrics import trained_classes, untrained_classes

MAIN = "auc_event/general_anomaly"


def config(events: Path | None):
    data = OmegaConf.load(ROOT / "conf" / "data" / "ucf_crime.yaml")
    data.root, data.events = "/nowhere", events and str(events)
    evaluation = OmegaConf.load(ROOT / "conf" / "config.yaml").evaluation
    anomaly = {"_target_": "mtl.tasks.BinaryTask", "classes": list(CLASSES[:-1]), "unlabelled": []}
    return OmegaConf.create({"data": data, "evaluation": evaluation, "tasks": {"anomaly": anomaly}})


def predictions(folder: Path) -> None:
    """Stored predictions of two test videos of three frames each, and one of validation."""
    frames = pd.DataFrame(
        {
            "split": np.repeat(["val", "test", "test"], 3),
            "video": np.repeat(["Arson001_x264", "Abuse001_x264", "Normal_Videos_001_x264"], 3),
            "frame": np.tile([0, 10, 20], 3),
            "class_name": np.repeat(["Arson", "Abuse", "Normal"], 3),
        }
    )
    task = BinaryTask(CLASSES[:-1], [])
    logits = np.array([9.0, 9, 9, 1, 3, 0, 2, -1, -2])[:, None]
    table = predictions_table(frames, {"anomaly": task.targets(frames)}, {"anomaly": logits}, {"anomaly": task})
    table.to_parquet(folder / "predictions.parquet", index=False)


def test_stored_predictions_are_scored_by_the_events_of_the_job(tmp_path):
    predictions(tmp_path)
    before = TrackedRun("1", "x", "FINISHED")
    assert _scores_by_events(config(None), before, tmp_path) == ({}, {})
    assert not (tmp_path / "events.csv").exists()
    events = tmp_path / "events.txt"
    for start, end, value in ((0, 15, 7 / 8), (10, 11, 1.0)):  # two frames, then one alone
        events.write_text(f"Abuse001_x264.mp4 Abuse {start} {end} -1 -1\nNormal_Videos_001_x264.mp4 Normal -1 -1\n")
        metrics, reasons = _scores_by_events(config(events), before, tmp_path)
        assert metrics["auc_event/anomaly"] == pytest.approx(value)
        assert set(filter(is_temporal, metrics)) == set(metrics)
        assert not reasons
        table = pd.read_csv(tmp_path / "events.csv")
        assert table.to_numpy().tolist() == [["Abuse001_x264", start, end], ["Normal_Videos_001_x264", -1, -1]]
    diverged = TrackedRun("1", "x", "FINISHED", tags={"diverged": "a loss"})
    assert set(_scores_by_events(config(events), diverged, tmp_path)[1].values()) == {"a loss"}


def test_what_was_trained_is_read_from_the_tags_that_say_what_was_not():
    tasks = {"anomaly": BinaryTask(CLASSES[:-1], [])}
    for trained in ([True], [False]):
        tags = untrained_classes(tasks, {"anomaly": np.array(trained)})
        assert trained_classes(tasks, tags)["anomaly"].tolist() == trained


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_sweep_with_events_trains_nothing_that_is_there_without(tmp_path):
    assert call(tmp_path, "tasks=anomaly", *BARE, "tracking=none").returncode == 0  # draws the frames
    (tree,) = (tmp_path / ".cache" / "demo").glob("seed*")
    names = sorted({path.name.rpartition("_")[0] for path in tree.glob("Test/*/*.png")})
    lines = [f"{name}.mp4 X {'-1 -1' if name.startswith('Normal') else '5 25'} -1 -1\n" for name in names]
    own = [word for word in BARE if not re.match(r"data\.\w*(videos|frames)", word)]
    words = ["-m", "tasks=anomaly", "data=ucf_crime", f"data.root={tree}", *own]
    for number, ends in enumerate(("5 25", None, "5 15")):
        (tmp_path / "events.txt").write_text("".join(lines).replace("5 25", ends or "5 25"))
        done = call(tmp_path, *words, *(["data.events=events.txt"] if ends else []), f"hydra.sweep.dir=sweep{number}")
        assert done.returncode == 0, done.stdout + done.stderr
    tracking = tracking_of(tmp_path)
    parents = tracking.runs(tags={"sweep": "parent"})
    first, without, again = (run for parent in parents for run in tracking.runs(parent=parent.id))
    assert "reused_from" not in first.tags
    assert without.tags["reused_from"] == again.tags["reused_from"] == first.id
    assert first.tags["fingerprint"] == again.tags["fingerprint"]
    assert {MAIN, "auc_event_low/general_anomaly", "average_precision_event_high/general_anomaly"} <= set(first.metrics)
    assert {name for name in without.metrics if is_temporal(name)} == set()
    assert set(first.metrics) == set(again.metrics)
    assert first.metrics[MAIN] != again.metrics[MAIN]
    assert first.metrics["auc/general_anomaly"] == again.metrics["auc/general_anomaly"]
    kept = {run.id: pd.read_csv(tracking.download(run.id, "events.csv")) for run in (first, again)}
    assert [set(table["end"]) for table in kept.values()] == [{25, -1}, {15, -1}]
    log = (tmp_path / "sweep0" / "0" / "run.log").read_text(encoding="utf-8")
    assert "a frame f is in an event from start to end where start <= f < end" in log
