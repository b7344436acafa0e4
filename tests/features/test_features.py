"""Features: every frame computed once, found by all who ask for the same."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from mtl import terminal
from mtl.data import decoding
from mtl.data import frames as reading
from mtl.errors import UserError
from mtl.features import checked_vectors, extraction, feature_key, features, remedies
from mtl.features.__main__ import main
from mtl.features.archive import archives
from mtl.features.feature_key import identities, key, stats
from mtl.features.store import FeatureStore

MANY = 512  # frames that can be told apart by `number_of`


def draw(root: Path, number: int, size: tuple[int, int] = (6, 8)) -> str:
    """A frame whose red and green say its number."""
    path = root / f"{number % 3}" / f"frame {number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((*size, 3), 7, np.uint8)
    image[..., 2], image[..., 1] = number % 256, number // 256
    assert cv2.imwrite(str(path), image)
    return path.relative_to(root).as_posix()


def tree(root: Path, n: int) -> pd.DataFrame:
    """A frame table of n frames."""
    return pd.DataFrame({"path": [draw(root, i) for i in range(n)], "number": np.arange(n, dtype=np.int32)})


def number_of(images: np.ndarray) -> np.ndarray:
    return images[:, 0, 0, 0].astype(np.int64) + 256 * images[:, 0, 0, 1].astype(np.int64)


class Fake:
    """A frozen part in numpy: (number, height, width), and a memory of what it was asked."""

    dtype = np.dtype(np.float32)

    def __init__(self, batch_size: int = 4, **spec: object) -> None:
        self.spec = {"backbone": "fake", "weights": "abc", "cut": "end", **spec}
        self.batch_size = batch_size
        self.seen: list[int] = []

    def feature_shape(self, frame_shape):
        return (3,)

    def __call__(self, images):
        assert len(images) <= self.batch_size
        self.seen += number_of(images).tolist()
        height, width = images.shape[1:3]
        return np.stack([[number, height, width] for number in number_of(images)]).astype(np.float32)


class Identity:
    dtype = np.dtype(np.uint8)
    batch_size = 4

    def __init__(self) -> None:
        self.spec = {"backbone": None}

    def feature_shape(self, frame_shape):
        return (*frame_shape, 3)

    def __call__(self, images):
        return images


def store_at(folder, **changes) -> FeatureStore:
    settings = {"max_gib": 1.0, "memory_gib": 1.0, "part_mib": 10 * 28 / 2**20, "decode_threads": 2}
    return FeatureStore(**{"dir": str(folder), "max_bad_share": 0.2, **settings, **changes})


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def kept(tmp_path) -> FeatureStore:
    return store_at(tmp_path / "store")


def numbers(found: features.Features) -> list[int]:
    return found.vectors.take(np.arange(len(found.vectors)))[:, 0].astype(int).tolist()


# what is computed, and what is found


def test_rows_belong_to_their_frames_and_are_computed_once(root, kept, caplog):
    caplog.set_level("INFO")
    frames, frozen = tree(root, 33), Fake()
    found = kept.of(frames, root, frozen)
    assert found.computed == 33
    assert numbers(found) == frames["number"].tolist()
    assert found.vectors.shape == (33, 3)
    assert found.frames.equals(frames)
    assert found.bad.empty
    again = kept.of(frames, root, Fake(batch_size=9))
    assert again.computed == 0
    np.testing.assert_array_equal(again.vectors.array, found.vectors.array)
    assert sorted(frozen.seen) == list(range(33))
    found = "features: 33 feature vectors of fake up to end found, nothing to compute"
    assert f"{found}; kept, 0.00 GiB, 0.00 of them new, within features.max_gib=1" in caplog.messages


def test_only_missing_rows_of_other_lists_are_computed(root, kept):
    frames, frozen = tree(root, 40), Fake()
    assert kept.of(frames[::4], root, frozen).computed == 10
    assert kept.of(frames[::2], root, frozen).computed == 10
    back = frames[::-1].reset_index(drop=True)
    found = kept.of(back, root, frozen)
    assert found.computed == 20
    assert numbers(found) == back["number"].tolist()
    more = pd.concat([frames, pd.DataFrame({"path": [draw(root, 100)], "number": [100]})], ignore_index=True)
    assert kept.of(more, root, frozen).computed == 1
    assert sorted(frozen.seen) == [*range(40), 100]


def test_a_frame_asked_for_twice_is_computed_once(root, kept):
    frames = tree(root, 5)
    twice = pd.concat([frames, frames], ignore_index=True)
    found = kept.of(twice, root, Fake())
    assert found.computed == 5
    assert numbers(found) == twice["number"].tolist()


def test_a_changed_frame_is_another_frame(root, kept):
    frames, frozen = tree(root, 5), Fake()
    kept.of(frames, root, frozen)
    path = root / frames["path"][2]
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert kept.of(frames, root, frozen).computed == 1
    assert frozen.seen[-1] == 2


def test_a_copy_that_keeps_the_times_has_the_same_rows(root, kept):
    frames = tree(root, 5)
    kept.of(frames, root, Fake())
    shutil.copytree(root, root.with_name("copy"))
    assert kept.of(frames, root.with_name("copy"), Fake()).computed == 0


SPEC = {"backbone": "resnet50", "architecture": "1", "weights": "2", "cut": "end", "image_size": 64, "precision": "f"}


@pytest.mark.parametrize("part", [*SPEC, "new"])
def test_whatever_changes_in_the_spec_changes_the_key(part):
    before, _ = key(SPEC, (3,), np.dtype("f4"))
    assert key({**SPEC, part: "other"}, (3,), np.dtype("f4"))[0] != before
    assert key(dict(reversed(SPEC.items())), (3,), np.dtype("f4"))[0] == before


def test_shape_type_decoding_and_version_are_in_the_key(monkeypatch):
    keys = {key(SPEC, (3,), np.dtype("f4"))[0], key(SPEC, (4,), np.dtype("f4"))[0], key(SPEC, (3,), np.dtype("f2"))[0]}
    monkeypatch.setattr(feature_key, "VERSION", feature_key.VERSION + 1)
    keys.add(key(SPEC, (3,), np.dtype("f4"))[0])
    monkeypatch.setattr(feature_key, "DECODING", {"opencv": "0"})
    keys.add(key(SPEC, (3,), np.dtype("f4"))[0])
    assert len(keys) == 5


def test_another_key_finds_nothing_and_spoils_nothing(root, kept):
    frames = tree(root, 5)
    assert kept.of(frames, root, Fake(weights="abc")).computed == 5
    assert kept.of(frames, root, Fake(weights="abd")).computed == 5
    assert kept.of(frames, root, Fake(weights="abc")).computed == 0


def test_progress_counts_every_frame_to_do_and_none_where_nothing_is(root, kept):
    frames = tree(root, 11)
    (root / frames["path"][3]).write_bytes(b"")
    kept.of(frames[:4].iloc[[0, 1]], root, Fake())
    totals, steps = [], []
    kept.of(frames, root, Fake(), progress=steps.append, on_start=totals.append)
    assert totals == [9]
    assert sum(steps) == 9
    kept.of(frames, root, Fake(), progress=steps.append, on_start=totals.append)
    assert (totals, sum(steps)) == ([9], 9)


def test_what_the_frozen_part_gives_must_be_what_it_promised(root, kept):
    class Liar(Fake):
        def feature_shape(self, frame_shape):
            return (4,)

    with pytest.raises(ValueError, match="promised"):
        kept.of(tree(root, 3), root, Liar())


# rows that are not finite


class Breaking(Fake):
    """Gives NaN for some frames, infinity for others."""

    def __init__(self, nan: tuple[int, ...] = (), infinite: tuple[int, ...] = (), **spec: object) -> None:
        super().__init__(**spec)
        self.nan, self.infinite = nan, infinite

    def __call__(self, images):
        rows = super().__call__(images)
        rows[np.isin(rows[:, 0], self.nan), 1] = np.nan
        rows[np.isin(rows[:, 0], self.infinite), 2] = -np.inf
        return rows


def test_a_frame_whose_row_is_not_finite_is_bad_for_good(root, kept):
    frames, frozen = tree(root, 20), Breaking(nan=(3,), infinite=(11,))
    found = kept.of(frames, root, frozen)
    assert found.bad["path"].tolist() == frames["path"][[3, 11]].tolist()
    assert found.bad["reason"].tolist() == ["holds NaN or infinity"] * 2
    assert found.computed == 18
    assert numbers(found) == [i for i in range(20) if i not in (3, 11)]
    assert np.isfinite(found.vectors.array).all()
    again = kept.of(frames, root, frozen)
    assert (again.computed, len(again.bad), len(frozen.seen)) == (0, 2, 20)


def test_many_rows_that_are_not_finite_end_the_run_in_one_line(root, kept):
    with pytest.raises(UserError, match=r"bad, more than .*frame 0.png \(holds NaN or infinity\)"):
        kept.of(tree(root, 20), root, Breaking(nan=tuple(range(20))))


@pytest.mark.parametrize("memory_gib", [1.0, 0.0], ids=["in memory", "on disk"])
def test_a_stored_row_that_is_not_finite_is_reported_with_its_frame(root, tmp_path, memory_gib, monkeypatch):
    frames = tree(root, 20)
    with monkeypatch.context() as former:
        for module in (extraction, checked_vectors):
            former.setattr(module, "finite_rows", lambda rows: np.ones(len(rows), bool))
        store_at(tmp_path / "store").of(frames, root, Breaking(nan=(7,)))
    told = "frame 7.png in .* holds NaN or infinity. Right would be: python -m mtl.features prune [0-9a-f]{8},"
    with pytest.raises(UserError, match=told):
        numbers(store_at(tmp_path / "store", memory_gib=memory_gib).of(frames, root, Fake()))


def test_a_row_that_is_computed_on_every_use_is_looked_at_every_time(root, tmp_path):
    found = store_at(tmp_path / "store", max_gib=1e-9).of(tree(root, 20), root, Breaking(nan=(7,)))
    assert not found.kept
    with pytest.raises(UserError, match="frame 7.png holds NaN or infinity"):
        found.vectors.take(np.array([1, 7]))
    assert found.vectors.take(np.array([1, 6]))[:, 0].tolist() == [1, 6]


def test_given_rows_that_are_not_finite_are_a_mistake():
    frames = pd.DataFrame({"path": ["a", "b", "c"]})
    rows = np.zeros((3, 2), np.float32)
    rows[1, 1] = np.inf
    with pytest.raises(UserError, match="1 of the 3 feature vectors of the data set hold .* first that of b"):
        features.given(frames, rows, 4.0)


def test_a_row_is_finite_where_its_numbers_are_whatever_their_sum():
    from mtl.memory import finite_rows

    rows = np.array([[3e38, 3e38], [np.inf, -np.inf], [1, 2], [np.nan, 0]], np.float32)
    assert finite_rows(rows).tolist() == [True, False, True, False]
    assert finite_rows(np.zeros((2, 3, 3, 3), np.uint8)).tolist() == [True, True]


# bad frames


def test_bad_frames_are_listed_with_the_reason_and_remembered(root, kept, monkeypatch):
    frames = tree(root, 20)
    (root / frames["path"][4]).write_bytes(b"")
    data = (root / frames["path"][7]).read_bytes()
    (root / frames["path"][7]).write_bytes(data[:-20])
    (root / frames["path"][9]).unlink()
    found = kept.of(frames, root, Fake())
    reasons = dict(zip(found.bad["path"], found.bad["reason"], strict=True))
    assert reasons == {frames["path"][4]: "empty", frames["path"][7]: "cut", frames["path"][9]: "missing"}
    left = [i for i in range(20) if i not in (4, 7, 9)]
    assert numbers(found) == found.frames["number"].tolist() == left
    assert found.frames.index.tolist() == list(range(17))
    monkeypatch.setattr("mtl.features.extraction.Extraction._compute", None)  # nothing is decoded again
    again = kept.of(frames, root, Fake())
    assert again.bad.equals(found.bad)
    assert again.frames.equals(found.frames)


def test_a_bad_frame_that_was_mended_is_used(root, kept):
    frames = tree(root, 10)
    good = (root / frames["path"][4]).read_bytes()
    (root / frames["path"][4]).write_bytes(good[:30])
    (root / frames["path"][5]).unlink()
    assert len(kept.of(frames, root, Fake()).bad) == 2
    (root / frames["path"][4]).write_bytes(good)
    draw(root, 5)
    found = kept.of(frames, root, Fake())
    assert found.computed == 2
    assert found.bad.empty


def test_a_passing_fault_is_listed_but_not_remembered(root, kept, monkeypatch):
    frames = tree(root, 10)
    denied = frames["path"][3]

    def refuse(root, path):
        if path == denied:
            raise reading.BadFrame("permission denied") from PermissionError(13, "Permission denied")
        return reading.read_frame(root, path)

    monkeypatch.setattr(decoding, "read_frame", refuse)
    assert kept.of(frames, root, Fake()).bad.to_numpy().tolist() == [[denied, "permission denied"]]
    monkeypatch.undo()
    found = kept.of(frames, root, Fake())
    assert found.bad.empty
    assert found.computed == 1


def test_too_many_bad_frames_stop_the_run_and_what_was_computed_stays(root, kept):
    frames = tree(root, 20)
    for i in range(10, 16):
        (root / frames["path"][i]).write_bytes(b"")
    frozen = Fake()
    with pytest.raises(UserError, match=r"\d of 20 frames of .* are bad, more than .*=0.2 allows: .* \(empty\), "):
        kept.of(frames, root, frozen)
    done = len(frozen.seen)
    assert 10 <= done < 20
    assert kept.of(frames[:10], root, Fake()).computed == 0


def test_missing_frames_are_told_before_anything_is_decoded(root, kept, monkeypatch):
    frames = tree(root, 4)
    frames["path"] = "no/" + frames["path"]
    with pytest.raises(UserError, match=r"4 of 4 frames of .* are bad.*\(missing\), \.\.\."):
        kept.of(frames, root, Fake())
    with pytest.raises(UserError, match=r"data folder .* cannot be entered: No such file"):
        kept.of(frames, root / "none", Fake())
    with pytest.raises(UserError, match="no frames"):
        kept.of(frames[:0], root, Fake())


def test_frames_of_another_size_cannot_be_packed_and_the_reason_says_what_to_do(root, kept):
    frames = tree(root, 30)
    draw(root, 0, (5, 5))
    draw(root, 12, (5, 8))
    found = kept.of(frames, root, Identity())
    assert found.vectors.shape == (28, 6, 8, 3)
    assert found.bad["path"].tolist() == [frames["path"][0], frames["path"][12]]
    assert found.bad["reason"][0].startswith("5 x 5 pixels where most frames have 8 x 6")
    assert found.bad["reason"][0].endswith("bring the frames to one size")
    assert kept.of(frames, root, Identity()).bad.equals(found.bad)
    # features that do not depend on the size take them all
    mixed = kept.of(frames, root, Fake())
    assert mixed.bad.empty
    assert mixed.vectors.array[[0, 12, 13]].tolist() == [[0, 5, 5], [12, 5, 8], [13, 6, 8]]


# in memory, on disk, computed


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({}, "MemoryVectors", None),
        ({"memory_gib": 0}, "KeptVectors", "more than features.memory_gib=0: read from disk"),
        ({"max_gib": 1e-9}, "ComputedVectors", "more than features.max_gib=1e-09: computed on every use"),
    ],
)
@pytest.mark.parametrize("frozen", [Fake(), Identity()], ids=["features", "frames"])
def test_rows_are_the_same_wherever_they_live(root, kept, caplog, changes, kind, said, frozen):
    caplog.set_level("INFO")
    frames = tree(root, 30)
    (root / frames["path"][2]).write_bytes(b"")
    draw(root, 5, (5, 5))
    expected = kept.of(frames, root, frozen)
    other = store_at(root.parent / "other" if kind == "ComputedVectors" else kept.dir, **changes)
    found = other.of(frames, root, frozen)
    assert type(found.vectors).__name__ == kind
    assert found.frames.equals(expected.frames)
    assert found.bad.equals(expected.bad)
    assert found.vectors.shape == expected.vectors.shape
    assert found.vectors.dtype == expected.vectors.dtype == expected.vectors.take(np.array([0])).dtype
    assert (found.vectors.array is None) == (kind != "MemoryVectors")
    at = np.array([3, 20, 3, 0, 27])
    np.testing.assert_array_equal(found.vectors.take(at), expected.vectors.take(at))
    assert len(found.vectors.take(np.array([], np.int64))) == 0
    if said:
        assert any(said in message for message in caplog.messages)


def test_rows_that_are_not_kept_are_computed_on_use_only(root, kept):
    frames, frozen = tree(root, 20), Fake()
    store = store_at(kept.dir, max_gib=1e-9)
    found = store.of(frames, root, frozen)
    assert frozen.seen == []
    found.vectors.take(np.array([4, 4, 2]))
    assert frozen.seen == [2, 4]
    (root / frames["path"][4]).unlink()
    with pytest.raises(UserError, match="could be read before, now it is bad: missing"):
        found.vectors.take(np.array([4]))


@pytest.mark.tensorflow
@pytest.mark.parametrize("frozen", [Fake(), Identity()], ids=["features", "frames"])
def test_rows_in_memory_are_shared_with_the_graph_not_copied(root, kept, frozen):
    import tensorflow as tf

    from mtl.training.source import resident

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("a GPU has its own memory")
    vectors = kept.of(tree(root, 21), root, frozen).vectors
    tensor = resident(vectors)
    assert np.shares_memory(np.asarray(memoryview(tensor)), vectors.array)
    np.testing.assert_array_equal(tensor, vectors.array)


def test_rows_that_were_kept_are_used_whatever_the_limit_on_new_ones(root, kept, caplog):
    caplog.set_level("INFO")
    frames = tree(root, 40)
    kept.of(frames[:30], root, Fake())
    small = store_at(kept.dir, max_gib=10 * 28 / 2**30)  # enough for ten vectors more
    all_there, frozen = small.of(frames[:30], root, Fake()), Fake()
    assert all_there.vectors.array is not None
    few_missing = small.of(frames[:31], root, Fake())
    assert (few_missing.computed, few_missing.vectors.array is None) == (1, False)
    more = pd.concat([frames, pd.DataFrame({"path": [draw(root, i) for i in (50, 51)], "number": [50, 51]})])
    mixed = small.of(more.sample(frac=1, random_state=0), root, frozen)
    assert type(mixed.vectors).__name__ == "ComputedVectors"
    assert "features: 11 of 42 feature vectors of fake up to end are missing, 0.00 GiB, more than" in caplog.text
    for _ in range(2):
        assert numbers(mixed) == mixed.frames["number"].tolist()
    assert sorted(frozen.seen) == sorted([*range(31, 40), 50, 51] * 2)
    assert (mixed.computed, mixed.forwards, mixed.kept) == (0, 22, False)
    assert (few_missing.computed, few_missing.forwards, few_missing.kept) == (1, 1, True)


# damage and trouble


def test_a_flipped_bit_is_found_by_verify_and_only_its_part_is_made_again(root, kept, capsys):
    frames = tree(root, 40)
    kept.of(frames, root, Fake())
    words = ["--dir", str(kept.dir)]
    assert main(["verify", *words]) == 0
    archive = archives(kept.dir)[0]
    part = archive.parts()[1]
    path = archive.folder / f"{part.name}.npy"
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    capsys.readouterr()
    assert main(["verify", *words]) == 1
    said = capsys.readouterr().out
    assert f"{part.rows} feature vectors are damaged, {part.name}.npy: checksum" in " ".join(said.split())
    assert main(["verify", *words]) == 0
    again = kept.of(frames, root, Fake())
    assert again.computed == part.rows
    assert numbers(again) == frames["number"].tolist()


def test_a_corrupted_manifest_costs_rows_not_truth(root, kept):
    frames = tree(root, 40)
    kept.of(frames, root, Fake())
    path = archives(kept.dir)[0].folder / "manifest.jsonl"
    whole = path.read_bytes()
    for harm in (whole[:-30], whole.replace(b"rows", b"rowz", 1), b"\0" * len(whole), b"", whole * 2):
        path.write_bytes(harm)
        found = kept.of(frames, root, Fake())
        assert numbers(found) == frames["number"].tolist()
        assert kept.of(frames, root, Fake()).computed == 0
    path.unlink()
    assert kept.of(frames, root, Fake()).computed == 40


def test_a_cut_part_is_noticed_without_verify(root, kept, caplog):
    frames = tree(root, 40)
    kept.of(frames, root, Fake())
    archive = archives(kept.dir)[0]
    part = archive.parts()[0]
    os.truncate(archive.folder / f"{part.name}.npy", part.bytes - 4)
    found = kept.of(frames, root, Fake())
    assert found.computed == part.rows
    assert numbers(found) == frames["number"].tolist()
    assert caplog.text.count("Damaged parts") == 1
    caplog.clear()
    assert kept.of(frames, root, Fake()).computed == 0
    assert "Damaged" not in caplog.text


def test_where_writing_is_not_allowed_nobody_is_told_to_make_room(tmp_path):
    refused = remedies.disk_error(PermissionError(errno.EACCES, "no", "f"), tmp_path, 1)
    assert "Set features.dir" in str(refused)
    assert "Make room" not in str(refused)
    assert "Make room" in str(remedies.disk_error(OSError(errno.ENOSPC, "full"), tmp_path, 1))


def test_a_full_disk_is_said_before_anything_is_computed(root, kept, monkeypatch):
    frames, frozen = tree(root, 40), Fake()
    monkeypatch.setattr("mtl.files.free_bytes", lambda folder: 1000)
    with pytest.raises(UserError, match=r"No room in .*: 1,120 bytes needed, 1,000 free\. Make room"):
        kept.of(frames, root, frozen)
    assert frozen.seen == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one MiB."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_that_fills_up_is_one_line_and_the_next_run_continues(root, small_disk):
    frames = tree(root, 40)
    store = store_at(small_disk / "store", part_mib=0.2)

    class Wide(Fake):
        """FeatureVectors of 16 KiB: 40 of them are 640 KiB."""

        def feature_shape(self, frame_shape):
            return (4096,)

        def __call__(self, images):
            if len(self.seen) == 16:
                (small_disk / "other").write_bytes(b"x" * 600_000)
            return np.repeat(super().__call__(images)[:, :1], 4096, axis=1)

    with pytest.raises(
        UserError, match=r"No room in .*small/store/.* \(No space left on device\): [\d,]+ bytes needed, "
    ):
        store.of(frames, root, Wide())
    archive = archives(store.dir)[0]
    written = sum(part.rows for part in archive.parts())
    assert 0 < written < 40
    assert not any(archive.damaged(part) for part in archive.parts())
    assert not list(archive.folder.glob(".writing*"))
    (small_disk / "other").unlink()
    found = store.of(frames, root, Wide())
    assert found.computed == 40 - written
    assert numbers(found) == frames["number"].tolist()


def test_a_limit_on_file_sizes_is_said_too(root, kept):
    import resource

    frames = tree(root, 10)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(UserError, match=r"No room in .* \(File too large\)"):
            kept.of(frames, root, Fake())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert kept.of(frames, root, Fake()).computed == 10


@pytest.fixture
def nobody():
    """A folder where root's right to write everywhere is laid down."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


