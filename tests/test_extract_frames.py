from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import ROOT, heeded, sampled

from mtl import extract_frames
from mtl.data import video_frames
from mtl.data.extraction import STATE
from mtl.data.making import EXTRACTION
from mtl.data.ucf_crime import UCFCrime
from mtl.data.videos import SplitLists, Video, find_videos, one_of_each, read_lists, split_videos
from mtl.errors import UserError

REAL_SERVE = video_frames.serve


def film(file, n_frames=25, size=(96, 72), seed=0, codec="mp4v"):
    """Write a real video of moving blocks."""
    file.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = cv2.resize(blocks, size, interpolation=cv2.INTER_LINEAR)
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*codec), 30, size)
    assert writer.isOpened()
    for i in range(n_frames):
        writer.write(np.roll(picture, 3 * i, axis=1))
    writer.release()
    return file


def decoded(file, step=10, size=(64, 64)):
    """Frames as the usual set was made: plain decoding, INTER_AREA; by number, RGB."""
    capture = cv2.VideoCapture(str(file))
    frames, n = {}, 0
    while True:
        there, image = capture.read()
        if not there:
            return frames
        if n % step == 0:
            frames[n] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)[..., ::-1]
        n += 1


def command(*arguments):
    return [sys.executable, "-m", "mtl.extract_frames", *map(str, arguments)]


def run(*arguments):
    """The command in a process of its own: exit code and what it said, as one string of words."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, cwd=ROOT, timeout=400)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def frames_below(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.png") if "/." not in str(path)}


def number_of(path):
    return int(path.stem.rpartition("_")[2])


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The official release in small, with its lists."""
    root = tmp_path_factory.mktemp("official")
    names = [
        "Part-1/Abuse/Abuse001_x264.mp4",
        "Part-1/Abuse/Abuse028_x264.mp4",
        "Part-2/RoadAccidents/RoadAccidents002_x264.mp4",
        "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4",
        "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4",
        "Normal_Videos_event/Normal_Videos_003_x264.mp4",  # the release holds some twice
    ]
    for i, name in enumerate(names):
        film(root / name, n_frames=21 + i, seed=i)
    lists = tmp_path_factory.mktemp("lists")
    (lists / "Anomaly_Train.txt").write_text(
        "Abuse/Abuse001_x264.mp4\r\nRoadAccidents/RoadAccidents002_x264.mp4 \r\n\r\n"
        "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4\r\n"
    )
    (lists / "Anomaly_Test.txt").write_text(
        "\ufeffAbuse/Abuse028_x264.mp4\nTesting_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4"
    )
    return root, lists


@pytest.fixture(scope="module")
def cut(official, tmp_path_factory):
    """What the command made of the official release."""
    root, lists = official
    out = tmp_path_factory.mktemp("cut") / "frames"
    code, said = run(
        root,
        out,
        "--train-list",
        lists / "Anomaly_Train.txt",
        "--test-list",
        lists / "Anomaly_Test.txt",
        "--workers",
        2,
    )
    assert code == 0, said
    return out, said


# what comes out


def test_the_marker_says_how_the_frames_were_made(cut):
    plan = json.loads((cut[0] / EXTRACTION).read_text(encoding="utf-8"))
    assert plan["cut"] == {"step": 10, "width": 64, "height": 64}
    assert (plan["interpolation"], plan["opencv"]) == ("INTER_AREA", cv2.__version__)
    assert re.fullmatch(r"PyAV \(libavcodec \d+, libswscale \d+\)", plan["decoder"])


def test_names_and_folders_are_those_of_the_usual_set(cut):
    assert sorted(frames_below(cut[0])) == sorted(
        f"{folder}_{i}.png"
        for folder in (
            "Train/Abuse/Abuse001_x264",
            "Test/Abuse/Abuse028_x264",
            "Train/RoadAccidents/RoadAccidents002_x264",
            "Train/NormalVideos/Normal_Videos001_x264",
            "Test/NormalVideos/Normal_Videos_003_x264",
        )
        for i in (0, 10, 20)
    )


def test_pixels_are_those_of_decoding_and_averaging(official, cut):
    from mtl.data.frames import read_frame

    root, out = official[0], cut[0]
    for video, folder in (
        ("Part-1/Abuse/Abuse001_x264.mp4", "Train/Abuse"),
        ("Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4", "Test/NormalVideos"),
    ):
        for number, frame in decoded(root / video).items():
            path = f"{folder}/{Path(video).stem}_{number}.png"
            np.testing.assert_array_equal(read_frame(out, path), frame)


