"""Where Hydra looks for sweepers, and nowhere else; what ours does stands in `mtl.sweep.optuna_sweeper`."""

from mtl.sweep import optuna_sweeper


class Optuna(optuna_sweeper.Optuna):
    """A search by Optuna, every job of which is a job of this sweep: `hydra/sweeper=optuna`."""
