"""What is measured at best, on toys; and a whole run with its profile, by the real command line."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from conftest import BARE, call, tracking_of

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def at_once(monkeypatch):
    """Measurements of no length: as few calls as there may be."""
    from mtl.profiling import calibration

    monkeypatch.setattr(calibration, "CPU_SIDE", 16)
    monkeypatch.setattr(calibration, "COPIED", 1024)
    return calibration


def test_the_quickest_call_counts_and_none_counts_alone(at_once, monkeypatch):
    times = iter([0.0, 5.0, 5.0, 7.0, 7.0, 10.0])  # calls of 5, 2 and 3 s
    monkeypatch.setattr(at_once.time, "perf_counter", lambda: next(times))
    assert at_once.quickest(lambda: None, seconds=8.0) == 2.0


@pytest.mark.slow
def test_every_rate_is_a_number(at_once):
    machine = at_once.calibrate({"steps": lambda: 3.0})
    assert machine.rates == {"steps": 3.0}
    for value in (machine.n_cores, machine.gflops, machine.copy_gb_s, machine.seconds, machine.span_seconds):
        assert np.isfinite(value)
        assert value > 0


def test_the_decoder_alone_reads_frames_that_are_there(at_once, tmp_path):
    from PIL import Image

    names = [f"{i}.png" for i in range(5)]
    for name in names:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name)
    assert at_once.decode_rate(2, tmp_path, pd.Series(names), batch_size=2) > 0


def test_a_resident_batch_goes_through_the_frozen_part_and_the_identity_has_none(at_once):
    import tensorflow as tf

    from mtl.model.parts import FrozenPart

    seen = []

    def layers(images):
        seen.append(images.shape[0])
        return tf.cast(images[:, 0, 0], tf.float32)

    frozen = FrozenPart({}, 8, 4, np.dtype(np.float32), layers, (3,))
    assert at_once.forward_rate(frozen, np.zeros((4, 8, 8, 3), np.uint8)) > 0
    assert set(seen) == {4}
    identity = FrozenPart({}, 8, 4, np.dtype(np.uint8), None)
    with pytest.raises(ValueError, match="identity"):
        identity.on_resident(np.zeros((4, 8, 8, 3), np.uint8))


@pytest.mark.slow
def test_a_profiled_run_says_where_all_of_its_time_went(tmp_path):
    # the second job finds the features that the first one computed
    done = call(tmp_path, "-m", *BARE, "tasks=anomaly", "profile=true", "seed=0,1", "backbone.seed=0")
    assert done.returncode == 0, done.stdout + done.stderr
    tracking = tracking_of(tmp_path)
    runs = {run.params["seed"]: run for run in tracking.runs() if "seed" in run.params}
    logs = {path.parent.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("multirun/*/*/*/run.log")}
    assert sorted(runs) == sorted(logs) == ["0", "1"]
    for seed, run in runs.items():
        kept = tracking.download(run.id, "")
        assert (kept / "figures" / "time_by_stage.png").is_file()
        numbers = pd.read_csv(kept / "tables" / "time_by_stage.csv", index_col="stage")
        whole = numbers["seconds"].sum()
        assert whole == pytest.approx(run.metrics["time/run_s"], rel=0.02)
        assert numbers["share"].sum() == pytest.approx(1)
        assert numbers.loc["everything else", "share"] < 0.2
        assert "gradient_measurements" in numbers.loc["gradient measurements", "reason"]
        n_steps = numbers.loc["steps", "units"]
        assert numbers.loc["steps", "best_rate"] > 0
        for stage in ("decode", "forward"):
            if seed == "0":
                assert numbers.loc[stage, "units"] == run.metrics["features/computed"] > 0
                assert numbers.loc[stage, "best_rate"] > 0
            else:
                assert numbers.loc[stage, "reason"] == "all feature vectors came from the store"
                assert np.isnan(numbers.loc[stage, "seconds"])
        # the cost: stages are begun by epochs, batches and calls, and never by steps
        log = logs[seed]
        assert "Where the time went" in log
        begun = int(re.search(r"Timing itself: ([\d,]+) stages", log)[1].replace(",", ""))
        assert n_steps > 2 * 2
        assert begun < 40 + 2 * 6 + 4 * numbers.loc["tracking", "units"]
    assert "profile" not in run.params
