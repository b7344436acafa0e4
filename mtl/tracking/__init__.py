"""The one door to MLflow: every call is on disk first, then in the store.

A run's folder holds its record (`mtl.tracking.journal`): one line per call, and one line
for every call the store has taken. A store that does not answer therefore costs
a bounded wait and nothing else; ``python -m mtl.tracking send FOLDER`` brings the
rest over later.
"""

from mtl.tracking.mlflow_tracking import MLflowTracking as MLflowTracking
from mtl.tracking.no_tracking import NoTracking as NoTracking