def test_data_set_reads_what_was_cut(cut, tmp_path):
    config = yaml.safe_load((ROOT / "conf" / "data" / "ucf_crime.yaml").read_text()) | {"root": str(cut[0])}
    del config["_target_"]
    lists = {"train": "", "val": ""}  # one video per class: none could be held out
    for path in sorted((cut[0] / "Train").rglob("*.png")):
        class_name = path.parent.name
        lists["val" if class_name == "Abuse" else "train"] += f"{path.relative_to(cut[0])} {class_name}\n"
    for split, lines in lists.items():
        (tmp_path / split).write_text(lines, encoding="utf-8")
    frames = UCFCrime(**config | {"annotations": {split: str(tmp_path / split) for split in lists}}).frames()
    assert frames["split"].value_counts().to_dict() == {"train": 6, "test": 6, "val": 3}


@pytest.mark.parametrize(
    ("n_frames", "step", "expected"),
    sampled([(31, 10, [0, 10, 20, 30]), (30, 10, [0, 10, 20]), (5, 2, [0, 2, 4])], every=3),
)
def test_number_of_frames_is_the_ceiling(tmp_path, n_frames, step, expected):
    film(tmp_path / "v" / "Abuse" / "a.avi", n_frames, codec="MJPG")
    assert extract_frames.main([str(tmp_path / "v"), str(tmp_path / "o"), "--step", str(step), "--workers", "1"]) == 0
    assert sorted(number_of(path) for path in (tmp_path / "o").rglob("*.png")) == expected


@pytest.mark.slow
def test_step_and_size_are_options(tmp_path):
    video = film(tmp_path / "v" / "Arson" / "my film é.avi", 20, codec="MJPG")
    code, said = run(tmp_path / "v", tmp_path / "o", "--step", 7, "--size", "80x60", "--test-fraction", 0)
    assert code == 0, said
    expected = decoded(video, 7, (80, 60))
    for number in (0, 7, 14):
        image = cv2.imread(str(tmp_path / "o" / "Train" / "Arson" / f"my film é_{number}.png"))
        np.testing.assert_array_equal(image[..., ::-1], expected[number])


# interruption


def wait_for(condition, process, seconds=300):
    limit = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "ended before it could be interrupted"
        assert time.monotonic() < limit
        time.sleep(0.005)


@pytest.fixture(scope="module")
def long_films(tmp_path_factory):
    root = tmp_path_factory.mktemp("long")
    for i in range(6):
        film(root / "Fighting" / f"Fighting{i:03d}_x264.mp4", n_frames=400, seed=i)
    return root


@pytest.fixture(scope="module")
def uninterrupted(long_films, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    assert run(long_films, out, "--step", 2)[0] == 0
    return frames_below(out)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["unfinished", "publishing", "second done"])
