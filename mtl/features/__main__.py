"""Look after the feature store: ``python -m mtl.features list|verify|prune``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from rich.table import Table

from mtl.errors import UserError, nearest
from mtl.features.archive import SHORT
from mtl.features.entries import Entry, digests, entries, finish, short
from mtl.features.store import GIB, MIB
from mtl.terminal import exit_status, show
from mtl.terminal import progress as progress_bar

log = logging.getLogger(__name__)

DAY = 86400.0
NUMBERS = {"vectors", "step", "videos", "frames", "bad", "MiB"}  # columns of a table
PLACE, HERE = "MTL_FEATURES_DIR", ".cache/features"  # as in conf/config.yaml


def main(words: Sequence[str] | None = None) -> int:
    """Look after the store; the exit status, 1 where there was damage or a user's error."""
    asked = _parser().parse_args(words)
    return exit_status(lambda: asked.action(asked), logging.INFO)


def _parser() -> argparse.ArgumentParser:
    """The command line."""
    about = "Look after stored features and decoded videos."
    parser = argparse.ArgumentParser(prog="python -m mtl.features", description=about)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("keys", nargs="*", metavar="KEY", help="the beginning of a key")
    place = os.environ.get(PLACE, HERE)
    common.add_argument("--dir", type=Path, default=place, help=f"the store (now: {place}; {PLACE} moves it)")
    actions = parser.add_subparsers(required=True, metavar="list | verify | prune")

    one = actions.add_parser("list", parents=[common], help="what is kept; all about it where a KEY is given")
    one.set_defaults(action=_list)

    one = actions.add_parser(
        "verify", parents=[common], help="compare checksums; damaged parts go, a run makes them again"
    )
    one.set_defaults(action=_verify)

    one = actions.add_parser(
        "prune", parents=[common], help="remove by KEY, age, size, or what no run asks for any more"
    )
    one.add_argument("--unused-for", type=float, metavar="DAYS", help="what was last used longer ago")
    one.add_argument("--keep-gib", type=float, metavar="GIB", help="the longest unused, until the store is no larger")
    one.add_argument("--orphaned", action="store_true", help="of an older extraction or decoder, or of data now gone")
    one.add_argument("--all", action="store_true", help="everything, and the digests of feature files")
    one.add_argument("--dry-run", action="store_true", help="only say what would go")
    one.set_defaults(action=_prune)
    return parser


def _chosen(asked: argparse.Namespace) -> list[Entry]:
    """What has a key that begins as asked, all where nothing was."""
    known = entries(asked.dir)
    for start in asked.keys:
        if not any(entry.key.startswith(start) for entry in known):
            raise UserError(f"{asked.dir} holds no key that begins with '{start}'. {nearest(start, short(known))}")
    return [entry for entry in known if not asked.keys or entry.key.startswith(tuple(asked.keys))]


def _list(asked: argparse.Namespace) -> int:
    """What is kept."""
    known = _chosen(asked)
    if asked.keys:
        for entry in known:
            show(entry.about())
        return 0
    kinds: dict[tuple[str, ...], list[Entry]] = {}
    for entry in known:
        kinds.setdefault(entry.columns, []).append(entry)
    for n, alike in enumerate(kinds.values()):
        if n:
            show("")
        show(_table(alike))
    total = sum(entry.size() for entry in known)
    show(f"{len(known)} kept in {asked.dir.absolute()}, {total / MIB:,.1f} MiB")
    return 0


def _table(alike: Sequence[Entry]) -> Table:
    """A row for each of some entries of one kind."""
    table = Table(box=None, pad_edge=False)
    for name in ("key", *alike[0].columns, "MiB", "last used"):
        whole = name == "key" or name in NUMBERS  # the others take a second line where the terminal is narrow
        table.add_column(name, justify="right" if name in NUMBERS else "left", no_wrap=whole, overflow="fold")
    for entry in alike:
        used = f"now, by {entry.writer()}" if entry.busy() else _when(entry.last_used())
        table.add_row(entry.key[:SHORT], *entry.cells(), f"{entry.size() / MIB:,.1f}", used)
    return table


def _when(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):  # a time of the file that is no year of ours
        return "?"


def _verify(asked: argparse.Namespace) -> int:
    """Compare checksums; remove what does not have its own."""
    known = _chosen(asked)
    found = 0
    with progress_bar("verify", sum(entry.n_parts() for entry in known), "parts") as advance:
        for entry in known:
            for line in entry.mend(advance):
                show(f"{entry.key[:SHORT]}: {line}")
                found += 1
    show("removed; the next run makes these again" if found else f"{len(known)} kept, all whole")
    return 1 if found else 0


def _prune(asked: argparse.Namespace) -> int:
    """Remove what was asked for."""
    doomed = _doomed(asked, entries(asked.dir))
    remembered = digests(asked.dir) if asked.all else None
    for entry, reason in doomed:
        what = f"{entry.key[:SHORT]} ({entry}, {entry.size() / MIB:,.1f} MiB): {reason}"
        if asked.dry_run:
            show(f"would remove {what}")
        else:
            show(f"removed {what}" if entry.discard() else f"left {what}, but {entry.writer()} is writing it")
    if remembered:
        what = f"{remembered.key} (digests of feature files, {remembered.size() / MIB:,.1f} MiB): as asked"
        if not asked.dry_run:
            remembered.remove()
        show(f"would remove {what}" if asked.dry_run else f"removed {what}")
    if not asked.dry_run:
        finish(asked.dir)
    if not (doomed or remembered):
        show("nothing to remove")
    return 0


def _doomed(asked: argparse.Namespace, known: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """What is to go, each with the reason."""
    if not (asked.keys or asked.all or asked.orphaned) and asked.unused_for is None and asked.keep_gib is None:
        raise UserError("Say what to remove: KEY, --unused-for DAYS, --keep-gib GIB, --orphaned or --all.")
    for start in asked.keys:
        meant = [entry for entry in known if entry.key.startswith(start)]
        if len(meant) > 1:
            raise UserError(
                f"'{start}' begins {len(meant)} keys: {', '.join(short(meant))}. Say more of the one to remove."
            )
    named = {entry.key for entry in _chosen(asked)} if asked.keys else set()
    reasons: dict[str, str] = {}
    for entry in known:
        days = (time.time() - entry.last_used()) / DAY
        if entry.key in named or asked.all:
            reasons[entry.key] = "as asked"
        elif asked.unused_for is not None and days > asked.unused_for:
            reasons[entry.key] = f"not used for {days:.0f} days"
        elif asked.orphaned and (orphaned := entry.orphaned()):
            reasons[entry.key] = orphaned
    if asked.keep_gib is not None:
        left = [entry for entry in known if entry.key not in reasons]
        left.sort(key=lambda entry: entry.last_used(), reverse=True)
        sizes = np.cumsum([entry.size() for entry in left])
        for entry, size in zip(left, sizes, strict=True):
            if size > asked.keep_gib * GIB:
                reasons[entry.key] = f"beyond {asked.keep_gib:g} GiB"
    return [(entry, reasons[entry.key]) for entry in known if entry.key in reasons]


if __name__ == "__main__":
    sys.exit(main())
