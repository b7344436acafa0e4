"""Two runs share a fingerprint exactly when they must give the same numbers."""

from __future__ import annotations

from mtl import numerics
from mtl.job import fingerprint as module
from mtl.job.fingerprint import data_key, fingerprint

CONFIG = {
    "seed": 0,
    "tasks": {"general_anomaly": {"classes": ["Arson"]}, "violence": {"classes": ["Fighting"]}},
    "data": {"root": "/a", "annotations": {"train": None}, "every": 1},
    "training": {"epochs": 3},
    "numerics": {"portable": False},
    "tracking": {"uri": "sqlite:///a.db"},
    "features": {"dir": "/a", "max_gib": 50},
    "rerun": False,
    "dry_run": False,
    "stop_after": 3,
}


def changed(**keys):
    return fingerprint(CONFIG | keys, "data")


def test_paths_tracking_and_what_is_said_do_not_count():
    same = fingerprint(CONFIG, "data")
    assert changed(tracking={"uri": "http://b"}) == same
    assert changed(features={"dir": "/b", "max_gib": 1}) == same
    assert changed(rerun=True, stop_after=None) == same
    assert changed(data={"root": "/b", "annotations": {"train": "list.txt"}, "every": 1}) == same
    assert fingerprint(dict(reversed(CONFIG.items())), "data") == same


def test_whatever_changes_the_numbers_counts(monkeypatch):
    same = fingerprint(CONFIG, "data")
    tasks = CONFIG["tasks"]
    others = {
        changed(seed=1),
        changed(training={"epochs": 4}),
        changed(data={"root": "/a", "annotations": {"train": None}, "every": 2}),
        changed(tasks=dict(reversed(tasks.items()))),
        fingerprint(CONFIG, "other data"),
    }
    monkeypatch.setattr(module, "code_digest", lambda: "other code")
    others.add(fingerprint(CONFIG, "data"))
    monkeypatch.undo()
    monkeypatch.setattr(module, "versions", lambda: {"tensorflow": "0"})
    others.add(fingerprint(CONFIG, "data"))
    assert len(others) == 7
    assert same not in others


def test_what_does_the_arithmetic_counts(monkeypatch):
    same = fingerprint(CONFIG, "data")
    assert changed(numerics={"portable": True}) != same
    monkeypatch.setattr("mtl.numerics.OWN", dict.fromkeys(numerics.PORTABLE) | {numerics.ONEDNN: "0"})
    without = fingerprint(CONFIG, "data")
    monkeypatch.setattr("mtl.numerics.OWN", dict.fromkeys(numerics.PORTABLE) | {numerics.ONEDNN: "1"})
    assert fingerprint(CONFIG, "data") != without


def test_other_distributions_of_the_same_package_count(monkeypatch):
    module.versions.cache_clear()
    monkeypatch.setattr("mtl.tracking.provenance.version", lambda name: f"version of {name}")
    found = module.versions()
    module.versions.cache_clear()
    assert {"tensorflow", "tensorflow-cpu", "opencv-python", "opencv-python-headless"} <= set(found)


def test_a_file_counts_by_its_bytes(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"weights")
    (tmp_path / "b.h5").write_bytes(b"weights")
    (tmp_path / "c.h5").write_bytes(b"others")
    a, b, c = (changed(backbone={"weights": str(tmp_path / name)}) for name in ("a.h5", "b.h5", "c.h5"))
    assert a == b != c
    (tmp_path / "a.h5").write_bytes(b"changed")
    assert changed(backbone={"weights": str(tmp_path / "a.h5")}) != b


def test_data_are_told_apart_by_their_config():
    assert data_key(CONFIG) == data_key(CONFIG | {"seed": 5})
    assert data_key(CONFIG) != data_key(CONFIG | {"data": {"root": "/b"}})


def test_what_test_frames_are_judged_by_is_neither_in_the_fingerprint_nor_in_the_data_key():
    judged = CONFIG | {"data": {**CONFIG["data"], "events": "/annotation.txt", "fps": 25}}
    assert fingerprint(judged, "data") == fingerprint(CONFIG, "data")
    assert data_key(judged) == data_key(CONFIG)


def test_modules_that_do_not_count_are_there():
    here = module.Path(module.__file__).parents[1]
    modules = {path.relative_to(here).with_suffix("").parts[0] for path in here.rglob("*.py")}
    assert modules >= module.NEUTRAL_CHAPTERS
