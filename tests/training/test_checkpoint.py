"""A killed training goes on from its last whole epoch, equal to the bit to one that was never killed."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ROOT, sampled
from test_gradient_measurements import deep_model
from test_training import TASKS, dataset, measurements, model, of_conf, training

pytestmark = pytest.mark.tensorflow

WEIGHTINGS = sorted(path.stem for path in (ROOT / "conf" / "weighting").glob("*.yaml"))
# measuring takes as long as all else and knows no weighting: two are tried with it, by losses and by gradients, each
# killed within the third epoch, and within the second one of the process that went on; every weighting is killed once
TWICE = [("uncertainty", 0, (3, 2)), ("famo", 2, (3, 2)), ("pcgrad", 2, (3, 2))]
ONCE = [(name, 0, (3,)) for name in WEIGHTINGS if name != "uncertainty"]
EACH = sampled([*TWICE, *ONCE], every=len(TWICE) + len(ONCE))  # always one with a state of its own


class Kill(BaseException):
    """As a signal would end a process: no handler of errors sees it."""


def checkpoints(folder, epochs=1, seconds=0.0):
    from mtl.training.checkpoint import Checkpoints

    return Checkpoints(epochs, seconds, str(folder))


def train(folder, weighting="equal", kill_in=None, measured=2, built=None, **changes):
    """A training whose process ends in the middle of its so manieth epoch; what it leaves where it does not."""
    from mtl.training.source import Source

    settings, begun, runs = checkpoints(folder), 0, Source.runs
    loop, built = training(**{"epochs": 6, "checkpoint": settings, **changes}), built or model(dropout=0.3)
    measured = measured if isinstance(measured, dict) else {"batches": measured}

    def killed(self, chosen):
        nonlocal begun
        begun += 1
        yield from runs(self, chosen[: len(chosen) // 2] if begun == kill_in else chosen)
        if begun == kill_in:
            raise Kill

    with pytest.MonkeyPatch.context() as patch, settings.of("key").held() as checkpoint:
        patch.setattr(Source, "runs", killed)
        of_tasks, told = of_conf(weighting), lambda number, epoch: None
        trace, history = loop.train(
            built, dataset(), of_tasks, measurements(**measured), "general_anomaly", told, checkpoint
        )
    return built, trace, history


def assert_equal(one, other):
    for a, b in zip(one[0].state, other[0].state, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for name in vars(one[1]):
        if name != "tasks":
            np.testing.assert_array_equal(getattr(one[1], name), getattr(other[1], name), err_msg=name)
    for a, b in zip(one[2].epochs, other[2].epochs, strict=True):
        for name in vars(a):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert one[2].best_epoch == other[2].best_epoch


@pytest.mark.parametrize(("weighting", "measured", "kills"), EACH)
def test_a_killed_training_goes_on_equal_to_the_bit(tmp_path, weighting, measured, kills):
    whole = train(tmp_path / "whole", weighting, measured=measured)
    for kill_in in kills:
        with pytest.raises(Kill):
            train(tmp_path / "killed", weighting, kill_in=kill_in, measured=measured)
    assert_equal(whole, train(tmp_path / "killed", weighting, measured=measured))


@pytest.mark.slow
def test_measurements_within_a_share_go_on_where_they_were_and_cost_a_training_no_bit(tmp_path):
    """Batches take turns, steps are tried every third time, other labels are permuted: all of it by the number."""
    measured = {"epochs": None, "batches": None, "share": 0.2, "batch_size": 8}
    whole = train(tmp_path / "whole", measured=measured, built=deep_model())
    assert whole[1].measurement_batches.tolist() == [0, 1, 2, 0, 1]
    assert whole[1].measurement_steps.tolist() == [14, 21, 28, 35, 42]
    tried = np.isfinite(whole[1].affinities).all(axis=(1, 2))
    assert tried.tolist() == [True, False, False, True, False]
    with pytest.raises(Kill):
        train(tmp_path / "killed", kill_in=4, measured=measured, built=deep_model())
    assert_equal(whole, train(tmp_path / "killed", measured=measured, built=deep_model()))
    for a, b in zip(whole[0].state, train(tmp_path / "bare", measured=0, built=deep_model())[0].state, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.slow
def test_early_stopping_goes_on_counting(tmp_path):
    changes = {"epochs": 30, "early_stopping": True, "patience": 2}
    whole = train(tmp_path / "whole", **changes)
    assert len(whole[2].epochs) < 30
    for _ in range(3):
        with pytest.raises(Kill):
            train(tmp_path / "killed", kill_in=2, **changes)  # one whole epoch each
    assert_equal(whole, train(tmp_path / "killed", **changes))


def test_a_training_killed_at_its_end_trains_no_epoch_again(tmp_path):
    whole = train(tmp_path, measured=0)
    numbers = []
    settings = checkpoints(tmp_path)
    with settings.of("key").held() as checkpoint:
        again = training(epochs=6, checkpoint=settings).train(
            model(dropout=0.3), dataset(), of_conf("equal"), measurements(batches=0), "general_anomaly",
            lambda number, epoch: numbers.append(number), checkpoint,
        )  # fmt: skip
    assert numbers == list(range(6))  # told again, since the row may be a new one
    np.testing.assert_array_equal(whole[1].losses, again[0].losses)
    assert again[1].earlier_seconds > 0
    assert checkpoint.n_written == 0


def turned(path):
    path.write_bytes(bytes(byte ^ (n == 5000) for n, byte in enumerate(path.read_bytes())))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [turned, cut, emptied])
def test_a_damaged_checkpoint_is_said_and_the_training_starts_anew(tmp_path, caplog, spoil):
    whole = train(tmp_path / "whole", measured=0)
    with pytest.raises(Kill):
        train(tmp_path / "killed", kill_in=4, measured=0)
    spoil(tmp_path / "killed" / "key" / "state.npz")
    assert_equal(whole, train(tmp_path / "killed", measured=0))
    assert "the training starts anew" in caplog.text


@pytest.mark.slow
def test_a_checkpoint_of_another_model_is_not_used(tmp_path, caplog):
    with pytest.raises(Kill):
        train(tmp_path, kill_in=4)
    whole = train(tmp_path / "whole", "dwa")
    assert_equal(whole, train(tmp_path, "dwa"))
    assert "of another model, weighting or optimizer" in caplog.text


@pytest.mark.slow
def test_the_state_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch, caplog):
    import errno

    from mtl import files

    def fail(descriptor, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Kill):
        train(tmp_path / "killed", kill_in=4)
    before = (tmp_path / "killed" / "key" / "state.npz").read_bytes()
    monkeypatch.setattr(files, "_reserve", fail)
    with pytest.raises(Kill):
        train(tmp_path / "killed", kill_in=2)
    assert "could be written" in caplog.text
    assert "No space left" in caplog.text
    assert (tmp_path / "killed" / "key" / "state.npz").read_bytes() == before
    assert {path.name for path in (tmp_path / "killed" / "key").iterdir()} == {"state.npz", "lock"}
    monkeypatch.undo()
    assert_equal(train(tmp_path / "whole"), train(tmp_path / "killed"))


def test_a_second_process_of_the_same_run_leaves_the_checkpoint_alone(tmp_path, caplog):
    with checkpoints(tmp_path).of("key").held() as first:
        first.write(1, {}, {})
        before = (tmp_path / "key" / "state.npz").read_bytes()
        train(tmp_path, measured=0)
        assert caplog.text.count("is going on in another process") == 1
        assert (tmp_path / "key" / "state.npz").read_bytes() == before
        first.write(2, {}, {"more": 1})
        assert (tmp_path / "key" / "state.npz").read_bytes() != before


def test_it_is_due_after_epochs_and_seconds(tmp_path):
    with checkpoints(tmp_path, epochs=2).of("key").held() as checkpoint:
        checkpoint.goes_on(3)
        assert [checkpoint.is_due(epoch) for epoch in (4, 5, 6)] == [False, True, True]
    with checkpoints(tmp_path, seconds=3600.0).of("key").held() as checkpoint:
        assert not checkpoint.is_due(100)
    with checkpoints(tmp_path, epochs=None).of("key").held() as checkpoint:
        assert not checkpoint.is_due(100)
    assert not (tmp_path / "key").exists()


def test_a_training_without_a_checkpoint_leaves_no_folder(tmp_path):
    with checkpoints(tmp_path / "checkpoints", seconds=3600.0).of("key").held() as checkpoint:
        assert checkpoint.read() is None
        assert not checkpoint.is_due(100)
        assert list(tmp_path.iterdir()) == []


def test_removing_leaves_what_another_process_holds(tmp_path):
    settings = checkpoints(tmp_path)
    with settings.of("key").held() as checkpoint:
        checkpoint.write(1, {}, {})
        settings.of("key").remove()
        assert checkpoint.exists
    settings.of("key").remove()
    assert not (tmp_path / "key").exists()


def test_tasks_are_in_the_order_of_the_set(tmp_path):
    with pytest.raises(Kill):
        train(tmp_path, kill_in=3, measured=0)
    with checkpoints(tmp_path).of("key").held() as checkpoint:
        arrays, facts = checkpoint.read()
    assert arrays["losses"].shape == (2 * 7, len(TASKS))
    assert facts["best"]["epoch"] == 1
