"""Decoded videos beside the feature vectors: listed, checked and removed by the same command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from test_store import filled
from test_video_reader import filmed

from mtl import terminal
from mtl.data import decoded_videos
from mtl.data.decoded_videos import DecodedVideos
from mtl.data.frames import read_frame
from mtl.data.kept_videos import Counts, KeptVideos, kept_videos
from mtl.data.video_frames import Sampling
from mtl.data.videos import video_at
from mtl.features.__main__ import main
from mtl.features.entries import DIGESTS, VIDEOS

NAMES = ("Abuse/Abuse001_x264.mp4", "Abuse/Abuse002_x264.mp4")
FRAME = 4 + 32 * 24 * 3  # bytes with the checksum


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Two videos of 21 and 31 frames, and one that is none."""
    root = tmp_path_factory.mktemp("films")
    (root / "Abuse").mkdir()
    for n, name in zip((21, 31), NAMES, strict=True):
        filmed(root / name, n=n)
    (root / "Abuse" / "Abuse003_x264.mp4").write_bytes(b"no video")
    return root


@pytest.fixture
def root(original, tmp_path):
    """The same for a test that changes them."""
    return shutil.copytree(original, tmp_path / "films")


@pytest.fixture(scope="module")
def made(original, tmp_path_factory):
    """A store with every tenth frame, small, and every fifth, as it is."""
    folder = tmp_path_factory.mktemp("made")
    decoded(original, folder)
    decoded(original, folder, step=5, size=(None, None))
    return folder


@pytest.fixture
def store(made, tmp_path):
    """The same for one test."""
    return shutil.copytree(made, tmp_path / "store")


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setattr(terminal._console, "_width", 200)  # COLUMNS is read at import


def decoded(root: Path, store: Path, step: int = 10, size: tuple[int, int] | tuple[None, None] = (32, 24)):
    """The videos of a root, decoded into a store; 3 + 4 frames with a step of ten."""
    videos = DecodedVideos(root, store / VIDEOS, Sampling(step, *size), 1.0, 1)
    videos.decode([video_at(file, "Abuse", None) for file in sorted(root.rglob("*.mp4"))])
    return videos


def told(capsys, *words: str, status: int = 0) -> list[str]:
    """Lines of the command."""
    capsys.readouterr()
    assert main([words[0], "--dir", *words[1:]]) == status
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def of(store: Path, step: int = 10) -> KeptVideos:
    (found,) = (one for one in kept_videos(store / VIDEOS) if one.how()["step"] == step)
    return found


