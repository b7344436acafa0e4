"""The multirun: what it would run, one parent run over its jobs, and the table at its end."""

from mtl.sweep.callback import Sweep as Sweep
from mtl.sweep.callback import SweepCallback as SweepCallback