def test_killed_command_goes_on_and_ends_alike(tmp_path, long_films, uninterrupted, moment):
    out = tmp_path / "killed"
    state = out / STATE
    moments = {
        "unfinished": lambda: any((state / "partial").rglob("*.png")),
        "publishing": lambda: any(out.glob("T*/*/*.png")),
        "second done": lambda: len(list((state / "done").glob("*.json"))) >= 2,
    }
    process = subprocess.Popen(
        command(long_films, out, "--step", 2, "--workers", 2),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(moments[moment], process)
    process.send_signal(signal.SIGKILL)  # the command only: its workers must end by themselves
    process.wait()
    assert frames_below(out).items() <= uninterrupted.items()  # never half under its final name
    code, said = run(long_films, out, "--step", 2)
    assert code == 0, said
    assert frames_below(out) == uninterrupted
    assert not (state / "partial").exists()
    time.sleep(1)  # an orphan would write now
    assert frames_below(out) == uninterrupted


@pytest.mark.slow
def test_interrupted_command_says_so_in_one_line(tmp_path, long_films):
    process = subprocess.Popen(
        command(long_films, tmp_path / "o", "--step", 1, "--workers", 2),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=heeded,
    )  # fmt: skip
    wait_for(lambda: any((tmp_path / "o" / STATE / "partial").rglob("*.png")), process)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 130
    assert "Interrupted. The same command goes on from here." in said
    assert "Traceback" not in said


def test_done_videos_are_not_done_again(official, cut):
    root, lists = official
    out = cut[0]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    code, said = run(root, out, "--train-list", lists / "Anomaly_Train.txt", "--test-list", lists / "Anomaly_Test.txt")
    assert code == 0
    assert "0 videos cut into 0 frames" in said
    assert "5 were done before" in said
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == before


@pytest.mark.slow
def test_lost_frames_and_changed_videos_are_done_again(tmp_path, capsys):
    videos, out = tmp_path / "v", tmp_path / "o"
    for i in (1, 2, 3):
        film(videos / "Abuse" / f"Abuse00{i}.avi", 30, codec="MJPG", seed=i)
    arguments = [str(videos), str(out), "--workers", "1", "--test-fraction", "0"]
    assert extract_frames.main(arguments) == 0
    (out / "Train" / "Abuse" / "Abuse001_10.png").unlink()
    film(videos / "Abuse" / "Abuse002.avi", 12, codec="MJPG", seed=9)  # shorter than before
    assert extract_frames.main(arguments) == 0
    counted = Counter(path.stem.rpartition("_")[0] for path in out.rglob("*.png"))
    assert counted == {"Abuse001": 3, "Abuse002": 2, "Abuse003": 3}


# videos that cannot be read


@pytest.mark.slow
def test_bad_videos_are_listed_and_the_others_go_on(tmp_path):
    videos, out = tmp_path / "v", tmp_path / "o"
    film(videos / "Abuse" / "good.mp4", 30)
    whole = film(videos / "Abuse" / "cut.mp4", 300).read_bytes()
    (videos / "Abuse" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    whole = film(videos / "Arson" / "half.avi", 60, codec="MJPG").read_bytes()
    (videos / "Arson" / "half.avi").write_bytes(whole[: len(whole) // 2])
    (videos / "Arson" / "empty.mp4").touch()
    (videos / "Arson" / "text.mp4").write_text("not a video " * 100)
    (videos / "Arson" / "folder.mp4").symlink_to("nowhere")
    code, said = run(videos, out)
    assert code == 1
    failed = dict(line.split("\t") for line in (out / "failed_videos.txt").read_text().splitlines())
    assert failed.keys() == {
        "Abuse/cut.mp4", "Arson/half.avi", "Arson/empty.mp4", "Arson/text.mp4", "Arson/folder.mp4",
    }  # fmt: skip
    assert failed["Arson/empty.mp4"] == "empty"
    assert failed["Arson/text.mp4"].startswith("not a video")
    assert failed["Arson/half.avi"].startswith("cut")
    assert failed["Arson/folder.mp4"] == "no such file or directory"
    for video, reason in failed.items():
        assert f"{video}: {reason}" in said
    assert "5 videos failed" in said
    assert "moov atom" not in said
    assert len(frames_below(out)) == 3
    film(videos / "Arson" / "text.mp4", 30)
    for name in ("Abuse/cut.mp4", "Arson/half.avi", "Arson/empty.mp4", "Arson/folder.mp4"):
        (videos / name).unlink()
    code, said = run(videos, out)
    assert code == 0, said
    assert not (out / "failed_videos.txt").exists()
    assert len(frames_below(out)) == 6


def dying(connection, cut):
    """A worker whose decoder crashes over one video."""

    real = video_frames.extract
    video_frames.extract = lambda job, *rest: os._exit(11) if job.video.name == "deadly" else real(job, *rest)
    REAL_SERVE(connection, cut)


@pytest.mark.slow
def test_dying_decoder_costs_its_video_only(tmp_path, monkeypatch):

    monkeypatch.setattr(video_frames, "serve", dying)
    for i, name in enumerate(("a", "deadly", "b", "c")):
        film(tmp_path / "v" / "Abuse" / f"{name}.avi", 20 + i, codec="MJPG")
    assert extract_frames.main([str(tmp_path / "v"), str(tmp_path / "o"), "--workers", "1"]) == 1
    assert "deadly.avi\tthe decoder died (exit code 11)" in (tmp_path / "o" / "failed_videos.txt").read_text()
    assert len({path.stem.rpartition("_")[0] for path in (tmp_path / "o").rglob("*.png")}) == 3


# which split


@pytest.mark.slow
def test_lists_beside_the_videos_are_used(tmp_path, official):
    lists = official[1]
    for name in ("Abuse001_x264", "Abuse028_x264"):
        film(tmp_path / "v" / "Abuse" / f"{name}.mp4", 11)
    for file in lists.iterdir():
        (tmp_path / "v" / file.name).write_bytes(file.read_bytes())
    code, said = run(tmp_path / "v", tmp_path / "o")
    assert code == 0, said
    assert "The split is that of" in said
    assert {path.rpartition("_")[0] for path in frames_below(tmp_path / "o")} == {
        "Train/Abuse/Abuse001_x264", "Test/Abuse/Abuse028_x264",
    }  # fmt: skip


@pytest.mark.slow
def test_absent_videos_are_one_count_and_no_failure(tmp_path, caplog):
    film(tmp_path / "v" / "Abuse" / "Abuse001.mp4", 11)
    for i in (2, 3):
        (tmp_path / "v" / "Abuse" / f"Abuse00{i}.mp4").touch()
    (tmp_path / "list.txt").write_text("".join(f"Abuse/Abuse{i:03d}.mp4\n" for i in range(1, 61)))
    arguments = [str(tmp_path / "v"), str(tmp_path / "o"), "--train-list", str(tmp_path / "list.txt"), "--workers", "1"]
    caplog.set_level("INFO")
    assert extract_frames.main(arguments) == 1
    said = [record.message for record in caplog.records]
    first = said.index("Abuse/Abuse002.mp4: empty")
    assert said[first + 1] == "Abuse/Abuse003.mp4: empty"
    assert said[first + 2].startswith("2 videos failed; all are listed in")
    assert said[first + 3].startswith("57 of the 60 listed videos are not below VIDEOS and left out")
    assert (
        tmp_path / "o" / "failed_videos.txt"
    ).read_text() == "Abuse/Abuse002.mp4\tempty\nAbuse/Abuse003.mp4\tempty\n"
    assert (tmp_path / "o" / "absent_videos.txt").read_text().splitlines()[0] == "Abuse/Abuse004.mp4"
    for i in (2, 3):
        (tmp_path / "v" / "Abuse" / f"Abuse00{i}.mp4").unlink()
    assert extract_frames.main(arguments) == 0
    assert not (tmp_path / "o" / "failed_videos.txt").exists()


def test_lists_that_name_none_of_the_videos_are_refused(tmp_path, caplog):
    (tmp_path / "v" / "Abuse").mkdir(parents=True)
    (tmp_path / "v" / "Abuse" / "mine.mp4").touch()
    for name in ("train", "test"):
        (tmp_path / f"{name}.txt").write_text(f"Abuse/{name}.mp4\n")
    lists = ["--train-list", str(tmp_path / "train.txt"), "--test-list", str(tmp_path / "test.txt")]
    assert extract_frames.main([str(tmp_path / "v"), str(tmp_path / "o"), *lists]) == 1
    assert "None of the 1 videos is on either list" in caplog.text


def videos_of(**classes):
    return [Video(Path(f"/v/{name}/{name}{i:03d}.mp4"), name, None, 1) for name, n in classes.items() for i in range(n)]


def test_without_a_list_a_share_of_each_class_is_test():
    split_of = split_videos(videos_of(Abuse=10, Normal=40), SplitLists(), {}, 0.2, 0)
    in_test = Counter(name[:5] for name, split in split_of.items() if split == "test")
    assert in_test == {"Abuse": 2, "Norma": 8}
    assert set(split_videos(videos_of(Abuse=10), SplitLists(), {}, 0, 0).values()) == {"train"}


def test_earlier_videos_stay_where_they_are_when_more_come():
    few = split_videos(videos_of(Abuse=10), SplitLists(), {}, 0.2, 0)
    more = split_videos(videos_of(Abuse=30), SplitLists(), few, 0.2, 0)
    assert few.items() <= more.items()


def test_one_list_sends_the_rest_to_the_other_split(tmp_path):
    (tmp_path / "test.txt").write_text("Abuse/Abuse001.mp4\n")
    split_of = split_videos(videos_of(Abuse=3), read_lists(None, tmp_path / "test.txt"), {}, 0.2, 0)
    assert split_of == {"Abuse000": "train", "Abuse001": "test", "Abuse002": "train"}


def test_two_lists_leave_the_rest_out(tmp_path):
    (tmp_path / "test.txt").write_text("Abuse/Abuse001.mp4\n")
    (tmp_path / "train.txt").write_text("Abuse002.mp4\n")
    lists = read_lists(tmp_path / "train.txt", tmp_path / "test.txt")
    assert split_videos(videos_of(Abuse=3), lists, {}, 0.2, 0) == {"Abuse001": "test", "Abuse002": "train"}


@pytest.mark.parametrize(
    ("parts", "split"),
    [
        ("Train/Abuse", "train"),
        ("valid/Abuse", "val"),
        ("testing/Abuse", "test"),
        ("Testing_Normal_Videos_Anomaly", "test"),
        ("Abuse", None),
    ],
)
def test_folders_tell_the_split(tmp_path, parts, split):
    (tmp_path / parts).mkdir(parents=True)
    (tmp_path / parts / "a.MP4").touch()
    assert [video.folder_split for video in find_videos(tmp_path, tmp_path / "out")] == [split]


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("Training-Normal-Videos-Part-1", "train"),
        ("Training-Normal-Videos-Part-2/Training-Normal-Videos-Part-2", "train"),
        ("Training_Normal_Videos_Anomaly", "train"),
        ("training normal videos anomaly", "train"),
        ("TrainingNormalVideosAnomaly", "train"),
        ("Validation_Normal_Videos", "val"),
        ("Testing_Normal_Videos_Anomaly", "test"),
        ("TESTING-NORMAL-VIDEOS", "test"),
        ("Test-Normal-Videos", "test"),
        ("Normal_Videos_for_Event_Recognition", None),
        ("Normal-Videos-Event", None),
        ("NormalVideos", None),
        ("Train/Normal", "train"),
        ("UCF_Crimes/Videos/normal_videos", None),
    ],
)
def test_a_folder_of_normal_videos_is_known_however_it_is_spelled(tmp_path, folder, split):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "Normal_Videos001_x264.mp4").touch()
    [video] = find_videos(tmp_path, tmp_path / "out")
    assert (video.class_name, video.folder_split) == ("Normal", split)


def test_the_official_release_is_understood_as_it_unpacks(tmp_path):
    for name in (
        "Anomaly-Videos-Part-1/Abuse/Abuse001_x264.mp4",
        "Anomaly-Videos-Part-4/Road_Accident/RoadAccidents002_x264.mp4",
        "Training-Normal-Videos-Part-1/Normal_Videos001_x264.mp4",
        "Training-Normal-Videos-Part-2/Normal_Videos501_x264.mp4",
        "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4",
        "Normal_Videos_for_Event_Recognition/Normal_Videos_003_x264.mp4",  # a copy
        "Normal_Videos_for_Event_Recognition/Normal_Videos_004_x264.mp4",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "train.txt").write_text(
        "Abuse/Abuse001_x264.mp4\nRoadAccidents/RoadAccidents002_x264.mp4\n"
        "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4\n"
        "Training_Normal_Videos_Anomaly/Normal_Videos501_x264.mp4\n"
    )
    (tmp_path / "test.txt").write_text("Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4\n")
    found = find_videos(tmp_path, tmp_path / "out")
    lists = read_lists(tmp_path / "train.txt", tmp_path / "test.txt")
    assert split_videos(one_of_each(found, lists), lists, {}, 0.2, 0) == {
        "Abuse001_x264": "train", "RoadAccidents002_x264": "train", "Normal_Videos001_x264": "train",
        "Normal_Videos501_x264": "train", "Normal_Videos_003_x264": "test",
    }  # fmt: skip
    told = {video.name: video.folder_split for video in one_of_each(found, SplitLists())}
    assert told == {
        "Abuse001_x264": None, "RoadAccidents002_x264": None, "Normal_Videos001_x264": "train",
        "Normal_Videos501_x264": "train", "Normal_Videos_003_x264": "test", "Normal_Videos_004_x264": None,
    }  # fmt: skip


def test_videos_in_out_and_links_back_are_passed_over(tmp_path):
    for folder in ("Abuse", "out/Abuse"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.mp4").touch()
    (tmp_path / "Abuse" / "loop").symlink_to(tmp_path)
    assert [video.file for video in find_videos(tmp_path, tmp_path / "out")] == [tmp_path / "Abuse" / "a.mp4"]


# user's mistakes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Abuse/a.mp4\nAbuse/Abuse002", r"list.txt:2: expected <Class>/<video>.mp4, found 'Abuse/Abuse002'"),
        ("Abuse/a.mp4\n\nArson/a.mp4\n", r"list.txt:3: 'a' is there already, in .*list.txt:1"),
        ("\n\n", "names no video"),
    ],
)
def test_wrong_list_is_named_by_line(tmp_path, text, said):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(UserError, match=said):
        read_lists(tmp_path / "list.txt", None)


