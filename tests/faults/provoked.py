"""Faults of the machine, put into a real process before its first line: a `sitecustomize` on its path."""

from __future__ import annotations

import os
from pathlib import Path

from conftest import ROOT

NO_LOCKS = """
import errno, fcntl, os
def refused(*given):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.flock = fcntl.lockf = refused
"""

# after the metrics of one step are written down: a word to the test, and its answer waited for
AT_STEP = """
import os, time
from pathlib import Path
from mtl.tracking import journal
sleep, add = time.sleep, journal.Journal.add
def at_step(self, call, **details):
    add(self, call, **details)
    if call == "metrics" and details["step"] == {step} and not Path({word!r}).exists():
        Path({word!r}).touch()
        while not Path({answer!r}).exists():
            sleep(.05)
journal.Journal.add = at_step
"""

CLOCK_JUMPS_BACK = """
import os, time
now = time.time
time.time = lambda: now() - 3600 * os.path.exists({word!r})
"""

# the first to prepare the store waits for the second
AT_ONCE = """
import os, time
from pathlib import Path
from mtl.tracking.mlflow_tracking import MLflowTracking
prepare = MLflowTracking.prepare
def prepare_at_once(self):
    Path({folder!r}, str(os.getpid())).touch()
    while len(os.listdir({folder!r})) < 2:
        time.sleep(.01)
    prepare(self)
MLflowTracking.prepare = prepare_at_once
"""

# a process that has a run may take so many bytes of addresses more than it has when the run begins
NO_MEMORY = """
import resource
from pathlib import Path
from mtl.tracking import journal
add = journal.Journal.add
def limited(self, call, **details):
    add(self, call, **details)
    if call == "params":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + {more}, -1))
journal.Journal.add = limited
"""


def with_fault(folder: Path, program: str) -> dict[str, str]:
    """Environment of a process that does this before anything else; its own processes inherit it."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(program, encoding="utf-8")
    before = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT), *before])}
