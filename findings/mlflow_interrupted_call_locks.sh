#!/usr/bin/env bash
# Ctrl-C amid a call of MLflow can leave its sqlite file locked, for as long as somebody holds the exception.
#
# mlflow 3.17.2 rolls a session back for exceptions that are Exceptions; KeyboardInterrupt, and the SystemExit
# that a handler of SIGTERM raises, are none. With SQLAlchemy 2.1.9 (2.0.51 does the same) the connection of such a
# call may then not come back to its pool: it stays open in the frames of the traceback, with its transaction and so
# the lock of the whole file. A training that spends much of its time logging is hit by about one of twelve interrupts.
# What such a program does next is to close its run as KILLED, mostly within the `except` that holds the exception:
# this write, and those of every other process of a sweep on that file, wait 20 seconds and fail with "database is
# locked", and the run says RUNNING for ever. Once the exception is forgotten, all is well again. Instead: let a
# handler remember a signal that comes during a call, and raise when the call is over.
#
# Seen on Python 3.11, sqlite 3.40.1; how many of 300 interrupts lock the file differs from run to run:
#   mlflow 3.17.2, SQLAlchemy 2.1.9
#   expected: 0 of 300 interrupted calls leave the file locked
#   seen, the exception held     24 of 300
#   seen, the exception dropped  0 of these
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check mlflow==3.17.2 sqlalchemy==2.1.9
cat > "$work/check.py" <<'PY'
import gc
import random
import signal
import sqlite3
import sys
import time
from importlib.metadata import version

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

CALLS = 300
database = f"{sys.argv[1]}/mlflow.db"
client = MlflowClient(tracking_uri=f"sqlite:///{database}")
run = client.create_run(client.create_experiment("interrupted")).info.run_id


def logged(step):
    client.log_batch(run, metrics=[Metric(f"loss/{task}", 1.0, 0, step) for task in range(20)])


def is_locked():
    connection = sqlite3.connect(database, timeout=0, isolation_level=None)
    try:
        connection.execute("begin immediate")
        connection.execute("rollback")
    except sqlite3.OperationalError as error:
        assert str(error) == "database is locked", error
        return True
    finally:
        connection.close()
    return False


def interrupt(number, frame):
    raise KeyboardInterrupt


logged(0)
began = time.perf_counter()
logged(1)
seconds = time.perf_counter() - began
signal.signal(signal.SIGALRM, interrupt)
random.seed(0)
held = still = 0
for step in range(2, 2 + CALLS):
    kept = None
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0, seconds))
        logged(step)
        time.sleep(1)  # an interrupt amid a callback from C is printed and lost
    except (KeyboardInterrupt, MlflowException) as error:  # what is raised on the way out may hide the interrupt
        signal.setitimer(signal.ITIMER_REAL, 0)
        kept = error
    if is_locked():
        held += 1
        kept = None
        gc.collect()
        still += is_locked()

print(", ".join(f"{name} {version(name)}" for name in ("mlflow", "SQLAlchemy")))
print(f"expected: 0 of {CALLS} interrupted calls leave the file locked")
print(f"seen, the exception held     {held} of {CALLS}")
print(f"seen, the exception dropped  {still} of these")
assert held > 0
assert still == 0
PY
"$work/venv/bin/python" "$work/check.py" "$work"