def test_video_on_both_lists_is_refused(tmp_path):
    for name in ("train.txt", "test.txt"):
        (tmp_path / name).write_text("Abuse/a.mp4\n")
    with pytest.raises(UserError, match=r"test.txt:1: 'a' is there already, in .*train.txt:1"):
        read_lists(tmp_path / "train.txt", tmp_path / "test.txt")


def test_two_videos_of_one_name_are_refused():
    same = [Video(Path(f"/v/{name}/a.mp4"), name, None, 1) for name in ("Abuse", "Arson")]
    with pytest.raises(UserError, match="Two videos have the name 'a'"):
        one_of_each(same, SplitLists())


def test_class_of_the_list_must_be_that_of_the_folder(tmp_path):
    (tmp_path / "train.txt").write_text("Arson/Abuse000.mp4\n")
    with pytest.raises(UserError, match=r"lies in Abuse, but its split list says 'Arson/Abuse000.mp4'"):
        split_videos(videos_of(Abuse=1), read_lists(tmp_path / "train.txt", None), {}, 0.2, 0)


def prepared(tmp_path):
    film(tmp_path / "v" / "Abuse" / "a.avi", 12, codec="MJPG")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "w" / "Abus").mkdir(parents=True)
    (tmp_path / "w" / "Abus" / "a.mp4").touch()
    (tmp_path / "kaggle" / "Train").mkdir(parents=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "o"], "There is no folder"),
        (["empty", "o"], "No video below"),
        (["w", "o"], "lies in 'Abus', which is no class of UCF-Crime. Did you mean 'Abuse'?"),
        (["v", "file"], "Cannot write to"),
        (["v", "kaggle"], "holds a 'Train' that was not made by this command"),
        (["v", "o", "--train-list", "nowhere.txt"], "Cannot read nowhere.txt: No such file"),
    ],
)
def test_mistake_is_one_line(tmp_path, monkeypatch, caplog, arguments, said):
    prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert extract_frames.main(arguments) == 1
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert said in record.message
    assert "\n" not in record.message


