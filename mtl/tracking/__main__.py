"""Runs that MLflow has not got right: ``python -m mtl.tracking send|close|move``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtl.errors import UserError
from mtl.masking import masked
from mtl.terminal import show
from mtl.tracking.address import absolute_uri
from mtl.tracking.beside import move
from mtl.tracking.mlflow_tracking import MLflowTracking
from mtl.tracking.send import send


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: ``python -m mtl.tracking send FOLDER...``, ``close RUN_ID...`` and ``move``."""
    parser = argparse.ArgumentParser(prog="python -m mtl.tracking", description="Runs that MLflow has not got right.")
    commands = parser.add_subparsers(dest="command", required=True)
    sending = commands.add_parser("send", help="send what MLflow lacks of the runs recorded in these folders")
    sending.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a run's folder, or one above it")
    sending.add_argument("--uri", help="the store, where it is not a database of the same work folder")
    sending.add_argument("--artifacts", help="where artifacts of a new experiment go, if not to the usual place")
    ending = commands.add_parser("close", help="close, as KILLED, runs whose process died on another machine")
    ending.add_argument("runs", nargs="+", metavar="RUN_ID", help="a run that is shown as going on and is not")
    ending.add_argument("--uri", default="sqlite:///mlflow.db", help="their store (default %(default)s)")
    moving = commands.add_parser("move", help="copy the artifacts that a local store has elsewhere beside its database")
    moving.add_argument("--uri", default="sqlite:///mlflow.db", help="the store (default %(default)s)")
    for command in (sending, ending):
        command.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for a store (default 10)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    whats = {"send": "folders", "close": "runs", "move": "uri"}[options.command]
    found = getattr(options, whats)
    status = 0
    for what in [found] if isinstance(found, str) else found:
        try:
            for line in _done(options, what):
                show(line)
        except UserError as mistake:
            show(str(mistake))
            status = 1
    return status


def _done(options: argparse.Namespace, what: Any) -> list[str]:
    """Do the command for one folder, run or store, and say what came of it."""
    if options.command == "send":
        return send(what, options.timeout, options.uri, options.artifacts)
    if options.command == "close":
        closed = MLflowTracking(options.uri, "mtl", None, options.timeout).close(what)
        return [f"{what}: {closed.name} is closed as KILLED"]
    _, database = absolute_uri(what)
    if database is None:
        raise UserError(f"{masked(what)} is no local database: its own server says where artifacts lie.")
    return move(database)


if __name__ == "__main__":
    sys.exit(main())