def rgb(kept: KeptVideos, video: str = NAMES[0]) -> Path:
    """The frames of a video, by the file that its marker tells."""
    (found,) = (path for path in kept.folder.glob("*-*.json") if json.loads(path.read_text())["file"].endswith(video))
    return found.with_suffix(".rgb")


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_the_command_looks_where_the_configs_put_them():
    for file in (ROOT / "conf" / "data").glob("*.yaml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert content.get("frames_dir", f"${{features.dir}}/{VIDEOS}") == f"${{features.dir}}/{VIDEOS}"
        assert content.get("digests_dir", f"${{features.dir}}/{DIGESTS}") == f"${{features.dir}}/{DIGESTS}"


# list


def test_list_has_a_table_of_decoded_videos_and_the_total_includes_them(store, capsys):
    archive = filled(store / "k")
    small, whole = of(store), of(store, 5)
    lines = told(capsys, "list", str(store))
    assert lines[0].startswith("key backbone")
    head = lines.index("key step px videos frames bad MiB last used")
    rows = {line.split()[0]: line for line in lines[head + 1 : head + 3]}
    mib = [sum(file.stat().st_size for file in one.folder.iterdir()) / 2**20 for one in (small, whole)]
    assert rows[small.key[:8]].startswith(f"{small.key[:8]} 10 32x24 2 7 1 {mib[0]:.1f} 20")
    assert rows[whole.key[:8]].startswith(f"{whole.key[:8]} 5 as they are 2 12 1 {mib[1]:.1f} 20")
    assert lines[-1] == f"3 kept in {store}, {archive.size() / 2**20 + sum(mib):.1f} MiB"


def test_list_of_a_key_says_how_and_for_which_root(original, store, capsys):
    kept = of(store)
    said = json.loads("".join(told(capsys, "list", str(store), kept.key[:6])))
    how = json.loads((kept.folder / "how.json").read_text())
    assert said == {"key": kept.key, "roots": [str(original)], **how}
    assert {"step", "height", "width", "decoder", "opencv", "version"} <= set(said)


def test_a_use_is_noted_where_nothing_is_decoded_too(original, store):
    kept = of(store)
    os.utime(kept.folder / "used.json", (100, 100))
    assert kept.last_used() == 100
    decoded(original, store)
    assert time.time() - kept.last_used() < 600
    other = store.with_name("other")
    other.symlink_to(original)
    decoded(other, store)
    assert kept.roots() == [str(original), str(other)]


def test_frames_that_may_only_be_read_serve(original, store, monkeypatch):
    kept = of(store)
    os.utime(kept.folder / "used.json", (100, 100))

    def refuse(*args, **kwargs):
        raise PermissionError(1, "read-only")

    monkeypatch.setattr("mtl.files.publish", refuse)
    monkeypatch.setattr("os.utime", refuse)
    videos = decoded(original, store)
    assert read_frame(videos, f"{NAMES[0]}#10").shape == (24, 32, 3)
    kept.touch(original.with_name("another"))
    assert kept.last_used() == 100


# verify


def test_verify_finds_a_flipped_bit_and_the_next_run_decodes_that_video_alone(original, store, capsys):
    kept = of(store)
    path = rgb(kept)
    before = path.read_bytes()
    assert told(capsys, "verify", str(store)) == ["2 kept, all whole"]
    flip(path, FRAME + 50)  # of the second kept frame
    lines = told(capsys, "verify", str(store), status=1)
    assert len(lines) == 2
    assert lines[0].startswith(f"{kept.key[:8]}: the frames of {original / NAMES[0]} are damaged, {path.name}: ")
    assert "frame 2 of the 3 kept has checksum" in lines[0]
    assert lines[1] == "removed; the next run makes these again"
    assert told(capsys, "verify", str(store)) == ["2 kept, all whole"]
    times = {path: path.stat().st_mtime_ns for path in kept.folder.glob("*.rgb")}
    decoded(original, store)
    assert [one for one, then in times.items() if one.stat().st_mtime_ns != then] == [path]
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "gone", "marker"])
def test_verify_says_each_kind_of_damage_in_one_line(store, capsys, damage):
    kept = of(store)
    path = rgb(kept, NAMES[1])
    said = {
        "cut": f"are damaged, {path.name}: {4 * FRAME - 1:,} bytes instead of {4 * FRAME:,}",
        "gone": f"are damaged, {path.name}: No such file or directory",
        "marker": f"are damaged, {path.stem}.json does not say what is kept",
    }[damage]
    if damage == "cut":
        os.truncate(path, 4 * FRAME - 1)
    elif damage == "gone":
        path.unlink()
    else:
        path.with_suffix(".json").write_text('{"frames": -1')
    first, last = told(capsys, "verify", str(store), status=1)
    assert said in first
    assert last.startswith("removed")
    assert told(capsys, "verify", str(store)) == ["2 kept, all whole"]
    assert kept.counts() == Counts(1, 3, 1)


# prune


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--unused-for", "10"], {10}),
        (["--unused-for", "40"], {5, 10}),
        (["--keep-gib", "0"], set()),
        (["--keep-gib", "1"], {5, 10}),
        (["--orphaned"], {5, 10}),
        (["--all", "--dry-run"], {5, 10}),
        (["--all"], set()),
    ],
)
def test_prune_removes_decoded_videos_as_it_does_feature_vectors(store, capsys, words, left):
    os.utime(of(store).folder / "used.json")
    os.utime(of(store, 5).folder / "used.json", (time.time() - 30 * 86400,) * 2)
    told(capsys, "prune", str(store), *words)
    assert {one.how()["step"] for one in kept_videos(store / VIDEOS)} == left
    assert len(list((store / VIDEOS).iterdir())) == len(left)  # nothing half removed


def test_prune_by_key_says_what_goes(store, capsys):
    filled(store / "k")
    kept = of(store)
    (line,) = told(capsys, "prune", str(store), kept.key[:8])
    assert line == f"removed {kept.key[:8]} (decoded videos, step 10, 32x24, 0.0 MiB): as asked"
    assert [one.key for one in kept_videos(store / VIDEOS)] == [of(store, 5).key]
    assert (store / "k").exists()


def test_prune_by_size_counts_feature_vectors_and_decoded_videos_together(original, store, capsys):
    archive = filled(store / "k")
    archive.touch(original)
    for used, one in ((300, archive), (200, of(store)), (100, of(store, 5))):
        os.utime(one.folder / "used.json", (used, used))
    size = archive.size() + of(store).size()
    told(capsys, "prune", str(store), "--keep-gib", f"{(size + 1) / 2**30:.12f}")
    assert archive.folder.exists()
    assert [one.how()["step"] for one in kept_videos(store / VIDEOS)] == [10]


