"""What auxiliaries do to the main task: predictions and relations of runs in, tables of effects out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mtl.ablation.predictions import ComparedRun
from mtl.ablation.samples import Sample, SampledGroup
from mtl.ablation.tables import (
    AUXILIARIES,
    DIFFERENCE,
    GAIN_POINTS,
    HEADS,
    OVER_HEAD,
    SEEDS,
    SETS,
    SHAPLEY,
    SHARES,
    _auxiliary_rows,
    _head_rows,
    _in_order,
    _points,
    _set_rows,
    gain_predictors,
)
from mtl.statistics.significance import holm


@dataclass(frozen=True)
class Comparison:
    """What the runs show together; every table has one row per what its first columns name.

    Attributes
    ----------
    sets : DataFrame
        By `row`: mean AUC of the main task over seeds, `sd` between them, interval
        over videos and seeds; `difference` to the row `base` with its interval,
        sign-flip `p`, and `p_holm` over all differences.
    seeds : DataFrame
        AUC of every run.
    auxiliaries : DataFrame
        By `condition` and `auxiliary` (a bundle where several are always used
        together): main `effect` over `pairs` of sets that differ in it alone, the
        `shapley` value (of the full factorial `within` the design where that is a part of
        it only), and a `verdict`. Intervals and `p_holm` hold for all auxiliaries of
        a condition at once. `share_below`, `share_within`, `share_above`: shares of the
        resamples of the effect below the negative of the margin, within it, and above.
    heads : DataFrame
        By `row` and `head`: AUC of 1 - p(Normal) of that head as an answer to the main
        task, and its difference to the main task's own head in the same runs.
    points : DataFrame
        By set and auxiliary in it: a relation `measure` with the main task beside
        the `gain` that the auxiliary brought to that set.
    gain_predictors : DataFrame
        By measure: rank correlation over the points.
    base : str
        Arm that all others are compared with.
    n_videos : int
        Test videos; of those that differ between runs each counts.
    warnings : tuple of str
    margin : float
        An effect nearer to zero does not matter, in AUC.
    differences : mapping of str to ndarray (n_resamples,)
        By row, the resamples that the interval of its `difference` is made from.
    """

    sets: pd.DataFrame
    seeds: pd.DataFrame
    auxiliaries: pd.DataFrame
    heads: pd.DataFrame
    points: pd.DataFrame
    gain_predictors: pd.DataFrame
    base: str = ""
    n_videos: int = 0
    warnings: tuple[str, ...] = ()
    margin: float = float("nan")
    differences: Mapping[str, np.ndarray] = field(default_factory=dict)


def compare(
    entries: Sequence[ComparedRun], main_task: str, controls: Collection[str], resamples: int, seed: int, margin: float
) -> Comparison:
    """Compare all runs of a design; the same resampled videos serve every number.

    Parameters
    ----------
    entries : sequence of ComparedRun
        At most one per row and seed, in the order of launch.
    main_task : str
    controls : collection of str
        Auxiliaries that must not help.
    resamples, seed : int
        Of the bootstrap over videos and seeds.
    margin : float
        In AUC, above 0; see `verdict`.
    """
    base = next((entry.arm for entry in entries if entry.tasks == {main_task}), entries[0].arm if entries else "")
    sample = Sample(entries, resamples, seed)
    groups = [
        SampledGroup(condition, [i for i, entry in enumerate(entries) if entry.condition == condition], sample)
        for condition in dict.fromkeys(entry.condition for entry in entries)
    ]
    by_group = [_set_rows(group, base) for group in groups]
    sets = pd.DataFrame([row for rows, _ in by_group for row in rows], columns=[*SETS, *DIFFERENCE])
    sets["p_holm"] = holm(sets["p"].to_numpy(float))
    auxiliaries = pd.DataFrame(
        [row for group in groups for row in _auxiliary_rows(group, main_task, controls, margin)],
        columns=[*AUXILIARIES, *SHARES, *SHAPLEY],
    )
    # one family per condition, controls among them, as for the intervals
    auxiliaries["p_holm"] = auxiliaries.groupby("condition")["p"].transform(lambda p: holm(p.to_numpy(float)))
    points = [row for group in groups for row in _points(group, main_task, controls)]
    return Comparison(
        sets=_in_order(sets, entries),
        seeds=pd.DataFrame(sample.by_seed(), columns=SEEDS),
        auxiliaries=auxiliaries,
        heads=pd.DataFrame([row for group in groups for row in _head_rows(group)], columns=[*HEADS, *OVER_HEAD]),
        points=pd.DataFrame(points, columns=GAIN_POINTS),
        gain_predictors=gain_predictors(pd.DataFrame(points, columns=GAIN_POINTS)),
        base=base,
        n_videos=len(sample.videos),
        warnings=tuple(warning for group in groups for warning in group.warnings()),
        margin=margin,
        differences={name: draws for _, resampled in by_group for name, draws in resampled.items()},
    )
