#!/usr/bin/env bash
# A joblib sweep that is ended by SIGTERM goes on training, and begins a job that was waiting.
#
# SIGTERM is what `kill`, a batch system at its time limit, a container and a shutdown send, mostly to one process.
# The process of a sweep with hydra-joblib-launcher 1.2.0 (joblib 1.6.0, its loky workers) dies of it at once, and
# whoever looks sees it gone. Its workers hear nothing: jobs that run go on to their end, and what has been put in the
# workers' queue is begun afterwards, by processes that belong to nobody. The same sweep started again shares CPU, GPU
# and memory with the old one, which spoils every time that is measured, and a store of runs gets jobs that began after
# the end of their sweep. Instead: send the signal to the whole group of processes (`kill -TERM -- -PGID`; Ctrl-C at a
# terminal does so by itself), or let the main process handle SIGTERM and end its children; and look for processes
# that are left before a sweep is started again.
#
# Seen on Python 3.11:
#   hydra-core 1.3.8, hydra-joblib-launcher 1.2.0, joblib 1.6.0
#   expected: 20 s after SIGTERM to a sweep of two workers, jobs ended after it 0, begun after it 0
#   seen, SIGTERM to the process  exit -15; jobs ended after it 3, begun after it 1
#   seen, SIGTERM to the group    exit -15; jobs ended after it 0, begun after it 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  hydra-core==1.3.8 hydra-joblib-launcher==1.2.0 joblib==1.6.0
cat > "$work/app.py" <<'PY'
import time

import hydra
from hydra.core.config_store import ConfigStore

ConfigStore.instance().store("app", {"number": 0, "record": "???"})


def said(config, what):
    with open(config.record, "a") as record:
        record.write(f"{what} {config.number}\n")


@hydra.main(version_base=None, config_path=None, config_name="app")
def main(config):
    said(config, "begun")
    time.sleep(8)
    said(config, "ended")


main()
PY
cat > "$work/check.py" <<'PY'
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

WAIT = 20  # s; the first jobs end within 8, one more within 16


def counted(lines):
    return [sum(line.startswith(what) for line in lines) for what in ("ended", "begun")]


def stopped(name, stop):
    """A sweep of twelve jobs is stopped when two run: its exit status, and the jobs ended and begun after that."""
    folder = Path(sys.argv[1])
    record = folder / name
    record.touch()
    sweep = subprocess.Popen(
        [sys.executable, "app.py", "-m", "number=range(0,12)", f"record={record}", f"hydra.sweep.dir={record}-jobs",
         "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + 300
        while counted(record.read_text().splitlines())[1] < 2:
            assert sweep.poll() is None and time.monotonic() < until, "the sweep has not begun"
            time.sleep(.1)
        stop(sweep.pid, signal.SIGTERM)
        code = sweep.wait(60)
        before = record.read_text().splitlines()
        time.sleep(WAIT)
        return code, *counted(record.read_text().splitlines()[len(before):])
    finally:
        try:
            os.killpg(sweep.pid, signal.SIGKILL)  # what is left of this sweep
        except ProcessLookupError:
            pass


print(", ".join(f"{name} {version(name)}" for name in ("hydra-core", "hydra-joblib-launcher", "joblib")))
print(f"expected: {WAIT} s after SIGTERM to a sweep of two workers, jobs ended after it 0, begun after it 0")
seen = {name: stopped(name, stop) for name, stop in {"process": os.kill, "group": os.killpg}.items()}
for name, (code, ended, begun) in seen.items():
    print(f"seen, SIGTERM to the {name:8} exit {code}; jobs ended after it {ended}, begun after it {begun}")
assert seen["process"][0] == -signal.SIGTERM and seen["process"][1] >= 2 and seen["process"][2] >= 1
assert seen["group"][1:] == (0, 0)
PY
"$work/venv/bin/python" "$work/check.py" "$work"
