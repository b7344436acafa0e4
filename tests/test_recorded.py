"""Runs tracked before the chapters still load and are still reported, and their features are still found.

What was recorded, and how, stands in `data/recorded/README.md`. Only ways in that are promised to stay are used:
command lines, overrides under their names of then, `load_run`, and full names as they stand in `_target_`.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, call

RECORDED = ROOT / "tests" / "recorded"
EXPECTED = json.loads((RECORDED / "expected.json").read_text(encoding="utf-8"))
RUNS = EXPECTED["runs"]
TARGETS = (RECORDED / "targets.txt").read_text(encoding="utf-8").split()
SWEPT = ("anomaly seed=0", "anomaly seed=1", "anomaly_violence seed=0", "anomaly_violence seed=1")  # by job number
FOLDER = "@FOLDER@"
CHANGED_NS = 1_700_000_000 * 10**9  # of every frame: part of what its row is found by
COMPUTING = ("tensorflow", "keras", "opencv-python-headless")


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


# other versions may build other layers and draw other random weights, which a run and an archive know by digests
SAME_VERSIONS = all(installed(name) == EXPECTED["versions"][name] for name in COMPUTING)


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The finished `python -m WORDS`, typed in a folder, on a wide terminal."""
    below = os.environ.get("PYTHONPATH")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), below])), "COLUMNS": "250"}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


# --- the recording as it lay in its folder ----------------------------------------------------------------------------


def placed(text: str, folder: Path) -> str:
    """Text of the recording with the folder it lies in now."""
    return text.replace(f"file://{FOLDER}", folder.as_uri()).replace(FOLDER, folder.as_posix())


def copy_placed(source: Path, target: Path, folder: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix in (".json", ".jsonl", ".yaml"):
        target.write_text(placed(source.read_text(encoding="utf-8"), folder), encoding="utf-8")
    else:
        shutil.copyfile(source, target)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder that the recorded commands were typed in: store, artifacts, and the first sweep's records."""
    folder = tmp_path_factory.mktemp("recorded")
    script = gzip.decompress((RECORDED / "mlflow.sql.gz").read_bytes()).decode()
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.executescript(placed(script, folder))
    if installed("mlflow") != EXPECTED["versions"]["mlflow"]:  # as anybody with an older store would have to
        done = command(folder, "mlflow", "db", "upgrade", "sqlite:///mlflow.db")
        assert done.returncode == 0, done.stderr
    for source in filter(Path.is_file, (RECORDED / "artifacts").rglob("*")):
        run_id, *rest = source.relative_to(RECORDED / "artifacts").parts
        copy_placed(source, folder / "mlartifacts" / run_id / "artifacts" / Path(*rest), folder)
    sweep = folder / "multirun" / "first"
    for source in filter(Path.is_file, (RECORDED / "sweep").rglob("*")):
        copy_placed(source, sweep / source.relative_to(RECORDED / "sweep"), folder)
    for number, name in enumerate(SWEPT):
        predictions = RECORDED / "artifacts" / RUNS[name] / "predictions.parquet"
        copy_placed(predictions, sweep / str(number) / "artifacts" / "predictions.parquet", folder)
    return folder


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Path:
    """A few of the demo's frames, as old as they were."""
    tree = tmp_path_factory.mktemp("frames") / "tree"
    shutil.copytree(RECORDED / "frames", tree)
    for path in tree.rglob("*.png"):
        os.utime(path, ns=(CHANGED_NS, CHANGED_NS))
    return tree


def test_the_recording_says_nothing_of_who_made_it():
    texts = {path: path.read_bytes() for path in RECORDED.rglob("*") if path.is_file()}
    texts[RECORDED / "mlflow.sql.gz"] = gzip.decompress(texts[RECORDED / "mlflow.sql.gz"])
    for path, text in texts.items():
        assert not any(word in text for word in (b"/tmp/", b"/home/", b"/root/", b"/work/")), path
    assert sum(map(len, texts.values())) < 1_000_000


# --- full names -------------------------------------------------------------------------------------------------------


@pytest.mark.tensorflow
@pytest.mark.parametrize("target", TARGETS)
def test_a_full_name_still_means_something(target):
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{target}, which stands in configs that were tracked, resolves to nothing any more: {error}")
    assert callable(found)


# --- a run is loaded --------------------------------------------------------------------------------------------------


def predictions_of(run: str) -> pd.DataFrame:
    return pd.read_parquet(RECORDED / "artifacts" / RUNS[run] / "predictions.parquet")


def columns_of(predictions: pd.DataFrame, task: str) -> list[str]:
    """The columns that hold a task's probabilities."""
    return [name for name in predictions if name.split("/")[:2] == ["probability", task]]


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "as_run", "tasks"),
    [
        ("whole", "whole", {"general_anomaly", "violence", "property_crime", "anomaly_type"}),
        ("anomaly_violence seed=1", "anomaly_violence seed=1", {"general_anomaly", "violence", "property_crime"}),
        ("reused", "anomaly seed=0", {"general_anomaly"}),
    ],
    ids=["nothing frozen", "all frozen", "reused"],
)
def test_a_run_on_frames_gives_its_tracked_predictions(folder, frames, monkeypatch, run, as_run, tasks):
    import cv2

    from mtl.experiment import load_run

    if run != "whole" and not SAME_VERSIONS:
        pytest.skip("a frozen backbone of random weights is another one with other versions")
    monkeypatch.chdir(folder)
    paths = sorted((frames / "Test").rglob("*.png"))
    found = load_run(RUNS[run])(np.stack([cv2.imread(str(path))[..., ::-1] for path in paths]))
    predictions = predictions_of(as_run).set_index(["video", "frame"])
    rows = [(video, int(frame)) for video, _, frame in (path.stem.rpartition("_") for path in paths)]
    assert len(rows) == 4
    assert set(found) == tasks
    for task in tasks:
        np.testing.assert_allclose(found[task], predictions.loc[rows, columns_of(predictions, task)], rtol=0, atol=1e-5)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_run_on_rows_gives_its_tracked_predictions(folder, monkeypatch):
    from mtl.experiment import load_run

    monkeypatch.chdir(folder)
    with np.load(RECORDED / "related_rows.npz") as stored:
        found = load_run(RUNS["related"])(stored["rows"])
    predictions = predictions_of("related")
    assert set(found) == {"related_main", "related_auxiliary"}
    for task, probabilities in found.items():
        np.testing.assert_allclose(probabilities, predictions[columns_of(predictions, task)], rtol=0, atol=1e-5)


