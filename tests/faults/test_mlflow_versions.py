"""MLflow of several versions in turn on one database; one that does not fit what is installed beside it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
from conftest import tracking_of

from mtl.errors import UserError
from mtl.tracking import mlflow_tracking
from mtl.tracking.versions import migrated


@pytest.mark.slow
def test_a_store_of_a_newer_mlflow_is_one_line_and_stays_as_it_is(tmp_path):
    tracking_of(tmp_path).prepare()
    newer = tmp_path / "newer"  # MLflow opens each store once per process
    newer.mkdir()
    shutil.copy(tmp_path / "mlflow.db", newer)
    with closing(sqlite3.connect(newer / "mlflow.db")) as store:  # a revision that this one does not know
        store.execute("update alembic_version set version_num = 'ffffffffffff'")
        store.commit()
    said = r"was written by a newer MLflow than \d+\.\d+.*`pip install -U mlflow`, or set tracking.uri to a new one"
    with pytest.raises(UserError, match=f"{said}|made by another version of MLflow"):
        tracking_of(newer).prepare()
    with closing(sqlite3.connect(newer / "mlflow.db")) as store:
        assert store.execute("select version_num from alembic_version").fetchall() == [("ffffffffffff",)]


def test_an_mlflow_that_lacks_what_it_needs_is_one_line_before_any_data(tmp_path, monkeypatch):
    def lacking(*given):
        raise ImportError("cannot import name 'FallbackAsyncAdaptedQueuePool' from 'sqlalchemy.pool'")

    monkeypatch.setattr(mlflow_tracking, "create_database", lacking)
    said = r"cannot open sqlite:.*with what is installed beside it \(cannot import name .*requirements.lock"
    with pytest.raises(UserError, match=said):
        tracking_of(tmp_path).prepare()


def test_a_migrated_store_is_said(tmp_path):
    said = migrated(tmp_path / "mlflow.db", "bda7b8c39065", "dc11669786a5")
    assert said.startswith("MLflow ")
    assert said.endswith("mlflow.db to its own schema: older versions cannot open it any more.")
    assert not migrated(tmp_path / "mlflow.db", "dc11669786a5", "dc11669786a5")
