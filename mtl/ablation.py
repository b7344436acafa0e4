"""What auxiliaries do to the main task: predictions and relations of runs in, tables of effects out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from mtl.statistics import (
    Effect,
    VideoWins,
    bundles,
    contrast,
    effect,
    holm,
    main_effects,
    mean_of_defined,
    rank_correlation,
    shapley_values,
    stratified_multiplicities,
    verdict,
    video_wins,
)

NORMAL = "Normal"  # the class that is no anomaly; videos are resampled within it and outside of it
MOST_NAMED = 3  # videos that a warning names


# --- one run's predictions --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Predicted:
    """A run's predictions of the main task, reduced to what its AUC needs in any resample of videos.

    Attributes
    ----------
    videos : ndarray of str, shape (n_videos,)
        Names, sorted; the codes of the wins point to them.
    anomalous : ndarray of bool, shape (n_videos,)
    frames : ndarray of uint64, shape (n_videos,)
        Equal for two runs only where they scored the same frames with the same targets.
    wins : tuple of VideoWins
        One per column of the main task that has both outcomes.
    by_head : mapping of str to VideoWins
        What 1 - p(Normal) of another head is worth as a score of the main task, by that head's task.
    fault : str
        Why there is no AUC; else empty.
    """

    videos: np.ndarray
    anomalous: np.ndarray
    frames: np.ndarray
    wins: tuple[VideoWins, ...] = ()
    by_head: Mapping[str, VideoWins] = field(default_factory=dict)
    fault: str = ""


def needed(columns: Sequence[str], main_task: str) -> list[str]:
    """The columns of a table of predictions that `reduced` reads."""
    return [
        name
        for name in columns
        if name in ("video", "frame", "class_name", f"target/{main_task}", f"probability/{main_task}")
        or name.startswith(f"probability/{main_task}/")
        or _is_normal(name)
    ]


def reduced(predictions: pd.DataFrame, main_task: str) -> Predicted:
    """What comparisons need of a run's predictions.

    Parameters
    ----------
    predictions : DataFrame
        One row per frame: `video`, `frame`, `class_name`, ``target/<main_task>``,
        ``probability/<main_task>`` or one column per class of it, and other tasks'.
    main_task : str

    Raises
    ------
    ValueError
        If columns are missing.
    """
    columns = [name for name in map(str, predictions) if name.split("/")[:2] == ["probability", main_task]]
    missing = {"video", "frame", "class_name", f"target/{main_task}"} - set(predictions)
    if missing or not columns:
        raise ValueError(f"there is no column {sorted(missing)[0] if missing else f'probability/{main_task}'}")
    codes, names = pd.factorize(predictions["video"].astype(str), sort=True)
    videos = names.to_numpy(dtype=str)
    abnormal = (predictions["class_name"].astype(str) != NORMAL).to_numpy()
    anomalous = np.bincount(codes, weights=abnormal, minlength=len(videos)) > 0
    target = predictions[f"target/{main_task}"].to_numpy()
    found = Predicted(videos, anomalous, _digests(predictions["frame"].to_numpy(), target, codes, len(videos)))
    scores = predictions[columns].to_numpy(np.float64)
    broken = int((~np.isfinite(scores)).any(axis=1).sum())
    if broken:
        return replace(found, fault=f"{broken} of {len(predictions)} predictions are not finite")
    events = target[:, None] == (np.arange(len(columns)) if len(columns) > 1 else 1)
    both = events.any(axis=0) & ~events.all(axis=0)
    if not both.any():
        return replace(found, fault="all test frames have one outcome")
    wins = tuple(video_wins(scores[:, c], events[:, c], codes) for c in np.flatnonzero(both))
    heads = {}
    if len(columns) == 1 and np.array_equal(events[:, 0], abnormal):  # else p(Normal) answers another question
        for name in filter(_is_normal, map(str, predictions)):
            normal = predictions[name].to_numpy(np.float64)
            if np.isfinite(normal).all():
                heads[name.split("/")[1]] = video_wins(1 - normal, events[:, 0], codes)
    return replace(found, wins=wins, by_head=heads)


def _is_normal(column: str) -> bool:
    """Whether the column is a head's probability of the class that is no anomaly."""
    parts = column.split("/")
    return len(parts) == 3 and parts[0] == "probability" and parts[2] == NORMAL


