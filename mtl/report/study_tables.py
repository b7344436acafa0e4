"""A search in tables and sentences."""

from __future__ import annotations

import pandas as pd

from mtl.formatting import NOTHING, number, plural
from mtl.report.study import Study, Trial

MOST_TRIALS = 20  # that a report lists; all of them stand in trials.csv
FEW_PER_KEY = 10  # trials for every key that is searched, below which importances are rough


def trials_frame(study: Study) -> pd.DataFrame:
    """One row per trial, in their order: what was proposed, and what came of it."""
    seeds = study.seeds if len(study.seeds) > 1 else ()
    rows = []
    for trial in study.trials:
        by_seed = dict(zip((f"seed {seed}" for seed in seeds), trial.values, strict=False))
        row = {"trial": trial.number, study.objective: trial.value, **by_seed, **trial.proposal}
        rows.append({**row, "same_as": trial.same_as, "reason": trial.reason})
    return pd.DataFrame(rows)


def trials_table(study: Study) -> pd.DataFrame:
    """The best trials down, then those that failed; the objective and what was proposed across."""
    failed = [trial for trial in study.trials if trial.value is None]
    own = [trial for trial in [*study.ranked, *failed] if trial.same_as is None][:MOST_TRIALS]
    table = pd.DataFrame(index=pd.Index([str(trial.number) for trial in own], name="trial"))
    table[study.objective] = ["failed" if trial.value is None else number(trial.value) for trial in own]
    for i, seed in enumerate(study.seeds if len(study.seeds) > 1 else ()):
        table[f"seed {seed}"] = [_of_seed(trial, i) for trial in own]
    for key in dict.fromkeys(key for trial in own for key in trial.proposal):
        table[key] = [shortened(trial.proposal[key]) for trial in own]
    return table


def _of_seed(trial: Trial, i: int) -> str:
    """The objective of one seed; a dash where it is undefined."""
    value = trial.values[i] if i < len(trial.values) else None
    return NOTHING if value is None else number(value)


def shortened(word: str) -> str:
    """A proposed value, a long fraction with four digits that count."""
    try:
        value = float(word)
    except ValueError:
        return word
    return word if len(word) <= 6 else f"{value:.4g}"


def importance_table(study: Study) -> pd.DataFrame:
    """Keys down, the largest share first."""
    shares = sorted(study.importance.items(), key=lambda item: -item[1])
    table = pd.DataFrame(index=pd.Index([key for key, _ in shares], name="key"))
    table["share of the variance"] = [number(share, 2) for _, share in shares]
    return table


def best_sentences(study: Study) -> list[str]:
    """Which trial is best, and how it is run again."""
    best = study.best
    if best is None or best.value is None:
        return [f"No trial has a value of {study.objective}."]
    of_seeds = f", the mean over {plural(len(study.seeds), 'seed')}" if len(study.seeds) > 1 else ""
    looked = (
        "What it is worth on test frames, beside other settings, stands below; nothing is chosen by it."
        if study.compared
        else "What the trial is worth on test frames stands below: of it alone, looked at once, at the end."
        if study.is_over
        else "The search is not over, so no test frame was looked at; the same command goes on with it."
    )
    return [
        f"Trial {best.number}: {study.objective} {number(best.value)}{of_seeds}, with {best.words()}",
        f"It was chosen for this value, the best of {plural(len(study.ranked), 'trial')}, so the value is likely too "
        f"good. {looked}",
    ]


def course_sentences(study: Study) -> list[str]:
    """How far the search came, and what failed."""
    failed = [trial for trial in study.trials if trial.value is None]
    repeated = [trial for trial in study.trials if trial.same_as is not None]
    done = (
        f"{len(study.trials)} of {plural(study.n_trials, 'trial')}, proposed by {study.sampler}, to {study.direction}"
    )
    lines = [f"{done} {study.objective}{f'; {study.ended}' if study.ended else ''}."]
    if repeated:
        lines.append(f"{plural(len(repeated), 'trial')} proposed what had been tried already, and ran nothing.")
    lines += [f"Trial {trial.number} failed: {trial.reason}." for trial in failed[:MOST_TRIALS]]
    if len(study.trials) > MOST_TRIALS:
        lines.append("All trials stand in trials.csv.")
    return lines


def importance_sentences(study: Study) -> list[str]:
    """What the shares are, or why there are none."""
    if not study.importance:
        return [f"It is not known: {study.unknown or 'the search did not come to its end'}."]
    n, keys = len(study.ranked), len(study.importance)
    rough = f" With {plural(n, 'trial')} for {plural(keys, 'key')} they are rough." if n < FEW_PER_KEY * keys else ""
    return [
        "Share of the objective's variance over the searched values that a key explains alone or with others (fANOVA), "
        f"of a forest of trees fitted to the trials with a value.{rough}"
    ]


def study_headline(study: Study, test: str) -> str:
    """What the search found, in a line.

    Parameters
    ----------
    study : Study
    test : str
        What the best trial is worth on test frames; empty where that is not known.
    """
    best = study.best
    if best is None or best.value is None:
        return f"None of {plural(len(study.trials), 'trial')} has a value of {study.objective}."
    n_failed = sum(trial.value is None for trial in study.trials)
    failed = f", {n_failed} of which failed," if n_failed else ""
    found = f"Best of {plural(len(study.trials), 'trial')}{failed} is trial {best.number}, {best.words()}"
    return f"{found}: {study.objective} {number(best.value)}{f'; {test}' if test else ''}."
