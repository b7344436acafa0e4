"""What a public class of Keras takes, read from its source without importing it.

Keras annotates nothing, so a parameter's default tells what it may be.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from mtl.config.targets import keras_file, of_keras

OPTIMIZERS = "keras.optimizers."
BASE = "keras.src.optimizers.base_optimizer.BaseOptimizer"  # takes what an optimizer hands on
# of an optimizer: what Keras would find out after the data have been read, or never; a schedule is a node of its own
OF_OPTIMIZERS: Mapping[str, Any] = {
    "learning_rate": PositiveFloat,
    "weight_decay": NonNegativeFloat | None,
    "clipnorm": PositiveFloat | None,
    "clipvalue": PositiveFloat | None,
    "global_clipnorm": PositiveFloat | None,
    "loss_scale_factor": PositiveFloat | None,
    "ema_overwrite_frequency": PositiveInt | None,
    "gradient_accumulation_steps": PositiveInt | None,
}


@dataclass(frozen=True)
class Signature:
    """Parameters of a constructor or function.

    Attributes
    ----------
    annotations : mapping of str to object
        Per parameter its evaluated annotation; `Any` where it needs a heavy module.
    open_ended : bool
        Whether it takes any further keyword.
    required : frozenset of str
        Parameters that must be given.
    """

    annotations: Mapping[str, Any]
    open_ended: bool
    required: frozenset[str]


@cache
def keras_signature(target: str) -> Signature:
    """Signature of one of `mtl.config.targets.of_keras`, by its public name."""
    is_optimizer = target.startswith(OPTIMIZERS) and target.count(".") == 2
    parts = [_arguments(of_keras()[target])]
    if is_optimizer:  # what it takes beside is its base class's
        parts.insert(0, _arguments(BASE))
    annotations: dict[str, Any] = {}
    for found in filter(None, parts):
        annotations |= _by_default(found)
    if is_optimizer:
        annotations |= {key: value for key, value in OF_OPTIMIZERS.items() if key in annotations}
    own = parts[-1]
    if own is None:
        return Signature({}, open_ended=True, required=frozenset())
    positional = [*own.posonlyargs, *own.args]
    optional = {argument.arg for argument in positional[len(positional) - len(own.defaults) :]}
    required = {argument.arg for argument in positional if argument.arg != "self"} - optional
    return Signature(annotations, own.kwarg is not None and not is_optimizer, frozenset(required))


def _arguments(name: str) -> ast.arguments | None:
    """Arguments of a function or of a class's own `__init__`; None where the source has neither."""
    module, _, own = name.rpartition(".")
    file = keras_file(module)
    tree = ast.Module([], []) if file is None else ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == own:
            return node.args
        if isinstance(node, ast.ClassDef) and node.name == own:
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                    return part.args
    return None


def _by_default(arguments: ast.arguments) -> dict[str, Any]:
    """By parameter what its default says of it; `Any` where it says nothing."""
    positional = [*arguments.posonlyargs, *arguments.args]
    without = [None] * (len(positional) - len(arguments.defaults))
    pairs = [*zip(positional, [*without, *arguments.defaults], strict=True)]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    kinds: Mapping[type, Any] = {bool: bool, int: float, float: float, str: str | None}
    return {
        argument.arg: kinds.get(type(default.value), Any) if isinstance(default, ast.Constant) else Any
        for argument, default in pairs
        if argument.arg != "self"
    }
