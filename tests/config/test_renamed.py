"""Old names on the command line, in people's files, in stored configs and in what was tracked are understood."""

from __future__ import annotations

import pytest
from conftest import BARE, ROOT, call
from omegaconf import OmegaConf

from mtl import moved
from mtl.config import renamed as keys
from mtl.config.build import build
from mtl.config.schema import signature
from mtl.results import TrackedRun
from mtl.tracking import renamed as tracked
from mtl.tracking.journal import recorded
from mtl.tracking.no_tracking import NoTracking


@pytest.mark.parametrize("name", [*moved.NAMES.values(), "mtl.ablation.groups.best_groups"])
def test_what_moved_is_where_the_table_says(name):
    assert moved.current(name) == name
    if not name.startswith("mtl.errors"):
        assert signature(name)


@pytest.mark.parametrize(
    ("word", "now"),
    [
        ("probes.batches=0", "gradient_measurements.batches=0"),
        ("probes.epochs=1,2", "gradient_measurements.epochs=1,2"),
        ("+probes.x=1", "+gradient_measurements.x=1"),
        ("++probes.x=1", "++gradient_measurements.x=1"),
        ("~probes", "~gradient_measurements"),
        ("~probes.batches", "~gradient_measurements.batches"),
        ("model.seed=${probes.seed}", "model.seed=${gradient_measurements.seed}"),
        *(
            (same, same)
            for same in ("probes", "--config-name=probes", "tasks=probes", "+probes", "data.root=a/probes.b")
        ),
        *((same, same) for same in ("probes_of_mine=1", "gradient_measurements.batches=0", "hydra.run.dir=probes=1")),
    ],
)
def test_an_override_under_an_old_key_is_one_of_today(word, now):
    assert keys.override(word) == now
    assert keys.lines([word, "seed=1"]) == (["probes is now called gradient_measurements."] if now != word else [])


def test_the_command_line_takes_old_keys_and_says_the_new_ones(tmp_path):
    done = call(tmp_path, "probes.batches=3", "+probes.x=1", "--cfg", "job", "--package", "gradient_measurements")
    assert done.stderr == "probes is now called gradient_measurements.\n"
    assert done.returncode == 0
    assert "batches: 3" in done.stdout
    assert "x: 1" in done.stdout


def test_a_node_under_an_old_key_is_merged_and_the_command_line_goes_before_it():
    config = OmegaConf.create(
        {
            "gradient_measurements": {"_target_": "x", "batches": 5, "epochs": 1, "seed": 0},
            "probes": {"batches": 7, "epochs": 2},
            "copy": ["${probes.epochs}"],
        }
    )
    OmegaConf.set_struct(config, True)
    found = keys.renamed(config, ["seed=1", "probes.batches=5"])
    assert OmegaConf.to_container(found, resolve=True) == {
        "gradient_measurements": {"_target_": "x", "batches": 5, "epochs": 2, "seed": 0},
        "copy": [2],
    }
    assert OmegaConf.is_struct(found)
    assert keys.renamed(found) is found


def test_a_stored_config_has_the_keys_of_today():
    stored = OmegaConf.create({"seed": 1, "probes": {"_target_": "mtl.probes.Probes", "batches": 0}})
    found = keys.of_today(stored)
    probes = {"_target_": "mtl.probes.Probes", "batches": 0, "path_steps": None, "share": None, "most_batches": 8}
    assert found == {"seed": 1, "gradient_measurements": probes}


def test_a_recipe_may_turn_an_old_key():
    config = OmegaConf.create({"hydra": {"sweeper": {"params": {"seed": "0,1", "probes.batches": "0,2"}}}})
    OmegaConf.set_readonly(config, True)
    keys.rename_sweep(config)
    assert config.hydra.sweeper.params == {"seed": "0,1", "gradient_measurements.batches": "0,2"}


def test_one_table_completes_stored_configs_that_lack_a_newer_key(monkeypatch):
    text = (ROOT / "conf" / "weighting" / "gradnorm.yaml").read_text(encoding="utf-8")
    whole = OmegaConf.create({"deep": [OmegaConf.create(text)]})
    stored = whole.copy()
    key = next(name for name in stored.deep[0] if name != "_target_")
    value = stored.deep[0].pop(key)
    with pytest.raises(Exception, match=key):
        build(keys.of_today(stored).deep[0], tasks=("a", "b"))
    monkeypatch.setitem(keys.COMPLETED, "mtl.weighting.gradnorm.GradNorm", {key: value})
    assert keys.of_today(stored) == whole
    build(keys.of_today(stored).deep[0], tasks=("a", "b"))
    changed = OmegaConf.merge(whole, {})
    changed.deep[0][key] = value + 1
    assert keys.of_today(changed) == changed


