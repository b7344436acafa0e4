"""A feature store of others' making: nothing in it leads out of it, and what is wrong in it is said, line by line."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from test_store import DTYPE, SHAPE, filled, ids_of, mapped, rows_of

from mtl.errors import UserError
from mtl.features.__main__ import main
from mtl.features.archive import Archive, archives


@pytest.fixture
def store(tmp_path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def outside(tmp_path) -> Path:
    """A folder of somebody, with files of the names that a store knows."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("mine.npy", ".writing-notes", "lock", "spec.json"):
        (folder / name).write_text("precious")
    return folder


def content(folder: Path) -> dict[str, tuple[bytes, float]]:
    return {entry.name: (entry.read_bytes(), entry.stat().st_mtime) for entry in folder.iterdir()}


def uses(archive: Archive) -> list:
    """All that a run does with an archive."""

    def write():
        with archive.locked():
            archive.append(ids_of([90]), rows_of([90]))

    return [
        write,
        lambda: archive.find(ids_of(range(3)), SHAPE, DTYPE),
        archive.busy,
        lambda: archive.touch(Path("/d")),
    ]


def test_an_archive_that_is_a_link_is_refused_and_what_it_leads_to_is_untouched(store, outside):
    (store / "k").symlink_to(outside)
    before = content(outside)
    for use in uses(Archive(store / "k")):
        with pytest.raises(UserError, match=r"store/k is a link\. .*right would be to remove the link \(rm .*/k\)"):
            use()
    assert content(outside) == before


@pytest.mark.parametrize("words", [["list"], ["verify"], ["prune", "--all"], ["prune", "--unused-for", "0"]])
def test_looking_after_a_store_refuses_a_linked_archive(store, outside, words, capsys):
    filled(store / "good")
    (store / "k").symlink_to(outside)
    before = content(outside)
    assert main([*words, "--dir", str(store)]) == 1
    said = "".join(capsys.readouterr()).replace("\n", " ")
    assert "is a link" in said
    assert "Traceback" not in said
    assert content(outside) == before
    assert len(mapped(Archive(store / "good"), range(20))) == 20


def parts_of(archive: Archive) -> dict[str, str]:
    name = archive.parts()[0].name
    return {"rows": f"{name}.npy", "ids": f"{name}.ids.npy"}


@pytest.mark.parametrize("which", ["lock", "manifest.jsonl", "rows", "ids"])
@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe"])
def test_a_file_of_an_archive_that_is_a_link_or_a_pipe_is_refused(store, outside, which, kind):
    archive = filled(store / "k")
    path = archive.folder / parts_of(archive).get(which, which)
    target = outside / "lock"
    target.write_bytes(path.read_bytes() or b"precious")
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)  # to open one waits for ever
    else:
        path.symlink_to(target if kind == "link" else outside / "new")
    before = content(outside)
    write, find, *_ = uses(archive)
    if kind == "pipe" and which in ("rows", "ids"):
        assert archive.find(ids_of(range(6)), SHAPE, DTYPE).missing.all()  # its size is no part's: damaged
    else:
        with pytest.raises(UserError, match=r"k/.* is (a link|no regular file); .*rm "):
            write() if which == "lock" else find()
    assert content(outside) == before


def test_a_lock_with_a_second_name_is_not_overwritten(store, outside):
    archive = filled(store / "k")
    (archive.folder / "lock").unlink()
    os.link(outside / "lock", archive.folder / "lock")
    with pytest.raises(UserError, match=r"lock has a second name .*rm "), archive.locked():
        pass
    assert (outside / "lock").read_text() == "precious"


@pytest.mark.parametrize("name", ["used.json", "notes.json", "spec.json"])
def test_what_is_noted_beside_is_not_noted_elsewhere(store, outside, name):
    archive = filled(store / "k")
    (archive.folder / name).unlink(missing_ok=True)
    (archive.folder / name).symlink_to(outside / "spec.json")
    before = content(outside)
    with pytest.raises(UserError, match="is a link"):
        {"used.json": lambda: archive.touch(Path("/d")), "notes.json": lambda: archive.note("a", 1.0)}.get(
            name, lambda: archive.describe({"a": 1})
        )()
    assert content(outside) == before


def test_tidying_removes_links_themselves_and_follows_none(store, outside):
    archive = filled(store / "k")
    (archive.folder / "other.npy").symlink_to(outside / "mine.npy")
    (archive.folder / ".writing-x").symlink_to(outside)
    (archive.folder / "folder.npy").mkdir()
    before = content(outside)
    with archive.locked():
        pass
    assert content(outside) == before
    assert not (archive.folder / "other.npy").is_symlink()
    with archive.locked():
        archive.remove()
    assert content(outside) == before
    assert archives(store) == []


def test_a_prepared_temporary_name_is_not_followed(store, outside, monkeypatch):
    archive = filled(store / "k")
    monkeypatch.setattr("mtl.files.os.getpid", lambda: 7)
    monkeypatch.setattr("mtl.files.threading.get_ident", lambda: 8)
    (archive.folder / ".writing-7-8-notes.json").symlink_to(outside / "spec.json")
    archive.note("a", 1.0)
    assert (outside / "spec.json").read_text() == "precious"
    assert archive.noted("a") == 1.0


