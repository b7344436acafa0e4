"""Whether the runs of a sweep can be compared: budgets, versions, data, other differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from mtl.ablation.design import Design, follows_seed, parameters_of
from mtl.formatting import plural
from mtl.results import CODE, DATA, NUMERICS, TrackedRun

# What may differ between the runs of a comparison: the sets themselves, and what changes no score.
MAY_DIFFER = ("tasks", "seed", "task.", "relations", "gradient_measurements", "linearised", "evaluation")


def budget(design: Design) -> str:
    """How long the runs were trained, and whether all alike."""
    names = ("training.epochs", "training.batch_size", "training.early_stopping")

    def budgets(runs: Sequence[TrackedRun]) -> set[tuple[str, ...]]:
        return {tuple(run.params[name] for name in names) for run in runs if all(name in run.params for name in names)}

    runs = design.counted
    found = budgets(runs)
    if len(found) != 1:
        if not found:
            return ""
        if design.axis.split(".")[0] == "training":
            return "The training budgets differ, as intended: they are what is compared."
        if all(len(budgets(members)) <= 1 for members in design.by_condition().values()):
            return "The training budgets differ between conditions and are equal within each condition."
        return "The training budgets differ: see MTL004."
    epochs, size, stops = found.pop()
    same = f"{plural(int(epochs), 'epoch')} at batch size {size}"
    if stops.lower() == "false":
        return f"Equal training budget: every run was trained for {same}; its last epoch is evaluated."
    chosen = sorted(int(run.metrics["epoch/best"]) for run in runs if "epoch/best" in run.metrics)
    which = f" (epochs {chosen[0]} to {chosen[-1]})" if chosen and chosen[0] < chosen[-1] else ""
    return (
        f"Equal maximum training budget: {same}; every run is evaluated at its best epoch on validation{which}. "
        "With training=fixed_epochs all runs take the same number of steps."
    )


def unfair(design: Design, base: str) -> list[str]:
    """What makes a comparison unfair or impossible, in lines that name the differences.

    Parameters
    ----------
    design : Design
    base : str
        Value of its axis that the others are compared with.
    """
    conditions = _parameters_by_arm(design)
    differing: dict[str, list[str]] = {}
    for arms in conditions.values():
        (first, reference), *others = arms.items()
        for arm, parameters in others:
            for key, (there, here) in _differences(parameters, reference, design.axis).items():
                if design.axis.startswith(f"{key}.") and key not in design.keys:
                    continue  # the choice's name, which follows from what is compared
                differing.setdefault(key, []).append(f"{there} in {arm} but {here} in {first}")
    return [
        f"The runs also differ in {key}, which may explain a difference: {'; '.join(dict.fromkeys(which))}."
        for key, which in differing.items()
    ] + _without_base(conditions, design.axis, base)


def _without_base(conditions: Mapping[str, Mapping[str, list[Mapping[str, str]]]], axis: str, base: str) -> list[str]:
    """A line per condition that has no run of the base: in what it differs from the nearest one that has."""
    bases = {condition: arms[base] for condition, arms in conditions.items() if base in arms}
    lines = []
    for condition, arms in conditions.items():
        if base in arms or not bases:
            continue
        here = [each for parameters in arms.values() for each in parameters]
        apart = [(name, _differences(here, there, axis)) for name, there in bases.items()]
        nearest, differences = min(apart, key=lambda found: len(found[1]))
        which = ", ".join(f"{key} ({mine} instead of {its})" for key, (mine, its) in differences.items())
        what = "was" if len(arms) == 1 else "were"
        lines.append(
            f"{' and '.join(arms)} {what} not compared with {base}: there is no finished run of {base} with "
            f"{condition}. The runs of {base} with {nearest} differ in {which}, which could explain a difference."
        )
    return lines


def _parameters_by_arm(design: Design) -> dict[str, dict[str, list[Mapping[str, str]]]]:
    """Parameters of the runs by the condition they are compared in, then by what is compared."""
    found: dict[str, dict[str, list[Mapping[str, str]]]] = {}
    for condition, runs in design.by_condition().items():
        for run in runs:
            found.setdefault(condition, {}).setdefault(design.arm(run), []).append(parameters_of(run))
    return found


def _differences(
    some: Sequence[Mapping[str, str]], others: Sequence[Mapping[str, str]], axis: str
) -> dict[str, tuple[str, str]]:
    """Values by parameter, other than what is compared, in which the two groups of runs differ."""
    found = {}
    for key in sorted(others[0], key=lambda name: "." in name):  # choices first
        if _may_differ(key, axis):
            continue
        mine, its = (
            list(dict.fromkeys(each[key] for each in group if key in each and not follows_seed(each, key)))
            for group in (some, others)
        )
        if mine and its and set(mine) != set(its):
            found[key] = " and ".join(mine), " and ".join(its)
    return found


def _may_differ(key: str, axis: str) -> bool:
    """Whether the parameter is what is compared, follows from it, or changes no score; a task's definition does."""
    if key.startswith("tasks."):
        return False
    return key.startswith(MAY_DIFFER) or key == axis or key.startswith(f"{axis}.")


