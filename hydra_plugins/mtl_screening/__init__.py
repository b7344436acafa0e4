"""Where Hydra looks for sweepers, and nowhere else; what ours does stands in `mtl.sweep.screening_sweeper`."""

from mtl.sweep import screening_sweeper


class Screening(screening_sweeper.Screening):
    """The sets of a design over many auxiliaries: `hydra/sweeper=screening`."""
