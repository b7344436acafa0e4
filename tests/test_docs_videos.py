"""docs/videos.md: every command works, and each kind of video is treated as its table says."""

from __future__ import annotations

import re
import shlex
import shutil
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import ROOT, call
from test_data_ucf_crime_videos import data
from test_predict import scored_of
from test_stream import Server
from test_video_reader import beginning, filmed

from mtl.data.sampled_video import SampledVideo
from mtl.data.video_reader import VideoReader, picture

PAGE = (ROOT / "docs" / "videos.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| [^v|-]|\| variable", line)]
EVENTS = "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
QUICK = (
    "training.epochs=1", "freeze=all", "relations=[]", "gradient_measurements.batches=0", "evaluation.resamples=20",
)  # fmt: skip
CLASSES = {
    "Anomaly-Videos-Part-1/Abuse": "Abuse", "Anomaly-Videos-Part-2/Fighting": "Fighting",
    "Anomaly-Videos-Part-2/Burglary": "Burglary",
}  # fmt: skip
NORMAL = {"Train": "Training-Normal-Videos-Part-1", "Test": "Testing_Normal_Videos_Anomaly"}


# the commands


def make_release(root: Path) -> None:
    """A small official release: three training and two test videos of three classes and of Normal."""
    lists: dict[str, list[str]] = {"Train": [], "Test": []}
    events = []
    for i in range(5):
        split = "Train" if i < 3 else "Test"
        for folder, name in (*CLASSES.items(), (NORMAL[split], "Normal")):
            stem = f"Normal_Videos_{900 + i}_x264" if name == "Normal" else f"{name}{i + 1:03}_x264"
            (root / folder).mkdir(parents=True, exist_ok=True)
            filmed(root / folder / f"{stem}.mp4", n=40 + 10 * i, size=(64, 48))
            lists[split].append(f"{folder.rpartition('/')[2]}/{stem}.mp4")
            if split == "Test":
                event = "-1  -1" if name == "Normal" else "20  40"
                events.append(f"{stem}.mp4  {name}  {event}  -1  -1")
    for split, lines in lists.items():
        (root / f"Anomaly_{split}.txt").write_text("\n".join(lines))
    (root.parent / EVENTS).write_text("\n".join(events))


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with all that the commands name; one run is trained in it."""
    folder = tmp_path_factory.mktemp("videos")
    make_release(folder / "release")
    (folder / "more").mkdir()
    (folder / "videos").mkdir()
    for name in ("video.mp4", "more/a.mp4", "videos/b.mp4"):
        filmed(folder / name, n=45)
    done = call(folder, *words_of(COMMANDS[0], folder)[2:], "hydra.run.dir=outputs/one", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "auc_event" in done.stdout or "annotated events" in " ".join(done.stdout.split())
    return folder


def words_of(line: str, folder: Path) -> list[str]:
    """A command's words, on this machine."""
    return [word.replace("/path/to", str(folder)).replace("RUN", "outputs/one") for word in shlex.split(line)]


def typed(folder: Path, words: list[str], monkeypatch) -> int:
    """The exit status of `python -m`, in this process, which has TensorFlow already."""
    from mtl import extract_frames
    from mtl.export.__main__ import main as export
    from mtl.predict.__main__ import main as predict
    from mtl.report.__main__ import main as report

    monkeypatch.chdir(folder)
    programs = {
        "mtl.predict": predict, "mtl.export": export, "mtl.extract_frames": extract_frames.main, "mtl.report": report,
    }  # fmt: skip
    assert words[:2] == ["python", "-m"]
    return programs[words[2]](words[3:]) or 0


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS[1:])
def test_every_command_works(desk, line, monkeypatch, caplog):
    words = words_of(line, desk)
    if words[1] == "run.py":
        done = call(desk, *words[2:], *QUICK)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return
    if "model.onnx" in words:
        pytest.importorskip("onnxruntime")
    if any("PORT" in word for word in words):
        with Server(60, pause=0.02) as server:
            words = [server.address if "PORT" in word else word for word in words]
            assert typed(desk, words, monkeypatch) == 0
        return
    assert typed(desk, words, monkeypatch) == 0
    assert "own data cannot be had" not in caplog.text  # an export is compared on frames of the videos
    if words[2] == "mtl.predict":
        names = {path.name for path in (desk / "scores").iterdir()}
        assert "index.html" in names
        assert "--overlay" not in words or SampledVideo(desk / "copy.mp4", 1)
        assert "more/*.mp4" not in words or {"a.csv", "b.csv", "a_per_second.csv", "a.png"} <= names