def _digests(frames: np.ndarray, target: np.ndarray, codes: np.ndarray, n_videos: int) -> np.ndarray:
    """Digest of every video's frames and targets, whatever their order."""
    rows = pd.DataFrame({"frame": frames.astype(np.int64), "target": target.astype(np.int64)})
    sums = np.zeros(n_videos, np.uint64)
    np.add.at(sums, codes, pd.util.hash_pandas_object(rows, index=False).to_numpy())
    return sums


# --- all runs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A finished run and its place in the design.

    Attributes
    ----------
    row : str
        Name of its row in the table.
    arm : str
        What is compared: its task set, as a rule.
    setting : str
        Of all other swept axes; only runs of one setting are compared.
    seed : str
    tasks : frozenset of str
    predicted : Predicted
    measures : mapping of (str, str) to float
        Relation with the main task by measure and auxiliary.
    """

    row: str
    arm: str
    setting: str
    seed: str
    tasks: frozenset[str]
    predicted: Predicted
    measures: Mapping[tuple[str, str], float] = field(default_factory=dict)


SETS = ("row", "arm", "setting", "base", "seeds", "auc", "sd", "low", "high", "reason")
DIFFERENCE = ("difference", "difference_sd", "difference_low", "difference_high", "paired_seeds", "p", "p_holm")
SEEDS = ("row", "seed", "auc")
AUXILIARIES = ("setting", "auxiliary", "control", "pairs", "seeds", "effect", "low", "high", "p", "p_holm")
SHAPLEY = ("shapley", "shapley_low", "shapley_high", "within", "verdict", "reason")
HEADS = ("row", "setting", "head", "seeds", "auc", "sd", "low", "high")
OVER_HEAD = ("difference", "difference_low", "difference_high", "p", "reason")
POINTS = ("setting", "arm", "auxiliary", "control", "measure", "value", "gain", "low", "high")
FORETOLD = ("measure", "points", "correlation", "low", "high", "p", "p_holm", "reason")


@dataclass(frozen=True)
class Comparison:
    """What the runs say together; every table has one row per what its first columns name.

    Attributes
    ----------
    sets : DataFrame
        By `row`: mean AUC of the main task over seeds, `sd` between them, interval
        over videos and seeds; `difference` to the row `base` with its interval,
        sign-flip `p`, and `p_holm` over all differences.
    seeds : DataFrame
        AUC of every run.
    auxiliaries : DataFrame
        By `setting` and `auxiliary` (a bundle where several are always used
        together): main `effect` over `pairs` of sets that differ in it alone, the
        `shapley` value (of the full factorial `within` the design where that is a part of
        it only), and a `verdict`. Intervals and `p_holm` hold for all auxiliaries of
        a setting at once.
    heads : DataFrame
        By `row` and `head`: AUC of 1 - p(Normal) of that head as an answer to the main
        task, and its difference to the main task's own head in the same runs.
    points : DataFrame
        By set and auxiliary in it: a relation `measure` with the main task beside
        the `gain` that the auxiliary brought to that set.
    foretold : DataFrame
        By measure: rank correlation over the points.
    base : str
        Arm that all others are compared with.
    n_videos : int
        Test videos; of those that differ between runs each counts.
    warnings : tuple of str
    """

    sets: pd.DataFrame
    seeds: pd.DataFrame
    auxiliaries: pd.DataFrame
    heads: pd.DataFrame
    points: pd.DataFrame
    foretold: pd.DataFrame
    base: str = ""
    n_videos: int = 0
    warnings: tuple[str, ...] = ()


def compare(
    entries: Sequence[Entry], main_task: str, controls: Collection[str], resamples: int, seed: int
) -> Comparison:
    """Compare all runs of a design; the same resampled videos serve every number.

    Parameters
    ----------
    entries : sequence of Entry
        At most one per row and seed, in the order of launch.
    main_task : str
    controls : collection of str
        Auxiliaries that must not help.
    resamples, seed : int
        Of the bootstrap over videos and seeds.
    """
    base = next((entry.arm for entry in entries if entry.tasks == {main_task}), entries[0].arm if entries else "")
    sample = _Sample(entries, resamples, seed)
    groups = [
        _Group(setting, [i for i, entry in enumerate(entries) if entry.setting == setting], sample)
        for setting in dict.fromkeys(entry.setting for entry in entries)
    ]
    sets = pd.DataFrame([row for group in groups for row in _set_rows(group, base)], columns=[*SETS, *DIFFERENCE])
    sets["p_holm"] = holm(sets["p"].to_numpy(float))
    auxiliaries = pd.DataFrame(
        [row for group in groups for row in _auxiliary_rows(group, main_task, controls)],
        columns=[*AUXILIARIES, *SHAPLEY],
    )
    # one family per setting, controls among them, as for the intervals
    auxiliaries["p_holm"] = auxiliaries.groupby("setting")["p"].transform(lambda p: holm(p.to_numpy(float)))
    points = [row for group in groups for row in _points(group, main_task, controls)]
    return Comparison(
        sets=_in_order(sets, entries),
        seeds=pd.DataFrame(sample.by_seed(), columns=SEEDS),
        auxiliaries=auxiliaries,
        heads=pd.DataFrame([row for group in groups for row in _head_rows(group)], columns=[*HEADS, *OVER_HEAD]),
        points=pd.DataFrame(points, columns=POINTS),
        foretold=_foretold(pd.DataFrame(points, columns=POINTS)),
        base=base,
        n_videos=len(sample.videos),
        warnings=tuple(warning for group in groups for warning in group.warnings()),
    )


class _Sample:
    """AUC of every entry, plain and in the same resamples of all videos."""

    def __init__(self, entries: Sequence[Entry], resamples: int, seed: int) -> None:
        self.entries, self.seed = entries, seed
        found = [entry.predicted for entry in entries]
        self.videos = np.unique(np.concatenate([each.videos for each in found])) if found else np.empty(0, str)
        self.places = [np.searchsorted(self.videos, each.videos) for each in found]
        anomalous = np.zeros(len(self.videos), bool)
        for each, places in zip(found, self.places, strict=True):
            anomalous[places] |= each.anomalous
        self.drawn = stratified_multiplicities(anomalous, resamples, seed)
        every = np.ones(len(self.videos), bool)
        self.main = [self.aucs(i, entry.predicted.wins, every) for i, entry in enumerate(entries)]

    def aucs(self, i: int, wins: Sequence[VideoWins], kept: np.ndarray) -> tuple[float, np.ndarray]:
        """AUC of the i-th entry over the videos kept, and in every resample; the mean over its columns."""
        if not wins:
            return float("nan"), np.full(len(self.drawn), np.nan)
        places = self.places[i]
        coded = [replace(each, rows=places[each.rows], columns=places[each.columns]) for each in wins]
        drawn = self.drawn if kept.all() else self.drawn * kept
        plain = mean_of_defined(np.array([each.auc(kept[None, :].astype(float)) for each in coded]))
        return float(plain[0]), mean_of_defined(np.array([each.auc(drawn) for each in coded]))

    def by_seed(self) -> list[tuple[str, str, float]]:
        """Row, seed and AUC of every entry."""
        return [(entry.row, entry.seed, value) for entry, (value, _) in zip(self.entries, self.main, strict=True)]


class _Group:
    """The entries of one setting, which are compared with each other: arms by seeds."""

    def __init__(self, setting: str, members: Sequence[int], sample: _Sample) -> None:
        self.setting, self.members, self.sample = setting, members, sample
        self.entries = [sample.entries[i] for i in members]
        self.arms = list(dict.fromkeys(entry.arm for entry in self.entries))
        # the bootstrap over seeds draws by position: in any other order its interval would be another
        self.seeds = sorted({entry.seed for entry in self.entries}, key=_by_number)
        self.first = {entry.arm: entry for entry in reversed(self.entries)}
        self.counts = np.bincount(np.concatenate([sample.places[i] for i in members]), minlength=len(sample.videos))
        self.kept = self.counts == len(members)  # the videos that all of them scored
        self.n_videos = int(self.kept.sum())
        alike = bool((self.kept == (self.counts > 0)).all())
        self.own = self._matrix({i: sample.main[i] for i in members})
        self.values, self.draws = (
            self.own
            if alike
            else self._matrix({i: sample.aucs(i, sample.entries[i].predicted.wins, self.kept) for i in members})
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
        """A weighted sum of the arms' AUCs, over the seeds that all arms with a weight have."""
        values, draws = contrast(weights, self.values), contrast(weights, self.draws)
        paired = np.isfinite(values)
        lacking = int(np.isfinite(self.values[weights != 0]).any(axis=0).sum() - paired.sum())
        found = effect(values[paired], draws[paired], self.sample.seed, comparisons)
        unpaired = f"{lacking} seed{' has' if lacking == 1 else 's have'} no partner" if lacking else ""
        return replace(found, reason="; ".join(filter(None, [unpaired, found.reason])))

    def warnings(self) -> list[str]:
        """What makes the comparisons of this setting less than fair."""
        where = f" ({self.setting})" if self.setting else ""
        said = [
            f"{entry.row}, seed {entry.seed}: no AUC, {entry.predicted.fault}."
            for entry in self.entries
            if entry.predicted.fault
        ]
        apart = int((self.counts > 0).sum()) - self.n_videos
        if apart:
            names = ", ".join(self.sample.videos[(self.counts > 0) & ~self.kept][:MOST_NAMED])
            more = f" and {apart - MOST_NAMED} more" if apart > MOST_NAMED else ""
            said.append(
                f"The test videos differ between runs{where}: {names}{more} were not scored by all of them; "
                f"differences are over the {self.n_videos} videos that were."
            )
        if self._n_changed():
            said.append(
                f"The test frames differ between runs{where}: in {self._n_changed()} videos not all runs scored the "
                "same frames with the same targets."
            )
        return said

    def _n_changed(self) -> int:
        """Videos that all runs scored, but not by the same frames and targets."""
        digests = np.zeros((len(self.members), len(self.sample.videos)), np.uint64)
        for row, i in enumerate(self.members):
            digests[row, self.sample.places[i]] = self.sample.entries[i].predicted.frames
        return int((digests[:, self.kept] != digests[:1, self.kept]).any(axis=0).sum())