def test_what_completes_stored_configs_fits_signatures():
    for target, values in keys.COMPLETED.items():
        assert moved.current(target) == target
        assert set(values) <= set(signature(target).annotations)


OLD = {
    "params": {"cut": "nowhere", "probes.batches": "2", "seed": "1", "weighting": "equal"},
    "metrics": {
        "epoch/chosen": 2,
        "time/probes_s": 3,
        "conflict_rate_null/a_vs_b": 4,
        "label_null_by_layer/x.a_vs_b": 5,
    },
}
NEW = {
    "params": {"split_point": "nowhere", "gradient_measurements.batches": "2", "seed": "1", "weighting": "equal"},
    "metrics": {
        "epoch/best": 2,
        "time/gradient_measurements_s": 3,
        "conflict_rate_baseline/a_vs_b": 4,
        "label_baseline_by_layer/x.a_vs_b": 5,
    },
}


def test_a_run_tracked_under_old_names_is_one_of_today(tmp_path):
    old_tags = {"undefined": "auc/x_null, epoch/chosen, conflict_rate_null/a_vs_b"}
    run = tracked.tracked_run("all probes.batches=2 seed=1", tags=old_tags, id="1", status="FINISHED", **OLD)
    tags = {"undefined": "auc/x_null, epoch/best, conflict_rate_baseline/a_vs_b"}
    assert run == TrackedRun("1", "all gradient_measurements.batches=2 seed=1", "FINISHED", tags=tags, **NEW)
    for name, numbers in (("old", OLD), ("new", NEW)):
        run = NoTracking().start(name, tmp_path / name, None, {})
        run.params(numbers["params"])
        run.metrics(numbers["metrics"], step=0)
        run.end("FINISHED")
    old, new = recorded(tmp_path)
    assert (old.params, old.metrics) == (new.params, new.metrics) == (NEW["params"], NEW["metrics"])


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_run_by_a_file_of_before_is_the_run_of_today(tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    text = "# @package _global_\nprobes:\n  batches: 0\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n"
    text += "      probes.epochs: 1,2\n"
    (tmp_path / "mine" / "experiment" / "own.yaml").write_text(text, encoding="utf-8")
    words = [word for word in BARE if not word.startswith("gradient")]
    done = call(tmp_path, "-cd", str(tmp_path / "mine"), "experiment=own", "tasks=anomaly", "tracking=none", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "multirun").glob("*/*")
    runs = [run for run in recorded(folder) if run.params]
    assert [run.params["gradient_measurements.epochs"] for run in runs] == ["1", "2"]
    assert {run.params["gradient_measurements.batches"] for run in runs} == {"0"}
    assert not any(key.startswith("probes") for run in runs for key in run.params)


@pytest.mark.parametrize(
    ("word", "now"),
    [
        ("training.optimizer=sgd", "training/optimizer=sgd"),
        ("training.optimizer=SGD,adam", "training/optimizer=sgd,adam"),
        ("++training.optimizer=AdamW", "training/optimizer=adamw"),
        ("training.optimizer.learning_rate=0.1", "training.optimizer.learning_rate=0.1"),
        ("training.optimizer={_target_:keras.optimizers.Lamb}", "training.optimizer={_target_:keras.optimizers.Lamb}"),
        ("training/optimizer=sgd", "training/optimizer=sgd"),
    ],
)
def test_an_optimizer_is_chosen_by_its_short_name_in_either_spelling(word, now):
    assert keys.override(word) == now
    assert keys.lines([word]) == []  # nothing has a new name


def test_a_recipe_may_turn_an_optimizer_by_its_short_name():
    config = OmegaConf.create({"hydra": {"sweeper": {"params": {"training.optimizer": "sgd,adam", "seed": "0,1"}}}})
    keys.rename_sweep(config)
    assert config.hydra.sweeper.params == {"training/optimizer": "sgd,adam", "seed": "0,1"}


def test_a_task_gets_its_label_file_without_a_sign():
    assert keys.override("data.labels.violence=a.csv") == "++data.labels.violence=a.csv"
    assert keys.override("data.labels=null") == "data.labels=null"
    assert keys.lines(["data.labels.violence=a.csv"]) == []
