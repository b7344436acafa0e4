"""Every check of this chapter, found by listing it, and what they find."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache

import mtl.checks
from mtl.checks.base import Check, Finding
from mtl.checks.evidence import Evidence


@cache
def every_check() -> tuple[Check, ...]:
    """One check of every class that a module of this chapter defines, by code."""
    names = [f"mtl.checks.{found.name}" for found in pkgutil.iter_modules(mtl.checks.__path__)]
    classes = [
        each
        for name in names
        for each in vars(importlib.import_module(name)).values()
        if inspect.isclass(each) and issubclass(each, Check) and each is not Check and each.__module__ == name
    ]
    return tuple(each() for each in sorted(classes, key=lambda each: each.code))


def findings(at: Evidence) -> tuple[Finding, ...]:
    """What every check finds, by code."""
    return tuple(check.look(at) for check in every_check())
