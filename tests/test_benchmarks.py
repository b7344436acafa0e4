"""Every benchmark runs, at toy size, and prints what it promises; its numbers mean nothing here."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import BARE, ROOT, TINY

FOLDER = ROOT / "benchmarks"
FEW = BARE[len(TINY) :]  # of what our jobs do besides
TOY = {
    "heads": (
        ["--features", "32", "--units", "8", "--frames", "128", "--batches", "16", "32", "--rounds", "2"],
        ["GFLOP/s", "fit / ours", "ours / bound"],
    ),
    "weightings": (
        [
            *("--features", "32", "--units", "8", "--batches", "16", "--batch", "4", "--side", "16"),
            *("--steps", "2", "1", "--rounds", "1", "--only", "cagrad", "famo"),
        ],
        ["features, batch 16", "small_cnn, batch 4", "cagrad, by passes", "famo", "its ratio to equal"],
    ),
    "extraction": (
        ["--network", "mobilenet_v2", "--image-sizes", "32", "64", "--frames", "56", "--batch", "16", "--rounds", "1"],
        ["at 32 px, ours / bare", "at 64 px, ours / bare", "ours bfloat16 / bare float32", "cosine"],
    ),
    "videos": (
        ["--videos", "6", "--frames", "24", "--workers", "1", "--rounds", "1"],
        ["coded frames/s in 1 processes", "ours / decoder alone"],
    ),
    "predict": (
        ["--videos", "3", "--frames", "40", "--rounds", "1", "--", *TINY],
        ["decode + forward alone", "ours / alone"],
    ),
    "notebook_job": (
        [
            *("--network", "small_cnn", "--image-size", "32", "--videos", "3", "1", "--frames-per-video", "2"),
            *("--epochs", "2", "--sets", "anomaly", "anomaly_type", "--", *FEW, "evaluation.resamples=20"),
        ],
        ["forwards", "cold", "warm", "peak memory"],
    ),
    "scale": (
        ["--sizes", "2000", "3000", "--features", "16", "--units", "8"],
        ["index, split and labels", "peak of the run"],
    ),
    "numerics": (
        ["--seeds", "1", "--", *BARE],
        ["native without oneDNN", "portable", "ratio to native"],
    ),
    "decide": (
        ["--sweeps", "2", "--resamples", "50"],
        ["margin 0.01, 2 sweeps a row", "held always", "ratio: one", "naive"],
    ),
    "related": (
        [
            *("--draws", "1", "--seeds", "2", "--sets", "2", "--screening-seeds", "1"),
            *("training.epochs=1", "data.relatedness=[1,harmful]", *(f"~tasks.related_{i}" for i in range(3, 9))),
        ],
        ["related_1", "harmful", "screening of draw 0: relevance", "rank correlation with the truth"],
    ),
    "screening": (
        ["--designs", "2", "--sweeps", "2", "--resamples", "50"],
        ["published tables, 2 designs", "mean of pairs", "relevance, 2 designs a row", "all held"],
    ),
    "verdicts": (
        [
            *("--draws", "2", "--sets", "4", "--seeds", "2", "--resamples", "30", "--checked", "2"),
            *(
                "training.epochs=2",
                "data.relatedness=[1,random,harmful]",
                *(f"~tasks.related_{i}" for i in range(4, 9)),
            ),
        ],
        [
            *("2 runs by the loop too: AUC at most 0.000", "verdicts in 2 draws", "random, told 'helps'"),
            *("harmful, told 'hurts': any of 1", "rank correlation with the truth: mean"),
        ],
    ),
    "toy": (
        ["toy.png", "--steps", "200"],
        ["end (x1, x2), mean loss", "cagrad", "Figure: toy.png"],
    ),
    "probes": (
        ["--", *TINY, "tasks=anomaly_violence", "relations=[loss_correlation]"],
        ["by share", "first measurement", "of two halves", "affinity", "equal to the bit"],
    ),
    "jobs": (
        [
            *("--jobs", "6", "--anew", "1", "--frames", "300", "--features", "16", "--units", "8"),
            *("--seeds", "1", "--epochs", "1", *BARE),
        ],
        ["4 real jobs", "beyond the steps", "once every set was there", "6 jobs reused", "a warm job"],
    ),
    "task_sets": (
        ["--weightings", "equal", "--repeats", "4"],
        ["demo, equal: tracing of the first job by set", "one per class, equal", "as a ratio to 2 heads"],
    ),
    "peers": (
        [
            *("--features", "32", "--units", "8", "--batches", "16", "--batch", "4", "--side", "16"),
            *("--round-steps", "2", "1", "--rounds", "1"),
        ],
        ["features, batch 16 | Keras fit", "pixels, batch 4 | ours, UPGrad", "PyTorch", "TorchJD, UPGrad"],
    ),
    "gpu": (  # the notebook's job has a test of its own above
        [
            *("--cpu", "--network", "small_cnn", "--image-sizes", "32", "--frames", "2", "--calls", "1"),
            *("--features", "32", "--units", "8", "--batches", "8", "16", "--steps", "2", "--rounds", "1", "--no-job"),
        ],
        ["Device:", "mixed_float16", "| 32 px |", "| equal | cagrad |", "| 16 |"],
    ),
    "store": (
        ["--runs", "12", "--rounds", "1", "--", *FEW],
        ["metrics a run; 12 runs", "plan of 8 jobs", "start of a job that is done", "report of a sweep", "load_run"],
    ),
}


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("name", TOY)
def test_a_benchmark_runs_and_prints_its_ratios(name, tmp_path):
    words, promised = TOY[name]
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shown = " ".join(done.stdout.split())
    for one in promised:
        assert one in shown
    if name == "toy":
        assert (tmp_path / "toy.png").stat().st_size > 50_000
    if name == "notebook_job":  # each frame once, over a job and a sweep
        forwards = [int(n) for n in re.findall(r"ours, (?:cold|warm) . [\d.]+ s . [\d.]+ s . ([\d,]+)", shown)]
        assert forwards == [112, 0]


def test_every_benchmark_is_tried_and_listed():
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    commands = {path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    assert commands == set(TOY)
    assert all(f"benchmarks/{name}.py" in listed for name in commands)


def test_a_missing_peer_is_named_and_left_out(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    import peers

    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    assert peers.present([*peers.WAYS]) == ["ours", "Keras fit", "ours, UPGrad"]
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3
    assert "TorchJD, UPGrad: left out, not installed: torch, torchjd" in said[2]


def test_ratios_are_the_peers_over_ours(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import peers

    case = peers.Case(features=8, units=4, batch=32, steps=1, side=64, threads=2)
    seconds = {"ours": [0.2, 0.1, 0.3], "PyTorch": [0.2, 0.4, 0.8], "ours, UPGrad": [0.5]}
    assert peers.rows(case, seconds)[1] == "| pixels, batch 32 | PyTorch | 200.00 ms | 400.00 ms | 2.00 | 2.00 |"
