"""The fingerprint of a run: what determines its numbers."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl import numerics
from mtl.config.switches import switches
from mtl.tracking.provenance import versions_of

if TYPE_CHECKING:
    from mtl.features.feature_key import Stats

# Keys of the config that do not change a number, beside the switches: where things lie, what is said.
NEUTRAL = ("tracking", "features", "hydra", "experiment", "decide", "screening")
# Keys of a group that do not either. Where the data lie: the data's digest says what lies there. What test frames are
# judged by: stored predictions are scored again.
JUDGING = ("events", "fps")
NEUTRAL_IN = {
    "data": (
        "root",
        "annotations",
        *JUDGING,
        "lists",
        "split_file",
        "frames_dir",
        "digests_dir",
        "max_gib",
        "workers",
        "max_bad_share",
    ),
    "training": ("checkpoint",),
}
# Modules that only launch, say, draw or keep; all others count as code of the result.
NEUTRAL_CHAPTERS = frozenset(
    (
        *("ablation", "plots", "report", "screening", "tracking"),
        *("config", "errors", "formatting", "masking", "moved", "terminal", "number", "numbers"),
        *("numbers_of_relations", "tracked_numbers"),
        *("job", "sweep", "memory", "out_of_memory", "extract_frames", "export", "predict"),
    )
)
COMPUTING_PACKAGES = (
    *("tensorflow", "tensorflow-cpu", "keras", "numpy", "pandas", "scikit-learn", "scipy"),
    *("opencv-python", "opencv-python-headless"),  # as for tensorflow: one of several names of the same
)


def fingerprint(config: Mapping[str, Any], data: str) -> str:
    """32 characters that two runs share if they must give the same result.

    Parameters
    ----------
    config : mapping
        Plain values, interpolations resolved. Keys of `NEUTRAL` and `NEUTRAL_IN`, and
        switches, do not count; a value that names a file counts as the file's bytes.
        Under `numerics` what does the arithmetic on this machine counts.
    data : str
        Digest of the frames, of whatever kind.
    """
    counting = {key: value for key, value in config.items() if key not in (*NEUTRAL, *switches())}
    for group, neutral in NEUTRAL_IN.items():
        own = counting.get(group)
        if isinstance(own, Mapping):
            counting[group] = {key: value for key, value in own.items() if key not in neutral}
    tasks = config.get("tasks")
    order = list(tasks) if isinstance(tasks, Mapping) else []  # the heads' order is part of the model
    content = {"config": _with_files(counting), "order": order, "data": data, "code": code_digest()}
    content |= {"versions": versions(), "numerics": numerics.of_config(config["numerics"]).text}
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def data_key(config: Mapping[str, object]) -> str:
    """What of a config says which data are read: the key under which a sweep keeps their digest."""
    data = config.get("data")
    read = {key: value for key, value in data.items() if key not in JUDGING} if isinstance(data, Mapping) else data
    text = json.dumps(read, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


@functools.cache
def code_digest() -> str:
    """Digest of the source files that a result comes from."""
    here = Path(__file__).resolve().parents[1]
    hashed = hashlib.blake2b(digest_size=16)
    for path in sorted(here.rglob("*.py")):
        name = path.relative_to(here)
        if name.with_suffix("").parts[0] not in NEUTRAL_CHAPTERS:
            hashed.update(name.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return hashed.hexdigest()


@functools.cache
def versions() -> dict[str, str]:
    """Versions of the packages that compute."""
    return versions_of(COMPUTING_PACKAGES)


def _with_files(value: object) -> object:
    """The value with every string that names a file replaced by the digest of its bytes."""
    if isinstance(value, Mapping):
        return {str(key): _with_files(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_files(inner) for inner in value]
    if isinstance(value, str) and ("/" in value or "." in value) and "\0" not in value and len(value) < 1024:
        path = Path(value)
        if path.is_file():
            found = path.stat()
            return f"file {_file_digest(path.resolve(), found.st_size, found.st_mtime_ns)}"
    return value


@functools.cache
def _file_digest(path: Path, size: int, changed: int) -> str:
    """Digest of a file's bytes, read once while it stays as it is."""
    with path.open("rb") as file:
        hashed = hashlib.blake2b(digest_size=16)
        while block := file.read(1 << 20):
            hashed.update(block)
    return hashed.hexdigest()


def data_digest(frames: Any, found: Stats) -> str:
    """What tells one set of frames from another wherever it lies: the frame table, and each file's size.

    Parameters
    ----------
    frames : DataFrame
    found : Stats
        What the file system says of them, of `mtl.features.feature_key.stats`: asked
        once, it serves the feature store as well.
    """
    from mtl.tracking.artifacts import table_digest

    hashed = hashlib.blake2b(table_digest(frames).encode(), digest_size=16)
    hashed.update(found.sizes.tobytes())
    hashed.update(found.made.encode())
    if "content" in frames:  # of feature files: neither names nor sizes tell two sources apart
        hashed.update("\n".join(map(str, frames["content"].cat.categories)).encode())
    return hashed.hexdigest()