@pytest.mark.parametrize(
    "arguments", [["--step", "0"], ["--size", "-3"], ["--size", "64x"], ["--test-fraction", "1"], ["--workers", "x"]]
)
def test_wrong_numbers_are_refused(tmp_path, arguments):
    with pytest.raises(SystemExit) as ended:
        extract_frames.main(["v", "o", *arguments])
    assert ended.value.code == 2


@pytest.mark.slow
def test_other_step_or_split_into_the_same_folder_is_refused(tmp_path, monkeypatch, caplog):
    prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.txt").write_text("Abuse/a.avi\n")
    assert extract_frames.main(["v", "o", "--workers", "1"]) == 0
    assert extract_frames.main(["v", "o", "--step", "5"]) == 1
    assert "holds frames of step 10 and size 64x64, asked for are step 5" in caplog.text
    assert extract_frames.main(["v", "o", "--test-list", "test.txt"]) == 1
    assert "'a' belongs to test, but" in caplog.text


def rewritten(plan, **changes):
    said = json.loads(plan.read_text()) | changes
    plan.write_text(json.dumps({name: value for name, value in said.items() if value is not None}))


@pytest.mark.slow
def test_frames_of_another_decoder_are_not_gone_on_with(tmp_path, monkeypatch, caplog):
    prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    go_on = ["v", "o", "--workers", "1"]
    assert extract_frames.main(go_on) == 0
    plan = tmp_path / "o" / EXTRACTION
    made_with = json.loads(plan.read_text())["decoder"]
    for changes, said in (
        (
            {"decoder": "PyAV (libavcodec 61, libswscale 8)"},
            "frames decoded by PyAV (libavcodec 61, libswscale 8), here",
        ),
        ({"decoder": None, "opencv": "4.12.0"}, "frames decoded by OpenCV 4.12.0, here is PyAV"),
        ({"decoder": None, "opencv": None}, "frames decoded by OpenCV of an unknown version, here is PyAV"),
    ):
        rewritten(plan, **changes)
        caplog.clear()
        assert extract_frames.main(go_on) == 1
        [record] = [record for record in caplog.records if record.levelname == "ERROR"]
        assert said in record.message
        assert "\n" not in record.message
    rewritten(plan, opencv="4.13.0")  # made the same pixels: it goes on, and the plan says by what
    assert extract_frames.main(go_on) == 0
    assert json.loads(plan.read_text())["decoder"] == made_with


