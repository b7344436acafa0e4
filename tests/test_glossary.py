"""docs/glossary.md: in order, one line each, and everything it names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml
from conftest import ROOT

CONF = ROOT / "conf"
PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
WORDS, OLDER = (
    [[cell.strip() for cell in line.strip("|").split(" | ")] for line in part.splitlines() if line.startswith("| ")][1:]
    for part in PAGE.split("## Older words")
)
TERMS = [row[0] for row in WORDS]
NAMED = sorted({name for row in WORDS for name in re.findall(r"`([^`]+)`", row[2])})
# quantities are written as a string somewhere in the code, but for those of relations, which are files of conf/
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "mtl").rglob("*.py")))


def flattened(prefix: str, content: object) -> Iterator[str]:
    """Every key below a prefix, joined by dots."""
    if prefix:
        yield prefix
    if isinstance(content, dict):
        for key, inner in content.items():
            yield from flattened(f"{prefix}.{key}".lstrip("."), inner)


def config_keys() -> set[str]:
    """Every key that can stand on the command line, whatever the choices of groups."""
    keys = set(flattened("", yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))))
    for path in CONF.glob("*/*.yaml"):
        group = {"task": "tasks"}.get(path.parent.name, path.parent.name)
        keys |= set(flattened(group, yaml.safe_load(path.read_text(encoding="utf-8"))))
    return keys


KEYS = config_keys()


def exists(name: str) -> bool:
    """Whether a file, a choice of a group, a tracked quantity, or a config key of this name is there."""
    if "<" in name:
        quantity = name.partition("/")[0]
        measure = re.sub(r"_(baseline|by_layer)$", "", quantity)
        suffix = quantity.removeprefix(measure)
        if (CONF / "relations" / f"{measure}.yaml").is_file():
            return not suffix or f"{{name}}{suffix}" in SOURCES
        interval = re.sub(r"_(low|high)$", "", quantity)
        ends = not quantity.removeprefix(interval) or f"{{prefix}}{quantity.removeprefix(interval)}/" in SOURCES
        named = (
            f'"{interval}/{{',
            f'("{interval}", ',
            f'"{interval}": ',
            f'"{interval}")',
            f'"{interval.rpartition("_")[0]}_{{',
        )
        named = named if "_" in interval else named[:-1]  # the last is of a name whose end is put in
        return ends and any(text in SOURCES for text in named)
    if "=" in name:
        group, _, choice = name.partition("=")
        return (CONF / group).is_dir() if choice == "[]" else (CONF / group / f"{choice}.yaml").is_file()
    if name.startswith(("mtl/", "conf/", "tests/")):
        return (ROOT / name).exists() and (ROOT / name).is_dir() == name.endswith("/")
    return name in KEYS or ("/" in name and f'"{name}"' in SOURCES)


def test_every_line_has_a_word_a_meaning_and_a_place():
    assert len(WORDS) > 50
    for row in WORDS:
        assert len(row) == 3, row
        assert all(row), row
        assert "`" in row[2], row


def test_every_older_word_has_its_new_one():
    assert len(OLDER) >= 9
    for row in OLDER:
        assert len(row) == 2, row
        assert row[1] in TERMS, row
        assert row[0] not in TERMS, row


@pytest.mark.parametrize("words", [TERMS, [row[0] for row in OLDER]], ids=["words", "older words"])
def test_words_are_in_order_and_there_once(words):
    folded = [word.casefold() for word in words]
    assert folded == sorted(folded)
    assert len(set(folded)) == len(folded)


@pytest.mark.parametrize("name", NAMED)
def test_what_is_named_exists(name):
    assert exists(name), f"{name} is no file, choice, quantity or config key"


@pytest.mark.parametrize(
    "name", ["weighting.temprature", "weighting=dwaa", "acu/<task>", "mtl/nowhere.py", "auc_mid/<task>"]
)
def test_what_does_not_exist_is_found_out(name):
    assert not exists(name)
