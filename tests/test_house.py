"""The law of the house, checked: floors, doors, and config keys that equal signatures."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

from mtl import schema

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "mtl").rglob("*.py"))

FLOORS = {
    **dict.fromkeys(
        (
            "trace",
            "tasks",
            "mistakes",
            "statistics",
            "terminal",
            "schema",
            "commandline",
            "files",
            "examples",
            "groups",
            "journal",
            "memory",
            "seeds",
            "forms",
            "fingerprint",
            "jobs",
            "drawing",
        ),
        1,
    ),
    **dict.fromkeys(
        ("model", "backbone", "gradients", "weighting", "relations", "data", "plots", "store", "ablation", "design"), 2
    ),
    "probes": 2.5,  # stands on gradients
    **dict.fromkeys(("training", "evaluation", "tracking", "features", "record"), 3),
    "report": 3.5,  # its command asks tracking
    **dict.fromkeys(("experiment", "extract_frames"), 4),
    **dict.fromkeys(("sweep", "launcher"), 4.5),  # stand on experiment
}
BASES = {"weighting.base", "relations.base", "data.frames", "data.splits", "data.ucf_crime"} | {
    *("plots.layout", "plots.rendering"),
    *(f"drawing.{name}" for name in ("canvas", "people", "things", "places", "shot", "events", "film")),
}
DOORS = {
    "mlflow": {"tracking"},
    "cv2": {"data", "drawing"},
    "hydra": {"experiment", "sweep", "launcher", "commandline"},
    "omegaconf": {"experiment", "sweep", "launcher", "commandline"},
    "tensorflow": {"backbone", "model", "gradients", "weighting", "probes", "training", "experiment"},
    "keras": {"backbone", "model", "gradients", "weighting", "probes", "training", "experiment"},
}


def room(path: Path) -> str:
    """First part of a module's name below mtl."""
    return path.relative_to(ROOT / "mtl").with_suffix("").parts[0]


@cache
def imports(path: Path) -> list[str]:
    """Modules that a file imports when it runs, in functions too, for types alone not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.module == "mtl":
                found += [f"mtl.{alias.name}" for alias in node.names]
            else:
                found.append(str(node.module))
    return found


def inner_imports(path: Path) -> list[str]:
    """Rooms of ours that a file imports, without `mtl.`."""
    return [name.removeprefix("mtl.") for name in imports(path) if name.startswith("mtl.")]


def test_every_room_has_a_floor():
    assert {room(path) for path in MODULES} - {"__init__"} <= set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_only_go_down(path):
    here = room(path)
    if here == "__init__":
        assert not imports(path)
        return
    for name in inner_imports(path):
        there = name.split(".")[0]
        if there == here:
            assert name in BASES | {here}, f"{here} uses a sibling in its folder that is no base: {name}"
        else:
            down = FLOORS[there] < FLOORS[here] or FLOORS[here] == 1 == FLOORS[there]
            assert down, f"{here} (floor {FLOORS[here]}) imports {there} (floor {FLOORS[there]})"


def test_no_cycles():
    graph = {}
    for path in MODULES:
        name = ".".join(path.relative_to(ROOT / "mtl").with_suffix("").parts)
        graph[name] = set(inner_imports(path))
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"cycle: {' -> '.join([*above, name])}"
        if name not in done:
            for below in graph.get(name, ()):
                visit(below, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("library", DOORS)
def test_one_door_per_library(library):
    through = {room(path) for path in MODULES if any(name.split(".")[0] == library for name in imports(path))}
    assert through <= DOORS[library]


def test_run_imports_nothing_heavy():
    assert set(imports(ROOT / "run.py")) == {"hydra", "mtl.commandline", "mtl.experiment"}


def test_one_level_of_folders_and_no_junk_drawers():
    folders = [path for path in (ROOT / "mtl").rglob("*") if path.is_dir() and path.name != "__pycache__"]
    assert all(folder.parent == ROOT / "mtl" for folder in folders)
    names = {path.stem for path in MODULES} | {folder.name for folder in folders}
    assert not names & {"utils", "helpers", "common", "misc", "components"}


def yaml_nodes() -> list:
    nodes = []
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        if path.is_relative_to(ROOT / "conf" / "hydra"):
            continue  # what Hydra itself builds; test_launchers looks at those
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for where, node in schema.nodes("", content):
            nodes.append(pytest.param(node, id=f"{path.relative_to(ROOT / 'conf').as_posix()}:{where}"))
    return nodes


@pytest.mark.parametrize("node", yaml_nodes())
def test_yaml_keys_are_the_signature_of_their_target(node):
    target = node["_target_"]
    assert target.startswith(schema.TRUSTED)
    if not target.startswith("mtl."):
        return
    expected = set(schema.signature(target).annotations)
    keys = set(node) - schema.RESERVED
    handed_over = {"tasks", "trained", "n_features", "trace", "input_shape", "weights", "images"}
    assert keys <= expected
    assert expected - keys <= handed_over, f"{target} takes {expected - keys}, which conf/ does not set"


def test_choices_of_groups_are_one_word():
    names = [path.stem for path in (ROOT / "conf").rglob("*.yaml")]
    assert all(name.replace("_", "").isalnum() and name == name.lower() for name in names)


def test_a_task_file_starts_with_its_own_name():
    for group in ("task", "relations"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert list(yaml.safe_load(path.read_text(encoding="utf-8"))) == [path.stem]
