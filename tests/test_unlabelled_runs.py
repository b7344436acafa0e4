"""Whole runs of tasks that say nothing about some frames, by the real command line."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, TINY, call, tracking_of

from mtl.data.class_names import CLASSES

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

THREE = ["Fighting", "Robbery", "Normal"]
REST = [each for each in CLASSES if each not in THREE]
FROZEN = (*TINY, "freeze=all")


def predictions(folder):
    tracking = tracking_of(folder)
    (run,) = (run for run in tracking.runs() if run.status == "FINISHED")
    return run, pd.read_parquet(tracking.download(run.id, "") / "predictions.parquet")


def test_three_classes_over_a_set_of_fourteen(tmp_path):
    of_three = [
        f"tasks.anomaly_type.{key}=[{','.join(each)}]" for key, each in (("classes", THREE), ("unlabelled", REST))
    ]
    done = call(tmp_path, "tasks=anomaly_type", *of_three, "weighting=pcgrad", *FROZEN)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "anomaly_type: 56 of 144 train frames are labelled, 16 of 60 val frames, 12 of 34 test videos" in said
    run, table = predictions(tmp_path)
    unlabelled = ~table["class_name"].isin(THREE)
    assert (table.loc[unlabelled, "target/anomaly_type"] == -1).all()
    assert (table.loc[~unlabelled, "target/anomaly_type"] >= 0).all()
    assert np.isfinite(run.metrics["auc/anomaly_type"])
    assert run.metrics["n_labelled/anomaly_type"] == 56 + 16 + 4 * 12
    assert "n_labelled/general_anomaly" not in run.metrics


def test_labels_by_frame_from_a_file(tmp_path):
    drawn = call(tmp_path, "tasks=anomaly_violence", "data.labels.violence=labels.csv", *FROZEN)
    assert drawn.returncode == 1
    assert "data.labels.violence: there is no file" in drawn.stderr
    # the names of the demo's frames are known beforehand: a fight in the second half of its videos
    names = [f"Fighting{n:03d}_x264" for n in range(1, 6)] + [f"Normal_Videos{n:03d}_x264" for n in range(1, 13)]
    names += [f"Normal_Videos_{n:03d}_x264" for n in range(1, 9)]
    lines = [f"{name},{t},{'yes' if name[0] == 'F' and t >= 20 else 'no'}" for name in names for t in (0, 10, 20, 30)]
    (tmp_path / "labels.csv").write_text("\n".join(["video,frame,label", *lines]), encoding="utf-8")
    done = call(tmp_path, "tasks=anomaly_violence", "data.labels.violence=labels.csv", *FROZEN)
    assert done.returncode == 0, done.stderr
    run, table = predictions(tmp_path)
    fights = table[table["class_name"] == "Fighting"]
    assert (fights["target/violence"] == (fights["frame"] >= 20)).all()
    assert set(table.loc[table["class_name"] == "Arson", "target/violence"]) == {-1}
    assert np.isfinite(run.metrics["auc/violence"])
    (tmp_path / "labels.csv").write_text("video,frame,label\nFighting1,0,1\n", encoding="utf-8")
    wrong = call(tmp_path, "tasks=anomaly_violence", "data.labels.violence=labels.csv", *FROZEN)
    assert wrong.returncode == 1
    assert re.search(r"labels.csv:2: the data have no video 'Fighting1'", wrong.stderr)
    kept = json.dumps(run.params)
    assert "labels.csv" in kept


def test_two_data_sets_of_which_each_is_labelled_for_one_task(tmp_path):
    """As the README says it."""
    rng = np.random.default_rng(0)
    for name, low, high in (("fight", 0, 90), ("no_fight", 100, 255), ("fire", 150, 255), ("no_fire", 0, 120)):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for n in range(40):
            pixels = rng.integers(low, high, (16, 16, 3)).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "mine" / name / f"{name}_{n % 10}_{n // 10}.png"), pixels)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    of_both, command = re.search(
        r"```yaml\n(fighting:.*?)```.*?```sh\n(python run.py .*?)\n```", readme, re.DOTALL
    ).groups()
    (tmp_path / "conf" / "tasks").mkdir(parents=True)
    (tmp_path / "conf" / "tasks" / "both.yaml").write_text(of_both, encoding="utf-8")
    words = command.replace("/path/to/mine", "mine").split()[2:]
    few = [word for word in TINY if not word.startswith("data.")]
    done = call(tmp_path, *words, *few)
    assert done.returncode == 0, done.stderr
    for name in ("fighting", "burning"):
        assert f"{name}: 56 of 112 train frames are labelled" in done.stdout + done.stderr
    assert re.search(
        r"no training frame is labelled for both \w+ and \w+", " ".join((done.stdout + done.stderr).split())
    )
    run, table = predictions(tmp_path)
    for name, other in (("fighting", "fire"), ("burning", "fight")):
        assert ((table[f"target/{name}"] == -1) == table["class_name"].isin([other, f"no_{other}"])).all()
        assert np.isfinite(run.metrics[f"auc/{name}"])
    assert np.isfinite(run.metrics["gradient_similarity/burning_vs_fighting"])


def test_a_main_task_that_cannot_be_judged_is_refused_before_it_is_trained(tmp_path):
    (tmp_path / "labels.csv").write_text("video,frame,label\nFighting001_x264,0,1\n", encoding="utf-8")
    words = ("tasks=anomaly_violence", "main_task=violence", "data.labels.violence=labels.csv")
    done = call(tmp_path, *words, *FROZEN)
    assert done.returncode == 1
    assert re.search(r"main_task: none of the \d+ (train|val|test) frames is labelled for 'violence'", done.stderr)
