"""Keys that have new names: overrides, files and stored configs that use the old ones are still understood."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from mtl import moved

# top-level keys of before, and what they are called now
RENAMED = {"probes": "gradient_measurements"}
# keys that are a group of their own: a choice for one may be typed as a value is (`training.optimizer=sgd`)
GROUPS = {"training.optimizer": "training/optimizer"}
# by target of today: values of keys that came later, with which a stored config of before means what it meant then
COMPLETED: dict[str, dict[str, object]] = {
    "mtl.data.ucf_crime.UCFCrime": {"labels": {}, "events": None, "fps": 30},
    "mtl.data.demo.Demo": {"labels": {}, "events": None, "fps": 30},
    "mtl.data.feature_files.FeatureFiles": {"names": "ucf_crime"},
    "mtl.tasks.BinaryTask": {"unlabelled": []},
    "mtl.tasks.CategoricalTask": {"unlabelled": []},
    "mtl.evaluation.Evaluation": {"alarm_gap_s": 1.0},
    "mtl.model.MultiTaskModel": {"standardise": False},
    "mtl.training.gradient_measurements.GradientMeasurements": {"path_steps": None, "share": None, "most_batches": 8},
    "mtl.training.Training": {
        "checkpoint": {
            "_target_": "mtl.training.checkpoint.Checkpoints",
            "epochs": None,
            "seconds": 300,
            "dir": ".cache/checkpoints",
        }
    },
}

_OLD = "|".join(map(re.escape, RENAMED))
_WORD = re.compile(rf"(?P<sign>\+{{0,2}}|~)(?P<old>{_OLD})(?P<rest>(?:[.=].*)?)", re.DOTALL)
_CHOICE = re.compile(rf"(?:\+\+)?(?P<key>{'|'.join(map(re.escape, GROUPS))})=(?P<choice>\w+(?:,\w+)*)")
# keys below a mapping that conf/ leaves empty: typed without the sign by which Hydra adds a key
_ADDED = re.compile(r"data\.labels\.[^=]+=.*", re.DOTALL)
_REFERENCE = re.compile(rf"(?<=\$\{{)({_OLD})(?=[.}}])")


def key(name: str) -> str:
    """The dotted name of today for one of any day."""
    first, dot, rest = name.partition(".")
    return f"{RENAMED.get(first, first)}{dot}{rest}"


def override(word: str) -> str:
    """The word of a command line with the key of today, where it is an override at all.

    Parameters
    ----------
    word : str
        Such as ``probes.batches=0``, ``+probes.x=1``, ``~probes``, ``training.optimizer=sgd`` or
        ``data.labels.violence=FILE``, which adds a key; any other word, an option's value for
        example, comes back as it is.
    """
    word = _references(word)
    if chosen := _CHOICE.fullmatch(word):
        return f"{GROUPS[chosen['key']]}={chosen['choice'].lower()}"
    if _ADDED.fullmatch(word):
        return f"++{word}"
    found = _WORD.fullmatch(word)
    if found is None or (found["sign"] != "~" and "=" not in found["rest"]):
        return word
    return f"{found['sign']}{RENAMED[found['old']]}{found['rest']}"


def lines(words: Sequence[str]) -> list[str]:
    """What a person is told of overrides under old names: one line per name."""
    old = [word for word in words if override(word) != word]
    return [f"{before} is now called {now}." for before, now in RENAMED.items() if any(before in word for word in old)]


def renamed(config: DictConfig, words: Sequence[str] = ()) -> DictConfig:
    """The config with nodes under old names merged into those of today; itself where it has none.

    Parameters
    ----------
    config : DictConfig
        A composed one has both where a person's own file uses the old name.
    words : sequence of str
        Overrides of the command line: what they set goes before what a file says.
    """
    if not any(old in config for old in RENAMED):
        return config
    plain: Any = _references(OmegaConf.to_container(config))
    overridden = {word.lstrip("+").partition("=")[0] for word in map(override, words)}
    for old, new in RENAMED.items():
        if old in plain:
            said = _without(plain.pop(old), new, overridden)
            plain[new] = OmegaConf.to_container(OmegaConf.merge(plain[new], said)) if plain.get(new) else said
    found = OmegaConf.create(plain)
    OmegaConf.set_struct(found, OmegaConf.is_struct(config))
    return found


def rename_sweep(config: DictConfig) -> None:
    """Put what a recipe has the sweeper turn (`hydra.sweeper.params`) under the names of today, in place."""
    params = config.hydra.sweeper.get("params")
    if not params:
        return
    now = dict(override(f"{name}={value}").split("=", 1) for name, value in params.items())
    if list(now) != list(params):
        OmegaConf.set_readonly(config.hydra.sweeper, False)
        config.hydra.sweeper.params = {
            name: value if name in params else now[name] for name, value in zip(now, params.values(), strict=True)
        }


def of_today(stored: DictConfig | ListConfig) -> DictConfig:
    """A stored config under the names of today, completed by `COMPLETED`: its objects can be built again."""
    assert isinstance(stored, DictConfig)
    return OmegaConf.create(_completed(OmegaConf.to_container(renamed(stored))))


def _completed(value: Any) -> Any:
    """The value with the keys that came later in every node that lacks them."""
    if isinstance(value, list):
        return [_completed(inner) for inner in value]
    if not isinstance(value, Mapping):
        return value
    later = COMPLETED.get(moved.current(str(value.get("_target_"))), {})
    return {**later, **{name: _completed(inner) for name, inner in value.items()}}


def _references(value: Any) -> Any:
    """The value with every interpolation in it under the names of today."""
    if isinstance(value, Mapping):
        return {name: _references(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_references(inner) for inner in value]
    return _REFERENCE.sub(lambda found: RENAMED[found[1]], value) if isinstance(value, str) else value


def _without(value: Any, path: str, overridden: set[str]) -> Any:
    """The node without the values that the command line has set."""
    if not isinstance(value, Mapping):
        return value
    return {
        name: _without(inner, f"{path}.{name}", overridden)
        for name, inner in value.items()
        if f"{path}.{name}" not in overridden
    }
