"""A constructor's signature as the schema of its config, read without importing it.

The heavy modules take seconds to import, and a misspelt key should not. So the
signature is read from the source text: keys are compared with parameters, values
with the annotations (pydantic's reading of them, strictly: a word is no number).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mtl import moved
from mtl.config.keras_signature import Signature, keras_signature
from mtl.config.targets import TARGET, check_target, check_targets, of_keras
from mtl.errors import UserError, nearest

OWN = "mtl."
PASSED_BY_CODE = {  # what the code hands to a constructor beside its config
    "model": frozenset({"trained", "n_features", "tasks"}),
    "weighting": frozenset({"tasks"}),
    "relations": frozenset({"trace"}),
}
PACKAGE = Path(__file__).resolve().parents[1]
BARE = frozenset({"ABC", "Protocol", "Generic", "object"})  # bases that take no arguments
RESERVED = frozenset({TARGET, "_partial_"})


@cache
def signature(target: str) -> Signature:
    """Signature of a class or function of ours, or of a public one of Keras, by its dotted path.

    Raises
    ------
    UserError
        If there is no such module, or nothing of that name in it.
    """
    if target in of_keras():
        return keras_signature(target)
    module, _, name = moved.current(target).rpartition(".")
    tree, _ = _module(module)
    found, handed_on = _defined(tree), _handed_on(tree)
    if name in handed_on:
        return signature(handed_on[name])
    if name not in found:
        known = {*found, *handed_on}
        raise UserError(f"_target_ {target}: module {module} has no '{name}'. {nearest(name, known)}")
    where = _constructor(module, name)
    if where is None:
        return Signature({}, open_ended=True, required=frozenset())
    function, names = where
    if function is None:
        return Signature({}, open_ended=False, required=frozenset())
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    annotations = {a.arg: _evaluate(a.annotation, names) for a in arguments if a.arg != "self"}
    positional = [*function.args.posonlyargs, *function.args.args]
    optional = {each.arg for each in positional[len(positional) - len(function.args.defaults) :]}
    optional |= {
        each.arg
        for each, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        if value is not None
    }
    return Signature(annotations, function.args.kwarg is not None, frozenset(set(annotations) - optional))


def _defined(tree: ast.Module) -> dict[str, ast.ClassDef | ast.FunctionDef]:
    """Classes and functions of a module."""
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def _handed_on(tree: ast.Module) -> dict[str, str]:
    """Full names of what a chapter's `__init__` hands on, by the name it gives them: `from x import A as A`."""
    return {
        alias.asname: f"{node.module}.{alias.name}"
        for block in (tree.body, *(node.body for node in tree.body if isinstance(node, ast.If)))  # TYPE_CHECKING too
        for node in block
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OWN)
        for alias in node.names
        if alias.asname == alias.name
    }


