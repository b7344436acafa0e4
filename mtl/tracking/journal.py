"""A run's record on disk: one line per call, and one for every call that the store has taken."""

from __future__ import annotations

import datetime
import fnmatch
import json
import logging
import os
import posixpath
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mtl import files
from mtl.masking import masked, masked_in
from mtl.results import FAILURE, JOB, NO_WORD, PARENT, TrackedRun
from mtl.tracking import renamed
from mtl.tracking.process import is_dead

log = logging.getLogger(__name__)

JOURNAL = "tracking.jsonl"
ROOM = "Make room, or set hydra.run.dir, of a sweep hydra.sweep.dir, to another disk; then the same command again."
_told: set[tuple[Path, int]] = set()  # damaged lines that were spoken of


class Journal:
    """The record of one run: its calls in order, and which of them the store has taken.

    Parameters
    ----------
    path : Path
        Read where it exists. A line cut short by a kill is left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[dict] = []
        self.run_id = ""
        self.is_closing = (
            False  # then what the disk does not take is left out: the store is to know the end all the same
        )
        self._done: set[int] = set()
        self._offset = time.time() - time.monotonic()  # of the clock on the wall, which may be set anew meanwhile
        if path.exists():
            self._read()

    def _read(self) -> None:
        for number, line in enumerate(self.path.read_bytes().splitlines(), start=1):
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                entry = None
            if not _is_whole(entry):
                if (self.path, number) not in _told:  # a sweep reads its jobs' records every second
                    _told.add((self.path, number))
                    log.warning("%s: line %d is not whole and is left out.", self.path, number)
                continue
            if "done" in entry:
                self._done.add(entry["done"])
                self.run_id = entry.get("id", self.run_id)
            elif self.entries or entry["call"] == "start":
                self.entries.append(entry)

    @property
    def first(self) -> dict:
        """The call that started the run."""
        return self.entries[0]

    def store_uri(self) -> str:
        """Address of the run's store; a local database is looked for from here, as the folder may have been moved."""
        uri = self.first.get("uri") or ""
        if not uri.startswith("sqlite"):
            return uri
        here, recorded = self.path.parent.absolute(), Path(uri.partition(":///")[2].partition("?")[0])
        if "database" in self.first:
            near = [Path(os.path.normpath(here / self.first["database"]))]
        else:  # a record of before keeps the old place alone
            near = [] if recorded.is_file() else [folder / recorded.name for folder in here.parents]
        found = next((path for path in near if path.is_file()), None)
        return uri if found is None or found == recorded else f"sqlite:///{found.as_posix()}"

    @property
    def pending(self) -> list[dict]:
        """Calls the store has not taken yet, in order."""
        return [entry for entry in self.entries if entry["n"] not in self._done]

    @property
    def status(self) -> str:
        """Status after the last call."""
        for entry in reversed(self.entries):
            if entry["call"] == "end":
                return entry["status"]
            if entry["call"] == "again":
                break
        return "RUNNING"

    @property
    def ended(self) -> int:
        """Time of the call that ended the run, in milliseconds since 1970; of the last call while it runs.

        What is added to a run that has ended, such as figures, does not make it longer.
        """
        ends = [entry["time"] for entry in self.entries if entry["call"] == "end"]
        return int(ends[-1] if ends and self.status != "RUNNING" else self.entries[-1]["time"])

    def tags(self) -> dict[str, str]:
        """Tags as the calls set them, one after the other; a run taken up again has not failed yet."""
        tags: dict[str, str] = {}
        for entry in self.entries:
            if entry["call"] == "again":
                tags.pop(FAILURE, None)
            tags |= entry.get("tags", {})
        return tags

    def add(self, call: str, **details: object) -> None:
        """Write one call down; its time is never before that of the call before it, whatever the clock does."""
        n = self.entries[-1]["n"] + 1 if self.entries else 0
        now = int(1000 * (self._offset + time.monotonic()))
        moment = max(now, *(entry["time"] for entry in self.entries[-1:]), 0)
        entry = masked_in({"n": n, "call": call, "time": moment, **details})  # the one door to MLflow
        self._write(entry)
        self.entries.append(entry)

    def done(self, entry: Mapping[str, object], run_id: str, refused: str = "") -> None:
        """Write down that the store took a call, or refused it for good."""
        line = {"done": entry["n"]} | ({"id": run_id} if run_id != self.run_id else {})
        self._write(line | ({"refused": masked(refused)} if refused else {}))
        self._done.add(entry["n"])  # type: ignore[arg-type]
        self.run_id = run_id

    def put_aside(self) -> Journal:
        """Give the record another name, which `journals` still finds, and return an empty one in its place."""
        self.path.rename(self.path.with_name(f"tracking-{self.first['key'][:8]}.jsonl"))
        return Journal(self.path)

    def withdraw(self) -> None:
        """Leave no record of a run that was refused before it did anything."""
        if [entry["call"] for entry in self.entries] == ["start"]:
            self.path.unlink()

    def _write(self, entry: Mapping[str, object]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(entry).encode("ascii") + b"\n"
        before = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab+") as file:
                if before:
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # the last writer was killed within a line
                        line = b"\n" + line
                file.write(line)
        except OSError as error:
            if error.errno not in files.NO_ROOM:
                raise
            os.truncate(self.path, before)  # no half line
            if not self.is_closing:
                raise files.disk_error(error, self.path.parent, len(line), ROOM) from error


def _is_whole(entry: object) -> bool:
    """Whether a line of a record is one that was written here: what is read of it has the kind that was written."""
    if not isinstance(entry, dict):
        return False
    if "done" in entry:
        return isinstance(entry["done"], int) and isinstance(entry.get("id", ""), str)
    texts = [entry.get("call"), *([entry.get("name"), entry.get("key")] if entry.get("call") == "start" else [])]
    texts += [entry.get("status")] if entry.get("call") == "end" else []
    numbers = [entry.get("n"), entry.get("time")]
    values = entry.get("metrics", {})
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int) for number in numbers)
        and all(isinstance(entry.get(kind, {}), dict) for kind in ("tags", "params", "metrics"))
        and all(isinstance(text, str) for text in entry.get("tags", {}).values())
        and all(isinstance(value, int | float) for value in values.values())
    )


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What a record has another of as soon as a line was added; None where it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def journals(folder: Path) -> list[Path]:
    """The records below a folder, those put aside included; outer folders first.

    A folder that a job removes meanwhile, as one that it writes to and renames, has none: `Path.rglob` raises there.
    """
    walked = ((where, name) for where, _, names in os.walk(folder) for name in fnmatch.filter(names, "tracking*.jsonl"))
    return sorted((Path(where, name) for where, name in walked), key=lambda path: (len(path.parts), path))


