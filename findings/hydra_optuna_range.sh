#!/usr/bin/env bash
# `range` means three things in Hydra: to its own sweeper, to Optuna's grid, to Optuna's other samplers.
#
# hydra-optuna-sweeper 1.3.0 (with hydra-core 1.3.8 and optuna 2.10.1) reads `range(start,stop,step)` in its own
# two ways, and neither is that of Hydra's basic sweeper, which leaves the stop out and takes each value before
# it. TPE and random search take the stop in where a step falls on it: `range(0,3)` tries 3 as well. The grid
# leaves it out but also leaves out the last value before it where the steps do not end on the stop:
# `range(0,10,4)` never tries 8. Nothing is said in either case. In a study of task weights or task sets, a sweep
# of an index into a list then asks for one that is not there, and a "full" grid of weights lacks its largest one,
# so that the table compared with an earlier basic sweep covers another set of runs. Instead: name the values,
# `choice(0,4,8)`, which all sweepers read alike, and count the jobs.
#
# Seen on Python 3.11:
#   hydra-core 1.3.8, hydra-optuna-sweeper 1.3.0, optuna 2.10.1
#   expected: the values of the first line, and all of them from the grid
#   seen, basic    range(0,3) {0, 1, 2}  range(0,10,4) {0, 4, 8}  range(0.0,0.5,0.2) {0, 0.2, 0.4}
#   seen, grid     range(0,3) {0, 1, 2}  range(0,10,4) {0, 4}  range(0.0,0.5,0.2) {0, 0.2}
#   seen, tpe      range(0,3) {0, 1, 2, 3}  range(0,10,4) {0, 4, 8}  range(0.0,0.5,0.2) {0, 0.2, 0.4}
#   seen, random   range(0,3) {0, 1, 2, 3}  range(0,10,4) {0, 4, 8}  range(0.0,0.5,0.2) {0, 0.2, 0.4}
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  hydra-core==1.3.8 hydra-optuna-sweeper==1.3.0 optuna==2.10.1 sqlalchemy==1.4.54 numpy==2.4.0
cat > "$work/app.py" <<'PY'
import hydra
from hydra.core.config_store import ConfigStore

ConfigStore.instance().store("app", {"a": 0, "b": 0, "c": 0, "record": "???"})


@hydra.main(version_base=None, config_path=None, config_name="app")
def main(config):
    with open(config.record, "a") as record:
        record.write(f"{config.a} {config.b} {config.c}\n")
    return float(config.a)


main()
PY
cat > "$work/check.py" <<'PY'
import subprocess
import sys
from importlib.metadata import version

RANGES = {"a": "range(0,3)", "b": "range(0,10,4)", "c": "range(0.0,0.5,0.2)"}
SWEEPERS = {
    "basic": ["hydra/sweeper=basic"],
    "grid": ["hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_jobs=1"],
    **{name: ["hydra/sweeper=optuna", f"hydra/sweeper/sampler={name}", "hydra.sweeper.n_jobs=1",
              "hydra.sweeper.n_trials=30", "hydra.sweeper.sampler.seed=0"] for name in ("tpe", "random")},
}


def swept(folder, sweeper):
    """The sorted values that the jobs of a sweep were given, for each of the three keys."""
    record = f"{folder}/record-{sweeper}"
    subprocess.run([sys.executable, "app.py", "-m", *(f"{key}={text}" for key, text in RANGES.items()),
                    f"record={record}", f"hydra.sweep.dir={record}-jobs", *SWEEPERS[sweeper]],
                   cwd=folder, check=True, capture_output=True)
    return [sorted({float(value) for value in column}) for column in zip(*(line.split() for line in open(record)))]


print(", ".join(f"{name} {version(name)}" for name in ("hydra-core", "hydra-optuna-sweeper", "optuna")))
seen = {sweeper: swept(sys.argv[1], sweeper) for sweeper in SWEEPERS}
print("expected: the values of the first line, and all of them from the grid")
for sweeper, columns in seen.items():
    print(f"seen, {sweeper:7}" + "".join(f"  {text} {{{', '.join(f'{v:g}' for v in column)}}}"
                                        for text, column in zip(RANGES.values(), columns)))

assert seen["basic"] == [[0, 1, 2], [0, 4, 8], [0, .2, .4]]
assert seen["grid"] == [[0, 1, 2], [0, 4], [0, .2]]
assert seen["tpe"] == seen["random"] == [[0, 1, 2, 3], [0, 4, 8], [0, .2, .4]]
PY
"$work/venv/bin/python" "$work/check.py" "$work"
