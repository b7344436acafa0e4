"""What a screening found, in tables and sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mtl.ablation.design import Design, resampling
from mtl.ablation.judged import CANNOT_TELL
from mtl.ablation.predictions import ComparedRun
from mtl.formatting import SPACE, interval, number, percentage, plural, signed, signed_interval
from mtl.plots.screenings import ForetoldRuns, PredictedSet
from mtl.report.afterwards import afterwards_frame
from mtl.report.compared_runs import compared_runs
from mtl.report.judge import VIDEO_LABELS
from mtl.report.linearised_sets import linearised_predictors
from mtl.report.stored import Downloads
from mtl.screening.afterwards import TEST
from mtl.screening.asked import asked_of
from mtl.screening.foretold import Foretold
from mtl.screening.of_runs import Screening, screen
from mtl.screening.relevance import Relevance
from mtl.screening.sets import LEVEL, MOST_OPEN
from mtl.screening.surrogate import PREDICTABLE, USABLE

MOST_SETS = 12  # predicted sets that a report lists; all of them stand in predicted_sets.csv
MOST_DRAWN = 24
NONE = "none"
NAN = float("nan")


def screenings_of(
    design: Design, entries: Sequence[ComparedRun], main_task: str, tracking: Downloads | None, margin: float
) -> list[Screening]:
    """What a screening found, by condition; nothing where the sweep was none.

    Parameters
    ----------
    design : Design
    entries : sequence of ComparedRun
        Of test videos.
    main_task : str
    tracking : Downloads, optional
        Asked for predictions that do not lie on this machine.
    margin : float
    """
    asked = asked_of(design.runs)
    if asked is None:
        return []
    if asked.main_task != main_task:
        other = f"the sweep screened auxiliaries of {asked.main_task}, and {main_task} is asked about"
        return [Screening("", main_task, asked.candidates, other)]
    validation, _, _ = compared_runs(design, main_task, tracking, VIDEO_LABELS, "val")
    known = {(one.row, one.seed) for one in validation if not one.predicted.fault}
    whole = all((one.row, one.seed) in known for one in entries if not one.predicted.fault)
    chooses = [one for one in validation if not one.predicted.fault] if whole else []
    further = linearised_predictors(design, asked, tracking)
    return screen(entries, chooses, asked, *resampling(design.counted), margin, further)


def relevance_table(found: Screening) -> pd.DataFrame:
    """Candidates down, the most relevant first; ridge, least squares, interval and verdict across."""
    effects = found.relevance
    assert effects is not None
    order = np.argsort(-effects.ridge, kind="stable")
    table = pd.DataFrame(index=pd.Index([effects.candidates[j] for j in order], name="auxiliary"))
    table["relevance (ridge)"] = [signed(effects.ridge[j]) for j in order]
    table["least squares"] = [signed(effects.least_squares[j]) for j in order]
    table[f"95{SPACE}% interval for all at once"] = [signed_interval(effects.low[j], effects.high[j]) for j in order]
    table["verdict"] = [effects.words[j] for j in order]
    return table


def relevance_sentences(found: Screening) -> list[str]:
    """What the interval is of, and why some verdicts are missing."""
    effects = found.relevance
    assert effects is not None
    return [
        f"Gain in AUC over the main task alone ({number(found.alone)}), paired by seed, as a sum over the auxiliaries "
        f"of a set: {plural(found.n_runs, 'set')}, {plural(found.n_seeds, 'seed')} that all of them have.",
        "The ridge coefficient is drawn towards zero, which makes predictions better; the interval and the verdict are "
        "of the least squares coefficient, which is not. The interval is over test videos, seeds and sets, and holds "
        "for all auxiliaries at once.",
        *_untold(effects),
        *found.warnings,
    ]


def _untold(effects: Relevance) -> list[str]:
    """Why some verdicts are missing."""
    by_reason: dict[str, list[str]] = {}
    for name, why, low in zip(effects.candidates, effects.reasons, effects.low, strict=True):
        if why:  # of the same kind where there is an interval, up to its numbers
            by_reason.setdefault("" if np.isfinite(low) and ";" not in why else why, []).append(name)
    if "" in by_reason:
        places = [effects.candidates.index(name) for name in by_reason[""]]
        runs = effects.critical * float(np.hypot(effects.of_runs, effects.of_seeds)[places].max())
        videos = effects.critical * float(effects.of_videos[places].max())
        of_all = f"sets and seeds alone leave up to ±{runs:.3f}, videos up to ±{videos:.3f}"
        by_reason = {why or of_all: names for why, names in by_reason.items()}
    lines = [f"{', '.join(names)}: {CANNOT_TELL}, {why}." for why, names in by_reason.items()]
    return lines if len(lines) <= 3 else [*lines[:3], "The other reasons stand in relevance.csv."]


def predicted_table(found: Screening) -> pd.DataFrame:
    """The best sets down, the main task alone and the worst last; predicted and measured AUC across."""
    rows = _shown(found, MOST_SETS)
    table = pd.DataFrame(index=pd.Index([str(row["set"]) or NONE for row in rows], name="auxiliaries"))
    if found.by_validation is not None:
        table["predicted, validation"] = [number(row["by_validation"]) for row in rows]
    table["predicted"] = [number(row["predicted"]) for row in rows]
    table[f"{100 * LEVEL:.0f}{SPACE}% interval"] = [interval(row["low"], row["high"]) for row in rows]
    table["measured"] = [number(row["measured"]) for row in rows]
    return table


def predicted_sentences(found: Screening) -> list[str]:
    """Whether the predictions are worth anything, which set is best, and what the columns are."""
    judged = found.foretold
    assert judged is not None
    lines = [
        f"{found.word[0].upper()}{found.word[1:]}. {_foretelling(judged, 'test videos')} Predictions count where it is "
        f"above {USABLE:g}."
    ]
    if found.word == PREDICTABLE and not judged.r2_of_mean > 0:
        lines.append(
            f"But against the mean gain of the other sets it is {number(judged.r2_of_mean, 2)}: the sets differ from "
            "the main task alone, and which of them is better than another is not foretold."
        )
    lines += _best_sentences(found)
    if found.predictors:
        lines.append(_foretold_by_measures(found, judged.fitted.model.predictors))
    shown, n = min(MOST_SETS, len(found.sets)), len(found.sets)
    lines.append(
        f"AUC on test videos; the interval is of what a run would measure, from the errors of left-out runs. The first "
        f"{shown} of {n:,} sets, then the main task alone and the last; all stand in predicted_sets.csv."
    )
    if len(found.candidates) > MOST_OPEN:
        lines.append(
            f"Of {len(found.candidates)} candidates the {MOST_OPEN} with the smallest relevance are tried both ways; "
            "the others are in or out by the sign of theirs."
        )
    return lines


def _foretold_by_measures(found: Screening, entered: Sequence[str]) -> str:
    """Whether what gradients, losses and labels of the runs with all candidates say could have foretold the gains."""
    names = f"{', '.join(entered)} lower{'s' if len(entered) == 1 else ''}"
    answer = f"in part: {names}" if entered else f"no: none of {plural(len(found.predictors), 'measure')} lowers"
    each = ", ".join(f"{name.replace('_', ' ')} {number(value, 2)}" for name, value in found.predictors.items())
    return (
        f"Could measures of the runs with all candidates, such as the cosine of gradients, have foretold the gains? "
        f"{answer[0].upper()}{answer[1:].replace('_', ' ')} the errors of left-out runs by more than one standard "
        f"error. Leave-one-run-out R² of the ridge on membership {number(found.by_membership, 2)}; with one measure "
        f"beside it: {each}."
    )


def _foretelling(of: Foretold, videos: str) -> str:
    """How well left-out runs are foretold."""
    return (
        f"Leave-one-run-out R² on {videos} {number(of.r2, 2)} against a gain of zero, {number(of.r2_of_mean, 2)} "
        f"against the mean gain of the other sets ({of.fitted.model.name}, penalty {of.fitted.penalty:.3g}, "
        "chosen again without each run)."
    )


def _best_sentences(found: Screening) -> list[str]:
    """Which set is best by validation videos, and what test videos say to it."""
    best = found.best
    if best is None or found.by_validation is None:
        return [
            "No set is called best: not all runs have predictions of validation videos, and test videos do not choose. "
            "The sets are in the order of the predicted test AUC."
        ]
    name = str(best["set"]) or NONE
    judged = f"predicted {number(float(str(best['predicted'])))}"
    if best["trained"]:
        judged += f", measured {number(float(str(best['measured'])))}"
    return [
        f"Best by validation videos, which alone choose: {name}, the best of all sets in {percentage(found.chance)} of "
        f"the resamples of videos and runs. On test videos {judged}.",
        _foretelling(found.by_validation, "validation videos"),
    ]


def _shown(found: Screening, most: int) -> list[dict]:
    """The first rows, the main task alone and the last one."""
    rows = found.sets.to_dict("records")
    last = [row for row in rows[most:] if not row["set"]] + rows[most:][-1:]
    return rows[:most] + [row for i, row in enumerate(last) if row not in last[:i]]


def relevance_frame(screenings: Sequence[Screening]) -> pd.DataFrame:
    """One row per condition and candidate."""
    rows = []
    for found in screenings:
        effects = found.relevance
        for j, name in enumerate(found.candidates if effects is not None else ()):
            assert effects is not None
            row: dict[str, object] = {"condition": found.condition, "auxiliary": name, "relevance": effects.ridge[j]}
            row |= {"least_squares": effects.least_squares[j], "low": effects.low[j], "high": effects.high[j]}
            row |= {"verdict": effects.words[j], "reason": effects.reasons[j]}
            row |= dict(zip(("share_below", "share_within", "share_above"), effects.shares[j], strict=True))
            row |= {"error_of_runs": effects.of_runs[j], "error_of_seeds": effects.of_seeds[j]}
            rows.append(row | {"error_of_videos": effects.of_videos[j]})
    return pd.DataFrame(rows)


def sets_frame(screenings: Sequence[Screening]) -> pd.DataFrame:
    """One row per condition and set."""
    return pd.concat([one.sets.assign(condition=one.condition) for one in screenings], ignore_index=True)


def as_plain(found: Screening) -> Mapping[str, object]:
    """The screening for machines, without its tables."""
    by = {"test": found.foretold, "validation": found.by_validation}
    best = found.best
    return {
        "condition": found.condition,
        "main_task": found.main_task,
        "candidates": list(found.candidates),
        "fault": found.fault,
        "sets": found.n_runs,
        "seeds": found.n_seeds,
        "alone": found.alone,
        "word": found.word,
        "r2": {name: one.r2 for name, one in by.items() if one is not None},
        "r2_of_mean": {name: one.r2_of_mean for name, one in by.items() if one is not None},
        "model": {name: one.fitted.model.name for name, one in by.items() if one is not None},
        "best": None if best is None else str(best["set"]),
        "chance_of_best": found.chance,
        "predictors": dict(found.predictors),
        "afterwards": json.loads(afterwards_frame([found]).to_json(orient="records", double_precision=15)),
    }


def headline_of(found: Screening) -> str:
    """What a screening found, in a line."""
    if found.relevance is None or found.foretold is None:
        return f"Nothing can be screened: {found.fault}"
    by_word: dict[str, list[str]] = {}
    for j in np.argsort(-found.relevance.ridge, kind="stable"):
        name = f"{found.candidates[j]} ({signed(found.relevance.least_squares[j])})"
        by_word.setdefault(found.relevance.words[j], []).append(name)
    several = {"helps": "help", "hurts": "hurt", "does not matter": "do not matter"}
    parts = [
        f"{', '.join(by_word[word])} {word if len(by_word[word]) == 1 else plain}"
        for word, plain in several.items()
        if word in by_word
    ]
    parts += [f"{CANNOT_TELL} for {', '.join(by_word[CANNOT_TELL])}"] if CANNOT_TELL in by_word else []
    parts.append(f"sets that nobody trained are {found.word} (R² {number(found.foretold.r2, 2)})")
    return (f"{found.condition}: " if found.condition else "") + "; ".join(parts)


def drawn_sets(found: Screening) -> list[PredictedSet]:
    """The sets of the figure: the first, all that were trained as long as there is room, those trained afterwards."""
    rows = found.sets.to_dict("records")
    trained = [i for i, row in enumerate(rows) if row["trained"]]
    later = {one.auxiliaries: one for one in found.afterwards if one.videos == TEST}
    names = [tuple(filter(None, str(row["set"]).split(" + "))) for row in rows]
    after = [i for i, one in enumerate(names) if one in later]
    kept = sorted({*range(min(len(rows), MOST_SETS)), *trained[:MOST_DRAWN], *after, len(rows) - 1})
    drawn = []
    for i in kept:
        one = later.get(names[i])
        before = (NAN,) * 3 if one is None else tuple(found.alone + gain for gain in (one.predicted, one.low, one.high))
        values = (float(rows[i][name]) for name in ("predicted", "low", "high", "measured"))
        drawn.append(PredictedSet(names[i], i + 1, *values, *before))
    return drawn


def relevance_rows(found: Screening) -> pd.DataFrame:
    """The candidates for the figure, the most relevant first."""
    effects = found.relevance
    assert effects is not None
    columns = {"ridge": effects.ridge, "difference": effects.least_squares, "low": effects.low, "high": effects.high}
    table = pd.DataFrame({**columns, "verdict": effects.words}, index=pd.Index(effects.candidates))
    return table.sort_values("ridge", ascending=False, kind="stable")


def drawn_runs(found: Screening) -> ForetoldRuns:
    """Predicted beside measured of left-out runs, for the figure."""
    runs = found.runs
    assert found.foretold is not None
    said = f"leave-one-run-out R² {number(found.foretold.r2, 2)}: {found.word}"
    gain, left_out, low, high = (runs[name].to_numpy(float) for name in ("gain", "left_out", "low", "high"))
    return ForetoldRuns(gain, left_out, low, high, said)