def test_a_store_that_is_a_link_itself_works(store, tmp_path):
    (tmp_path / "cache").symlink_to(store)
    archive = filled(tmp_path / "cache" / "k")
    assert len(mapped(archive, range(20))) == 20
    assert main(["verify", "--dir", str(tmp_path / "cache")]) == 0
    assert main(["prune", "--all", "--dir", str(tmp_path / "cache")]) == 0
    assert list(store.iterdir()) == []


# lines


def line(text: str) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(text.encode()), text.encode())


WRONG = {
    "no JSON": lambda part: "{",
    "nested": lambda part: "[" * 100_000,
    "no object": lambda part: "[1]",
    "a number": lambda part: "7",
    "another key": lambda part: json.dumps({**part, "more": 1}),
    "a key less": lambda part: json.dumps({k: v for k, v in part.items() if k != "rows"}),
    "a path out": lambda part: json.dumps({**part, "name": "../../outside/mine"}),
    "no name": lambda part: json.dumps({**part, "name": None}),
    "a name with a control character": lambda part: json.dumps({**part, "name": "000000-\x1b[2J0000"}),
    "rows as a text": lambda part: json.dumps({**part, "rows": "6"}),
    "true rows": lambda part: json.dumps({**part, "rows": True}),
    "half a row": lambda part: json.dumps({**part, "rows": 6.5}),
    "rows below zero": lambda part: json.dumps({**part, "rows": -6}),
    "huge rows": lambda part: json.dumps({**part, "rows": 10**30}),
    "huge rows and sizes": lambda part: json.dumps({**part, "rows": 2**50, "bytes": 2**60, "ids_bytes": 2**60}),
    "a size below zero": lambda part: json.dumps({**part, "bytes": -1}),
    "infinity": lambda part: json.dumps({**part, "bytes": float("inf")}),
    "a number of 5,000 digits": lambda part: json.dumps(part).replace('"rows": 6', '"rows": ' + "9" * 5000),
    "more rows than its identities": lambda part: json.dumps({**part, "rows": 7}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_line_with_a_right_checksum_is_damage_with_its_number_and_its_part_is_made_again(
    store, wrong, capsys, caplog
):
    archive = filled(store / "k")
    path = archive.folder / "manifest.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = line(WRONG[wrong](json.loads(lines[1].partition(b" ")[2])))
    path.write_bytes(b"".join(lines))
    missing = np.flatnonzero(archive.find(ids_of(range(20)), SHAPE, DTYPE).missing).tolist()
    assert missing == list(range(6, 12))
    assert main(["list", "--dir", str(store)]) == 0
    capsys.readouterr()
    assert main(["verify", "--dir", str(store)]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "manifest.jsonl: line 2" in said or "feature vectors are damaged" in said
    assert main(["verify", "--dir", str(store)]) == 0
    with archive.locked():
        archive.append(ids_of(range(6, 12)), rows_of(range(6, 12)))
    np.testing.assert_array_equal(mapped(archive, range(20)).take(np.arange(20)), rows_of(range(20)))


@pytest.mark.parametrize("text", ['{"id": "zz", "reason": "x"}', '{"id": "00", "reason": "x"}', '{"reason": "x"}', "[]",
                                  '{"id": 7, "reason": "x"}', f'{{"id": "{"0" * 32}", "reason": ["x"]}}'])  # fmt: skip
def test_a_wrong_line_of_the_bad_ones_is_damage(store, text, caplog):
    archive = filled(store / "k")
    (archive.folder / "bad.jsonl").write_bytes(line(text) + line(f'{{"id": "{"01" * 16}", "reason": "cut"}}'))
    assert archive.bad() == {b"\1" * 16: "cut"}
    assert archive.damaged_lines() == ["bad.jsonl: line 1"]
    with archive.locked():
        assert archive.damaged_lines() == []
    assert "bad.jsonl: line 1" in caplog.text


def test_control_characters_of_a_reason_or_an_owner_do_not_reach_the_terminal(store):
    archive = filled(store / "k")
    (archive.folder / "lock").write_bytes(b"7 on \x1b[2Jhost" + b"x" * 10_000)
    assert archive.owner().startswith("7 on ?[2Jhostx")
    assert len(archive.owner()) <= 200
    (archive.folder / "bad.jsonl").write_bytes(line(json.dumps({"id": "01" * 16, "reason": "\x1b]0;a\x07cut\n"})))
    assert archive.bad() == {b"\1" * 16: "?]0;a?cut?"}


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": ' + "9" * 5000 + "}", '{"a": 1' + "0" * 400 + "}", '{"a": "x"}', "\0"]
)
def test_notes_that_are_none_are_none(store, text):
    archive = filled(store / "k")
    for name in ("notes.json", "used.json", "spec.json"):
        (archive.folder / name).write_text(text)
    assert archive.noted("a") is None
    assert archive.roots() == []
    os.utime(archive.folder / "used.json", (2**55, 2**55))
    assert main(["list", "--dir", str(store)]) == 0


def test_identities_that_say_another_shape_in_their_header_take_no_memory(store):
    archive = filled(store / "k")
    part = archive.parts()[0]
    path = archive.folder / f"{part.name}.ids.npy"
    data = path.read_bytes()
    harm = data.replace(b"(6, 2)", b"(6000000000000000, 2)")[: len(data)]
    path.write_bytes(harm)
    manifest = archive.folder / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    lines[0] = line(json.dumps({**json.loads(lines[0].partition(b" ")[2]), "ids_crc": zlib.crc32(harm)}))
    manifest.write_bytes(b"".join(lines))
    archive.find(ids_of(range(20)), SHAPE, DTYPE)
