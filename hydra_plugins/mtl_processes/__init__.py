"""Where Hydra looks for launchers, and nowhere else; what ours does stands in `mtl.sweep.process_launcher`."""

from mtl.sweep import process_launcher


class Processes(process_launcher.Processes):
    """One fresh process per job, some at a time: `hydra/launcher=processes`."""
