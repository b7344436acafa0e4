"""What docs/contributing.md says is so: the drawing, the paths and names, the worked examples."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from conftest import ROOT, TINY

from mtl.config import schema
from mtl.errors import UserError

PACKAGE = ROOT / "mtl"
PAGE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
# one node without arrows: the page says so and names them
TOOLS = {"errors", "files", "formatting", "masking", "memory", "moved", "numerics", "seeds", "statistics"} | {
    "out_of_memory",
    "terminal",
    "stopwatch",
}
COPIED = ("mtl", "conf", "tests", "hydra_plugins", "docs")

Edges = set[tuple[str, str]]

# --- the drawing ---


def chapter(path: Path) -> str:
    """A folder of mtl, or a module that stands outside of one."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@cache
def chapters_imported(path: Path) -> set[str]:
    """Chapters that a file imports when it runs, in functions too, for types alone not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    names = []
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import is not seen by the drawing"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("mtl.")}


def real_imports() -> dict[str, set[str]]:
    """Chapters that each chapter imports, the tools left out."""
    graph: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if chapter(path) not in TOOLS | {"__init__"}:
            graph.setdefault(chapter(path), set()).update(chapters_imported(path) - TOOLS)
    return {name: below - {name} for name, below in graph.items()}


def below(graph: dict[str, set[str]], name: str) -> set[str]:
    """All that a chapter reaches by its imports."""
    return {other for first in graph[name] for other in {first} | below(graph, first)}


def transitive_reduction(graph: dict[str, set[str]]) -> Edges:
    """The arrows that no longer way replaces; of a graph without cycles there is one such set."""
    return {
        (source, target)
        for source, targets in graph.items()
        for target in targets
        if not any(target in below(graph, other) for other in targets - {target})
    }


def mermaid(graph: dict[str, set[str]]) -> str:
    """The block of the page, the longest way down first, so that a picture's arrows point down."""

    def height(name: str) -> int:
        return max((1 + height(other) for other in graph[name]), default=0)

    edges = sorted(transitive_reduction(graph), key=lambda edge: (-height(edge[0]), edge))
    return "\n".join(["graph TD", *(f"    {source} --> {target}" for source, target in edges), "    tools"])


def drawn() -> str:
    (block,) = re.findall(r"```mermaid\n(.*?)\n```", PAGE, re.DOTALL)
    return block


def test_the_drawing_shows_the_real_imports():
    graph = real_imports()
    wanted = transitive_reduction(graph)
    lines = [line.strip() for line in drawn().splitlines()[1:]]
    found = {tuple(line.split(" --> ")) for line in lines if line != "tools"}
    assert found == wanted, (
        f"docs/contributing.md lacks {sorted(wanted - found)} and has {sorted(found - wanted)} too many. "
        f"The right block:\n\n```mermaid\n{mermaid(graph)}\n```\n"
    )
    assert {name for edge in found for name in edge} | {"tools"} == {*graph, "tools"}


def test_the_reduction_keeps_what_is_reached_and_nothing_twice():
    graph = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set(), "e": {"a", "d"}}
    reduced = transitive_reduction(graph)
    assert reduced == {("a", "b"), ("b", "c"), ("c", "d"), ("e", "a")}
    graph = real_imports()
    reduced = transitive_reduction(graph)
    again = {name: {target for source, target in reduced if source == name} for name in graph}
    assert all(below(again, name) == below(graph, name) for name in graph)
    assert transitive_reduction(again) == reduced


def test_every_chapter_and_every_tool_is_there_and_the_tools_are_named():
    assert {chapter(path) for path in PACKAGE.rglob("*.py")} >= TOOLS
    assert all(f"`mtl/{name}.py`" in PAGE or f"`mtl/{name}/`" in PAGE for name in TOOLS)


def test_the_tools_use_nothing_but_tools():
    for path in PACKAGE.rglob("*.py"):
        if chapter(path) in TOOLS:
            assert chapters_imported(path) <= TOOLS, path


# --- paths and names ---

EXAMPLE = re.compile(r"^(New file|At the end of) `(\S+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXAMPLES = [(place, where == "New file", text) for where, place, text in EXAMPLE.findall(PAGE)]
NEW = {place for place, is_new, _ in EXAMPLES if is_new}
TOP = "mtl|conf|tests|docs|benchmarks|findings|hydra_plugins|\\.ci"
PLACES = sorted(set(re.findall(rf"`((?:{TOP})/[^`\s]*|run\.py)`", PAGE)) - NEW)


def test_paths_are_found_on_the_page():
    assert len(PLACES) > 70
    assert len(NEW) == 8


@pytest.mark.parametrize("place", PLACES)
def test_every_path_of_the_page_is_there_and_holds_what_is_named(place):
    path, _, name = place.partition("::")
    assert (ROOT / path).exists(), path
    assert (ROOT / path).is_dir() == path.endswith("/"), path
    if name:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        named = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert name in named, f"{path} has no {name}"


def test_the_links_of_the_page_are_there():
    for name in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / name).is_file(), name


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_paths_and_imports_of_every_page_are_real(page):
    text = page.read_text(encoding="utf-8")
    for place in set(re.findall(rf"`((?:{TOP})/[\w./]+)`", text)) - NEW:
        assert (ROOT / place).exists(), place
    for module, names in re.findall(r"^    from (mtl[\w.]+) import (.+)$", text, re.MULTILINE):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), f"{module} has moved"
        found = import_module(module)
        assert all(hasattr(found, name) for name in names.split(", "))


def test_the_new_files_are_new():
    for place in NEW:
        assert not (ROOT / place).exists(), f"{place} has come to be: another example is needed"


