"""How far a sweep is, in lines."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mtl.job.context import SweepContext
from mtl.job.record import Job
from mtl.results import AUC_BY, BEST, DIVERGED, EVENT, NO_WORD, VIDEO


def seconds_left(jobs: Sequence[Job], sweep: SweepContext) -> float | None:
    """Rough time to the end of a sweep, from how its jobs went so far; None where that is not known.

    Parameters
    ----------
    jobs : sequence of Job
        Those that have begun.
    sweep : Sweep
    """
    trained = [job for job in jobs if not job.reused and job.number not in sweep.known]
    took = [job.seconds for job in trained if job.status == "FINISHED"]
    if not took or sweep.n_jobs == 0:
        return None
    now, each = time.time(), sum(took) / len(took)
    # never less than nothing: the clock may have been set back since
    running = [max(now - job.began, 0.0) for job in trained if job.status == "RUNNING"]
    busy = sum(running) + sum(job.seconds for job in trained if job.status != "RUNNING")
    # how many were at work at a time, on the average: what was reused took none of it
    at_once = busy / max(now - min(job.began for job in trained), 1e-9)
    not_begun = max(sweep.n_jobs - len(sweep.known) - len(trained), 0)
    return (not_begun * each + sum(max(each - since, 0.0) for since in running)) / max(at_once, 1e-9)


def time_lines(jobs: Sequence[Job]) -> list[str]:
    """Where the time of the jobs that were trained went, in a line; none where no job was."""
    trained = [job.metrics for job in jobs if job.status == "FINISHED" and not job.reused]
    trained = [metrics for metrics in trained if metrics.get("time/run_s")]
    whole, steps, tracking = (
        sum(metrics.get(f"time/{part}_s", 0.0) for metrics in trained) for part in ("run", "steps", "tracking")
    )
    if not whole:
        return []
    return [
        f"{duration(whole / len(trained))} per trained job: {100 * steps / whole:.0f} % in training steps, "
        f"{100 * tracking / whole:.0f} % in tracking."
    ]


def duration(seconds: float) -> str:
    """Seconds as a person says them: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def at_work(names: Sequence[str]) -> str:
    """Which jobs run now, in a few words."""
    return f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}" if names else ""


_AUCS = {AUC_BY[VIDEO]: "AUC", AUC_BY[EVENT]: "event AUC"}


def ended_line(job: Job, done: int, sweep: SweepContext, judged: str, left: float | None) -> str:
    """One line about a job that has come to its end: which, its AUC with the 95 % interval, its time.

    Parameters
    ----------
    job : Job
    done : int
        How many have, with this one.
    sweep : Sweep
    judged : str
        Name of what is said: the main task's AUC, `auc/<task>` or `auc_event/<task>`, or the objective of a search.
    left : float or None
        Seconds.
    """
    from mtl.formatting import interval, number  # with pandas, which `--help` does without

    of = f"/{sweep.n_jobs}" if sweep.n_jobs else ""
    metric, _, task = judged.partition("/")
    low, auc, high = (job.metrics.get(f"{metric}{end}/{task}", float("nan")) for end in ("_low", "", "_high"))
    between = f" ({interval(low, high)})" if low <= high else ""
    name = _AUCS.get(metric, metric.removesuffix(BEST))
    result = "diverged" if DIVERGED in job.tags else f"{name} {number(auc)}{between}"
    what = {
        "FINISHED": f"{result}, {'reused' if job.reused else duration(job.seconds)}",
        "FAILED": f"FAILED: {job.failure}",
        "KILLED": f"KILLED: {job.failure or NO_WORD}",
    }[job.status]
    more = f"; about {duration(left)} left" if left else ""
    return f"[{done}{of}] {sweep.label(job.name)}: {what}{more}"
