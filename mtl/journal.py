"""The record of a run on disk: its calls in order, and what they add up to, without any store."""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import os
import platform
import posixpath
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

JOURNAL = "tracking.jsonl"

# What MLflow takes.
MAX_KEY, MAX_PARAM, MAX_TAG, MAX_DIGEST, MAX_PROFILE = 250, 6000, 8000, 36, 1_000_000

# Tags of ours, by which a run is found again.
KEY, HOST, PROCESS, FINGERPRINT, FAILURE = "mtl.key", "mtl.host", "mtl.process", "fingerprint", "failure"
JOB = "mtl.job"  # number in its sweep
CODE, DATA = "code", "data_digest"  # of what a result comes from
PARENT = "mlflow.parentRunId"
NO_WORD = "its process died without a word"


@dataclass(frozen=True)
class TrackedRun:
    """A run as it was tracked.

    Attributes
    ----------
    id, name : str
    status : str
        RUNNING, FINISHED, FAILED or KILLED.
    params, tags : mapping of str to str
    metrics : mapping of str to float
        The value of the last step.
    start, end : datetime or None
        In UTC.
    artifact_uri : str
    """

    id: str
    name: str
    status: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    artifact_uri: str = ""


# --- the record -------------------------------------------------------------------------------------------------------


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
        self._done: set[int] = set()
        if path.exists():
            self._read()

    def _read(self) -> None:
        for number, line in enumerate(self.path.read_bytes().splitlines(), start=1):
            try:
                entry = json.loads(line)
            except ValueError:
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

    def tags(self) -> dict[str, str]:
        """Tags as the calls set them, one after the other; a run taken up again has not failed yet."""
        tags: dict[str, str] = {}
        for entry in self.entries:
            if entry["call"] == "again":
                tags.pop(FAILURE, None)
            tags |= entry.get("tags", {})
        return tags

    def add(self, call: str, **details: object) -> None:
        """Write one call down."""
        n = self.entries[-1]["n"] + 1 if self.entries else 0
        entry = {"n": n, "call": call, "time": int(time.time() * 1000), **details}
        self._write(entry)
        self.entries.append(entry)

    def done(self, entry: Mapping[str, object], run_id: str, refused: str = "") -> None:
        """Write down that the store took a call, or refused it for good."""
        line = {"done": entry["n"]} | ({"id": run_id} if run_id != self.run_id else {})
        self._write(line | ({"refused": refused} if refused else {}))
        self._done.add(entry["n"])  # type: ignore[arg-type]
        self.run_id = run_id

    def put_aside(self) -> Journal:
        """Give the record another name, which `journals` still finds, and return an empty one in its place."""
        self.path.rename(self.path.with_name(f"tracking-{self.first['key'][:8]}.jsonl"))
        return Journal(self.path)

    def _write(self, entry: Mapping[str, object]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(entry).encode("ascii") + b"\n"
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # the last writer was killed within a line
                    line = b"\n" + line
            file.write(line)


def journals(folder: Path) -> list[Path]:
    """The records below a folder, those put aside included; outer folders first."""
    return sorted(folder.rglob("tracking*.jsonl"), key=lambda path: (len(path.parts), path))


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

    first: dict[str, float] = {}
    for run in runs:
        first[family(run)] = min(started(run), first.get(family(run), started(run)))
    return sorted(runs, key=lambda run: (first[family(run)], family(run), int(run.tags.get(JOB, -1)), started(run)))


def _recorded(journal: Journal) -> TrackedRun:
    params: dict[str, str] = {}
    metrics: dict[str, float] = {}
    steps: dict[str, int] = {}
    for entry in journal.entries:
        params |= entry.get("params", {})
        for key, value in entry.get("metrics", {}).items():
            if entry["step"] >= steps.get(key, entry["step"]):
                metrics[key], steps[key] = value, entry["step"]
    first, last = journal.first, journal.entries[-1]
    status, tags = journal.status, journal.tags()
    is_killed = status == "RUNNING" and is_dead(tags)
    if is_killed:
        tags |= {FAILURE: NO_WORD}
    parents = [entry["parent"] for entry in journal.entries if entry.get("parent")]
    return TrackedRun(
        id=journal.run_id or f"local-{first['key']}",
        name=first["name"],
        status="KILLED" if is_killed else status,
        params=params,
        metrics=metrics,
        tags=tags | ({PARENT: parents[-1]} if parents else {}),
        start=moment(first["time"]),
        end=moment(last["time"]) if status != "RUNNING" else None,
        artifact_uri=journal.path.parent.as_uri() if journal.path.is_absolute() else str(journal.path.parent),
    )


def moment(milliseconds: int | None) -> datetime.datetime | None:
    """Milliseconds since 1970 as a moment in UTC."""
    if milliseconds is None:
        return None
    return datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.timezone.utc)


# --- names and values as MLflow allows them ---------------------------------------------------------------------------


def legal_key(key: str) -> str:
    """The name as MLflow takes it: other characters become ``_``, a long one is cut and told apart by a hash."""
    legal = re.sub(r"[^\w\-./: ]" if os.name != "nt" else r"[^\w\-./ ]", "_", key)
    legal = re.sub(r"^(\.\.?(?=/|$)|/)", "_", legal)
    legal = posixpath.normpath(legal) if legal else "_"
    return legal if len(legal) <= MAX_KEY else f"{legal[: MAX_KEY - 9]}-{_short_hash(key)}"


def legal_keys(mapping: Mapping[str, T]) -> dict[str, T]:
    """The mapping under legal names; names that became equal are told apart by a hash."""
    legal: dict[str, T] = {}
    for key, value in mapping.items():
        name = legal_key(key)
        if name in legal or (name != key and name in mapping):
            name = f"{name[: MAX_KEY - 9]}-{_short_hash(key)}"
        legal[name] = value
    return legal


def flatten(mapping: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested mappings as one, names joined by dots; an empty mapping stays as a value."""
    flat: dict[str, object] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


def text(value: object, limit: int) -> str:
    """The value as text that every store can hold, cut at the limit."""
    words = str(value).encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    return words if len(words) <= limit else f"{words[: limit - 3]}..."


# --- who runs: so that a dead run can be told from a living one -------------------------------------------------------


def this_host() -> str:
    """The machine, and the name space its process numbers belong to."""
    with suppress(OSError):
        return f"{platform.node()}/{Path('/proc/self/ns/pid').readlink()}"
    return platform.node()


def process_mark(pid: int) -> str:
    """A process by its number and start, empty where there is none; a number used again has another mark."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return _process_mark_by_ps(pid) if not Path("/proc/self/stat").exists() else ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{pid}@{boot}/{rest[18]}"


def _process_mark_by_ps(pid: int) -> str:
    """The same where there is no /proc."""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    try:
        started = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return f"{pid}@unknown"
    return f"{pid}@{started}" if started else ""


def is_dead(tags: Mapping[str, str]) -> bool:
    """Whether the process that wrote these tags ran on this host and is gone."""
    mark = tags.get(PROCESS, "")
    pid = mark.partition("@")[0]
    return tags.get(HOST) == this_host() and pid.isdigit() and process_mark(int(pid)) != mark


def this_process() -> dict[str, str]:
    """The tags that name this process."""
    return {HOST: this_host(), PROCESS: process_mark(os.getpid())}
