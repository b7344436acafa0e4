"""Links into MLflow's page: one run, several beside each other, charts of many."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Sequence

from mtl.results import PARENT

MODEL_TRAINING = "workflowType=machine_learning"  # else the page opens with its menu for language models
MOST_COMPARED = 20  # links longer than that are no longer clicked


def links(
    page: str, experiment: str, runs: Sequence[str], metric: str, parent: str, one_per_set: Sequence[str]
) -> list[str]:
    """Lines with links to a run, or to compare and to chart several.

    Parameters
    ----------
    page : str
        Address of MLflow's page.
    experiment : str
        Its id.
    runs : sequence of str
        Ids, one at least.
    metric : str
        What the chart view is sorted by, the best first.
    parent : str
        Id of the sweep that the charts are confined to; empty for all runs.
    one_per_set : sequence of str
        Those to compare where all of them are too many for one link.
    """
    if len(runs) == 1:
        return [f"run      {page}/experiments/{experiment}/runs/{runs[0]}?{MODEL_TRAINING}"]
    many, lines = len(runs) > MOST_COMPARED, []
    compared = [run for run in one_per_set if run in runs][:MOST_COMPARED] if many else runs
    if len(compared) > 1:
        link = f"{page}/compare-runs?runs={_in_link(compared)}&experiments={_in_link([experiment])}"
        lines.append(f"compare{', one run of each set' if many else ''}  {link}")
    view = {"orderByKey": f"metrics.`{metric}`", "orderByAsc": str("loss" in metric.partition("/")[0]).lower()}
    if parent and not parent.startswith("local-"):
        view["searchFilter"] = f"tags.`{PARENT}` = '{parent}'"
    query = urllib.parse.urlencode(view | {"compareRunsMode": "CHART"}, quote_via=urllib.parse.quote)
    return [*lines, f"charts   {page}/experiments/{experiment}/runs?{MODEL_TRAINING}&{query}"]


def _in_link(names: Sequence[str]) -> str:
    return urllib.parse.quote(json.dumps(list(names), separators=(",", ":")))
