"""Switches: how runs are done, never what comes of them."""

from __future__ import annotations

from omegaconf import DictConfig

from mtl.errors import UserError


def check_switches(config: DictConfig) -> None:
    """Raise `UserError` where a switch of the sweep is none."""
    for key in ("rerun", "dry_run"):
        if not isinstance(config[key], bool):
            raise UserError(f"{key}: should be true or false, found {config[key]!r}.")
    stop = config.stop_after
    if stop is not None and (not isinstance(stop, int) or isinstance(stop, bool) or stop < 1):
        raise UserError(f"stop_after: should be a whole number from 1 on or null, found {stop!r}.")