def test_the_refusal_is_the_one_that_is_quoted():
    node = {"_target_": "mtl.weighting.dwa.DWA", "temperature": 0}
    with pytest.raises(UserError) as refused:
        schema.check_node("weighting", node, frozenset({"tasks"}))
    assert f"   {refused.value}\n" in PAGE


# --- the worked examples, done ---


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A copy of the tree with what the page says written into it."""
    copy = tmp_path_factory.mktemp("followed") / "tree"
    for name in COPIED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("run.py", "pyproject.toml", "README.md"):
        shutil.copyfile(ROOT / name, copy / name)
    for place, is_new, text in EXAMPLES:
        path = copy / place
        path.write_text(text if is_new else f"{path.read_text(encoding='utf-8')}\n\n{text}", encoding="utf-8")
    return copy


def typed(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A finished `python WORDS` in the copy, which sees the copy's modules and no others."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def passed(copy: Path, *words: str) -> str:
    """What pytest says of tests that passed in the copy, one line per test."""
    done = typed(copy, "-m", "pytest", "-n", "0", "-vv", "-m", "not slow", *words)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_weighting_of_the_page_passes_the_contract(followed):
    said = passed(
        followed, "tests/weighting/test_weighting.py", "tests/test_house.py", "-k", "loss_softmax or cycle or door"
    )
    assert "test_every_yaml_is_reproducible_and_its_variables_are_its_whole_state[loss_softmax] PASSED" in said
    assert "test_asking_for_weights_twice_gives_the_same_twice[loss_softmax] PASSED" in said
    assert "test_weights_are_finite_at_every_edge[zero gradients-loss_softmax] PASSED" in said
    assert "test_imports_only_go_down[mtl/weighting/loss_softmax.py] PASSED" in said
    assert "test_yaml_keys_are_the_signature_of_their_target[weighting/loss_softmax.yaml:] PASSED" in said
    assert said.count("loss_softmax") > 12


@pytest.mark.slow
def test_the_relation_of_the_page_passes_the_contract(followed):
    said = passed(
        followed, "tests/relations/test_relations.py", "tests/test_house.py", "-k", "angular_similarity or disaster"
    )
    assert "test_every_relation_has_the_shape_of_the_task_set[angular_similarity-4] PASSED" in said
    assert "test_permuting_the_tasks_permutes_the_matrix[angular_similarity] PASSED" in said
    assert "signature_of_their_target[relations/angular_similarity.yaml:angular_similarity] PASSED" in said
    assert "signature_of_their_target[task/disaster.yaml:disaster] PASSED" in said


@pytest.mark.slow
def test_the_data_set_of_the_page_gives_the_frame_table_that_the_tree_gives(followed):
    done = typed(followed, "-c", AS_THE_TREE)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "alike 4 frames" in done.stdout


AS_THE_TREE = """
from pathlib import Path

import pandas as pd

from mtl.data.class_names import CLASSES
from mtl.data.frame_list import FrameList
from mtl.data.ucf_crime import UCFCrime
from mtl.errors import UserError

for split, number in (("Train", 1), ("Train", 2), ("Test", 3)):
    folder = Path("frames", split, "Fighting")
    folder.mkdir(parents=True, exist_ok=True)
    for frame in range(0, 20, 10) if number == 3 else [0]:
        (folder / f"Fighting{number:03d}_x264_{frame}.png").touch()
nothing = {"labels": {}, "annotations": {}, "every": 1, "fps": 30} | dict.fromkeys(
    ("max_frames_per_video", "max_train_frames", "max_test_frames", "events")
)
tree = UCFCrime("frames", val_fraction=0.5, split_seed=0, **nothing)
wanted = tree.frames()
wanted.sample(frac=1, random_state=0).to_csv("frames.csv", index=False)
listed = FrameList("frames", "frames.csv", CLASSES)
found = listed.frames()
pd.testing.assert_frame_equal(found, wanted)
pd.testing.assert_frame_equal(listed.kept, tree.kept)
wanted.assign(class_name="Fightng").to_csv("wrong.csv", index=False)
try:
    FrameList("frames", "wrong.csv", CLASSES).frames()
except UserError as mistake:
    assert "Fightng" in str(mistake)
    print("alike", len(found), "frames")
"""


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_run_takes_all_that_the_page_adds(followed):
    words = ["tasks=anomaly_disaster", "weighting=loss_softmax", "relations=[angular_similarity]", "tracking=none"]
    done = typed(followed, "run.py", *words, *TINY, "freeze=all")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "disaster" in done.stdout
    tables = sorted(followed.glob("outputs/*/*/artifacts/tables/relations.csv"))
    assert "angular_similarity" in tables[-1].read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.tensorflow
def test_both_data_sets_of_the_page_pass_the_checks_before_a_run(followed):
    for split in ("Train", "Test"):
        folder = followed / "checked" / split / "Arson"
        folder.mkdir(parents=True)
        (folder / "Arson001_x264_0.png").touch()
    (followed / "checked.csv").touch()
    for words in (["data=ucf_thin"], ["data=frame_list", "data.table=checked.csv"]):
        done = typed(followed, "run.py", *words, "data.root=checked", "tasks=anomaly", "dry_run=true")
        assert done.returncode == 0, done.stderr[-3000:]
        assert "would run: anomaly" in done.stdout
    done = typed(followed, "run.py", "--cfg", "job", "data=ucf_thin", "data.root=checked")
    assert "  every: 5\n" in done.stdout


if __name__ == "__main__":
    print(mermaid(real_imports()))  # noqa: T201
