"""Searches for runs in MLflow, which gives each with all its metrics, parameters and tags: what one finds it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mlflow.entities

BATCH_OF_IDS = 200


def with_tags(
    client: mlflow.MlflowClient, experiment: str, tags: Mapping[str, str], status: str | None, last: int | None
) -> list[mlflow.entities.Run]:
    """Runs of an experiment, by id, with these tags, first started first, without deleted.

    Parameters
    ----------
    client : MlflowClient
    experiment : str
    tags : mapping of str to str
    status : str or None
    last : int or None
        At most so many, those last started; only these are loaded, unless a value has a quote.
    """
    words = [f"tags.`{key}` = '{value}'" for key, value in tags.items() if "'" not in value]
    searched = " and ".join(words + ([f"attributes.status = '{status}'"] if status else []))
    size = last if last is not None and len(words) == len(tags) else 1000
    order = ["attributes.start_time ASC" if last is None else "attributes.start_time DESC"]
    runs: list[mlflow.entities.Run] = []
    token = None
    while True:
        page = client.search_runs([experiment], searched, max_results=size, order_by=order, page_token=token)
        runs += [run for run in page if all(run.data.tags.get(key) == value for key, value in tags.items())]
        token = page.token
        if last is not None and len(runs) >= last:
            return runs[:last][::-1]
        if not token:
            return runs if last is None else runs[::-1]


def with_ids(client: mlflow.MlflowClient, experiment: str, run_ids: Sequence[str]) -> list[mlflow.entities.Run]:
    """Runs of an experiment with these ids, first started first, without deleted and unknown ones."""
    known = [run_id for run_id in run_ids if run_id.isalnum()]  # others would end the filter, and MLflow has none such
    runs: list[mlflow.entities.Run] = []
    for i in range(0, len(known), BATCH_OF_IDS):
        listed = ", ".join(f"'{run_id}'" for run_id in known[i : i + BATCH_OF_IDS])
        runs += client.search_runs([experiment], f"attributes.run_id IN ({listed})", max_results=BATCH_OF_IDS)
    return sorted(runs, key=lambda run: run.info.start_time)
