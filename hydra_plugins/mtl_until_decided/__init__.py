"""Where Hydra looks for sweepers, and nowhere else; what ours does stands in `mtl.sweep.until_decided`."""

from mtl.sweep import until_decided


class UntilDecided(until_decided.UntilDecided):
    """Every set by a few seeds, then only what is still open: `hydra/sweeper=until_decided`."""
