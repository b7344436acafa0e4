"""Where Hydra looks for launchers, and nowhere else; what ours does stands in `mtl.sweep.processes`."""

from mtl.sweep import processes


class Processes(processes.Processes):
    """One fresh process per job, some at a time: `hydra/launcher=processes`."""