def as_nobody(call):
    """Call as a user who may only read."""
    if os.geteuid():
        return call()
    os.seteuid(65534)
    try:
        return call()
    finally:
        os.seteuid(0)


def test_a_store_that_may_only_be_read_serves_and_says_so_when_it_cannot(nobody):
    root, frames = nobody / "data", tree(nobody / "data", 20)
    store = store_at(nobody / "store")
    store.of(frames[:10], root, Fake())
    for path in [store.dir, *store.dir.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    found = as_nobody(lambda: store.of(frames[:10], root, Fake()))
    assert found.computed == 0
    with pytest.raises(UserError, match=r"Cannot write to .*store/.*: Permission denied\. .*MTL_FEATURES_DIR"):
        as_nobody(lambda: store.of(frames, root, Fake()))
    (nobody / "closed").mkdir(mode=0o555)
    with pytest.raises(UserError, match=r"Cannot write to .*closed/store: Permission denied"):
        as_nobody(lambda: store_at(nobody / "closed" / "store").of(frames, root, Fake()))


def test_a_failing_frozen_part_keeps_what_was_computed(root, kept):
    class Tired(Fake):
        def __call__(self, images):
            if len(self.seen) >= 16:
                raise RuntimeError("out of memory")
            return super().__call__(images)

    frames = tree(root, 40)
    with pytest.raises(RuntimeError, match="out of memory"):
        kept.of(frames, root, Tired())
    assert kept.of(frames, root, Fake()).computed == 24


# looking after it


def test_identities_are_of_path_size_and_time(root):
    frames = tree(root, 3)
    ids, gone = identities(frames["path"], stats(root, frames["path"]))
    assert ids.shape == (3, 2)
    assert ids.dtype == np.uint64
    assert not gone
    again, _ = identities(frames["path"][::-1], stats(root, frames["path"][::-1]))
    np.testing.assert_array_equal(again[::-1], ids)
    with (root / frames["path"][0]).open("ab") as file:
        file.write(b"x")
    (root / frames["path"][1]).unlink()
    (root / frames["path"][2]).rename(root / "other.png")
    paths = pd.Series([*frames["path"][:2], "other.png"])
    changed, gone = identities(paths, stats(root, paths))
    assert len(set(map(bytes, [*ids, *changed]))) == 6
    assert list(gone.values()) == ["missing"]


def test_files_are_asked_about_once_for_features_and_digest(root, kept, monkeypatch):
    from mtl.job.fingerprint import data_digest

    frames = tree(root, 12).assign(class_name="Arson", split="train")
    (root / frames["path"][3]).unlink()
    asked, stat = [], os.stat
    monkeypatch.setattr("os.stat", lambda path, **more: (asked.append(path), stat(path, **more))[1])
    found = stats(root, frames["path"])
    assert asked == frames["path"].tolist()
    monkeypatch.undo()
    monkeypatch.setattr(feature_key, "stats", None)  # nobody asks again
    digest = data_digest(frames, found)
    assert kept.of(frames, root, Fake(), found=found).bad.to_numpy().tolist() == [[frames["path"][3], "missing"]]
    monkeypatch.undo()
    assert data_digest(frames, stats(root, frames["path"])) == digest
    (root / frames["path"][4]).write_bytes(b"longer or shorter")
    assert data_digest(frames, stats(root, frames["path"])) != digest


def test_list_says_what_is_kept(root, kept, capsys, monkeypatch):
    monkeypatch.setattr(terminal._console, "_width", 200)  # COLUMNS is read at import
    assert main(["list", "--dir", str(kept.dir)]) == 0
    assert "0 kept in" in capsys.readouterr().out
    kept.of(tree(root, 5), root, Fake())
    kept.of(tree(root, 5), root, Identity())
    assert main(["list", "--dir", str(kept.dir)]) == 0
    said = capsys.readouterr().out
    for word in ("fake", "packed frames", "abc", "end", "data", "2 kept in"):
        assert word in said
    name = archives(kept.dir)[0].key
    assert main(["list", name[:6], "--dir", str(kept.dir)]) == 0
    detail = json.loads(capsys.readouterr().out)
    assert detail["key"] == name
    assert detail["roots"] == [str(root)]
    assert detail["decoding"]["opencv"][0].isdigit()


def test_a_narrow_terminal_gets_all_of_the_list_in_more_lines(root, kept, capsys, monkeypatch):
    monkeypatch.setattr(terminal._console, "_width", 72)
    kept.of(tree(root, 5), root, Fake(image_size=224, precision="bfloat16"))
    capsys.readouterr()
    assert main(["list", "--dir", str(kept.dir)]) == 0
    said = capsys.readouterr().out
    assert {"key", "px", "vectors", "bad", "MiB", "224", archives(kept.dir)[0].key[:8]} <= set(said.split())
    assert root.name in "".join(said.split())


def test_list_and_prune_tell_image_size_and_precision(root, kept, capsys, monkeypatch):
    monkeypatch.setattr(terminal._console, "_width", 200)  # COLUMNS is read at import
    for size, precision in ((64, "float32"), (96, "bfloat16")):
        kept.of(tree(root, 5), root, Fake(image_size=size, precision=precision))
    capsys.readouterr()
    assert main(["list", "--dir", str(kept.dir)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:6] == ["key", "backbone", "weights", "cut", "px", "precision"]
    assert {tuple(line[4:6]) for line in lines[1:3]} == {("64", "float32"), ("96", "bfloat16")}
    assert main(["prune", "--all", "--dry-run", "--dir", str(kept.dir)]) == 0
    said = capsys.readouterr().out
    assert "(fake abc end 64 float32, " in said
    assert "(fake abc end 96 bfloat16, " in said


@pytest.mark.parametrize("name", ["tensorflow", "keras"])
def test_rows_of_another_version_of_a_library_are_orphans(root, kept, capsys, monkeypatch, name):
    monkeypatch.setattr(terminal._console, "_width", 200)  # COLUMNS is read at import
    here = {one: feature_key.installed_version(*wheels) for one, wheels in feature_key.COMPUTING.items()}
    kept.of(tree(root, 5), root, Fake(**here))
    kept.of(tree(root, 5), root, Fake(**here | {name: "0.1"}))
    assert main(["prune", "--orphaned", "--dir", str(kept.dir)]) == 0
    assert f"made with {name} 0.1, here is {here[name]}" in capsys.readouterr().out
    assert [archive.spec()["frozen"][name] for archive in archives(kept.dir)] == [here[name]]


def test_the_store_is_where_the_variable_says(root, kept, capsys, monkeypatch):
    monkeypatch.setenv("MTL_FEATURES_DIR", str(kept.dir))
    assert main(["list"]) == 0
    assert str(kept.dir) in "".join(capsys.readouterr().out.split("\n"))


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--unused-for", "10"], {"new"}),
        (["--unused-for", "40"], {"new", "old"}),
        (["--keep-gib", "0"], set()),
        (["--keep-gib", "1"], {"new", "old"}),
        (["--all"], set()),
        (["--all", "--dry-run"], {"new", "old"}),
        (["--orphaned"], {"new", "old"}),
    ],
)
def test_prune_removes_what_was_asked_for(root, kept, words, left):
    for name in ("old", "new"):
        kept.of(tree(root, 5), root, Fake(backbone=name))
    for archive in archives(kept.dir):
        if archive.spec()["frozen"]["backbone"] == "old":
            os.utime(archive.folder / "used.json", (time.time() - 30 * 86400,) * 2)
    assert main(["prune", *words, "--dir", str(kept.dir)]) == 0
    assert {archive.spec()["frozen"]["backbone"] for archive in archives(kept.dir)} == left
    assert len(list(kept.dir.iterdir())) == len(left)