def _by_number(seed: str) -> tuple[bool, int, str]:
    """Numbers by their size, then what is none."""
    return (not seed.isdecimal(), int(seed) if seed.isdecimal() else 0, seed)


def _set_rows(group: _Group, base: str) -> list[dict[str, Any]]:
    """One row per arm of the setting."""
    rows = []
    own_values, own_draws = group.own
    reference = group.arms.index(base) if base in group.arms else None
    for a, arm in enumerate(group.arms):
        there = np.isfinite(own_values[a])
        auc = effect(own_values[a][there], own_draws[a][there], group.sample.seed)
        row: dict[str, Any] = {"row": group.first[arm].row, "arm": arm, "setting": group.setting, "base": base}
        row |= {"seeds": auc.n_seeds, "auc": auc.value, "sd": auc.seed_sd, **_ends(auc)}
        row |= {"reason": next((e.predicted.fault for e in group.entries if e.arm == arm and e.predicted.fault), "")}
        if reference is None:
            rows.append(row | {"reason": f"'{base}' has no finished run to compare with"})
        elif a == reference:
            rows.append(row)
        else:
            weights = np.zeros(len(group.arms))
            weights[a], weights[reference] = 1, -1
            rows.append(row | _difference(group.effect(weights), row["reason"]))
    return rows


