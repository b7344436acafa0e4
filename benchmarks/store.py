"""What a plan, a job, a report and a loaded run cost in a store with ten thousand runs, beside one with ten.

    python benchmarks/store.py

One real sweep of one tiny job is run. Its rows are copied within the database, job and sweep alike, until
there are as many runs as asked for: each copy has an id, a fingerprint and a start of its own, and shares
the artifacts. Then four commands, each a process of its own, take turns over the stores:

- the plan of a sweep of eight jobs, one of which is done (`dry_run=true`),
- a sweep whose one job is done: it starts, takes over what the store has, and is reported,
- the report of one sweep by its id,
- a run loaded by its id.

Ratios are of seconds of CPU, which depend less on what else the machine does; wall times stand beside.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path

from rich.console import Console

RUN = Path(__file__).resolve().parents[1] / "run.py"
JOBS_OF_A_SWEEP = 8
TINY = (
    *("data.train_videos=3", "data.test_videos=2", "data.normal_train_videos=12", "data.normal_test_videos=8"),
    *("data.frames_per_video=4", "training.epochs=2", "evaluation.resamples=100", "backbone.image_size=32"),
    *("gradient_measurements.batches=2", "gradient_measurements.batch_size=16"),
)
OF_TAGS = """case old.key when 'mtl.key' then new.key when 'fingerprint' then new.fingerprint
             when 'mlflow.parentRunId' then new.parent else old.value end"""
TABLES = {  # of a run: the column of its id, and what a copy does not share
    "runs": ("run_uuid", {name: f"old.{name} - new.earlier" for name in ("start_time", "end_time")}),
    "tags": ("run_uuid", {"value": OF_TAGS}),
    "params": ("run_uuid", {}),
    "latest_metrics": ("run_uuid", {}),
    "metrics": ("run_uuid", {}),
    "inputs": ("destination_id", {"input_uuid": "lower(hex(randomblob(16)))"}),
}


def command(folder: Path, *words: str) -> tuple[float, float]:
    """Seconds of wall and of CPU of `python WORDS` in a folder."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit((done.stdout + done.stderr)[-4000:])
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def of_the_sweep(database: Path) -> tuple[str, str]:
    """Ids of the real sweep's own run and of its job."""
    with closing(sqlite3.connect(database)) as connection:
        (found,) = connection.execute("select value, run_uuid from tags where key = 'mlflow.parentRunId'").fetchall()
    return found


def fill(database: Path, n: int) -> None:
    """Copy the rows of the real sweep until the store has `n` jobs, all started before the real one."""
    parent, job = of_the_sweep(database)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("pragma synchronous = off")
        connection.execute("create temp table new (old, id, key, fingerprint, parent, earlier)")
        own = ""
        for i in range(n - 1):
            if i % JOBS_OF_A_SWEEP == 0:
                own = uuid.uuid4().hex
                row = (parent, own, uuid.uuid4().hex, "", "", 1000 * (i + 1))
                connection.execute("insert into new values (?, ?, ?, ?, ?, ?)", row)
            row = (job, uuid.uuid4().hex, uuid.uuid4().hex, uuid.uuid4().hex, own, 1000 * (i + 1))
            connection.execute("insert into new values (?, ?, ?, ?, ?, ?)", row)
        for table, (run, made) in TABLES.items():
            _copy(connection, table, run, made)
        connection.commit()


def _copy(connection: sqlite3.Connection, table: str, run: str, made: dict[str, str]) -> None:
    """A table's rows of the old runs again for every new one, some columns made anew."""
    columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
    values = ", ".join("new.id" if name == run else made.get(name, f"old.{name}") for name in columns)
    rows = f"select {values} from new join {table} as old on old.{run} = new.old"
    connection.execute(f"insert into {table} ({', '.join(columns)}) {rows}")


def main() -> None:
    """Fill the stores, time the commands, print what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 1000, 10_000], help="jobs in each store")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("more", nargs="*", help="overrides of the real job")
    asked = parser.parse_args()
    console = Console(width=120)
    words = [*TINY, *asked.more]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command(folder, str(RUN), "-m", "tasks=all", "seed=0", *words)
        database, stores = folder / "mlflow.db", {n: folder / f"{n}.db" for n in asked.runs}
        parent, job = of_the_sweep(database)
        with closing(sqlite3.connect(database)) as connection:
            (metrics,) = connection.execute("select count(*) from latest_metrics where run_uuid = ?", (job,)).fetchone()
        for n, store in stores.items():
            shutil.copyfile(database, store)
            fill(store, n)
        sizes = ", ".join(f"{n:,} runs {store.stat().st_size / 2**20:,.0f} MiB" for n, store in stores.items())
        console.print(f"{metrics} metrics a run; {sizes}")
        commands = {
            "plan of 8 jobs": (str(RUN), "-m", "tasks=all,anomaly", "seed=0,1,2,3", "dry_run=true", *words),
            "start of a job that is done": (str(RUN), "-m", "tasks=all", "seed=0", *words),
            "report of a sweep": ("-m", "mtl.report", parent),
            "load_run": ("-c", f"from mtl.load_run import load_run; load_run('{job}')"),
        }
        for what, typed in commands.items():
            found: dict[int, list[tuple[float, float]]] = {n: [] for n in stores}
            for _ in range(asked.rounds):
                for n, store in stores.items():
                    shutil.copyfile(store, database)
                    found[n].append(command(folder, *typed))
            medians = {n: [statistics.median(each) for each in zip(*times, strict=True)] for n, times in found.items()}
            least = medians[asked.runs[0]]
            console.print(
                f"{what}: "
                + "; ".join(
                    f"{n:,} runs {wall:.2f} s, {cpu:.2f} s of CPU, ratio {cpu / least[1]:.2f}"
                    for n, (wall, cpu) in medians.items()
                )
            )


if __name__ == "__main__":
    main()
