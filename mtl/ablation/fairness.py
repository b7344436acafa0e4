"""Whether the runs of a sweep can be compared: budgets, versions, data, other differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mtl.ablation.design import parameters_of
from mtl.results import CODE, DATA, TrackedRun

# What may differ between the runs of a comparison: the sets themselves, and what changes no score.
MAY_DIFFER = ("tasks", "seed", "task.", "relations", "gradient_measurements", "evaluation")


def budget(runs: Sequence[TrackedRun], keys: Sequence[str], axis: str) -> str:
    """How long the runs were trained, and whether all alike."""
    names = ("training.epochs", "training.batch_size", "training.early_stopping")

    def budgets(conditions: Iterable[Mapping[str, str]]) -> set[tuple[str, ...]]:
        return {tuple(each[name] for name in names) for each in conditions if all(name in each for name in names)}

    found = budgets(run.params for run in runs)
    if len(found) != 1:
        places = [[each for arm in arms.values() for each in arm] for arms in _by_place(runs, keys, axis).values()]
        if not found:
            return ""
        if axis.split(".")[0] == "training":
            return "The training budgets differ, as intended: they are what is compared."
        if all(len(budgets(conditions)) <= 1 for conditions in places):
            return "The training budgets differ between conditions and are equal within each condition."
        return "The training budgets differ: see the warnings."
    epochs, size, stops = found.pop()
    same = f"{epochs} epochs at batch size {size}"
    if stops.lower() == "false":
        return f"Equal training budget: every run was trained for {same}; its last epoch is evaluated."
    chosen = sorted(int(run.metrics["epoch/best"]) for run in runs if "epoch/best" in run.metrics)
    which = f" (epochs {chosen[0]} to {chosen[-1]})" if chosen and chosen[0] < chosen[-1] else ""
    return (
        f"Equal maximum training budget: {same}; every run is evaluated at its best epoch on validation{which}. "
        "With training=fixed_epochs all runs take the same number of steps."
    )


def unfair(runs: Sequence[TrackedRun], keys: Sequence[str], axis: str, base: str) -> list[str]:
    """What makes a comparison unfair or impossible, in lines that name the differences.

    Parameters
    ----------
    runs : sequence of TrackedRun
    keys : sequence of str
        See `axes`.
    axis : str
        The one of them that is compared.
    base : str
        Its value that the others are compared with.
    """
    places = _by_place(runs, keys, axis)
    differing: dict[str, list[str]] = {}
    for arms in places.values():
        (first, reference), *others = arms.items()
        for arm, conditions in others:
            for key, (there, here) in _differences(conditions, reference, axis).items():
                differing.setdefault(key, []).append(f"{there} in {arm} but {here} in {first}")
    return [
        f"The runs also differ in {key}, which may explain a difference: {'; '.join(dict.fromkeys(which))}."
        for key, which in differing.items()
    ] + _without_base(places, axis, base)


def _without_base(places: Mapping[str, Mapping[str, list[Mapping[str, str]]]], axis: str, base: str) -> list[str]:
    """A line per condition that has no run of the base: in what it differs from the nearest one that has."""
    bases = {place: arms[base] for place, arms in places.items() if base in arms}
    lines = []
    for place, arms in places.items():
        if base in arms or not bases:
            continue
        here = [each for conditions in arms.values() for each in conditions]
        apart = [(name, _differences(here, there, axis)) for name, there in bases.items()]
        nearest, differences = min(apart, key=lambda found: len(found[1]))
        which = ", ".join(f"{key} ({mine} instead of {its})" for key, (mine, its) in differences.items())
        what = "was" if len(arms) == 1 else "were"
        lines.append(
            f"{' and '.join(arms)} {what} not compared with {base}: there is no finished run of {base} with {place}. "
            f"The runs of {base} with {nearest} differ in {which}, which could explain a difference."
        )
    return lines


def _by_place(
    runs: Sequence[TrackedRun], keys: Sequence[str], axis: str
) -> dict[str, dict[str, list[Mapping[str, str]]]]:
    """Parameters of the runs by the condition they are compared in, then by what is compared."""
    places: dict[str, dict[str, list[Mapping[str, str]]]] = {}
    for run in runs:
        condition = parameters_of(run)
        place = ", ".join(f"{key}={condition.get(key, '')}" for key in keys if key not in ("tasks", axis))
        places.setdefault(place, {}).setdefault(condition.get(axis, ""), []).append(condition)
    return places


def _differences(
    some: Sequence[Mapping[str, str]], others: Sequence[Mapping[str, str]], axis: str
) -> dict[str, tuple[str, str]]:
    """Values by parameter, other than what is compared, in which the two groups of runs differ."""
    found = {}
    for key in sorted(others[0], key=lambda name: "." in name):  # choices first
        if _may_differ(key, axis):
            continue
        mine, its = (
            list(dict.fromkeys(each[key] for each in group if key in each and not _follows_seed(each, key)))
            for group in (some, others)
        )
        if mine and its and set(mine) != set(its):
            found[key] = " and ".join(mine), " and ".join(its)
    return found


def _follows_seed(condition: Mapping[str, str], key: str) -> bool:
    """Whether the value is a part's seed that is the run's."""
    return key.endswith(".seed") and condition[key] == condition.get("seed")


def _may_differ(key: str, axis: str) -> bool:
    """Whether the parameter is what is compared, follows from it, or changes no score; a task's definition does."""
    if key.startswith("tasks."):
        return False
    return key.startswith(MAY_DIFFER) or key == axis or key.startswith(f"{axis}.")


def versions(runs: Sequence[TrackedRun]) -> list[str]:
    """A line where the runs come from several versions of the code that makes results."""
    found = list(dict.fromkeys(run.tags[CODE] for run in runs if CODE in run.tags))
    return [f"The runs come from {len(found)} versions of the code: {', '.join(found)}."] if len(found) > 1 else []


def data_apart(runs: Sequence[TrackedRun], keys: Sequence[str], axis: str) -> list[str]:
    """A line per condition whose runs of one seed read different frames, though their parameters agree.

    What differs in the test frames shows in the predictions; this finds out about
    the frames trained on as well.
    """
    if axis.split(".")[0] == "data":
        return []
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for run in runs:
        condition = parameters_of(run)
        place = ", ".join(f"{key}={condition.get(key, '')}" for key in keys if key not in ("tasks", axis))
        if DATA in run.tags:
            by_data = found.setdefault(place, {}).setdefault(condition.get("seed", ""), {})
            by_data.setdefault(run.tags[DATA], []).append(condition.get(axis, ""))
    lines = []
    for place, seeds in found.items():
        apart = {seed: list(by_data.values()) for seed, by_data in seeds.items() if len(by_data) > 1}
        if apart:
            seed, groups = next(iter(apart.items()))
            which = " versus ".join(" and ".join(dict.fromkeys(arms)) for arms in groups)
            lines.append(
                f"The frames of train, val or test differ between runs{f' ({place})' if place else ''}: with seed "
                f"{seed}, {which}. This may explain a difference."
            )
    return lines
