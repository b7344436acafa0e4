"""A run on videos of one's own: tables, thresholds, names, and what is said of bad ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pandas as pd
import pytest
from conftest import BARE, ROOT, call

from mtl.data.making import ASSUMED, Making, made_alike
from mtl.data.sampled_video import SampledVideo
from mtl.data.video_reader import BadVideo
from mtl.errors import UserError
from mtl.load_run import LoadedRun
from mtl.predict.curves import Curve, curves_of, smoothed, thresholds, youden
from mtl.predict.judge import judge_of
from mtl.predict.recipe import step_of
from mtl.predict.scoring import Scored, ahead, score_video
from mtl.predict.sources import stream_of, videos_of
from mtl.predict.tables import clock, moments, per_second
from mtl.tasks import BinaryTask, CategoricalTask

TASKS = {"violence": BinaryTask(["Fighting"], []), "anomaly_type": CategoricalTask(["Fighting", "Arson", "Normal"], [])}
SMALL = Making(12, 16, "INTER_AREA", ASSUMED)
LEADING = Curve("violence", "violence", ("violence",))


def film(file: Path, brightness: list[int], size=(64, 48), times=None, codec=None) -> Path:
    """Write a real video of grey frames; `times` in milliseconds, else 30 frames a second."""
    file.parent.mkdir(parents=True, exist_ok=True)
    tick = Fraction(1, 1000) if times else Fraction(1, 30)
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec or ("mpeg4" if file.suffix == ".avi" else "libx264"), rate=30)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        stream.time_base = stream.codec_context.time_base = tick
        for i, value in enumerate(brightness):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), value, np.uint8), format="rgb24")
            frame.pts, frame.time_base = times[i] if times else i, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def bright(batch_size=4) -> LoadedRun:
    """A run whose logits are the mean brightness of each frame, minus 100, by 20."""

    class Frozen:
        takes, seen = "frames", []

        def __call__(self, inputs):
            self.seen.append(inputs.shape)
            return (inputs.mean((1, 2, 3)) - 100) / 20

    class Model:
        def inferred(self, features):
            units = {name: task.units for name, task in TASKS.items()}
            return {name: np.repeat(features[:, None], n, 1) for name, n in units.items()}

    frozen = Frozen()
    frozen.batch_size = batch_size
    return LoadedRun({}, TASKS, SimpleNamespace(frozen=frozen), Model(), SMALL)


def scored_of(file: Path, step: int = 10, run: LoadedRun | None = None) -> Scored:
    return score_video(run or bright(), file.stem, file, step, LEADING, 20, lambda share, n: None)


# frames, their numbers and their times


@pytest.mark.parametrize("kind", ["mp4", "avi", "ts"])
def test_a_row_is_a_frame_of_the_steps_with_the_number_and_time_at_which_it_is_shown(tmp_path, kind):
    scored = scored_of(film(tmp_path / f"a.{kind}", list(range(60, 160, 2))))
    assert scored.reason == ""
    assert scored.table["frame"].tolist() == [0, 10, 20, 30, 40]
    np.testing.assert_allclose(scored.table["seconds"], np.arange(0, 50, 10) / 30, atol=1e-3)
    assert len(scored.times) == 50
    assert scored.table["violence"].is_monotonic_increasing
    named = [f"anomaly_type/{each}" for each in TASKS["anomaly_type"].classes]
    assert list(scored.table) == ["frame", "seconds", "violence", *named]


def test_with_variable_rate_the_time_is_the_frames_own(tmp_path):
    times = [0, 33, 67, 1000, 1033, 5000, 5033, 9000]
    scored = scored_of(film(tmp_path / "a.mp4", [100] * 8, times=times), step=2)
    np.testing.assert_allclose(scored.table["seconds"], [0, 0.067, 1.033, 5.033], atol=1e-3)
    np.testing.assert_allclose(scored.times, np.array(times) / 1000, atol=1e-3)


def test_scores_are_those_of_the_frames_resized_as_training_frames_were(tmp_path):
    file = film(tmp_path / "a.mp4", list(range(60, 160, 2)))
    run = bright()
    frames = [made_alike(frame.pixels, SMALL) for frame in SampledVideo(file, 10).frames()]
    np.testing.assert_array_equal(scored_of(file).table["violence"], run(frames)["violence"][:, 0])


def test_only_a_batch_is_held_at_a_time(tmp_path):
    run = bright(batch_size=4)
    run.backbone.frozen.seen.clear()
    scored_of(film(tmp_path / "a.mp4", [100] * 100), step=1, run=run)
    assert {shape[0] for shape in run.backbone.frozen.seen} == {4}


def test_pictures_do_not_grow_with_the_video(tmp_path):
    long = scored_of(film(tmp_path / "a.mp4", [90, 110] * 300, times=[500 * i for i in range(600)]), step=1)
    assert 20 < len(long.pictures) <= 20 + 48
    assert long.pictures == sorted(long.pictures, key=lambda picture: picture.seconds)


def test_a_damaged_video_keeps_what_was_scored_before_and_says_why(tmp_path):
    rng = np.random.default_rng(0)
    file = film(tmp_path / "a.avi", rng.integers(0, 255, 200).tolist())
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    scored = scored_of(file)
    assert "cut" in scored.reason
    assert 0 < len(scored.table) < 20


def test_what_is_no_video_has_a_reason_and_no_row(tmp_path):
    (tmp_path / "a.mp4").write_text("no")
    scored = scored_of(tmp_path / "a.mp4")
    assert scored.reason == "not a video by its first bytes"
    assert len(scored.table) == 0
    assert "violence" in scored.table


def test_decoding_ahead_keeps_order_passes_errors_on_and_ends_with_its_user():
    made = []

    def items():
        for i in range(100):
            made.append(i)
            yield i
        raise BadVideo("damaged")

    found = ahead(items())
    assert list(islice(found, 100)) == list(range(100))
    with pytest.raises(BadVideo, match="damaged"):
        next(found)
    made.clear()
    with closing(ahead(items())) as some:
        assert next(some) == 0
    assert len(made) <= 4  # no more than wait
    assert not [thread for thread in threading.enumerate() if thread.name == "decode"]


@pytest.mark.parametrize(
    ("data", "given", "frames", "said"),
    [
        ({}, None, 10, "usual"),
        ({"every": 3}, None, 30, "every 3rd"),
        ({"every": 3}, 7, 7, "asked"),
        ({"step": 5, "every": 2}, None, 10, "data.step"),
    ],
)
def test_the_step_is_that_of_training(data, given, frames, said):
    step = step_of({"data": data}, given)
    assert step.frames == frames
    assert said in step.known_from


def test_the_marker_of_an_extraction_tells_the_step(tmp_path):
    (tmp_path / ".extraction").mkdir()
    (tmp_path / ".extraction" / "plan.json").write_text('{"cut": {"step": 4, "width": 64, "height": 64}}')
    step = step_of({"data": {"root": str(tmp_path), "every": 2}}, None)
    assert step.frames == 8
    assert "marker" in step.known_from


# tables


def table_of(seconds, values) -> pd.DataFrame:
    return pd.DataFrame({"frame": np.arange(len(values)) * 10, "seconds": seconds, "violence": values})


def test_a_second_is_the_mean_of_the_frames_shown_within_it_and_an_empty_one_has_no_row():
    found = per_second(table_of([0.0, 0.5, 0.999, 1.0, 3.2], [0.1, 0.2, 0.6, 0.5, 0.7]))
    assert found["second"].tolist() == [0, 1, 3]
    assert found["frames"].tolist() == [3, 1, 1]
    np.testing.assert_allclose(found["violence"], [0.3, 0.5, 0.7])


def test_top_moments_are_the_highest_that_stand_apart():
    table = table_of(np.arange(20) * 0.5, [0.1] * 4 + [0.8, 0.9, 0.85] + [0.2] * 8 + [0.7] + [0.1] * 4)
    found = moments(Scored("a", Path("a"), table), LEADING, 0)
    assert [(each.seconds, each.frame) for each in found[:2]] == [(2.5, 50), (7.5, 150)]
    assert len(found) <= 5
    times = sorted(each.seconds for each in found)
    assert min(np.diff(times)) >= 2.0


def test_times_are_shown_as_a_player_shows_them():
    assert [clock(each) for each in (0, 61.26, 59.96, 3600, float("nan"))] == [
        "0:00.0",
        "1:01.3",
        "1:00.0",
        "1:00:00.0",
        "–",
    ]


def test_smoothing_is_a_mean_over_time_not_over_rows():
    seconds = np.array([0.0, 1.0, 2.0, 10.0])
    np.testing.assert_allclose(smoothed(seconds, np.array([0.0, 3.0, 6.0, 1.0]), 2), [1.5, 3.0, 4.5, 1.0])
    np.testing.assert_array_equal(smoothed(seconds, np.arange(4.0), 0), np.arange(4.0))


# thresholds


def test_the_threshold_has_the_largest_youden_index_and_each_video_counts_alike():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.2])
    positive = np.array([True, True, False, True, False])
    alone = np.array(list("abcde"))
    assert youden(scores, positive, alone) == 0.8  # 2/3 - 0; at .6 it is 1 - 1/2
    # the false alarm at .7 is one of nine frames of its video, so it costs little, and .6 finds all
    videos = np.array(list("abcde") + ["c"] * 8)
    more = np.concatenate([scores, np.zeros(8)])
    assert youden(more, np.concatenate([positive, np.zeros(8, bool)]), videos) == 0.6
    assert np.isnan(youden(scores, np.ones(5, bool), alone))


def test_the_threshold_is_of_the_validation_frames_and_why_it_is_a_half_is_said(tmp_path):
    table = pd.DataFrame(
        {
            "split": ["val"] * 4 + ["test"] * 2, "video": list("abcdef"), "frame": 0, "class_name": "Normal",
            "target/violence": [1, 1, 0, 0, 0, 0], "probability/violence": [0.9, 0.4, 0.3, 0.1, 0.95, 0.99],
        }
    )  # fmt: skip
    table.to_parquet(tmp_path / "p.parquet")
    found = thresholds(tmp_path / "p.parquet", [LEADING], TASKS, 0)["violence"]
    assert found.value == 0.4
    assert "4 validation frames of 4 videos" in found.known_from
    assert thresholds("gone", [LEADING], TASKS, 0)["violence"].value == 0.5
    table.assign(split="test").to_parquet(tmp_path / "p.parquet")
    assert "not of both kinds" in thresholds(tmp_path / "p.parquet", [LEADING], TASKS, 0)["violence"].known_from


def test_without_a_binary_task_the_curve_is_not_being_normal():
    (curve,) = curves_of({"anomaly_type": TASKS["anomaly_type"]}, "anomaly_type")
    table = pd.DataFrame([[0.5, 0.2, 0.3]], columns=list(curve.columns))
    assert curve.name == "anomaly_type: not Normal"
    np.testing.assert_allclose(curve.values(table), [0.7])
    assert [each.name for each in curves_of(TASKS, None)] == ["violence"]


# names and inputs


def test_files_folders_and_patterns_are_found_each_once_and_names_are_unique(tmp_path):
    for name in ("a/x.mp4", "b/x.mp4", "b/y.mp4", "b/y.avi", "b/.hidden.mp4", "b/notes.txt", "out/z.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    given = [str(tmp_path), str(tmp_path / "a" / "x.mp4"), str(tmp_path / "b" / "*.mp4")]
    found = videos_of(given, tmp_path / "out")
    assert list(found) == ["a__x", "b__x", "y.avi", "y.mp4"]


@pytest.mark.parametrize(
    ("make", "given", "said"),
    [
        (None, "nowhere.mp4", "no such file or folder"),
        (None, "*.mp4", "pattern finds nothing"),
        ("empty", "empty", r"There is no video in .*empty: none of .* at any depth\.$"),
        ("a/000.jpg", "a", r"at any depth, but images such as .*000.jpg, which tell no times; right would be the"),
    ],
)
def test_inputs_that_hold_no_video_are_refused_in_one_line(tmp_path, make, given, said):
    if make:
        (tmp_path / given).mkdir()
        if make != given:
            (tmp_path / make).touch()
    with pytest.raises(UserError, match=said):
        videos_of([str(tmp_path / given)], tmp_path / "out")


def test_an_address_or_a_camera_is_a_stream_and_stands_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stream_of(["rtsp://host/a"]) == "rtsp://host/a"
    assert stream_of(["0"]) == "0"
    assert stream_of(["a.mp4", "b"]) is None
    with pytest.raises(UserError, match="A stream is read alone"):
        stream_of(["0", "a.mp4"])
    (tmp_path / "0").mkdir()
    assert stream_of(["0"]) is None


# the command


def test_a_run_on_features_is_refused_in_one_line(monkeypatch):
    run = bright()
    run.backbone.frozen.takes = "features"
    monkeypatch.setattr("mtl.predict.judge.load_run", lambda *_: run)
    with pytest.raises(UserError, match=r"^abc was trained on feature vectors \(backbone=none\) and cannot"):
        judge_of("abc", None, None, 0.0)


def test_without_stored_predictions_the_threshold_is_a_half_and_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr("mtl.predict.judge.load_run", lambda *_: bright())
    said = judge_of(str(tmp_path), None, 5, 1.5).said()
    assert said[0].startswith("Every 5th frame is taken (as asked for), resized to 16x12 with INTER_AREA")
    assert said[1] == "Threshold of violence: 0.5 (the run's stored predictions are not to be had)."
    assert "mean over 1.5 s inside a video" in said[2]


def predict(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """The finished `python -m mtl.predict WORDS`, typed in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "mtl.predict", *map(str, words)],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a run of two tasks."""
    folder = tmp_path_factory.mktemp("predict")
    done = call(folder, "tasks=anomaly_type", "tracking=none", "hydra.run.dir=outputs/alone", *BARE)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_folder_of_videos_is_scored_and_the_bad_one_named(trained, tmp_path):
    film(tmp_path / "in" / "a.mp4", list(range(60, 160)))
    film(tmp_path / "in" / "b.avi", [100] * 31)
    (tmp_path / "in" / "bad.mp4").write_text("no")
    done = predict(trained, "outputs/alone", tmp_path / "in", "--out", tmp_path / "out")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    said = " ".join(done.stdout.split())
    assert "Every 10th frame is taken" in said
    assert re.search(r"Threshold of general_anomaly: 0\.\d+ \([^)]*validation frames", said)
    assert "bad.mp4: not a video by its first bytes" in said
    table = pd.read_csv(tmp_path / "out" / "a.csv")
    assert table["frame"].tolist() == list(range(0, 100, 10))
    assert table["general_anomaly"].between(0, 1).all()
    np.testing.assert_allclose(table.filter(like="anomaly_type/").sum(axis=1), 1, atol=1e-5)
    assert pd.read_csv(tmp_path / "out" / "a_per_second.csv")["frames"].tolist() == [3, 3, 3, 1]
    assert not (tmp_path / "out" / "bad.csv").exists()


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("outputs/alone", "nowhere.mp4"), "no such file or folder"),
        (("outputs/nowhere", "outputs/alone"), "There is no video in outputs/alone"),
        (("outputs", "VIDEO"), "is no single run, it has 1 run"),
    ],
)
def test_bad_input_is_one_line(trained, tmp_path, words, said):
    video = film(tmp_path / "a.mp4", [100] * 5)
    done = predict(trained, *(video if word == "VIDEO" else word for word in words), "--out", tmp_path / "out")
    assert done.returncode == 1
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert said in line


def test_help_answers_without_loading_anything_heavy():
    code = "import sys, mtl.predict.__main__ as m; m.parser(); print(*(n in sys.modules for n in ('tensorflow', 'av')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