def test_prune_finds_frames_that_no_run_asks_for(store, capsys, monkeypatch):
    monkeypatch.setattr(decoded_videos, "decoding", lambda: {"decoder": "another"})
    for line in told(capsys, "prune", str(store), "--orphaned", "--dry-run"):
        assert "made with decoder PyAV (libavcodec" in line
        assert line.endswith("here is another")
    monkeypatch.undo()
    (of(store).folder / "how.json").write_text("{")
    (line,) = told(capsys, "prune", str(store), "--orphaned")
    assert line.endswith("how they were decoded cannot be read any more")
    assert [one.how()["step"] for one in kept_videos(store / VIDEOS)] == [5]


def test_prune_finds_frames_whose_videos_are_all_gone(root, tmp_path, capsys):
    store = tmp_path / "own"
    decoded(root, store)
    (root / NAMES[0]).unlink()
    assert told(capsys, "prune", str(store), "--orphaned") == ["nothing to remove"]
    shutil.rmtree(root)
    (line,) = told(capsys, "prune", str(store), "--orphaned")
    assert f"its videos are gone: {root / 'Abuse'}" in line
    assert line.endswith(" and 2 more")
    assert kept_videos(store / VIDEOS) == []


def test_all_removes_the_digests_of_feature_files_too(tmp_path, capsys):
    store = tmp_path / "own"
    (store / DIGESTS).mkdir(parents=True)
    (store / DIGESTS / "0123.json").write_text("{}")
    said = "feature_files (digests of feature files, 0.0 MiB): as asked"
    assert told(capsys, "prune", str(store), "--all", "--dry-run") == [f"would remove {said}"]
    assert told(capsys, "prune", str(store), "--unused-for", "0") == ["nothing to remove"]
    assert (store / DIGESTS / "0123.json").exists()
    assert told(capsys, "prune", str(store), "--all") == [f"removed {said}"]
    assert list(store.iterdir()) == []


HOLD = """
import sys, time
from pathlib import Path
from mtl.data.kept_videos import KeptVideos
with KeptVideos(Path(sys.argv[1])).locked() as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def test_what_another_process_decodes_into_is_left_and_said(store, capsys):
    kept = of(store)
    words = [sys.executable, "-c", HOLD, str(kept.folder)]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert holder.stdout.readline() == "True\n"
    try:
        assert [line.startswith(kept.key[:8]) for line in told(capsys, "list", str(store)) if "now, by" in line] == [
            True
        ]
        lines = told(capsys, "prune", str(store), "--all")
        assert [line.endswith(", but another process is writing it") for line in lines].count(True) == 1
        assert f"left {kept.key[:8]} (decoded videos, step 10, 32x24" in "".join(lines)
        assert [one.key for one in kept_videos(store / VIDEOS)] == [kept.key]
    finally:
        holder.communicate("")
    told(capsys, "prune", str(store), "--all")
    assert kept_videos(store / VIDEOS) == []


def test_who_waited_for_a_folder_that_was_removed_decodes_anew(original, store, monkeypatch):
    monkeypatch.setattr(decoded_videos, "SECONDS_BETWEEN_LOOKS", 0.01)
    kept = of(store)
    rgb(kept).with_suffix(".json").unlink()  # which a run will decode
    found = []
    with kept.locked() as mine:
        assert mine
        thread = threading.Thread(target=lambda: found.append(decoded(original, store)))
        thread.start()
        time.sleep(0.2)
        kept.remove()
    thread.join(120)
    (videos,) = found
    assert read_frame(videos, f"{NAMES[1]}#20").shape == (24, 32, 3)
    assert kept.counts() == Counts(2, 7, 1)


# links


@pytest.mark.parametrize("words", [["list"], ["verify"], ["prune", "--all"]])
@pytest.mark.parametrize("which", ["videos", "key", "marker", "digests"])
def test_links_of_a_store_are_refused_and_what_they_lead_to_is_untouched(store, tmp_path, words, which, capsys):
    own, kept = tmp_path / "own", of(store)
    if which == "videos":
        own.mkdir()
        (own / VIDEOS).symlink_to(store / VIDEOS)
    elif which == "digests":
        own.mkdir()
        (own / DIGESTS).symlink_to(store)
    elif which == "key":
        (own / VIDEOS).mkdir(parents=True)
        (own / VIDEOS / kept.key).symlink_to(kept.folder)
    else:
        shutil.copytree(store, own)
        marker = rgb(of(own)).with_suffix(".json")
        marker.unlink()
        marker.symlink_to(kept.folder / marker.name)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    refused = which in ("videos", "key") or (which == "digests") is (words[0] == "prune")
    lines = told(capsys, words[0], str(own), *words[1:], status=int(refused))
    assert any("is a link" in line and "rm " in line for line in lines) is refused
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


def test_other_folders_beside_decoded_videos_are_passed_over(store, capsys):
    (store / VIDEOS / "mine").mkdir()
    (store / VIDEOS / "mine" / "lock").touch()
    told(capsys, "prune", str(store), "--all")
    assert [path.name for path in (store / VIDEOS).iterdir()] == ["mine"]