def test_the_names_on_the_page_are_tests_and_files():
    for row in ROWS:
        name = row.rstrip("| ").rpartition("`test_")[2].strip("` |")
        assert f"def test_{name}(" in Path(__file__).read_text(encoding="utf-8"), row
    assert len(ROWS) == 8
    for name in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", PAGE):
        assert (ROOT / "docs" / name).is_file(), name


# the kinds of videos


def used_in_training(file: Path, folder: Path) -> list[int]:
    """Frames of a video that `data=ucf_crime_videos` takes, among some that are plain."""
    root = folder / "release"
    for split in ("Train", "Test"):
        for name in ("Abuse", "Normal"):
            (root / split / name).mkdir(parents=True)
            for i in (1, 2):
                filmed(root / split / name / f"{name}{split}{i}.mp4", n=11)
    shutil.copy(file, root / "Train" / "Abuse" / f"Abuse999_x264{file.suffix}")
    frames = data(root, folder).frames()
    return frames["frame"][frames["video"] == "Abuse999_x264"].tolist()


TENTHS = list(range(0, 90, 10))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi"])
def test_b_frames_come_in_the_order_shown(tmp_path, kind):
    file = filmed(tmp_path / f"a.{kind}", n=90, max_b_frames=2)
    with av.open(str(file)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None or packet.size]
        assert container.streams.video[0].codec_context.has_b_frames
    assert len(packets) >= 90
    scored = scored_of(file)
    assert (scored.reason, scored.table["frame"].tolist()) == ("", TENTHS)
    plain = filmed(tmp_path / f"plain.{kind}", n=90, max_b_frames=0)
    frames = [[picture(frame).astype(int) for frame in VideoReader(each).frames()] for each in (file, plain)]
    for i in range(0, 90, 10):  # nearer to its own frame of the video without them than to those beside it
        far = [np.abs(frames[0][i] - frames[1][j]).mean() for j in range(max(i - 2, 0), min(i + 3, 90))]
        assert np.argmin(far) == min(i, 2)
    assert used_in_training(file, tmp_path) == TENTHS


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi"])
def test_variable_rate_is_told_by_the_seconds_not_by_the_frames(tmp_path, kind):
    times = [round(i * 1000 / 30) for i in range(60)] + [2000 + 200 * i for i in range(30)]
    file = filmed(tmp_path / f"a.{kind}", n=90, times=times)
    scored = scored_of(file)
    assert (scored.reason, scored.table["frame"].tolist()) == ("", TENTHS)
    np.testing.assert_allclose(scored.table["seconds"], np.array(times)[TENTHS] / 1000, atol=2e-3)
    assert used_in_training(file, tmp_path) == TENTHS


@pytest.mark.slow
def test_a_turned_video_is_upright(tmp_path):
    file = filmed(tmp_path / "a.mp4", n=11)
    before = picture(next(VideoReader(file).frames()))
    content = bytearray(file.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 4 + 20 + 16
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    file.write_bytes(content)
    (first, _) = SampledVideo(file, 10).frames()
    np.testing.assert_array_equal(first.pixels[..., ::-1], np.rot90(before, -1))  # `picture` is BGR, as OpenCV has it
    assert used_in_training(file, tmp_path) == [0, 10]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "heeded"), [("mp4", True), ("mkv", True), ("webm", True), ("avi", False)])
def test_full_range_goes_by_its_tag(tmp_path, kind, heeded):
    file = filmed(tmp_path / f"a.{kind}", n=11, color_range=2)
    with av.open(str(file)) as container:
        assert (container.streams.video[0].codec_context.color_range == 2) == heeded
    assert scored_of(file).table["frame"].tolist() == used_in_training(file, tmp_path) == [0, 10]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "flags", "most", "said"),
    [
        ("mp4", None, 0, r"cut: at least [\d,]+ bytes are missing at its end \([\d.]+ %\)"),
        ("mp4", "faststart", 6, r"cut: at least [\d,]+ bytes are missing at its end \([\d.]+ %\)"),
        ("mp4", "frag_keyframe+empty_moov", 6, r"cut: at least [\d,]+ bytes are missing at its end \([\d.]+ %\)"),
        ("mkv", None, 6, r"cut: [\d.]+ of 3.0 s decode"),
        ("webm", None, 6, r"cut: [\d.]+ of 3.0 s decode"),
        ("avi", None, 6, r"cut or damaged: \d+ frames decode, the next one after [\d.]+ s does not"),
    ],
)
def test_a_cut_file_is_named(tmp_path, caplog, kind, flags, most, said):
    file = beginning(filmed(tmp_path / f"a.{kind}", n=90, movflags=flags), 0.6)
    scored = scored_of(file)
    assert re.fullmatch(said, scored.reason), scored.reason
    assert bool(most) <= len(scored.table) <= most
    assert used_in_training(file, tmp_path) == []
    assert "Abuse999_x264" in caplog.text
