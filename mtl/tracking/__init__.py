"""The one door to MLflow: every call is on disk first, then in the store.

A run's folder holds its record (`mtl.tracking.journal`): one line per call, and one line
for every call the store has taken. A store that does not answer therefore costs
a bounded wait and nothing else; ``python -m mtl.tracking send FOLDER`` brings the
rest over later.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtl.tracking.mlflow_tracking import MLflowTracking as MLflowTracking
    from mtl.tracking.no_tracking import NoTracking as NoTracking


def __getattr__(name: str) -> object:
    """The two ways to track, once they are asked for: `--help` reads the journal alone, and is to answer at once."""
    if name == "MLflowTracking":
        from mtl.tracking.mlflow_tracking import MLflowTracking

        return MLflowTracking
    if name == "NoTracking":
        from mtl.tracking.no_tracking import NoTracking

        return NoTracking
    raise AttributeError(f"module '{__name__}' has no '{name}'")
