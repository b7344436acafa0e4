"""AUCs of all runs of a comparison in the same resamples of videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mtl.ablation.effects import Effect, effect
from mtl.ablation.factorial import contrast
from mtl.ablation.predictions import ComparedRun
from mtl.formatting import plural
from mtl.statistics.bootstrap import mean_of_defined, resampled_videos
from mtl.statistics.bounded import DIFFERENCE
from mtl.statistics.pairwise import PairwiseCounts

MOST_NAMED = 3  # videos that a warning names


class Sample:
    """AUC of every entry, plain and in the same resamples of all videos."""

    def __init__(self, entries: Sequence[ComparedRun], resamples: int, seed: int) -> None:
        self.entries, self.seed = entries, seed
        found = [entry.predicted for entry in entries]
        self.videos = np.unique(np.concatenate([each.videos for each in found])) if found else np.empty(0, str)
        self.places = [np.searchsorted(self.videos, each.videos) for each in found]
        anomalous = np.zeros(len(self.videos), bool)
        for each, places in zip(found, self.places, strict=True):
            anomalous[places] |= each.anomalous
        self.drawn = resampled_videos(anomalous, resamples, seed)
        every = np.ones(len(self.videos), bool)
        self.main = [self.aucs(i, entry.predicted.counts, every) for i, entry in enumerate(entries)]

    def aucs(self, i: int, counts: Sequence[PairwiseCounts], kept: np.ndarray) -> tuple[float, np.ndarray]:
        """AUC of the i-th entry over the videos kept, and in every resample; the mean over its classes."""
        if not counts:
            return float("nan"), np.full(len(self.drawn), np.nan)
        places = self.places[i]
        coded = [replace(each, rows=places[each.rows], columns=places[each.columns]) for each in counts]
        drawn = self.drawn if kept.all() else self.drawn * kept
        plain = mean_of_defined(np.array([each.auc(kept[None, :].astype(float)) for each in coded]))
        return float(plain[0]), mean_of_defined(np.array([each.auc(drawn) for each in coded]))

    def by_seed(self) -> list[tuple[str, str, float]]:
        """Row, seed and AUC of every entry."""
        return [(entry.row, entry.seed, value) for entry, (value, _) in zip(self.entries, self.main, strict=True)]


class SampledGroup:
    """The entries of one condition, which are compared with each other: arms by seeds."""

    def __init__(self, condition: str, members: Sequence[int], sample: Sample) -> None:
        self.condition, self.members, self.sample = condition, members, sample
        self.entries = [sample.entries[i] for i in members]
        self.arms = list(dict.fromkeys(entry.arm for entry in self.entries))
        # the bootstrap over seeds draws by position: in any other order its interval would be another
        self.seeds = sorted({entry.seed for entry in self.entries}, key=by_number)
        self.first = {entry.arm: entry for entry in reversed(self.entries)}
        self.counts = np.bincount(np.concatenate([sample.places[i] for i in members]), minlength=len(sample.videos))
        self.scoring = [i for i in members if len(sample.places[i])]  # not who scored nothing
        self.kept = self.counts == max(len(self.scoring), 1)  # the videos that all of them scored
        self.n_videos = int(self.kept.sum())
        alike = bool((self.kept == (self.counts > 0)).all())
        self.own = self._matrix({i: sample.main[i] for i in members})
        self.values, self.draws = (
            self.own
            if alike
            else self._matrix({i: sample.aucs(i, sample.entries[i].predicted.counts, self.kept) for i in members})
        )

    def _matrix(self, found: Mapping[int, tuple[float, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Values by arm and seed, and their draws; NaN where there is no run."""
        values = np.full((len(self.arms), len(self.seeds)), np.nan)
        draws = np.full((*values.shape, len(self.sample.drawn)), np.nan)
        for i, (value, drawn) in found.items():
            place = self.arms.index(self.sample.entries[i].arm), self.seeds.index(self.sample.entries[i].seed)
            values[place], draws[place] = value, drawn
        return values, draws

    def effect(self, weights: np.ndarray, comparisons: int = 1) -> Effect:
        """A weighted mean of differences of the arms' AUCs, over the seeds that all arms with a weight have."""
        values, draws = contrast(weights, self.values), contrast(weights, self.draws)
        paired = np.isfinite(values)
        lacking = int(np.isfinite(self.values[weights != 0]).any(axis=0).sum() - paired.sum())
        found = effect(values[paired], draws[paired], self.sample.seed, DIFFERENCE, comparisons)
        missing = f"{plural(lacking, 'seed')} {'is' if lacking == 1 else 'are'} missing in some of the compared sets"
        return replace(found, reason="; ".join(filter(None, [missing if lacking else "", found.reason])))

    def warnings(self) -> list[str]:
        """What makes the comparisons of this condition less than fair."""
        where = f" ({self.condition})" if self.condition else ""
        lines = [
            f"{entry.row}, seed {entry.seed}: no AUC, because {entry.predicted.fault}."
            for entry in self.entries
            if entry.predicted.fault
        ]
        apart = int((self.counts > 0).sum()) - self.n_videos
        if apart:
            names = ", ".join(self.sample.videos[(self.counts > 0) & ~self.kept][:MOST_NAMED])
            more = f" and {apart - MOST_NAMED} more" if apart > MOST_NAMED else ""
            lines.append(
                f"The test videos differ between runs{where}: {names}{more} were not evaluated in all of them; "
                f"differences are computed over the {self.n_videos} videos that were."
            )
        changed = self._n_changed()
        if changed:
            lines.append(
                f"The test frames differ between runs{where}: in {plural(changed, 'video')} the runs did not evaluate "
                "the same frames with the same targets."
            )
        return lines

    def _n_changed(self) -> int:
        """Videos that all runs scored, but not by the same frames and targets."""
        digests = np.zeros((max(len(self.scoring), 1), len(self.sample.videos)), np.uint64)
        for row, i in enumerate(self.scoring):
            digests[row, self.sample.places[i]] = self.sample.entries[i].predicted.frames
        return int((digests[:, self.kept] != digests[:1, self.kept]).any(axis=0).sum())


def by_number(seed: str) -> tuple[bool, int, str]:
    """Numbers by their size, then what is none."""
    return (not seed.isdecimal(), int(seed) if seed.isdecimal() else 0, seed)