def _file(module: str) -> Path | None:
    """Where a module of ours stands; None where there is none. To ask Python would import the chapter around it."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def _is_file(module: str) -> bool:
    """Whether it is a module of ours, and no chapter."""
    file = _file(module) if module.startswith(OWN) else None
    return file is not None and file.name != "__init__.py"


@cache
def _module(module: str) -> tuple[ast.Module, dict[str, Any]]:
    """Syntax tree of a module and the light names its annotations may use."""
    file = _file(module)
    if file is None:
        raise UserError(f"_target_ names module '{module}', which does not exist.")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    light = ("typing", "collections.abc", "pydantic", "pathlib")
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module in light:
            exec(compile(ast.Module([node], []), str(file), "exec"), names)
        elif isinstance(node, ast.ImportFrom) and _is_file(node.module or ""):
            # an alias of an annotation may come from a module below
            wanted = {alias.name for alias in node.names}
            names.update({k: v for k, v in _module(str(node.module))[1].items() if k in wanted})
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
            value = _evaluate(node.value, names)
            names.update({t.id: value for t in node.targets if isinstance(t, ast.Name) and value is not Any})
    return tree, names


def _constructor(module: str, name: str) -> tuple[ast.FunctionDef | None, Mapping[str, Any]] | None:
    """The function whose arguments count, and the names its annotations may use.

    A class's own `__init__`, or that of its first base that has one, in whatever module
    of ours: no function where there is none; nothing where a base is not ours.
    """
    tree, names = _module(module)
    node = _defined(tree)[name]
    if isinstance(node, ast.FunctionDef):
        return node, names
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return part, names
    for base in node.bases:
        word = ast.unparse(base).partition("[")[0]
        place = module if word in _defined(tree) else _imported(tree).get(word)
        if place is None and word not in BARE:
            return None
        found = _constructor(place, word) if place else (None, names)
        if found is None or found[0] is not None:
            return found
    return None, names


def _imported(tree: ast.Module) -> dict[str, str]:
    """Modules of ours by the names that are imported from them."""
    return {
        alias.name: str(node.module)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and _is_file(node.module or "")
        for alias in node.names
    }


def _evaluate(annotation: ast.expr | None, names: Mapping[str, Any]) -> Any:
    """An annotation as an object; `Any` where it uses a name that only a heavy import gives."""
    if annotation is None:
        return Any
    try:
        return eval(compile(ast.Expression(annotation), "annotation", "eval"), dict(names))
    except (NameError, TypeError, AttributeError):
        return Any


def check_node(path: str, node: Mapping[str, Any], given: frozenset[str] = frozenset()) -> None:
    """Compare one config node that has a `_target_` with the target's signature.

    Parameters
    ----------
    path : str
        Where the node stands, for the message.
    node : mapping
        Plain values, interpolations resolved.
    given : frozenset of str
        Parameters that the code passes itself.

    Raises
    ------
    UserError
        For an untrusted target, an unknown or missing key, a value of the wrong
        type or out of range.
    """
    target = node[TARGET]
    check_target(f"{path}.{TARGET}", target)
    expected = signature(target)
    for key in node:
        if key not in expected.annotations and key not in RESERVED and not expected.open_ended:
            known = set(expected.annotations) - given
            hint = nearest(str(key), known) if known else f"{target.rpartition('.')[2]} takes none."
            raise UserError(f"{path}.{key}: no such key. {hint}")
    missing = [key for key in expected.annotations if key in expected.required - given and key not in node]
    if missing and not node.get("_partial_"):
        raise UserError(f"{path}: key '{missing[0]}' is missing.")
    for key, annotation in expected.annotations.items():
        if key in node and not (isinstance(node[key], Mapping) and TARGET in node[key]):
            _check_value(f"{path}.{key}", node[key], annotation)


def check_nodes(plain: Mapping[str, Any]) -> None:
    """Compare every node of a config with its target's signature, see `check_node`; refuse what may not be built."""
    check_targets("", plain)
    for path, node in nodes("", plain):
        check_node(path, node, PASSED_BY_CODE.get(path.split(".")[0], frozenset()))


def _check_value(path: str, value: Any, annotation: Any) -> None:
    """Raise `UserError` where a value does not fit its annotation."""
    if annotation is Any:
        return
    try:
        # lists of yaml stand for any sequence, so only scalars are taken strictly
        TypeAdapter(annotation).validate_python(value, strict=not isinstance(value, list | dict))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([path, *(str(part) for part in first["loc"] if str(part) in str(value))])
        raise UserError(f"{where}: {_lower_first(first['msg'])}, found {first['input']!r}.") from None


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def nodes(path: str, config: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every node below `config` that has a `_target_`, with its dotted path."""
    if isinstance(config, Mapping):
        if TARGET in config:
            yield path, config
        for key, value in config.items():
            yield from nodes(f"{path}.{key}" if path else str(key), value)
    elif isinstance(config, list):
        for i, value in enumerate(config):
            yield from nodes(f"{path}[{i}]", value)
