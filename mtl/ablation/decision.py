"""A sweep that stops when it knows: every look that the runs allow, what it came to, and what is still to be run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mtl.ablation.judged import CANNOT_TELL, judge, spread_of
from mtl.ablation.judged import Judged as Judged
from mtl.ablation.predictions import ComparedRun
from mtl.ablation.questions import Question, question_of
from mtl.ablation.rule import Rule as Rule
from mtl.ablation.samples import Sample, SampledGroup, by_number
from mtl.ablation.waves import Job, Standing, next_wave
from mtl.statistics.bootstrap import LEVEL
from mtl.statistics.looks import fixed_seeds


@dataclass(frozen=True)
class Look:
    """What was known at a number of seeds.

    Attributes
    ----------
    seeds : int
        Of every effect that was still open then; one that was told by fewer stands with those.
    runs : int
        How many the design had used by then, those that gave nothing among them.
    judged : tuple of Judged
        By condition and effect.
    """

    seeds: int
    runs: int
    judged: tuple[Judged, ...]


@dataclass(frozen=True)
class Decision:
    """What the runs of a sweep decide, and what is still to be run.

    Attributes
    ----------
    course : tuple of Look
        Every look that the runs allow, first to last; empty before the first.
    ended : str
        Why it is over, in a sentence; empty while more is to be run.
    fixed_runs : int
        Runs of the design without looks that would decide an effect of one margin with
        probability .9, at the spread measured; 0 where there is none, see `fixed_reason`.
    fixed_reason : str
    needed_videos : int
        Test videos that would be needed where they are the limit; 0 where they are not.
    notes : tuple of str
        What else is to be known: an error that is not held any more, runs that failed.
    standings : tuple of Standing
        What `next_jobs` goes by.
    """

    course: tuple[Look, ...]
    ended: str
    fixed_runs: int
    fixed_reason: str = ""
    needed_videos: int = 0
    notes: tuple[str, ...] = ()
    standings: tuple[Standing, ...] = ()


def decide(
    entries: Sequence[ComparedRun],
    main_task: str,
    controls: Collection[str],
    resamples: int,
    seed: int,
    rule: Rule,
    failed: Collection[tuple[str, str, str]] = (),
    seeds: Sequence[str] = (),
) -> Decision:
    """Judge the runs of a sweep at every look that they allow.

    All is computed from the runs, so the same runs give the same course and the same next
    ones, however often a sweep was interrupted. It is to be asked once every set was tried: sets of which there is
    neither a run nor a failure are not known here, unless another condition has them.

    Parameters
    ----------
    entries : sequence of ComparedRun
        At most one per row and seed, in the order of launch.
    main_task : str
    controls : collection of str
        Auxiliaries that must not help; they are judged as all others.
    resamples, seed : int
        Of the bootstrap over videos.
    rule : Rule
    failed : collection of (str, str, str)
        Condition, arm and seed of runs that were tried and gave nothing.
    seeds : sequence of str
        In the order in which they are launched; those that are not named follow, by number. The place of a seed in
        this order is its number in `next_jobs`.
    """
    del controls  # they are judged as all others
    sample = Sample(entries, resamples, seed)
    known = {entry.seed for entry in entries} | {each for _, _, each in failed}
    order = list(dict.fromkeys([*seeds, *sorted(known, key=by_number)]))
    tasks = {entry.arm: entry.tasks for entry in reversed(entries)}
    arms = {arm: tasks[arm] - {main_task} for arm in dict.fromkeys(entry.arm for entry in entries)}
    questions = []
    for condition in dict.fromkeys(entry.condition for entry in entries):
        group = SampledGroup(condition, [i for i, each in enumerate(entries) if each.condition == condition], sample)
        lost = [(arm, order.index(each)) for where, arm, each in failed if where == condition]
        questions.append(question_of(group, arms, order, lost, rule))
    return decide_questions(questions, rule)


def decide_questions(questions: Sequence[Question], rule: Rule) -> Decision:
    """As `decide`, of what is asked of every condition."""
    n_seeds = [[len(each) for each in question.complete()] for question in questions]
    most = max((n for each in n_seeds for n in each), default=0)
    course = tuple(_look(questions, n, rule) for n in range(rule.first_seeds, most + 1))
    last = course[-1].judged if course else ()
    standings = tuple(_open(question, last, rule) for question in questions)
    over = not next_wave(standings)
    fixed, reason = _fixed_runs(questions, last, rule) if course else (0, "no look is possible yet")
    notes = [note for question in questions for note in question.notes]
    if most > rule.most_seeds:
        notes.append(
            f"{most} seeds were run where {rule.most_seeds} at most were planned. The error of {1 - LEVEL:.0%} is "
            "held over the planned looks only, so it is not held any more."
        )
    return Decision(
        course,
        _ended(questions, last, n_seeds, rule) if over else "",
        fixed,
        reason,
        max((each.needed_videos for each in last), default=0),
        tuple(notes),
        standings,
    )


def next_jobs(
    decision: Decision, seconds: Mapping[str, float] | None = None, seconds_left: float = float("inf")
) -> list[Job]:
    """What to launch next: condition, arm and place of the seed in the order of launch; nothing when it is over.

    Parameters
    ----------
    decision : Decision
    seconds : mapping of str to float, optional
        Mean time of a run, by arm.
    seconds_left : float
        What all of the next runs may take together, one after the other: with several workers so many times as much.
    """
    return next_wave(decision.standings, seconds, seconds_left)


def _look(questions: Sequence[Question], n: int, rule: Rule) -> Look:
    """What the first n seeds say."""
    judged: list[Judged] = []
    runs = 0
    for question in questions:
        used = [places[:n] for places in question.complete()]
        judged += judge(question.effects, used, rule)
        runs += question.runs(used)
    return Look(n, runs, tuple(judged))


def _open(question: Question, last: Iterable[Judged], rule: Rule) -> Standing:
    """Where a condition stands, with the answers that are open."""
    standing = question.standing
    judged = {each.name: each for each in last if each.condition == standing.condition}
    variances: dict[str, float] = {}
    for name, answer, places in zip(question.effects.names, question.answers, question.complete(), strict=True):
        early = len(places) < rule.first_seeds
        if early or judged[name].open:
            variance = float("inf") if early else judged[name].seed_sd ** 2
            variances[answer] = max(variances.get(answer, 0.0), variance)
    return replace(standing, variances=variances)


def _fixed_runs(questions: Sequence[Question], last: Iterable[Judged], rule: Rule) -> tuple[int, str]:
    """Runs of the design without looks, or why there is none."""
    judged, runs = list(last), 0
    for question in questions:
        names = question.effects.names
        if not names:
            continue
        mine = [each for each in judged if each.condition == question.standing.condition]
        spread = spread_of(question.effects, question.complete())
        error = float(np.sqrt(np.nanmean([each.video_error**2 for each in mine])))
        n = fixed_seeds(rule.margin, float(np.sqrt(np.nanmean(spread.pooled**2))), error, (1 - LEVEL) / len(names))
        if not n:
            return 0, "the test videos are too few to tell an effect of one margin, by however many seeds"
        runs += n * len(question.standing.arms)
    return runs, ""


def _ended(questions: Sequence[Question], last: Iterable[Judged], n_seeds: Sequence[Sequence[int]], rule: Rule) -> str:
    """Why nothing more is to be run."""
    untold = [each for each in last if each.word == CANNOT_TELL]
    if not any(question.effects.names for question in questions):
        return "There is nothing to compare: fewer than two sets have runs."
    if not untold and any(n_seeds):
        return "Every question has its answer."
    videos = [each for each in untold if each.exhausted]
    sentences = []
    if videos:
        most = max(each.needed_videos for each in videos)
        needed = f", about {most:,} test videos would be needed" if most else ""
        sentences.append(f"More seeds cannot tell of {_named(videos)}: the test videos are the limit{needed}.")
    others = [each for each in untold if not each.exhausted]
    spent = [each for each in others if each.seeds >= rule.most_seeds]
    if spent:
        sentences.append(f"The most seeds, {rule.most_seeds}, are run, and it cannot be told of {_named(spent)}.")
    if len(spent) < len(others) or not untold:
        lost = [each for each in others if each not in spent]
        of = f" of {_named(lost)}" if lost else ""
        sentences.append(f"No seed is left to tell{of} by: of each some set was tried and gave nothing.")
    return " ".join(sentences)


def _named(judged: Sequence[Judged]) -> str:
    """Names of effects, with their conditions where they have some."""
    return ", ".join(f"{each.name} ({each.condition})" if each.condition else each.name for each in judged)