# --- a sweep is reported ----------------------------------------------------------------------------------------------


def numbers_in(value: object) -> Iterator[float]:
    """Every number of a JSON document, wherever it stands."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from numbers_in(each)
    elif isinstance(value, int | float):
        yield float(value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "table"),
    [("mtl", "first"), ("multirun/first", "first"), (RUNS["sweep"], "first"), ("related", "related")],
    ids=["experiment", "folder", "run", "rows"],
)
def test_a_report_says_the_same_numbers(folder, tmp_path, what, table):
    done = command(folder, "mtl.report", what, "--to", str(tmp_path / "report"))
    assert done.returncode == 0, done.stdout + done.stderr
    expected = dict(EXPECTED["tables"][table])
    shown = done.stdout.split()
    for number in expected.pop("shown"):
        assert number in shown, f"{number} is not in\n{done.stdout}"
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "report").glob("*.json")]
    found = np.array(list(numbers_in(kept)))
    for name, numbers in expected.items():
        for number in numbers:
            assert np.isclose(found, number, rtol=0, atol=1e-9).any(), f"{name}: {number} is not in the report"


# --- features are found -----------------------------------------------------------------------------------------------

# the learning rate leaves the heads as they were drawn: what a run predicts is then a function of its rows
ONE_RUN = (
    *("data=ucf_crime", "tasks=anomaly", "freeze=all", "backbone.seed=0", "model.shared_units=8", "relations=[]"),
    *("probes.batches=0", "training.epochs=1", "training.optimizer.learning_rate=1e-7", "evaluation.resamples=10"),
    *("tracking=none", "features.dir=kept", "hydra.run.dir=run"),
)
KEY = next((RECORDED / "features").iterdir()).name


def by_full_names() -> list[str]:
    """Every part of the recorded run said by its full name of then, as overrides."""
    text = (RECORDED / "artifacts" / RUNS["anomaly seed=0"] / "config.yaml").read_text(encoding="utf-8")
    config = {key: value for key, value in yaml.safe_load(text).items() if key not in ("data", "relations", "tracking")}
    words: list[str] = []

    def look(node: object, path: str) -> None:
        if isinstance(node, Mapping):
            words.extend([f"{path}._target_={node['_target_']}"] if "_target_" in node else [])
            for key, value in node.items():
                look(value, f"{path}.{key}" if path else key)

    look(config, "")
    assert len(words) > 10
    return [
        *words,
        "data._target_=mtl.data.ucf_crime.UCFCrime",
        "hydra.callbacks.sweep._target_=mtl.sweep.callback.Sweep",
    ]


def folder_name(spec: Mapping[str, object]) -> str:
    """Name of an archive's folder, by the rule of then."""
    return hashlib.blake2b(json.dumps(spec, sort_keys=True).encode(), digest_size=10).hexdigest()


