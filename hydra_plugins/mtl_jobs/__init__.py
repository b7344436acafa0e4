"""Where Hydra looks for sweepers, and nowhere else; what ours does stands in `mtl.sweep.listed_jobs`."""

from mtl.sweep import listed_jobs


class Jobs(listed_jobs.Jobs):
    """The jobs of a list, each a few overrides: `hydra/sweeper=jobs`."""
