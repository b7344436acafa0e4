"""The same training step by Keras `fit`, PyTorch, TorchJD's UPGrad and ours.

    pip install -e ".[peers]"
    python benchmarks/peers.py

Heads on features, and the small network from the pixels on: same network, batch, Adam,
float32 and number of threads. Every way is a process of its own, since thread pools of two
libraries in one would fight; the processes wait for their turn and do a round of steps each,
so that what else the machine does falls on all alike. Least and median of the rounds count. A peer
that is not installed is named in one line and left out. PyTorch stands there twice: as one
writes it first, and tuned (fused Adam; images with channels last).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

from rich.console import Console

WAYS = {  # of each, the packages that it takes
    "ours": (),
    "Keras fit": (),
    "PyTorch": ("torch",),
    "PyTorch, tuned": ("torch",),
    "ours, UPGrad": (),
    "TorchJD, UPGrad": ("torch", "torchjd", "qpsolvers", "quadprog"),
}
BESIDE = {"ours": ("Keras fit", "PyTorch", "PyTorch, tuned"), "ours, UPGrad": ("TorchJD, UPGrad",)}
Round = Callable[[], object]
say = partial(Console(soft_wrap=True).print, markup=False, highlight=False)


@dataclass(frozen=True)
class Case:
    """What is trained: heads on features, or all from frames of so many pixels a side where `side` is not 0."""

    features: int
    units: int
    batch: int
    steps: int
    side: int
    threads: int

    @property
    def title(self) -> str:
        """As a row of the table names it."""
        return f"{'pixels' if self.side else 'features'}, batch {self.batch}"


def round_of(way: str, case: Case) -> Round:
    """A round of steps of one way, in a process where it is the only one."""
    if "torch" in WAYS[way]:
        from peers_torch import steps_of

        return steps_of(way, case)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(case.threads)
    tf.config.threading.set_inter_op_parallelism_threads(case.threads)
    from heads import Size, by_fit, draw
    from weightings import epochs, frames_at_random, heads_alone, small_cnn_with_heads

    size = Size(case.features, case.units, case.batch, case.steps)
    data = frames_at_random(size, case.side) if case.side else draw(size)
    if way == "Keras fit":
        return by_fit(data, size)
    build = small_cnn_with_heads(size, case.side) if case.side else heads_alone(size)
    name = "upgrad" if "UPGrad" in way else "equal"
    return epochs(data, size, [name], build)[name]


def serve(way: str, case: Case) -> None:
    """Do a round for every line that comes in, and answer with its seconds."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is no answer
    work = round_of(way, case)
    work()  # compiles
    answers.write("ready\n")
    answers.flush()
    for _ in sys.stdin:
        began = perf_counter()
        work()
        answers.write(f"{perf_counter() - began}\n")
        answers.flush()


def measured(case: Case, ways: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Seconds of a step by way, one number a round; ways take turns."""
    words = [f"--{key}={value}" for key, value in vars(case).items()]
    threads = {name: str(case.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    running: dict[str, subprocess.Popen[str]] = {}
    try:
        for way in ways:
            command = [sys.executable, str(Path(__file__).resolve()), "--way", way, *words]
            running[way] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=os.environ | threads | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            )  # fmt: skip
        for way, process in running.items():
            answer(way, process)
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, process in running.items():
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
                found[way].append(float(answer(way, process)) / case.steps)
        return found
    finally:
        for process in running.values():
            process.kill()
            process.communicate()


def answer(way: str, process: subprocess.Popen[str]) -> str:
    """The next line of a process; where there is none, this one ends with what that one said last."""
    assert process.stdout is not None
    if line := process.stdout.readline():
        return line
    sys.exit(f"{way}: {process.communicate()[1][-3000:]}")


def present(ways: Sequence[str]) -> list[str]:
    """Ways whose packages are installed; one line for each of the others."""
    found = []
    for way in ways:
        missing = [name for name in WAYS[way] if importlib.util.find_spec(name) is None]
        if missing:
            say(f"{way}: left out, not installed: {', '.join(missing)}; pip install -e '.[peers]' brings it.")
        else:
            found.append(way)
    return found


def rows(case: Case, seconds: dict[str, list[float]]) -> list[str]:
    """Lines of a Markdown table: least and median of a step, and both over those of ours."""
    lines = []
    for ours, peers in BESIDE.items():
        for way in (ours, *(one for one in peers if one in seconds)):
            least, middle = (f(seconds[way]) / f(seconds[ours]) for f in (min, median))
            times = f"{min(seconds[way]) * 1e3:.2f} ms | {median(seconds[way]) * 1e3:.2f} ms"
            lines.append(f"| {case.title} | {way} | {times} | {least:.2f} | {middle:.2f} |")
    return lines


def main() -> None:
    """Measure all cases, print a table as Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--batches", type=int, nargs="*", default=[32, 256], help="batch sizes on features")
    parser.add_argument("--side", type=int, default=64, help="of a frame in pixels")
    parser.add_argument("--batch", type=int, default=32, help="batch size on pixels")
    parser.add_argument("--round-steps", type=int, nargs=2, default=[32, 6], help="on features and on pixels")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--way", choices=WAYS, help="for the processes that this one starts")
    parser.add_argument("--steps", type=int, help="for the same")
    asked = parser.parse_args()
    common = {"features": asked.features, "units": asked.units, "threads": asked.threads}
    if asked.way:
        serve(asked.way, Case(**common, batch=asked.batch, steps=asked.steps, side=asked.side))
        return
    on_features, on_pixels = asked.round_steps
    cases = [Case(**common, batch=batch, steps=on_features, side=0) for batch in asked.batches]
    cases.append(Case(**common, batch=asked.batch, steps=on_pixels, side=asked.side))
    ways = present([*WAYS])
    say(f"float32, {asked.threads} threads, {asked.rounds} rounds in turns; a ratio is the way over ours.\n")
    say("| step | way | least | median | least / ours | median / ours |\n|---|---|---|---|---|---|")
    for case in cases:
        say("\n".join(rows(case, measured(case, ways, asked.rounds))))


if __name__ == "__main__":
    main()
