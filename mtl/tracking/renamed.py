"""Names that were tracked before: what is read of old runs comes under the names of today."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mtl.config import renamed as config
from mtl.results import TrackedRun

PARAMS = {"cut": "split_point"}  # beside those that are keys of the config
METRICS = {
    "epoch/chosen": "epoch/best",
    "time/first_probe_s": "time/first_gradient_measurement_s",
    "time/probes_s": "time/gradient_measurements_s",
    "time_share/probes": "time_share/gradient_measurements",
}
BASELINE = re.compile(r"_null(?=(?:_by_layer)?/)")  # a measure's permutation baseline: <measure>_null/<a>_vs_<b>
UNDEFINED = "undefined"  # the tag that lists metrics


def param(name: str) -> str:
    """The name of today of a tracked parameter."""
    return PARAMS.get(name) or config.key(name)


def metric(name: str) -> str:
    """The name of today of a tracked metric."""
    return METRICS.get(name) or BASELINE.sub("_baseline", name, count=1)


def tracked_run(
    name: str, params: Mapping[str, str], metrics: Mapping[str, float], tags: Mapping[str, str], **details: Any
) -> TrackedRun:
    """A run as it was tracked, under the names of today.

    Parameters
    ----------
    name : str
        Its overrides count too: of a run that failed before it had parameters, they are read from its name.
    params, metrics, tags : mapping
    **details
        What else a `TrackedRun` has.
    """
    undefined = {UNDEFINED: ", ".join(map(metric, tags[UNDEFINED].split(", ")))} if UNDEFINED in tags else {}
    return TrackedRun(
        name=" ".join(map(config.override, (name or "").split(" "))),
        params={param(key): value for key, value in params.items()},
        metrics={metric(key): value for key, value in metrics.items()},
        tags={**tags, **undefined},
        **details,
    )
