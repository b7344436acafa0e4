"""The law of the house, checked: floors, cycles, doors, sizes, and config keys that equal signatures."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from mtl.config import schema, targets

PACKAGE = ROOT / "mtl"
MODULES = sorted(PACKAGE.rglob("*.py"))

# from the ground up: a chapter, or a module outside of one, imports only what stands further down
FLOORS = (
    (
        "moved",
        "errors",
        "masking",
        "formatting",
        "terminal",
        "files",
        "memory",
        "out_of_memory",
        "numerics",
        "stopwatch",
        "seeds",
        "statistics",
    ),  # small tools
    ("trace", "results", "tasks", "number", "numbers", "numbers_of_relations", "tracked_numbers"),
    ("config", "drawing"),
    ("data", "model", "weighting", "relations", "plots"),
    ("features", "evaluation", "training"),
    ("ablation", "profiling"),
    ("checks", "screening"),
    ("tracking",),
    ("report",),
    ("job",),  # what a job knows of its sweep
    ("load_run",),
    ("export",),
    ("experiment",),
    ("sweep", "extract_frames", "predict"),
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
# what a neighbour on the same floor may use
BASES = {
    "moved",
    "errors",
    "masking",
    "terminal",
    "memory",
    "out_of_memory",
    "numerics",
    "data.frames",
    "trace",
    "tracked_numbers",
    "number",
    "numbers_of_relations",
    "model.gradients",
    "weighting.base",
}
DOORS = {
    "mlflow": {"tracking"},
    "cv2": {"data", "drawing"},
    "av": {"data"},
    "hydra": {"config", "sweep"},
    "omegaconf": {"config", "experiment", "load_run", "job", "sweep"},
    "tensorflow": {"model", "weighting", "training", "profiling", "experiment", "export"},
    "tf2onnx": {"export"},
    "onnx": {"export"},
    "onnxruntime": {"export"},
    "ai_edge_litert": {"export"},
    "optuna": {"sweep"},
    "keras": {"model", "weighting", "training", "experiment"},
}
MOST_LINES = 400


def dotted(path: Path) -> str:
    """A module's name below mtl; of a chapter's `__init__` the chapter's."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


NAMES = {dotted(path) for path in MODULES}


def chapter(module: str) -> str:
    return module.split(".")[0]


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
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if name.removeprefix("mtl.") in NAMES else str(node.module) for name in below]
    return found


@cache
def inner_imports(path: Path) -> frozenset[str]:
    """Modules of ours that a file imports, without `mtl.`."""
    own = [name.removeprefix("mtl.") for name in imports(path) if name.startswith("mtl.")]
    return frozenset(own) - {dotted(path)}


def test_every_chapter_has_a_floor():
    assert {chapter(name) for name in NAMES} - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_only_go_down(path):
    here = chapter(dotted(path))
    for name in inner_imports(path):
        there = chapter(name)
        if here not in (there, "__init__"):
            down = FLOOR[there] < FLOOR[here] or (FLOOR[there] == FLOOR[here] and name in BASES)
            assert down, f"{dotted(path)} (floor {FLOOR[here]}) imports {name} (floor {FLOOR[there]})"


def refuse_cycles(graph: dict[str, set[str]]) -> None:
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"cycle: {' -> '.join([*above[above.index(name) :], name])}"
        if name not in done:
            for below in sorted(graph.get(name, ())):
                visit(below, (*above, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_no_cycle_between_files():
    refuse_cycles({dotted(path): set(inner_imports(path)) for path in MODULES})


def test_no_cycle_between_chapters():
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        here = chapter(dotted(path))
        graph.setdefault(here, set()).update(chapter(name) for name in inner_imports(path))
        graph[here] -= {here}
    refuse_cycles(graph)


@pytest.mark.parametrize("library", DOORS)
def test_one_door_per_library(library):
    through = {
        chapter(dotted(path)) for path in MODULES if any(name.split(".")[0] == library for name in imports(path))
    }
    assert through <= DOORS[library]


@pytest.mark.parametrize("path", [*MODULES, *sorted((ROOT / "hydra_plugins").rglob("*.py"))], ids=str)
def test_nothing_is_pickled(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    assert "allow_pickle=True" not in path.read_text(encoding="utf-8")


def test_run_imports_nothing_heavy():
    assert set(imports(ROOT / "run.py")) == {"hydra", "mtl.config.build", "mtl.config.commandline", "mtl.experiment"}


def test_one_level_of_folders_and_no_junk_drawers():
    folders = [path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__"]
    assert all(folder.parent == PACKAGE for folder in folders)
    names = {path.stem for path in MODULES} | {folder.name for folder in folders}
    assert not names & {"utils", "helpers", "common", "misc", "components"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_has_one_subject(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def yaml_nodes() -> list:
    nodes = []
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        if path.is_relative_to(ROOT / "conf" / "hydra"):
            continue  # what Hydra itself builds; test_launchers looks at those
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if isinstance(content, dict):  # a group within the group sets a key too: `optimizer: adam`
            entries = [entry for entry in content.pop("defaults", []) if isinstance(entry, dict)]
            content |= {key: value for entry in entries for key, value in entry.items() if key.isidentifier()}
        for where, node in schema.nodes("", content):
            nodes.append(pytest.param(node, id=f"{path.relative_to(ROOT / 'conf').as_posix()}:{where}"))
    return nodes


@pytest.mark.parametrize("node", yaml_nodes())
def test_yaml_keys_are_the_signature_of_their_target(node):
    target = node["_target_"]
    if target not in targets.of_hydra():
        targets.check_target("_target_", target)
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