@pytest.mark.parametrize(
    ("changes", "said"),
    sampled(
        [
            ({"split_of": {"a": "../../elsewhere"}}, "video 'a' is in split '../../elsewhere', right would be"),
            ({"split_of": {"a": ["test"]}}, "video 'a' is in split ['test']"),
            ({"split_of": None}, "no step, size and splits"),
            ({"cut": {"step": "10", "width": 64, "height": 64}}, "no step, size and splits"),
            ({"cut": [10, 64, 64]}, "no step, size and splits"),
        ],
        every=5,
    ),
)
def test_a_damaged_plan_leads_nowhere_else(tmp_path, monkeypatch, caplog, changes, said):
    prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert extract_frames.main(["v", "o", "--workers", "1"]) == 0
    before = sorted(tmp_path.rglob("*"))
    rewritten(tmp_path / "o" / EXTRACTION, **changes)
    assert extract_frames.main(["v", "o", "--workers", "1"]) == 1
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "plan.json is damaged" in record.message
    assert said in record.message
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_videos_that_cannot_tell_their_end_are_named_once(tmp_path, caplog):
    for name in ("a", "b"):
        film(tmp_path / "v" / "Abuse" / f"{name}.mpg", 20, codec="PIM1")
    arguments = [str(tmp_path / "v"), str(tmp_path / "o"), "--workers", "1"]
    assert extract_frames.main(arguments) == 0
    [said] = [record.message for record in caplog.records if "do not say where they end" in record.message]
    assert said.startswith("2 videos (.mpg) do not say where they end, such as")