def recorded(folder: Path) -> list[TrackedRun]:
    """The runs below a folder as their records say, in the order of launch: a table needs no store."""
    found = [record for record in map(Journal, journals(folder)) if record.entries]
    return in_order([_recorded(record) for record in sorted(found, key=lambda record: record.first["time"])])


def in_order(runs: Sequence[TrackedRun]) -> list[TrackedRun]:
    """The runs in the order of launch: first started sweep first, in a sweep by job number.

    Jobs side by side start in any order, so their start says nothing.
    """

    def family(run: TrackedRun) -> str:
        return run.tags.get(PARENT) or posixpath.dirname(run.artifact_uri)

    def started(run: TrackedRun) -> float:
        return run.start.timestamp() if run.start else 0.0

    def number(run: TrackedRun) -> int:
        said = run.tags.get(JOB, "")
        return int(said) if said.isdecimal() else -1

    first: dict[str, float] = {}
    for run in runs:
        first[family(run)] = min(started(run), first.get(family(run), started(run)))
    return sorted(runs, key=lambda run: (first[family(run)], family(run), number(run), started(run)))


def _recorded(journal: Journal) -> TrackedRun:
    params: dict[str, str] = {}
    metrics: dict[str, float] = {}
    steps: dict[str, int] = {}
    for entry in journal.entries:
        params |= entry.get("params", {})
        for key, value in entry.get("metrics", {}).items():
            if entry["step"] >= steps.get(key, entry["step"]):
                metrics[key], steps[key] = value, entry["step"]
    first = journal.first
    status, tags = journal.status, journal.tags()
    is_killed = status == "RUNNING" and is_dead(tags)
    if is_killed:
        tags |= {FAILURE: NO_WORD}
    parents = [entry["parent"] for entry in journal.entries if entry.get("parent")]
    return renamed.tracked_run(
        id=journal.run_id or f"local-{first['key']}",
        name=first["name"],
        status="KILLED" if is_killed else status,
        params=params,
        metrics=metrics,
        tags=tags | ({PARENT: parents[-1]} if parents else {}),
        start=moment(first["time"]),
        end=moment(journal.ended) if status != "RUNNING" else None,
        artifact_uri=journal.path.parent.as_uri() if journal.path.is_absolute() else str(journal.path.parent),
    )


def moment(milliseconds: int | None) -> datetime.datetime | None:
    """Milliseconds since 1970 as a moment in UTC."""
    if milliseconds is None:
        return None
    return datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.timezone.utc)