def test_prune_by_key_must_say_which(root, kept, capsys):
    for name in ("old", "new"):
        kept.of(tree(root, 5), root, Fake(backbone=name))
    assert main(["prune", "", "--dir", str(kept.dir)]) == 1
    assert "'' begins 2 keys" in capsys.readouterr().out
    assert len(archives(kept.dir)) == 2


def test_prune_by_size_keeps_the_last_used(root, kept):
    for name in ("a", "b", "c"):
        kept.of(tree(root, 5), root, Fake(backbone=name))
        os.utime(archives(kept.dir)[0].folder / "used.json", (ord(name),) * 2)
    size = archives(kept.dir)[0].size()
    assert main(["prune", "--keep-gib", f"{2.5 * size / 2**30:.12f}", "--dir", str(kept.dir)]) == 0
    assert [archive.spec()["frozen"]["backbone"] for archive in archives(kept.dir)] == ["c", "b"]


def test_prune_finds_orphans(root, kept, capsys, monkeypatch):
    kept.of(tree(root, 5), root, Fake())
    shutil.rmtree(root)
    assert main(["prune", "--orphaned", "--dry-run", "--dir", str(kept.dir)]) == 0
    assert "its data are gone" in capsys.readouterr().out
    root.mkdir()
    monkeypatch.setattr(feature_key, "VERSION", feature_key.VERSION + 1)
    assert main(["prune", "--orphaned", "--dir", str(kept.dir)]) == 0
    assert "another version of the extraction" in " ".join(capsys.readouterr().out.split())
    assert archives(kept.dir) == []


