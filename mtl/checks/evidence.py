"""What is known of a sweep from its tracked runs: all that checks look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from mtl.ablation.comparison import Comparison
from mtl.ablation.design import Design
from mtl.ablation.predictions import ComparedRun


@dataclass(frozen=True)
class Evidence:
    """What is known of a sweep.

    Attributes
    ----------
    main_task : str
    design : Design
    compared : Comparison
    entries : tuple of ComparedRun
        The runs that count and have predictions.
    metric : str
        What stands before the main task in the name of its AUC.
    left_out : tuple of str
        Lines about runs and test videos that are not judged.
    videos : tuple of DataFrame
        `split`, `video`, `frames`, of every video that runs read: one table for all runs that read the
        same frames. Empty where no run keeps one.
    packages : tuple of (mapping of str to str)
        Versions by package, of every run that counts; empty for a run that does not keep them.
    """

    main_task: str
    design: Design
    compared: Comparison
    entries: tuple[ComparedRun, ...] = ()
    metric: str = "auc"
    left_out: tuple[str, ...] = ()
    videos: tuple[pd.DataFrame, ...] = ()
    packages: tuple[Mapping[str, str], ...] = field(default=())

    @property
    def base(self) -> str:
        """The value of the compared axis that the others are compared with."""
        return self.compared.base.removeprefix(f"{self.design.axis}=")
