"""Archives: parts that are whole or not there, and feature vectors read from them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.data.kept_folder import finish_removals
from mtl.errors import UserError
from mtl.features.archive import Archive, archives
from mtl.features.places import lookup
from mtl.features.vectors import MappedVectors, MemoryVectors
from mtl.features.writer import Writer

SHAPE, DTYPE = (3,), np.dtype(np.float32)


def ids_of(numbers) -> np.ndarray:
    numbers = np.asarray(numbers, np.uint64)
    return np.stack([numbers * np.uint64(0x9E3779B97F4A7C15), numbers], axis=1)


def rows_of(numbers) -> np.ndarray:
    return np.asarray(numbers, np.float32)[:, None] + np.array([0, 0.25, 0.5], np.float32)


def filled(folder: Path, n: int = 20, rows_per_part: int = 6) -> Archive:
    archive = Archive(folder)
    with archive.locked(), Writer(archive, SHAPE, DTYPE, rows_per_part * (12 + 16), n) as writer:
        for start in range(0, n, 4):
            numbers = np.arange(start, min(n, start + 4))
            writer.add(ids_of(numbers), rows_of(numbers))
    return archive


def mapped(archive: Archive, numbers) -> MappedVectors:
    places = archive.find(ids_of(numbers), SHAPE, DTYPE)
    assert not places.missing.any()
    return MappedVectors(places, np.arange(len(numbers)), SHAPE, DTYPE)


halves = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(known=st.lists(halves, unique=True), asked=st.lists(halves))
def test_lookup_finds_what_a_dictionary_finds_even_when_halves_collide(known, asked):
    position = {identity: i for i, identity in enumerate(known)}
    found = lookup(np.array(known, np.uint64).reshape(-1, 2), np.array(asked, np.uint64).reshape(-1, 2))
    assert found.tolist() == [position.get(identity, -1) for identity in asked]


def test_rows_come_back_by_identity_in_any_order(tmp_path):
    archive = filled(tmp_path / "k")
    numbers = [19, 0, 7, 7, 3]
    np.testing.assert_array_equal(mapped(archive, numbers).take(np.arange(5)), rows_of(numbers))
    assert archive.find(ids_of([5, 20, 99]), SHAPE, DTYPE).missing.tolist() == [False, True, True]


def test_parts_are_of_the_size_asked_for_and_plain_npy(tmp_path):
    archive = filled(tmp_path / "k", n=20, rows_per_part=6)
    assert [part.rows for part in archive.parts()] == [6, 6, 6, 2]
    first = archive.parts()[0]
    np.testing.assert_array_equal(np.load(archive.folder / f"{first.name}.npy", allow_pickle=False), rows_of(range(6)))
    ids = np.load(archive.folder / f"{first.name}.ids.npy", allow_pickle=False)
    np.testing.assert_array_equal(ids, ids_of(range(6)))
    assert (archive.folder / f"{first.name}.npy").stat().st_size == first.bytes
    assert not any(archive.damaged(part) for part in archive.parts())


def test_a_row_larger_than_a_part_makes_a_part(tmp_path):
    assert [part.rows for part in filled(tmp_path / "k", n=3, rows_per_part=0).parts()] == [1, 1, 1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 19), max_size=40))
def test_take_equals_indexing_in_memory(tmp_path_factory, positions):
    folder = tmp_path_factory.getbasetemp() / "take"
    archive = Archive(folder) if folder.exists() else filled(folder)
    rows = mapped(archive, range(20))
    in_memory = MemoryVectors(rows_of(range(20)))
    at = np.array(positions, np.int64)
    np.testing.assert_array_equal(rows.take(at), in_memory.take(at))
    assert rows.take(at).shape == (len(at), 3)
    assert len(rows) == len(in_memory) == 20
    assert rows.shape == in_memory.shape
    assert rows.dtype == in_memory.dtype


def test_rows_in_memory_are_read_only_and_taken_as_copies():
    rows = MemoryVectors(rows_of(range(4)))
    taken = rows.take(np.array([1]))
    taken[:] = 0
    np.testing.assert_array_equal(rows.array, rows_of(range(4)))
    with pytest.raises(ValueError, match="read-only"):
        rows.array[0] = 0


def test_threads_may_share_mapped_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("mtl.features.vectors.MAPPED_BYTES", 1)  # pages are given back all the time
    rows = mapped(filled(tmp_path / "k", n=200), range(200))
    wrong = []

    def read(seed):
        at = np.random.default_rng(seed).integers(0, 200, 50)
        for _ in range(50):
            if not np.array_equal(rows.take(at), rows_of(at)):
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("suffix", [".npy", ".ids.npy"])
def test_a_flipped_bit_is_found_by_its_checksum(tmp_path, suffix):
    archive = filled(tmp_path / "k")
    part = archive.parts()[1]
    path = archive.folder / f"{part.name}{suffix}"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    assert [bool(archive.damaged(one)) for one in archive.parts()] == [False, True, False, False]
    assert "checksum" in archive.damaged(part)


@pytest.mark.parametrize("harm", ["cut", "gone", "longer", "cut ids", "gone ids", "rotten ids"])
def test_a_visibly_damaged_part_counts_as_not_there(tmp_path, harm):
    archive = filled(tmp_path / "k")
    part = archive.parts()[1]
    path = archive.folder / f"{part.name}{'.ids' if 'ids' in harm else ''}.npy"
    data = path.read_bytes()
    if harm.startswith("gone"):
        path.unlink()
    else:
        path.write_bytes({"cut": data[:-1], "longer": data + b"x", "rotten": data[:-1] + b"\xff"}[harm.split()[0]])
    places = archive.find(ids_of(range(20)), SHAPE, DTYPE)
    assert np.flatnonzero(places.missing).tolist() == list(range(6, 12))
    assert [one.name for one in places.unusable] == [part.name]


def test_dropped_parts_are_gone_and_their_names_do_not_come_back(tmp_path):
    archive = filled(tmp_path / "k")
    last = archive.parts()[-1]
    with archive.locked():
        archive.drop([last])
        assert not list(archive.folder.glob(f"{last.name}*"))
        new = archive.append(ids_of([50]), rows_of([50]))
    assert new.name != last.name
    assert [part.rows for part in archive.parts()] == [6, 6, 6, 1]


def test_what_killed_writers_left_is_removed_by_the_next(tmp_path):
    archive = filled(tmp_path / "k")
    before = {entry.name for entry in archive.folder.iterdir()}
    for name in (".writing-1-1-x", "000004-aaaaaaaa.npy", "000004-aaaaaaaa.ids.npy"):
        (archive.folder / name).write_bytes(b"half")
    with archive.locked():
        pass
    assert {entry.name for entry in archive.folder.iterdir()} == before


def test_a_damaged_line_of_the_manifest_costs_one_part(tmp_path, caplog):
    archive = filled(tmp_path / "k")
    path = archive.folder / "manifest.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b"6", b"7")
    path.write_bytes(b"\n".join(lines))
    assert np.flatnonzero(archive.find(ids_of(range(20)), SHAPE, DTYPE).missing).tolist() == list(range(12, 18))
    assert archive.damaged_lines() == ["manifest.jsonl: line 3"]
    with archive.locked():
        assert archive.damaged_lines() == []
    assert "manifest.jsonl: line 3" in caplog.text
    assert len(list(archive.folder.glob("*.ids.npy"))) == 3


def test_bad_identities_are_remembered_with_their_reason(tmp_path):
    archive = filled(tmp_path / "k")
    with archive.locked():
        archive.remember_bad({b"a" * 16: "cut"})
        archive.remember_bad({b"\0" * 16: "empty"})
    assert archive.bad() == {b"a" * 16: "cut", b"\0" * 16: "empty"}


def test_rows_outlive_the_removal_of_what_they_are_read_from(tmp_path):
    archive = filled(tmp_path / "k")
    rows = mapped(archive, range(20))
    with archive.locked():
        archive.remove()
    assert not archive.folder.exists()
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(rows.take(np.arange(20)), rows_of(range(20)))


def test_interrupted_removals_are_finished_and_never_listed(tmp_path):
    archive = filled(tmp_path / "k")
    archive.folder.rename(tmp_path / ".removed-k-1")
    assert archives(tmp_path) == []
    finish_removals(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_note_is_kept_beside_the_rows_and_needs_no_lock(tmp_path):
    archive = filled(tmp_path / "k")
    assert archive.noted("cosine") is None
    archive.note("cosine", 0.5)
    archive.note("other", 1.5)
    with archive.locked():
        pass  # who writes next tidies up
    assert (archive.noted("cosine"), archive.noted("other")) == (0.5, 1.5)
    Archive(tmp_path / "none").note("cosine", 0.5)
    assert not (tmp_path / "none").exists()


def test_archives_are_listed_the_last_used_first(tmp_path):
    for key, used in (("a", 100), ("b", 300), ("c", 200)):
        archive = filled(tmp_path / key)
        archive.touch(Path("/data"))
        archive.touch(Path("/more"))
        archive.touch(Path("/data"))
        os.utime(archive.folder / "used.json", (used, used))
    assert [archive.key for archive in archives(tmp_path)] == ["b", "c", "a"]
    assert archives(tmp_path)[0].roots() == ["/data", "/more"]
    assert archives(tmp_path / "none") == []


def test_one_writer_at_a_time_and_the_others_say_whom_they_wait_for(tmp_path, caplog):
    caplog.set_level("INFO")
    first, second = Archive(tmp_path / "k"), Archive(tmp_path / "k")
    order = []

    def wait():
        with second.locked():
            order.append("second")

    with first.locked():
        assert second.busy()
        with second.locked(wait=False) as mine:
            assert not mine
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert f"Waiting for process {os.getpid()} on " in caplog.text
    assert not first.busy()


def test_a_lock_on_a_removed_archive_is_no_lock(tmp_path):
    first, second = Archive(tmp_path / "k"), Archive(tmp_path / "k")
    held = []

    def wait():
        with second.locked():
            held.append((tmp_path / "k" / "lock").exists() and second.busy())

    with first.locked():
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        first.remove()
    thread.join()
    assert held == [True]


def test_a_failed_part_is_told_once_and_what_was_written_stays(tmp_path, monkeypatch):
    archive = filled(tmp_path / "k", n=6)
    monkeypatch.setattr("mtl.files._reserve", lambda descriptor, size: (_ for _ in ()).throw(OSError(28, "full")))
    with (
        pytest.raises(UserError, match=r"No room in .*bytes needed"),
        archive.locked(),
        Writer(archive, SHAPE, DTYPE, 28, 9) as writer,
    ):
        writer.add(ids_of(range(6, 15)), rows_of(range(6, 15)))
    monkeypatch.undo()
    assert [part.rows for part in archive.parts()] == [6]
    assert not list(archive.folder.glob(".writing*"))


def test_what_was_computed_before_a_failure_is_written(tmp_path):
    archive = Archive(tmp_path / "k")

    def interrupted():
        with archive.locked(), Writer(archive, SHAPE, DTYPE, 10**6, 100) as writer:
            writer.add(ids_of(range(5)), rows_of(range(5)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not archive.find(ids_of(range(5)), SHAPE, DTYPE).missing.any()


def test_a_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(UserError, match=r"Cannot write to .*MTL_FEATURES_DIR"),
        Archive(tmp_path / "file" / "k").locked(),
    ):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    hold = "import sys, time; from pathlib import Path; from mtl.features.archive import Archive\n"
    hold += "with Archive(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "k")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    archive = Archive(tmp_path / "k")
    assert archive.busy()
    assert archive.owner().startswith(f"{process.pid} on ")
    process.kill()
    process.wait()
    with archive.locked(wait=False) as mine:
        assert mine