def test_prune_leaves_what_is_being_written(root, kept, capsys):
    kept.of(tree(root, 5), root, Fake())
    archive = archives(kept.dir)[0]
    with archive.locked():
        assert main(["list", "--dir", str(kept.dir)]) == 0
        assert main(["prune", archive.key[:5], "--dir", str(kept.dir)]) == 0
    assert f"process {os.getpid()} on" in " ".join(capsys.readouterr().out.split())
    assert archive.folder.exists()
    assert main(["prune", archive.key[:5], "--dir", str(kept.dir)]) == 0
    assert not archive.folder.exists()


@pytest.mark.parametrize("words", [["prune"], ["list", "zzz"], ["verify", "zzz"], ["prune", "zzz"]])
def test_a_mistake_is_one_line_and_status_one(kept, capsys, words):
    assert main([*words, "--dir", str(kept.dir)]) == 1
    assert "error: " in capsys.readouterr().out


def test_the_command_line_is_light(tmp_path):
    script = "import sys; from mtl.features.__main__ import main; main(['list']); sys.exit(' '.join(sys.modules))"
    place = {**os.environ, "MTL_FEATURES_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=place, capture_output=True, text=True)
    assert "mtl.features" in done.stderr
    assert not {"tensorflow", "keras", "mlflow"} & set(done.stderr.split())


# real processes

WORKER = """
import logging, os, sys, time
from pathlib import Path
import numpy as np, pandas as pd
sys.path[:0] = [{tests!r}, {tests!r} + "/tests", {tests!r} + "/tests/features"]
from test_features import Fake, store_at, number_of
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
root, store, counted, first, end, pause = sys.argv[1:]
frames = pd.read_json(Path(root) / "frames.json")[int(first):int(end)].reset_index(drop=True)

class Counted(Fake):
    def __call__(self, images):
        time.sleep(float(pause))
        with open(counted, "ab", buffering=0) as file:
            file.write(number_of(images).astype("<i4").tobytes())
        return super().__call__(images)

def on_start(n):
    print("started", n, flush=True)

found = store_at(store).of(frames, Path(root), Counted(), on_start=on_start)
right = found.vectors.take(np.arange(len(found.vectors)))[:, 0].astype(int).tolist() == frames["number"].tolist()
print("computed", found.computed, "right", right, flush=True)
"""


def worker(root: Path, store: Path, counted: Path, first: int, end: int, pause: float) -> subprocess.Popen:
    script = WORKER.format(tests=str(ROOT))
    words = [str(root), str(store), str(counted), str(first), str(end), str(pause)]
    return subprocess.Popen([sys.executable, "-c", script, *words], stdout=subprocess.PIPE, text=True)


def forwards(counted: Path) -> list[int]:
    return np.frombuffer(counted.read_bytes(), "<i4").tolist() if counted.exists() else []


@pytest.fixture
def large(tmp_path) -> Path:
    root = tmp_path / "data"
    tree(root, MANY).to_json(root / "frames.json")
    return root


@pytest.mark.slow
def test_processes_that_want_the_same_compute_each_frame_once(large, tmp_path):
    counted = tmp_path / "counted"
    ranges = [(0, 300), (100, 400), (0, 400), (350, 400)]
    processes = [worker(large, tmp_path / "store", counted, *one, 0.005) for one in ranges]
    said = [process.communicate(timeout=400)[0] for process in processes]
    assert all("right True" in one for one in said)
    assert sorted(forwards(counted)) == list(range(400))
    assert any("Waiting for process" in one for one in said)


@pytest.mark.slow
def test_a_killed_owners_waiter_takes_over_and_continues(large, tmp_path):
    counted, store = tmp_path / "counted", tmp_path / "store"
    first = worker(large, store, counted, 0, MANY, 0.2)  # longer than the second takes to begin
    while "started" not in first.stdout.readline():
        pass
    second = worker(large, store, counted, 0, MANY, 0)
    while "Waiting for process" not in (line := second.stdout.readline()):
        pass
    assert str(first.pid) in line
    while len(forwards(counted)) < 64:
        time.sleep(0.05)
    first.kill()
    first.wait()
    said = second.communicate(timeout=400)[0]
    assert "right True" in said
    done = int(said.split("started ")[1].split()[0])
    assert done < MANY
    assert len(forwards(counted)) < MANY + 40  # at most what was not in a whole part was done twice


@pytest.mark.slow
def test_killed_at_twenty_instants_it_continues_from_the_last_whole_part(large, tmp_path):
    counted, store = tmp_path / "counted", tmp_path / "store"
    chance = random.Random(0)
    kills = before = 0
    while kills < 20:
        process = worker(large, store, counted, 0, MANY, 0.002)
        line = ""
        while "started" not in line and "computed" not in line:
            line = process.stdout.readline()
        if "started" in line:
            assert int(line.split()[1]) == MANY - before, "it continues with what is not in a whole part"
            time.sleep(chance.uniform(0, 0.12))
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        archive = archives(store)[0]
        assert not any(archive.damaged(part) for part in archive.parts())
        for part in archive.parts():
            rows = np.load(archive.folder / f"{part.name}.npy", allow_pickle=False)
            assert (rows[:, 1:] == (6, 8)).all()
        before = sum(part.rows for part in archive.parts())
        kills += process.returncode == -signal.SIGKILL
        if before == MANY:
            shutil.rmtree(store)
            before = 0
    said = worker(large, store, counted, 0, MANY, 0).communicate(timeout=400)[0]
    assert "right True" in said
    assert sum(part.rows for part in archives(store)[0].parts()) == MANY


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    script = """
import resource, sys
from pathlib import Path
import cv2, numpy as np, pandas as pd
sys.path[:0] = ["tests", "tests/features"]
from test_features import Identity, store_at
place, n = Path(sys.argv[1]), int(sys.argv[2])
(place / "data").mkdir(parents=True)
image = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
names = [f"{i}.bmp.png" for i in range(n)]
cv2.imwrite(str(place / "data" / names[0]), image, [cv2.IMWRITE_PNG_COMPRESSION, 0])
for name in names[1:]:
    (place / "data" / name).hardlink_to(place / "data" / names[0])
frames = pd.DataFrame({"path": names})
store = store_at(place / "store", memory_gib=0, part_mib=4)
found = store.of(frames, place / "data", Identity())
for start in range(0, n, 64):
    assert (found.vectors.take(np.arange(start, min(n, start + 64)))[-1] == image[..., ::-1]).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    peak = {}
    for n in (100, 3000):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / str(n)), str(n)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        peak[n] = float(done.stdout)
        shutil.rmtree(tmp_path / str(n))
    assert peak[3000] - peak[100] < 200, f"{peak} MiB, of 19 and 563 MiB of features"