def test_files_that_are_no_videos_by_name_are_named_and_transport_streams_read(tmp_path, caplog):
    folder = tmp_path / "v" / "Abuse"
    film(folder / "a.ts", 20, codec="mp2v")
    for name in ("b.flv", "c.FLV", "readme", ".hidden"):
        (folder / name).touch()
    (tmp_path / "v" / "lists.txt").touch()
    assert extract_frames.main([str(tmp_path / "v"), str(tmp_path / "o"), "--workers", "1"]) == 0
    [said] = [record.message for record in caplog.records if "no videos by their names" in record.message]
    assert said.startswith("3 files in folders of classes are no videos by their names (.flv, no ending) and left out")
    assert sorted(Path(name).name for name in frames_below(tmp_path / "o")) == ["a_0.png", "a_10.png"]


def test_two_at_once_are_refused(tmp_path, monkeypatch, caplog):
    fcntl = pytest.importorskip("fcntl")
    prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    lock = tmp_path / "o" / STATE / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert extract_frames.main(["v", "o"]) == 1
    assert "Another extraction is writing to" in caplog.text


def full_disk(connection, cut):
    """A worker on a full disk."""

    def refuse(*_):
        raise OSError(28, "No space left on device", "x.png")

    video_frames.extract = refuse
    REAL_SERVE(connection, cut)


@pytest.mark.slow
def test_full_disk_stops_in_one_line(tmp_path, monkeypatch, caplog):

    prepared(tmp_path)
    monkeypatch.setattr(video_frames, "serve", full_disk)
    assert extract_frames.main([str(tmp_path / "v"), str(tmp_path / "o")]) == 1
    assert "No space left on device (x.png). The same command goes on from here." in caplog.text
    assert not list((tmp_path / "o").rglob("*.png"))


@pytest.mark.slow
def test_damaged_marker_means_done_again(tmp_path, monkeypatch):
    prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert extract_frames.main(["v", "o", "--workers", "1"]) == 0
    marker = tmp_path / "o" / STATE / "done" / "a.json"
    marker.write_text('{"bytes": 1')
    assert extract_frames.main(["v", "o", "--workers", "1"]) == 0
    assert json.loads(marker.read_text())["written"] == 2


def test_help_is_at_once():
    before = os.times().children_user
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mtl.extract_frames", "--help"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    assert os.times().children_user - before < 5  # a tenth of it on a machine that does nothing else
    assert "--train-list" in done.stdout
    for heavy in ("cv2", "numpy", "pandas", "rich"):
        assert f"| {heavy}\n" not in done.stderr
