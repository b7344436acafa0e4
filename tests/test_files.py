"""Files that are whole or not there."""

from __future__ import annotations

import errno
import os
import zlib

import pytest

from mtl import files
from mtl.errors import UserError


def names(folder) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_published_file_holds_its_chunks_and_nothing_lies_beside_it(tmp_path):
    files.publish(tmp_path / "a", b"one ", memoryview(b"two"))
    assert (tmp_path / "a").read_bytes() == b"one two"
    assert names(tmp_path) == {"a"}


def test_publishing_replaces_and_an_empty_file_is_fine(tmp_path):
    files.publish(tmp_path / "a", b"x" * 100)
    files.publish(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b""


@pytest.mark.parametrize("step", ["posix_fallocate", "fsync", "open"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    files.publish(tmp_path / "a", b"old")

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        files.publish(tmp_path / "a", b"new")
    monkeypatch.undo()
    assert names(tmp_path) == {"a"}
    # the folder is flushed last, when the new content stands under its name already
    assert (tmp_path / "a").read_bytes() == (b"new" if step == "open" else b"old")


def test_a_file_system_that_cannot_reserve_is_written_to_all_the_same(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(files.os, "posix_fallocate", refuse)
    files.publish(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_lines_come_back_as_written(tmp_path):
    lines = [{"name": "a b", "n": 1}, {"name": "ü\n\r", "n": None}]
    files.write_lines(tmp_path / "l", lines)
    assert files.read_lines(tmp_path / "l") == lines
    assert files.read_lines(tmp_path / "none") == []
    files.write_lines(tmp_path / "l", [])
    assert files.read_lines(tmp_path / "l") == []


def test_a_flipped_bit_costs_its_line_or_with_a_line_end_two(tmp_path):
    lines = [{"n": n} for n in range(3)]
    files.write_lines(tmp_path / "l", lines)
    whole = (tmp_path / "l").read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        (tmp_path / "l").write_bytes(data)
        found = files.read_lines(tmp_path / "l")
        assert all(line in lines for line in found)
        assert len(found) >= (1 if whole[bit // 8 : bit // 8 + 1] == b"\n" else 2)
        assert files.damaged_lines(tmp_path / "l")


def test_a_cut_line_is_left_out(tmp_path):
    files.write_lines(tmp_path / "l", [{"n": 0}, {"n": 1}])
    data = (tmp_path / "l").read_bytes()
    (tmp_path / "l").write_bytes(data[:-4])
    assert files.read_lines(tmp_path / "l") == [{"n": 0}]
    assert files.damaged_lines(tmp_path / "l") == [2]


def test_no_room_is_said_with_bytes_needed_and_free(tmp_path):
    with pytest.raises(
        UserError, match=r"No room in .*not/yet: 1,152,921,504,606,846,976 bytes needed, [\d,]+ free\. Do x"
    ):
        files.check_room(tmp_path / "not" / "yet", 2**60, "Do x")
    files.check_room(tmp_path, 1, "")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "No room in .* 7 bytes needed"),
        (errno.EDQUOT, "No room in .* 7 bytes needed"),
        (errno.EACCES, "Cannot write to .*Permission denied"),
        (errno.EROFS, "Cannot write to .*Read-only"),
    ],
)
def test_a_persons_errors_become_one_line(tmp_path, number, said):
    error = files.disk_error(OSError(number, os.strerror(number)), tmp_path, 7, "Do x")
    assert isinstance(error, UserError)
    with pytest.raises(UserError, match=said):
        raise error


def test_other_errors_stay_what_they_are(tmp_path):
    error = OSError(errno.EIO, "io")
    assert files.disk_error(error, tmp_path, 7, "") is error


def test_damage_names_what_is_wrong(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    crc = zlib.crc32(b"abc")
    assert files.damage(path, 3, crc) == ""
    assert files.damage(path, 4, crc) == "a: 3 bytes instead of 4"
    path.write_bytes(b"abd")
    assert files.damage(path, 3, crc).startswith("a: checksum ")
    path.unlink()
    assert files.damage(path, 3, crc) == "a: No such file or directory"


@pytest.mark.parametrize("text", ["", "[1]", "{", "\xff"])
def test_json_that_is_no_object_is_empty(tmp_path, text):
    (tmp_path / "j").write_bytes(text.encode("latin-1"))
    assert files.read_json(tmp_path / "j") == {}


def test_locks_lie_in_a_folder_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = files.own_folder()
    assert (folder, folder.stat().st_mode & 0o777) == (tmp_path / "cache" / "mtl", 0o700)
    folder.chmod(0o777)
    with pytest.raises(UserError, match="only you may write to"):
        files.own_folder()
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="only you may write to"):
        files.own_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot make .*XDG_CACHE_HOME moves it"):
        files.own_folder()


def test_a_lock_has_one_owner_and_is_free_when_that_one_lets_go(tmp_path):
    first = files.take_lock(tmp_path / "lock", "")
    assert files.take_lock(tmp_path / "lock", "") is None
    os.close(first)
    second = files.take_lock(tmp_path / "lock", "")
    (tmp_path / "lock").unlink()
    third = files.take_lock(tmp_path / "lock", "")  # a file of the same name is another lock
    assert second is not None
    assert third is not None
    os.close(second)
    os.close(third)


def test_a_file_system_that_locks_nothing_is_one_line_with_the_way_out(tmp_path, monkeypatch):
    import fcntl

    def refuse(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(files.NoLocksError, match="cannot lock files. Use another."):
        files.take_lock(tmp_path / "lock", "Use another.")
