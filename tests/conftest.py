"""What several tests need: the real command line on a tiny demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from warm import Warm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    import pandas as pd
    import tensorflow as tf
    from omegaconf import DictConfig

    from mtl.tracking.mlflow_tracking import MLflowTracking
    from mtl.weighting.base import Weighting
    from mtl.weighting.present import Present

# many small matrices: one thread each is faster than several that wait for each other; read where numpy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# a busy machine is no fault of ours
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parents[1]
TINY = (
    "data.train_videos=3",
    "data.test_videos=2",
    "data.normal_train_videos=12",
    "data.normal_test_videos=8",
    "data.frames_per_video=4",
    "training.epochs=2",
    "gradient_measurements.epochs=1",
    "gradient_measurements.batches=2",
    "gradient_measurements.batch_size=16",
    "evaluation.resamples=100",
)

# a sweep is no better proved by measuring, drawing and compiling more in its jobs
BARE = (*TINY, "relations=[loss_correlation]", "gradient_measurements.batches=0", "freeze=all")
PARAM = type(pytest.param())

# long files that the alphabet puts last: begun there, one of two processes waits for the other
BEGUN_FIRST = (
    *("test_weighting.py", "test_training.py", "test_gradient_measurements.py", "test_checkpoint.py"),
    *("test_tracking.py", "test_unlabelled_runs.py", "test_benchmarks.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin long files first; all else stays in its order."""
    items.sort(key=lambda item: item.path.name not in BEGUN_FIRST)


def slow(*values: object) -> list:
    """Parameters that are tried by the whole suite only."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def sampled(values: Iterable[object], every: int) -> list:
    """The first and every so-manieth parameter as they are, the others for the whole suite only.

    A tuple is one value for each of several names; a `pytest.param` keeps its marks and its id.
    """
    found = []
    for number, value in enumerate(values):
        if not isinstance(value, PARAM):
            value = pytest.param(*(value if isinstance(value, tuple) else (value,)))
        marks = [*value.marks, pytest.mark.slow] if number % every else value.marks
        found.append(pytest.param(*value.values, marks=marks, id=value.id))
    return found


def shared_shapes(n: int) -> list[tuple[int, ...]]:
    """Shapes of two shared variables with n parameters in all, a matrix and a vector; n is at least 2."""
    return [(1, n // 2), (n - n // 2,)]


def by_variable(gradients: np.ndarray | tf.Tensor) -> list[list[tf.Tensor]]:
    """Gradients (n_tasks, n) on the variables of `shared_shapes`, by task, then by variable."""
    import tensorflow as tf

    rows = tf.cast(gradients, tf.float32)
    n_tasks, n = rows.shape
    shapes = shared_shapes(n)
    return [
        [tf.reshape(part, shape) for part, shape in zip((row[: n // 2], row[n // 2 :]), shapes, strict=True)]
        for row in tf.unstack(rows, n_tasks)
    ]


def asked(weighting: Weighting | Present, losses: np.ndarray, gradients: np.ndarray | tf.Tensor) -> tf.Tensor:
    """Weights (n_tasks,) of a step with these losses and gradients (n_tasks, n), as a training asks for them."""
    import tensorflow as tf

    rows = tf.cast(gradients, tf.float32)
    observed = weighting.observe(by_variable(rows)) if weighting.uses_gradients else None
    return weighting.weights(tf.cast(losses, tf.float32), tf.matmul(rows, rows, transpose_b=True), observed)


def moved_on(
    weighting: Weighting | Present, losses: np.ndarray, after: np.ndarray, gradients: np.ndarray | tf.Tensor
) -> None:
    """The weighting has learned from the step that was asked about, and it was taken."""
    import tensorflow as tf

    weighting.update(tf.cast(losses, tf.float32), tf.cast(after, tf.float32))
    if weighting.uses_gradients:
        weighting.remember(by_variable(gradients))


def update_of(weighting: Weighting, losses: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The direction (n,) that the shared parameters are moved against."""
    import numpy as np
    import tensorflow as tf

    from mtl.model.gradients import combine

    weights = asked(weighting, losses, gradients)
    if weighting.uses_gradients:
        weights = weighting.by_variable(weights, weighting.observe(by_variable(gradients)))
    return np.concatenate([tf.reshape(one, [-1]).numpy() for one in combine(by_variable(gradients), weights)])


def heeded() -> None:
    """Let Ctrl-C count also where the tests themselves run in the background, which leaves it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


is_slow = False  # whether the test that runs now is; a quick one would wait longer for the imports than it takes


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Know whether the test is a slow one."""
    global is_slow
    is_slow = item.get_closest_marker("slow") is not None


@cache
def warm() -> Warm:
    """The process that becomes what tests type, one for each of the processes of tests."""
    return Warm()


def call(folder: Path, *words: str, timeout: float = 900, **environment: str) -> subprocess.CompletedProcess[str]:
    """The finished `python run.py WORDS`, typed in a folder."""
    if is_slow and not environment and warm().serves(words):
        return warm().run(folder, words, timeout)
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *words],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def begun(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """`python run.py WORDS`, typed in a folder, in a group of its own; all that it prints comes through one pipe."""
    return subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "run.py"), *words],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def predicted_alike(folder: Path, videos: Path, stored: pd.DataFrame, *words: str) -> list[str]:
    """Videos of a run that `mtl.predict` scores, from the files, as the run itself did; its scores are checked.

    Parameters
    ----------
    folder : Path
        Where the run was typed.
    videos : Path
        Of the videos.
    stored : DataFrame
        The run's predictions.
    words : str
        Given to `mtl.predict` too.
    """
    import numpy as np
    import pandas as pd

    from mtl.predict.__main__ import main

    (record,) = folder.glob("outputs/*/*/artifacts")
    assert main([str(record.parent), str(videos), "--out", str(folder / "scores"), *words]) == 0
    assert (folder / "scores" / "index.html").is_file()
    found = dict(list(stored.groupby(stored["video"].astype(str))))
    tables = {name: folder / "scores" / f"{name}.csv" for name in found}
    tables = {name: pd.read_csv(table) for name, table in tables.items() if table.is_file()}
    for name, table in tables.items():
        own = found[name].sort_values("frame")
        assert table["frame"].tolist() == own["frame"].tolist()
        for task in set(table) - {"frame", "seconds"}:
            np.testing.assert_allclose(table[task], own[f"probability/{task}"], atol=1e-5)
    return sorted(tables)


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Overrides that make a run last seconds."""
    return TINY


@pytest.fixture
def composed() -> Iterator[Callable[..., DictConfig]]:
    """What composes the config of a sweep, as Hydra does; Hydra stays there for what is parsed."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):

        def one(*words: str) -> DictConfig:
            return compose("config", [*words, "hydra.mode=MULTIRUN"], return_hydra_config=True)

        yield one


def tracking_of(folder: Path, experiment: str = "mtl") -> MLflowTracking:
    """The store that runs typed in this folder write to."""
    from mtl.tracking.mlflow_tracking import MLflowTracking

    return MLflowTracking(f"sqlite:///{folder}/mlflow.db", experiment, None, timeout_s=20.0)
