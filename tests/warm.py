"""A process that has the packages imported, and becomes every `python run.py` that a test types.

What is imported is half of what a tiny run takes. The child of a fork is a process like any other: its own folder,
files and exit code. What begins before the imports needs a process that starts from nothing: an environment of its own,
numerics, a profile; and so does what is timed or killed.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

RUN = Path(__file__).resolve().parents[1] / "run.py"
CHANGING = ("PYTEST_", "_MLFLOW_")  # variables that are never twice the same, and mean nothing to a run
FROM_NOTHING = ("numerics", "profile")


class Warm:
    """The process, begun when it is first asked."""

    def __init__(self) -> None:
        command, pipe = [sys.executable, __file__], subprocess.PIPE
        # unbuffered: what lies in a buffer of ours, `select` does not see
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0)
        self._turn = threading.Lock()
        self._began = environment()
        self._imported = json.loads(self._ask())

    def serves(self, words: tuple[str, ...]) -> bool:
        """Whether nothing is asked that begins before the imports: numerics, a profile, another environment.

        Variables that an import sets may be set here too: some test imported the same.
        """
        now = environment()
        changed = {name for name in self._began | now if now.get(name) != self._began.get(name)}
        alike = all(now.get(name) == self._imported.get(name) for name in changed)
        return alike and not any(word.startswith(FROM_NOTHING) for word in words)

    def run(self, folder: Path, words: tuple[str, ...], timeout: float) -> subprocess.CompletedProcess[str]:
        """The finished `python run.py WORDS`, typed in a folder; TimeoutExpired where it takes longer."""
        with self._turn, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            command = [sys.executable, str(RUN), *words]
            files = [f"/proc/{os.getpid()}/fd/{each.fileno()}" for each in (out, err)]
            pid = int(self._ask(json.dumps([str(folder), command[1:], files])))
            if not select.select([self._process.stdout], [], [], timeout)[0]:
                os.kill(pid, signal.SIGKILL)
                self._ask()
                raise subprocess.TimeoutExpired(command, timeout)
            code = int(self._ask())
            texts = [each.seek(0) or each.read() for each in (out, err)]
            return subprocess.CompletedProcess(command, code, *texts)

    def _ask(self, line: str = "") -> str:
        """Send a line, if there is one, and read one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if line:
            self._process.stdin.write(f"{line}\n".encode())
        return self._process.stdout.readline().decode()


def environment() -> dict[str, str]:
    """This process's, without what always changes."""
    return {name: value for name, value in os.environ.items() if not name.startswith(CHANGING)}


def serve() -> None:
    """Say what the imports made of the environment; then fork for every line of the standard input.

    Of every child it says the process id, and the exit code when it has ended.
    """
    from mtl.terminal import quiet
    from mtl.tracking.store import import_mlflow

    import_mlflow()
    with quiet():
        import cv2  # noqa: F401
        import matplotlib.figure  # noqa: F401
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
        import pandas  # noqa: F401
        import scipy.stats  # noqa: F401
        import sklearn.metrics  # noqa: F401
        import tensorflow as tf

        import mtl.experiment  # noqa: F401
    tf.keras  # noqa: B018
    say(json.dumps(environment()))
    for line in sys.stdin:
        folder, words, files = json.loads(line)
        pid = os.fork()
        if pid == 0:
            be(folder, words, files)
        say(pid)
        say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def say(what: object) -> None:
    """Write a line to whoever asked."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def be(folder: str, words: list[str], files: list[str]) -> None:
    """Do what a new Python would with these words in a folder, and leave."""
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), number)
    random.seed()
    sys.argv, sys.path[0] = words, str(RUN.parent)
    code: object = 0
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as leaving:
        code = leaving.code or 0
        if not isinstance(code, int):
            sys.stderr.write(f"{code}\n")
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
