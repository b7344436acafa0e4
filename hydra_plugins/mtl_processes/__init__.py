"""Where Hydra looks for launchers, and nowhere else; what ours does stands in `mtl.launcher`."""

from mtl import launcher


class Processes(launcher.Processes):
    """One fresh process per job, some at a time: `hydra/launcher=processes`."""