def versions(runs: Sequence[TrackedRun]) -> list[str]:
    """A line where the runs come from several versions of the code that makes results."""
    found = list(dict.fromkeys(run.tags[CODE] for run in runs if CODE in run.tags))
    return [f"The runs come from {len(found)} versions of the code: {', '.join(found)}."] if len(found) > 1 else []


def data_apart(design: Design) -> list[str]:
    """A line per condition whose runs of one seed read different frames, though their parameters agree.

    What differs in the test frames shows in the predictions; this finds out about
    the frames trained on as well.
    """
    if design.axis.split(".")[0] == "data":
        return []
    lines = []
    for condition, runs in design.by_condition().items():
        seeds: dict[str, dict[str, list[str]]] = {}
        for run in runs:
            if DATA in run.tags:
                by_data = seeds.setdefault(parameters_of(run).get("seed", ""), {})
                by_data.setdefault(run.tags[DATA], []).append(design.arm(run))
        apart = {seed: list(by_data.values()) for seed, by_data in seeds.items() if len(by_data) > 1}
        if apart:
            where = f" ({condition})" if condition else ""
            seed, groups = next(iter(apart.items()))
            which = " versus ".join(" and ".join(dict.fromkeys(arms)) for arms in groups)
            lines.append(
                f"The frames of train, val or test differ between runs{where}: with seed {seed}, {which}. "
                "This may explain a difference."
            )
    return lines


def arithmetics(design: Design, main_task: str, base: str, metric: str = "auc") -> list[str]:
    """A line where the runs were not computed alike: by what, and how far that moved the base's AUC.

    Parameters
    ----------
    design : Design
    main_task : str
    base : str
        Value of its axis that the others are compared with.
    metric : str
        What the distance is of.

    Returns
    -------
    list of str
        The distance is the mean absolute difference between runs of the base that are alike in all but
        what computed them, over all such pairs.
    """
    members: dict[str, int] = {}
    cells: dict[tuple[str, ...], list[float]] = {}
    names = [key for key in (*design.keys, "seed") if key != NUMERICS]
    for run in design.counted:
        if NUMERICS not in run.tags:
            continue
        members[run.tags[NUMERICS]] = members.get(run.tags[NUMERICS], 0) + 1
        if f"{metric}/{main_task}" in run.metrics and (design.axis == NUMERICS or design.arm(run) == base):
            cell = tuple(parameters_of(run).get(key, "") for key in names)
            cells.setdefault(cell, []).append(run.metrics[f"{metric}/{main_task}"])
    if len(members) < 2:
        return []
    which = " and ".join(f"{name} ({plural(number, 'run')})" for name, number in members.items())
    apart = [abs(a - b) for values in cells.values() for a, b in combinations(values, 2)]
    of = "the only set" if design.axis == NUMERICS else base
    moved = (
        f"It moved the AUC of {of} by {sum(apart) / len(apart):.3f} on the mean over {plural(len(apart), 'pair')} of "
        "runs with one seed."
        if apart
        else f"How far that moves an AUC is not known: {of} was not run under two of them with one seed."
    )
    return [
        f"The runs were not computed alike: {which}. Only runs of one kind are compared with each other. {moved} "
        "With numerics=portable unlike machines compute alike."
    ]
