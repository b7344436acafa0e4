"""What sweepers of ours share: they choose jobs as they go, launch them in waves, and say why they broke."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mtl.job.failure import one_line
from mtl.sweep.callback import SweepCallback
from mtl.sweep.sweepers import Expected, of_recipe


class OwnSweeper(Sweeper):
    """A sweeper that launches jobs in waves, each chosen by what came of those before.

    Whatever the launcher, jobs are numbered on from wave to wave, those that are done already are reused, and
    a job that fails is a row of the sweep and does not end it.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take from Hydra what every sweeper needs."""
        from hydra.core.plugins import Plugins

        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._begun = 0

    def sweep(self, arguments: list[str]) -> Any:
        """Run all waves; a job that failed ends the command with its reason then, as with Hydra's own sweeper.

        Where the sweeper itself breaks, the sweep's own run is to say so.
        """
        try:
            results = self.waves([*of_recipe(self.config), *arguments])  # type: ignore[arg-type]
        except Exception as error:
            self.callback.broken = one_line(error)
            raise
        for each in results:
            _ = each.return_value
        return results

    @classmethod
    @abstractmethod
    def expected(cls, config: DictConfig, arguments: Sequence[str]) -> Expected:
        """What can be said of the jobs before the sweep begins.

        Parameters
        ----------
        config : DictConfig
            As Hydra composes it for a multirun.
        arguments : sequence of str
            Overrides of the sweep: those of a recipe (`hydra.sweeper.params`), then those that were typed.

        Raises
        ------
        UserError
            Where the sweeper cannot do what is asked for.
        """

    @abstractmethod
    def waves(self, arguments: Sequence[str]) -> list[JobReturn]:
        """Launch jobs by `launch` until nothing is left to do, and return what came of each.

        Parameters
        ----------
        arguments : sequence of str
            Overrides of the sweep: those of a recipe, then those that were typed.
        """

    def launch(self, jobs: Sequence[Sequence[str]]) -> list[JobReturn]:
        """Run a wave.

        Parameters
        ----------
        jobs : sequence of sequence of str
            Overrides of each.

        Returns
        -------
        list of JobReturn
            One per job, in order; what a failed one returns is the error.
        """
        words = [list(job) for job in jobs]
        self.callback.announce(words, self._begun)
        first, self._begun = self._begun, self._begun + len(words)
        return list(self.launcher.launch(words, initial_job_idx=first))  # type: ignore[union-attr]

    @property
    def callback(self) -> SweepCallback:
        """The sweep that this sweeper works for."""
        found = [each for each in self.hydra_context.callbacks.callbacks if isinstance(each, SweepCallback)]  # type: ignore[union-attr]
        return found[0]
