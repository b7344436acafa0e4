"""What portable numerics cost, and how far unlike numerics move a run: whole runs of the demo, in turns.

    python benchmarks/numerics.py

Three runs a round, of one seed: numerics=native, the same without oneDNN's operations (as TensorFlow computes by
itself on a CPU without AVX512-VNNI), and numerics=portable. Seconds are those of the training steps alone, as tracked.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from rich.console import Console

from mtl.job.record import read_job

RUN = Path(__file__).resolve().parents[1] / "run.py"
MAIN = "auc/general_anomaly"
KINDS = {
    "native": ("numerics=native", {"TF_ENABLE_ONEDNN_OPTS": "1"}),
    "native without oneDNN": ("numerics=native", {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    "portable": ("numerics=portable", {}),
}


def measure(kind: str, seed: int, folder: Path, more: list[str]) -> dict[str, object]:
    """Seconds of the steps of one run in a process of its own, and its AUC."""
    word, told = KINDS[kind]
    to = folder / f"{kind} {seed}".replace(" ", "_")
    words = ["tasks=all", "training=fixed_epochs", "tracking=none", f"seed={seed}", word, f"hydra.run.dir={to}", *more]
    command = [sys.executable, str(RUN), *words]
    done = subprocess.run(command, cwd=folder, env=os.environ | told, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit((done.stdout + done.stderr)[-4000:])
    job = read_job(to)
    if job is None:
        sys.exit(f"{to} holds no record of a run.")
    return {"kind": kind, "seed": seed, "seconds": job.metrics["time/steps_s"], "auc": job.metrics[MAIN]}


def main() -> None:
    """Measure in turns, print ratios and distances."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("more", nargs="*", help="overrides of every run")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(kind, seed, Path(folder), asked.more) for seed in range(asked.seeds) for kind in KINDS]
    table = pd.DataFrame(rows)
    seconds, aucs = (table.pivot_table(index="seed", columns="kind", values=name) for name in ("seconds", "auc"))
    console = Console(width=120)
    console.print(f"threads that native may use: {os.cpu_count()}")
    for kind in KINDS:
        ratio = (seconds[kind] / seconds["native"]).median()
        apart = (aucs[kind] - aucs["native"]).abs().mean()
        console.print(
            f"{kind}: steps {seconds[kind].median():.1f} s, ratio to native {ratio:.2f}; AUC {aucs[kind].mean():.3f}, "
            f"{apart:.4f} from native's with the same seed"
        )


if __name__ == "__main__":
    main()
