"""Runs that MLflow has not got right: ``python -m mtl.tracking send|close``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from mtl.errors import UserError
from mtl.tracking.mlflow_tracking import MLflowTracking
from mtl.tracking.send import send


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: ``python -m mtl.tracking send FOLDER...`` and ``close RUN_ID...``."""
    from rich.console import Console

    parser = argparse.ArgumentParser(prog="python -m mtl.tracking", description="Runs that MLflow has not got right.")
    commands = parser.add_subparsers(dest="command", required=True)
    sending = commands.add_parser("send", help="send what MLflow lacks of the runs recorded in these folders")
    sending.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a run's folder, or one above it")
    sending.add_argument("--uri", help="another store than the one in the record")
    ending = commands.add_parser("close", help="close, as KILLED, runs whose process died on another machine")
    ending.add_argument("runs", nargs="+", metavar="RUN_ID", help="a run that is shown as going on and is not")
    ending.add_argument("--uri", default="sqlite:///mlflow.db", help="their store (default %(default)s)")
    for command in (sending, ending):
        command.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for a store (default 10)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    console = Console(highlight=False, soft_wrap=True)
    status = 0
    for what in options.folders if options.command == "send" else options.runs:
        try:
            if options.command == "send":
                lines = send(what, options.timeout, options.uri)
            else:
                closed = MLflowTracking(options.uri, "mtl", None, options.timeout).close(what)
                lines = [f"{what}: {closed.name} is closed as KILLED"]
            for line in lines:
                console.print(line, markup=False)
        except UserError as mistake:
            console.print(str(mistake), markup=False)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