def _ends(auc: Effect) -> dict[str, float]:
    """Interval of an AUC; with few seeds that of t may reach beyond what an AUC can be."""
    return {"low": float(np.clip(auc.low, 0, 1)), "high": float(np.clip(auc.high, 0, 1))}


def _difference(found: Effect, fault: str) -> dict[str, Any]:
    return {
        "difference": found.value,
        "difference_sd": found.seed_sd,
        "difference_low": found.low,
        "difference_high": found.high,
        "paired_seeds": found.n_seeds,
        "p": found.p,
        "reason": fault or found.reason,
    }


def _in_order(sets: pd.DataFrame, entries: Sequence[Entry]) -> pd.DataFrame:
    """Rows in the order of launch."""
    order = {row: i for i, row in enumerate(dict.fromkeys(entry.row for entry in entries))}
    return sets.sort_values("row", key=lambda rows: rows.map(order), ignore_index=True)


def _design(group: _Group, main_task: str) -> tuple[list[int], list[frozenset[str]]]:
    """Arms that differ in their auxiliaries, and those auxiliaries."""
    by_set: dict[frozenset[str], int] = {}
    for a, arm in enumerate(group.arms):
        if np.isfinite(group.values[a]).any():
            by_set.setdefault(group.first[arm].tasks - {main_task}, a)
    return list(by_set.values()), list(by_set)


