"""Every number of a run as a table among its artifacts, of which MLflow has those that people compare or plot."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from mtl.errors import UserError
from mtl.tracking.names import legal_keys

METRICS_TABLE = "tables/metrics.csv"
TABLED = "all_metrics"  # tag of a run that has the table: where it is


def write_metrics(artifacts: Path, metrics: Mapping[str, float]) -> None:
    """Write the numbers by their tracked names; what is not finite is left out, as in MLflow."""
    path = artifacts / METRICS_TABLE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("metric", "value"))
        rows.writerows(
            (name, repr(float(value))) for name, value in legal_keys(metrics).items() if math.isfinite(value)
        )


def read_metrics(path: Path) -> dict[str, float]:
    """The numbers of such a table by name.

    Raises
    ------
    OSError
        If the file cannot be read.
    UserError
        If it is no such table.
    """
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return {row["metric"]: float(row["value"]) for row in csv.DictReader(file)}
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise UserError(f"{path} is damaged: {' '.join(str(error).split())[:200]}.") from None
