"""Look after the feature store: ``python -m mtl.features list|verify|prune``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from rich.table import Table

from mtl.data.kept_folder import finish_removals
from mtl.errors import UserError, nearest
from mtl.features import feature_key
from mtl.features.archive import SHORT, Archive, archives
from mtl.features.store import GIB, MIB
from mtl.terminal import ConsoleHandler, show
from mtl.terminal import progress as progress_bar

log = logging.getLogger(__name__)

DAY = 86400.0
INTERRUPTED = 130
PLACE, HERE = "MTL_FEATURES_DIR", ".cache/features"  # as in conf/config.yaml


def main(words: Sequence[str] | None = None) -> int:
    """Look after the store; the exit status, 1 where there was damage or a user's error."""
    asked = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[ConsoleHandler()], force=True)
    try:
        return asked.action(asked)
    except UserError as error:
        log.error("%s", error)
        return 1
    except OSError as error:
        log.error("%s: %s", error.filename or asked.dir, os.strerror(error.errno or 0))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m mtl.features", description="Look after stored features.")
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
    one.add_argument("--orphaned", action="store_true", help="of an older extraction, or of data that is gone")
    one.add_argument("--all", action="store_true", help="everything")
    one.add_argument("--dry-run", action="store_true", help="only say what would go")
    one.set_defaults(action=_prune)
    return parser


def _chosen(asked: argparse.Namespace) -> list[Archive]:
    """The archives whose keys begin as asked, all where nothing was."""
    known = archives(asked.dir)
    for start in asked.keys:
        if not any(archive.key.startswith(start) for archive in known):
            raise UserError(f"{asked.dir} holds no key that begins with '{start}'. {nearest(start, _short(known))}")
    return [archive for archive in known if not asked.keys or archive.key.startswith(tuple(asked.keys))]


def _short(known: Sequence[Archive]) -> list[str]:
    return [archive.key[:SHORT] for archive in known]


def _list(asked: argparse.Namespace) -> int:
    """What is kept."""
    known = _chosen(asked)
    if asked.keys:
        for archive in known:
            show(json.dumps({"key": archive.key, "roots": archive.roots(), **archive.spec()}, indent=2))
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("key", "backbone", "weights", "cut", "px", "precision"):
        table.add_column(name, no_wrap=True)
    table.add_column("data", overflow="fold")
    for name in ("vectors", "bad", "MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last used", no_wrap=True)
    total = 0
    for archive in known:
        size = archive.size()
        total += size
        table.add_row(
            archive.key[:SHORT],
            *_described(archive.spec()),
            "\n".join(Path(root).name for root in archive.roots()),
            f"{sum(part.rows for part in archive.parts()):,}",
            f"{len(archive.bad()):,}",
            f"{size / MIB:,.1f}",
            f"now, by {archive.owner()}" if archive.busy() else _when(archive.last_used()),
        )
    if known:
        show(table)
    show(f"{len(known)} kept in {asked.dir.absolute()}, {total / MIB:,.1f} MiB")
    return 0


def _described(spec: Mapping[str, object]) -> list[str]:
    """Backbone, weights, cut, image size and precision of a spec, for people."""
    frozen = spec.get("frozen")
    if not isinstance(frozen, Mapping):
        return ["?"] * 5
    others = [str(frozen.get(name) or "-") for name in ("cut", "image_size", "precision")]
    return [str(frozen.get("backbone") or "packed frames"), str(frozen.get("weights") or "-")[:SHORT], *others]


def _when(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):  # a time of the file that is no year of ours
        return "?"


def _verify(asked: argparse.Namespace) -> int:
    """Compare checksums; remove what does not have its own."""
    known = _chosen(asked)
    found = 0
    with progress_bar("verify", sum(len(archive.parts()) for archive in known), "parts") as advance:
        for archive in known:
            lines = archive.damaged_lines()
            damaged = []
            for part in archive.parts():
                reason = archive.damaged(part)
                advance(1)
                if reason:
                    damaged.append(part)
                    show(f"{archive.key[:SHORT]}: {part.rows:,} feature vectors are damaged, {reason}")
            for line in lines:
                show(f"{archive.key[:SHORT]}: damaged, {line}")
            if damaged or lines:
                with archive.locked():
                    archive.drop(damaged)
            found += len(damaged) + len(lines)
    show("removed; the next run makes these feature vectors again" if found else f"{len(known)} kept, all whole")
    return 1 if found else 0


def _prune(asked: argparse.Namespace) -> int:
    """Remove what was asked for."""
    doomed = _doomed(asked, archives(asked.dir))
    for archive, reason in doomed:
        described = " ".join(word for word in _described(archive.spec()) if word != "-")
        what = f"{archive.key[:SHORT]} ({described}, {archive.size() / MIB:,.1f} MiB): {reason}"
        if asked.dry_run:
            show(f"would remove {what}")
            continue
        with archive.locked(wait=False) as mine:
            if mine:
                archive.remove()
        show(f"removed {what}" if mine else f"left {what}, but process {archive.owner()} is writing it")
    if not asked.dry_run:
        finish_removals(asked.dir)
    if not doomed:
        show("nothing to remove")
    return 0


def _doomed(asked: argparse.Namespace, known: Sequence[Archive]) -> list[tuple[Archive, str]]:
    """What is to go, each with the reason."""
    if not (asked.keys or asked.all or asked.orphaned) and asked.unused_for is None and asked.keep_gib is None:
        raise UserError("Say what to remove: KEY, --unused-for DAYS, --keep-gib GIB, --orphaned or --all.")
    for start in asked.keys:
        meant = [archive for archive in known if archive.key.startswith(start)]
        if len(meant) > 1:
            raise UserError(
                f"'{start}' begins {len(meant)} keys: {', '.join(_short(meant))}. Say more of the one to remove."
            )
    named = {archive.key for archive in _chosen(asked)} if asked.keys else set()
    reasons: dict[str, str] = {}
    for archive in known:
        days = (time.time() - archive.last_used()) / DAY
        if archive.key in named or asked.all:
            reasons[archive.key] = "as asked"
        elif asked.unused_for is not None and days > asked.unused_for:
            reasons[archive.key] = f"not used for {days:.0f} days"
        elif asked.orphaned and (orphaned := _orphaned(archive)):
            reasons[archive.key] = orphaned
    if asked.keep_gib is not None:
        left = [archive for archive in known if archive.key not in reasons]
        sizes = np.cumsum([archive.size() for archive in left])  # the last used first
        for archive, size in zip(left, sizes, strict=True):
            if size > asked.keep_gib * GIB:
                reasons[archive.key] = f"beyond {asked.keep_gib:g} GiB"
    return [(archive, reasons[archive.key]) for archive in known if archive.key in reasons]


def _orphaned(archive: Archive) -> str:
    """Why no run can ask for it any more; empty if one may."""
    spec, roots = archive.spec(), archive.roots()
    if not spec:
        return "what it holds cannot be read any more"
    if (spec.get("extraction"), spec.get("decoding")) != (feature_key.VERSION, feature_key.DECODING):
        return "made by another version of the extraction"
    frozen = spec.get("frozen")
    for name, wheels in feature_key.COMPUTING.items():
        made, here = frozen.get(name) if isinstance(frozen, Mapping) else None, feature_key.installed_version(*wheels)
        if made and here and made != here:
            return f"made with {name} {made}, here is {here}"
    if roots and not any(Path(root).exists() for root in roots):
        return f"its data are gone: {', '.join(roots)}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