def _auxiliary_rows(group: _Group, main_task: str, controls: Collection[str]) -> list[dict[str, Any]]:
    """One row per auxiliary of the setting, those that no two sets isolate included."""
    arms, sets = _design(group, main_task)
    effects, shares = main_effects(sets), shapley_values(sets)
    whole = len(sets) == 2 ** len(shares)

    def spread(weights: np.ndarray) -> np.ndarray:
        """Weights of the design's sets as weights of all arms."""
        of_arms = np.zeros(len(group.arms))
        of_arms[arms] = weights
        return of_arms

    rows = []
    for bundle in bundles(sets):
        row: dict[str, Any] = {"setting": group.setting, "auxiliary": " + ".join(sorted(bundle))}
        row |= {"control": set(bundle) <= set(controls), "pairs": 0, "seeds": 0, "within": "", "reason": ""}
        if bundle not in effects:
            rows.append(row | {"verdict": "cannot tell", "reason": "no two sets differ in it alone"})
            continue
        found = group.effect(spread(effects[bundle]), len(effects))
        row |= {"pairs": sum(1 for s in sets if not s & set(bundle) and s | set(bundle) in sets)}
        row |= {"seeds": found.n_seeds, "effect": found.value, "low": found.low, "high": found.high, "p": found.p}
        row |= {"verdict": str(verdict(found, group.n_videos)) if found.n_seeds else "cannot tell"}
        row |= {"reason": found.reason}
        if bundle in shares and len(shares) > 1:  # of a single one it is the main effect
            share = group.effect(spread(shares[bundle]), len(effects))
            row |= {"shapley": share.value, "shapley_low": share.low, "shapley_high": share.high}
        if not whole and len(shares) > 1 and bundle in shares:
            within = ", ".join(" + ".join(sorted(each)) for each in shares)
            row["within"] = within
        rows.append(row)
    return rows


def _head_rows(group: _Group) -> list[dict[str, Any]]:
    """One row per arm and head that gives an anomaly score by itself."""
    rows = []
    every = np.ones(len(group.sample.videos), bool)
    for head in dict.fromkeys(head for entry in group.entries for head in entry.predicted.by_head):
        found = {
            i: group.sample.aucs(i, (group.sample.entries[i].predicted.by_head[head],), every)
            for i in group.members
            if head in group.sample.entries[i].predicted.by_head
        }
        values, draws = group._matrix(found)
        own_values, own_draws = group.own
        for a, arm in enumerate(group.arms):
            there = np.isfinite(values[a])
            if not there.any():
                continue
            auc = effect(values[a][there], draws[a][there], group.sample.seed)
            over = effect(
                values[a][there] - own_values[a][there], draws[a][there] - own_draws[a][there], group.sample.seed
            )
            row = {"row": group.first[arm].row, "setting": group.setting, "head": head, "seeds": auc.n_seeds}
            row |= {"auc": auc.value, "sd": auc.seed_sd, **_ends(auc), "difference": over.value}
            row |= {"difference_low": over.low, "difference_high": over.high, "p": over.p, "reason": over.reason}
            rows.append(row)
    return rows


def _points(group: _Group, main_task: str, controls: Collection[str]) -> list[dict[str, Any]]:
    """Every measure of an auxiliary in a set beside what the auxiliary brought to that set."""
    arms, sets = _design(group, main_task)
    rows = []
    for bundle in bundles(sets):
        for s, with_it in zip(sets, arms, strict=True):
            if not set(bundle) <= s or s - set(bundle) not in sets:
                continue
            weights = np.zeros(len(group.arms))
            weights[with_it], weights[arms[sets.index(s - set(bundle))]] = 1, -1
            gain = group.effect(weights)
            place = {"setting": group.setting, "arm": group.arms[with_it], "auxiliary": " + ".join(sorted(bundle))}
            place |= {"control": set(bundle) <= set(controls)}  # type: ignore[dict-item]
            runs = [entry for entry in group.entries if entry.arm == group.arms[with_it]]
            for measure in dict.fromkeys(name for run in runs for name, _ in run.measures):
                values = [run.measures.get((measure, each), np.nan) for run in runs for each in bundle]
                value = float(mean_of_defined(np.array(values)))
                if np.isfinite(value) and np.isfinite(gain.value):
                    point = {"measure": measure, "value": value, "gain": gain.value}
                    rows.append(place | point | {"low": gain.low, "high": gain.high})
    return rows


def _foretold(points: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of every measure with the gain, over the points."""
    rows = []
    for measure, group in points.groupby("measure", sort=False):
        found = rank_correlation(group["value"].to_numpy(float), group["gain"].to_numpy(float))
        row = {"measure": measure, "points": found.n, "correlation": found.value, "low": found.low, "high": found.high}
        rows.append(row | {"p": found.p, "reason": found.reason})
    table = pd.DataFrame(rows, columns=FORETOLD)
    table["p_holm"] = holm(table["p"].to_numpy(float))
    return table
