"""A run's figures come out of the files it left, whoever draws them and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from mtl.evaluation.evaluation import Evaluated, Evaluation
from mtl.evaluation.predictions import predictions_table
from mtl.plots.rendering import png
from mtl.relations.gradient import gradient_similarity
from mtl.report.__main__ import main as report
from mtl.report.pending import draw_recorded, draw_stored, pending
from mtl.report.run_figures import draw, figures_of
from mtl.results import DRAWN, FIGURES, REUSED_FROM, TO_BE_DRAWN
from mtl.sweep.drawing import Drawing
from mtl.tasks import BinaryTask, CategoricalTask
from mtl.trace import Trace
from mtl.tracking import figures
from mtl.tracking.artifacts import read_trace, write_tables, write_trace
from mtl.tracking.journal import Journal, recorded
from mtl.tracking.metrics_table import write_metrics
from mtl.tracking.mlflow_tracking import MLflowTracking
from mtl.tracking.no_tracking import NoTracking

CLASSES = ["Arson", "Normal"]
TASKS = {"main": BinaryTask(["Arson"], []), "kind": CategoricalTask(CLASSES, [])}
MEASURE = "mtl.relations.gradient.gradient_similarity"


def traced() -> Trace:
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(6, 2, 5))
    return Trace(
        tasks=("main", "kind"), losses=rng.random((6, 2)), weights=np.ones((6, 2)), steps_per_epoch=2,
        gramians=np.einsum("kif,kjf->kij", gradients, gradients), measurement_steps=np.array([2, 2, 4, 4, 6, 6]),
        val_losses=rng.random((4, 2)), val_videos=np.array([0, 0, 1, 1]), val_classes=np.array([0, 0, 1, 1]),
        layer_groups=("shared",),
    )  # fmt: skip


def predicted() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    classes = np.repeat(CLASSES * 4, 3)
    frames = pd.DataFrame(
        {
            "split": np.repeat(["val", "test", "test", "test"], 6),
            "video": pd.Categorical(np.repeat([f"{CLASSES[i % 2]}{i:03d}" for i in range(8)], 3)),
            "frame": np.tile(np.arange(3), 8),
            "class_name": pd.Categorical(classes),
        }
    )
    logits = {name: rng.normal(size=(24, task.units)).astype(np.float32) for name, task in TASKS.items()}
    return predictions_table(frames, {name: task.targets(frames) for name, task in TASKS.items()}, logits, TASKS)


def left(artifacts: Path, fault: str = "") -> dict[str, Figure]:
    """Write what a run leaves, and return its figures as made from what it had in memory."""
    trace, table = traced(), predicted()
    found: Evaluated = Evaluation(resamples=50, seed=0, threshold=0.5, alarm_gap_s=1.0).evaluate(table, TASKS, fault)
    related = {"gradient_similarity": gradient_similarity(trace, warmup_epochs=0)}
    columns = ["train_loss", "val_loss", "val_auc", "weight"]
    history = pd.DataFrame(
        {f"{name}/{task}": np.random.default_rng(2).random(3) / 3 for name in columns for task in TASKS},
        index=pd.RangeIndex(1, 4, name="epoch"),
    )
    history.loc[2, "val_auc/kind"] = np.nan
    artifacts.mkdir(parents=True)
    write_trace(artifacts / "trace.npz", trace)
    write_tables(artifacts / "tables", found, related, trace)
    write_metrics(artifacts, {} if fault else {"epoch/best": 2.0})
    history.to_csv(artifacts / "history.csv")
    table.to_parquet(artifacts / "predictions.parquet", index=False)
    node = {"_target_": MEASURE, "_partial_": True, "warmup_epochs": 0}
    tasks = {
        "main": {"_target_": "mtl.tasks.BinaryTask", "classes": ["Arson"], "unlabelled": []},
        "kind": {"_target_": "mtl.tasks.CategoricalTask", "classes": CLASSES, "unlabelled": []},
    }
    config = {"main_task": "main", "tasks": tasks, "relations": {"gradient_similarity": node}, "data": {"fps": 30}}
    OmegaConf.save(config, artifacts / "config.yaml")
    return figures.figures(found, related, trace, history, None if fault else 2)


def tracked(tracking: MLflowTracking | NoTracking, folder: Path, **tags: str) -> str:
    """A finished run that left its figures to be drawn; its id."""
    run = tracking.start("main seed=0", folder, None, {"tasks": "main", **tags})
    run.params({"tasks": "main", "main_task": "main", "seed": 0})
    run.metrics({"auc/main": 0.5}, step=0)
    run.tags({FIGURES: TO_BE_DRAWN})
    if not tags:
        left(folder / "artifacts")
        run.artifacts(folder / "artifacts")
    run.end("FINISHED")
    return run.id


@pytest.fixture
def store(tmp_path):
    tracking = MLflowTracking(f"sqlite:///{tmp_path}/mlflow.db", "x", None, 10)
    tracking.prepare()
    return tracking


@pytest.mark.parametrize("fault", ["", "training diverged"])
def test_figures_from_files_are_those_from_memory(tmp_path, fault):
    wanted = left(tmp_path / "artifacts", fault)
    assert {"learning_curves", "class_auc", "relations"} <= set(wanted)
    assert {"roc_curves", "confusion_matrices"}.isdisjoint(wanted) is bool(fault)
    found = figures_of(tmp_path / "artifacts")
    assert list(found) == list(wanted)
    for name, figure in wanted.items():
        assert png(found[name]) == png(figure), name
    assert draw(tmp_path / "artifacts") == len(wanted)
    assert {path.stem for path in (tmp_path / "artifacts/figures").iterdir()} == set(wanted)


def test_annotated_events_bring_curves_over_time(tmp_path):
    left(tmp_path / "artifacts")
    (tmp_path / "artifacts/events.csv").write_text("video,start,end\nArson002,1,2\nNormal003,-1,-1\n")
    assert "scores_over_time" in figures_of(tmp_path / "artifacts")


def test_a_trace_reads_back_as_it_was_written(tmp_path):
    write_trace(tmp_path / "trace.npz", traced())
    found, wanted = read_trace(tmp_path / "trace.npz"), traced()
    for name, value in vars(wanted).items():
        np.testing.assert_array_equal(getattr(found, name), value)
        assert not isinstance(value, np.ndarray) or getattr(found, name).dtype == value.dtype


def test_drawing_adds_to_a_run_that_has_ended_and_does_not_make_it_longer(tmp_path, store):
    run_id = tracked(store, tmp_path / "sweep/0")
    before = recorded(tmp_path / "sweep")[0].end
    (record,) = pending(tmp_path / "sweep")
    draw_recorded(record, store)
    assert pending(tmp_path / "sweep") == []
    found = store.run(run_id)
    assert (found.status, found.tags[FIGURES]) == ("FINISHED", DRAWN)
    assert store.download(run_id, "figures/learning_curves.png").stat().st_size > 1000
    again = recorded(tmp_path / "sweep")[0]
    assert (again.status, again.end) == ("FINISHED", before)
    assert Journal(record.path).pending == []


def test_a_row_that_copies_a_run_has_that_one_s_drawn_from_the_store(tmp_path, store):
    run_id = tracked(store, tmp_path / "sweep/0")
    tracked(store, tmp_path / "again/0", **{REUSED_FROM: run_id})
    (row,) = pending(tmp_path / "again")
    draw_recorded(row, store)
    assert store.run(run_id).tags[FIGURES] == DRAWN
    drawn = store.download(run_id, "figures/roc_curves.png")
    when = drawn.stat().st_mtime_ns
    draw_stored(run_id, store)  # no second time
    assert drawn.stat().st_mtime_ns == when
    assert pending(tmp_path / "again") == []


def test_without_a_store_they_lie_in_the_run_s_folder(tmp_path):
    tracked(NoTracking(), tmp_path / "sweep/0")
    assert report([str(tmp_path / "sweep"), "--to", str(tmp_path / "report")]) == 0
    assert (tmp_path / "sweep/0/artifacts/figures/learning_curves.png").is_file()
    assert pending(tmp_path / "sweep") == []


def test_the_report_of_a_single_run_draws_what_it_lacks(tmp_path, store, capsys):
    run_id = tracked(store, tmp_path / "alone")
    words = [run_id, "--uri", store.uri, "--experiment", "x", "--to", str(tmp_path / "report")]
    assert report(words) == 0
    assert store.run(run_id).tags[FIGURES] == DRAWN
    assert (tmp_path / "report/summary.html").is_file()
    assert report(["0" * 32, *words[1:]]) == 1
    assert "No run was found" in capsys.readouterr().out


def drawing(folder: Path, store: MLflowTracking) -> Drawing:
    node = {
        "_target_": "mtl.tracking.MLflowTracking", "uri": store.uri, "experiment": "x", "artifacts": None,
        "timeout_s": 10, "model": False,
    }  # fmt: skip
    return Drawing(folder, OmegaConf.create(node))


@pytest.mark.slow
def test_the_sweep_s_process_draws_all_and_says_what_it_could_not(tmp_path, store, capsys):
    ids = [tracked(store, tmp_path / f"sweep/{i}") for i in range(3)]
    (tmp_path / "sweep/1/artifacts/history.csv").unlink()
    process = drawing(tmp_path / "sweep", store)
    process.finish()
    process.close(interrupted=False)
    assert [store.run(run_id).tags[FIGURES] for run_id in ids] == [DRAWN, TO_BE_DRAWN, DRAWN]
    why, left = capsys.readouterr().out.splitlines()
    assert why.startswith("WARNING: The figures of main seed=0 were not drawn (FileNotFoundError")
    assert left == "The figures of 1 run are not drawn; the same command draws them."
    assert len(pending(tmp_path / "sweep")) == 1


def test_a_process_that_dies_is_one_line(tmp_path, store, capsys):
    tracked(store, tmp_path / "sweep/0")
    process = drawing(tmp_path / "sweep", store)
    process._process.kill()
    process.finish()
    process.close(interrupted=False)
    assert capsys.readouterr().out == "The figures of 1 run are not drawn; the same command draws them.\n"


@pytest.mark.slow
def test_a_sweep_that_is_gone_leaves_no_process(tmp_path, store):
    tracked(store, tmp_path / "sweep/0")
    process = drawing(tmp_path / "sweep", store)
    process._process.stdin.close()  # as the system does for a process that was killed
    assert process._process.wait(60) == 0