def flat(spec: Mapping[str, object], before: str = "") -> dict[str, object]:
    """Entries of a spec by dotted name."""
    found: dict[str, object] = {}
    for name, value in spec.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found


def recorded_spec(here: Mapping) -> dict:
    """What the recorded archive was made of, with what is this machine's own as it is here."""
    spec = json.loads((RECORDED / "features" / KEY / "spec.json").read_text(encoding="utf-8"))
    own = ("tensorflow", "keras", "device", *(() if SAME_VERSIONS else ("architecture", "weights")))
    spec["frozen"] |= {name: here["frozen"][name] for name in own if name in here["frozen"]}
    spec["decoding"]["opencv"] = here["decoding"]["opencv"]
    return spec


def computed_on(folder: Path, frames: Path, *words: str) -> tuple[set[str], pd.DataFrame]:
    """What a run left of features, as paths, and what it predicted."""
    done = call(folder, *ONE_RUN, f"data.root={frames}", *words)
    assert done.returncode == 0, done.stderr
    kept = {path.relative_to(folder / "kept").as_posix() for path in (folder / "kept").rglob("*.npy")}
    return kept, pd.read_parquet(folder / "run" / "artifacts" / "predictions.parquet")


@pytest.fixture(scope="module")
def anew(tmp_path_factory, frames) -> tuple[dict, str, pd.DataFrame]:
    """Spec, folder name and predictions of a run that finds no features."""
    folder = tmp_path_factory.mktemp("anew")
    kept, predictions = computed_on(folder, frames)
    (archive,) = {name.split("/")[0] for name in kept}
    return json.loads((folder / "kept" / archive / "spec.json").read_text(encoding="utf-8")), archive, predictions


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_frozen_part_has_the_key_it_had(anew):
    spec, archive, _ = anew
    assert folder_name(json.loads((RECORDED / "features" / KEY / "spec.json").read_text(encoding="utf-8"))) == KEY
    then, now = flat(recorded_spec(spec)), flat(spec)
    changed = {name: (then.get(name), now.get(name)) for name in then | now if then.get(name) != now.get(name)}
    assert not changed, "then and now; rows that were computed are not found any more"
    assert archive == folder_name(spec)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_features_of_then_are_found_and_not_computed_again(anew, frames, tmp_path):
    spec, _, predicted = anew
    archive = tmp_path / "kept" / folder_name(recorded_spec(spec))
    for source in (RECORDED / "features" / KEY).iterdir():
        copy_placed(source, archive / source.name, tmp_path)
    there = {path.relative_to(tmp_path / "kept").as_posix() for path in archive.glob("*.npy")}
    kept, predictions = computed_on(tmp_path, frames, *by_full_names())
    assert kept == there, "rows were computed although they are there"
    assert str(frames) in (archive / "used.json").read_text(encoding="utf-8")
    if SAME_VERSIONS:  # else random weights may be other ones than those the rows were made with
        pd.testing.assert_frame_equal(predictions, predicted, check_exact=False, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_features_of_then_are_whole(tmp_path):
    for source in (RECORDED / "features" / KEY).iterdir():
        copy_placed(source, tmp_path / "kept" / KEY / source.name, tmp_path)
    done = command(tmp_path, "mtl.features", "verify", "--dir", "kept")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {KEY}
