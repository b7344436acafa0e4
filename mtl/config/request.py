"""What was asked for on the command line, for one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mtl.config.choices import departed, told
from mtl.config.parameters import parameters, run_name, tags_of
from mtl.files import publish
from mtl.masking import masked


@dataclass(frozen=True)
class RunRequest:
    """One run as it was asked for.

    Attributes
    ----------
    config : DictConfig
        As composed from `conf/`.
    choices : mapping
        By group the choice that the config bears out, see `choices.told`.
    overrides : sequence of str
        As typed, or as a sweep spelled them out.
    folder : Path
        Where the run's record lies.
    job : str
        Number in the sweep; empty outside of one.
    departed : str
        The choices that were asked for under another name, as typed.
    """

    config: DictConfig
    choices: Mapping[str, Any]
    overrides: Sequence[str]
    folder: Path
    job: str = ""
    departed: str = ""

    @classmethod
    def of_hydra(cls, config: DictConfig) -> RunRequest:
        """The run that Hydra is about to do."""
        hydra = HydraConfig.get()
        number = "" if OmegaConf.is_missing(hydra.job, "num") else str(hydra.job.num)
        asked, overrides = dict(hydra.runtime.choices), list(hydra.overrides.task)
        named = told(config, asked)
        return cls(config, named, overrides, Path(hydra.runtime.output_dir), number, departed(named, asked))

    @property
    def artifacts(self) -> Path:
        """Where the run's files are written before they are uploaded."""
        return self.folder / "artifacts"

    def name(self, common: Sequence[str] = ()) -> str:
        """The run's name; the overrides that all jobs of a sweep have come last."""
        return run_name(self.choices, self.overrides, common)

    def tags(self) -> dict[str, str]:
        """What tells the run from others beside its parameters."""
        return tags_of(self.choices, self.departed, self.config.get("tasks", {}))

    def parameters(self) -> dict[str, Any]:
        """What is tracked as parameters."""
        return parameters(self.config, self.choices)

    def write_config(self) -> None:
        """Write the config, interpolations resolved, passwords left out."""
        text = masked(OmegaConf.to_yaml(self.config, resolve=True))
        publish(self.artifacts / "config.yaml", text.encode())

    def write(self) -> None:
        """Write config and overrides beside the run's other files."""
        self.artifacts.mkdir(parents=True, exist_ok=True)
        self.write_config()
        text = masked("".join(f"{word}\n" for word in self.overrides))
        publish(self.artifacts / "overrides.txt", text.encode())
