import os
import signal
import sqlite3
import threading
import time
from contextlib import closing, contextmanager

import pytest

from mtl.tracking.store import Store
from mtl.tracking.uninterrupted import uninterrupted

PATIENT_S = 60.0  # for a timer, however busy the machine is


class Told(BaseException):
    pass


@contextmanager
def told_of(number):
    def tell(number, frame):
        raise Told

    before = signal.signal(number, tell)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_the_block(number):
    done = []

    def work():
        with uninterrupted():
            os.kill(os.getpid(), number)
            done.append("all of it")
        done.append("what comes behind")

    with told_of(number), pytest.raises(Told):
        work()
    assert done == ["all of it"]


def test_a_signal_counts_more_than_what_fails_after_it():
    def work():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            raise ConnectionError

    with told_of(signal.SIGINT), pytest.raises(Told):
        work()


def test_the_second_signal_does_not_wait():
    done = []

    def work():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the first waits")
            os.kill(os.getpid(), signal.SIGINT)
            done.append("not reached")

    with told_of(signal.SIGINT), pytest.raises(Told):
        work()
    assert done == ["the first waits"]


def test_the_handlers_are_there_again_whichever_way_the_block_is_left():
    def work(before):
        with uninterrupted():
            assert signal.getsignal(signal.SIGINT) is not before[0]
            raise ZeroDivisionError

    with told_of(signal.SIGINT), told_of(signal.SIGTERM):  # in the background the first is ignored
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        with pytest.raises(ZeroDivisionError):
            work(before)
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_nothing_changes():
    seen = []

    def work():
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


def test_a_store_interrupted_at_any_instant_can_be_written_at_once(tmp_path):
    database = tmp_path / "mlflow.db"
    store = Store(f"sqlite:///{database}", "mtl", None, 30.0)
    run = store.ask(lambda: store.client.create_run(store.create_experiment()).info.run_id)

    def interrupted(step, timer):
        timer.start()
        store.ask(lambda: store.client.log_metric(run, "loss", float(step), step=step))
        time.sleep(PATIENT_S)

    kept = []  # whoever holds the exception holds what its frames hold
    for step in range(40):
        timer = threading.Timer(0.001 * step, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        with told_of(signal.SIGINT), pytest.raises(Told) as caught:
            interrupted(step, timer)
        kept.append(caught.value)
        with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
            connection.execute("begin immediate")
            connection.execute("rollback")
    steps = [point.step for point in store.client.get_metric_history(run, "loss")]
    assert steps == sorted(set(steps))
