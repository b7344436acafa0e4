"""Every command of the README is a command that works."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import ROOT, sampled, slow
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from mtl.config.build import hydra_options
from mtl.config.renamed import override
from mtl.data.class_names import CLASSES
from mtl.errors import UserError
from mtl.numerics import Numerics

README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = sorted({line.strip() for line in README.splitlines() if re.match(r"\s*(python|mlflow) ", line)})
BASE = {key: value for key, value in hydra_options().items() if key == "version_base"}
RUNS = [line for line in LINES if line.startswith("python run.py")]
# what is run as it stands by `.ci/run`, and what other tests run at length
ELSEWHERE = {
    "mlflow ui": "tests/tracking/test_tracking.py",
    "mlflow server": "tests/tracking/test_tracking.py",
    "python -m mtl.report mtl": "tests/report/test_report.py and .ci/run",
    "python -m mtl.export RUN model.onnx": "tests/test_export.py",
    "python -m mtl.extract_frames /path/to/videos /path/to/ucf": "tests/test_extract_frames.py",
    "python -m mtl.predict RUN ": "tests/predict/test_predict.py",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A frame tree that is good enough for the checks before a run."""
    root = tmp_path_factory.mktemp("ucf")
    for split in ("Train", "Test"):
        for name in CLASSES:
            folder = root / split / name.replace("Normal", "NormalVideos")
            folder.mkdir(parents=True)
            (folder / f"{name}001_x264_0.png").touch()
    return root


@pytest.mark.parametrize("line", [*RUNS[:4], *slow(*RUNS[4:])])
def test_every_run_composes_and_passes_the_checks(line, tree, tmp_path, monkeypatch):
    from mtl.config.check import check

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Numerics, "prepare", lambda self: None)  # else the rest of the suite would compute so
    here = re.sub(r"/(path/to|shared)/(ucf|release|mine)", str(tree), line).replace("HOST", "127.0.0.1")
    words = [override(word.strip('"')) for word in here.split()[2:]]
    if words[0] in ("--help", "--cfg", "--info"):
        pytest.skip("run by tests/config/test_commandline.py")
    if words[0] == "--config-dir":
        pytest.skip("run by tests/test_unlabelled_runs.py")
    swept = words[0] == "-m"
    words = [word if "=[" in word else word.partition(",")[0] for word in words if word != "-m"]
    with initialize_config_dir(str(ROOT / "conf"), **BASE):
        config = compose("config", words, return_hydra_config=True)
        recipe = "experiment=" in line and "-m" not in line  # which sweeps by itself
        assert recipe or swept == ("," in line and "=[" not in line)
        del config.hydra
        if re.search(r"data\.\S+=(/path/to/|\S+\.csv)", here):  # the words are right, and no file is there
            with pytest.raises(UserError, match=r"is not there: |there is no file "):
                check(config)
        else:
            check(config)
    HydraConfig.instance().cfg = None


def test_a_recipe_of_the_readme_is_a_multirun():
    with initialize_config_dir(str(ROOT / "conf"), **BASE):
        for recipe, n_sets in (("ablation", 4), ("all_subsets", 8)):
            config = compose("config", [f"experiment={recipe}"], return_hydra_config=True)
            assert str(config.hydra.mode) == "RunMode.MULTIRUN"
            assert config.hydra.sweeper.params.seed == "0,1,2,3,4,5"
            sets = [name.strip() for name in config.hydra.sweeper.params.tasks.split(",")]
            assert len(set(sets)) == n_sets
            assert all((ROOT / "conf" / "tasks" / f"{name}.yaml").is_file() for name in sets)


OTHERS = [line for line in LINES if line not in RUNS and not line.startswith(tuple(ELSEWHERE))]


@pytest.mark.parametrize("line", sampled(OTHERS, every=3))
def test_every_other_command_runs(line, tmp_path):
    if line.startswith("python -m venv"):
        pytest.skip("run by .ci/run, word for word")
    words = line.split()
    assert words[:2] == ["python", "-m"]
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == (1 if "send" in words else 0), done.stdout + done.stderr


def test_the_picture_and_the_links_are_there():
    for name in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"`(tests/\S+?\.py|conf/\w+/|mtl/\w+/)`", README):
        assert (ROOT / name).exists(), name


def test_a_server_listens_on_this_machine_or_asks_who_it_is():
    servers = [line for line in LINES if line.startswith("mlflow server")]
    assert len(servers) == 2
    assert all("--host 127.0.0.1" in line or "--app-name basic-auth" in line for line in servers)
