"""Artifacts of runs that checks look at: which videos were read, and the versions of packages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from mtl.report.stored import PACKAGES, VIDEOS, Downloads, stored
from mtl.results import DATA, TrackedRun


def kept_videos(runs: Sequence[TrackedRun], tracking: Downloads | None) -> tuple[pd.DataFrame, ...]:
    """Frames by `split` and `video`, once for all runs that read the same frames; none of runs that keep no list.

    Parameters
    ----------
    runs : sequence of TrackedRun
    tracking : Downloads, optional
        Asked for artifacts that do not lie on this machine.
    """
    found: dict[str, pd.DataFrame] = {}
    for run in runs:
        digest = run.tags.get(DATA, run.id or run.name)
        if digest in found:
            continue
        try:
            with stored(run, VIDEOS, tracking) as path:
                table = pd.read_csv(path, dtype={"split": str, "video": str}, keep_default_na=False)
        except (OSError, ValueError):
            continue  # a run of a former version: the check says that nothing is known of it
        if {"split", "video", "frames"} <= set(table):
            found[digest] = table
    return tuple(found.values())


def kept_packages(runs: Sequence[TrackedRun], tracking: Downloads | None) -> tuple[Mapping[str, str], ...]:
    """Versions by package, of every run; empty of one that does not keep them."""
    found = []
    for run in runs:
        try:
            with stored(run, PACKAGES, tracking) as path:
                content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = {}
        versions = content if isinstance(content, dict) else {}
        found.append({str(name): str(version) for name, version in versions.items()})
    return tuple(found)
