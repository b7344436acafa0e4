"""What the tasks' labels say of each other, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtl.results import Relation, pairs
from mtl.tasks import UNLABELLED
from mtl.trace import Trace


def label_information(trace: Trace) -> Relation:
    """Share of the information in one task's labels that another task's labels hold already.

    A source that determines the recipient's labels adds no supervision of its own; one
    that is independent of them can help through shared features alone.

    Returns
    -------
    Relation
        Of the labels of the training frames: mutual information over the recipient's entropy, in [0, 1]: 1 where the
        source's label determines the recipient's. Row = source, column = recipient.
        NaN where a recipient's labels are all alike. `label_entropy` of each task and
        `label_mutual_information` of each pair are in bits. The permutation baseline is
        what independent labels show on average because videos are finite in number: about
        (r - 1)(s - 1) / (2 n_videos) nats for r and s distinct labels, as all frames of
        a video have one. Frames about which one of two tasks says nothing do not count for the pair.

    References
    ----------
    Miller, Note on the bias of information estimates, 1955.
    """
    n_tasks = len(trace.tasks)
    if not trace.label_frames.sum():
        return Relation(np.full((n_tasks, n_tasks), np.nan), reason="no training labels are recorded", directed=True)
    if (trace.labels == UNLABELLED).any():
        return _by_pair(trace)
    entropy, shared = in_bits(trace.labels, trace.label_frames)
    constant = [task for task, bits in zip(trace.tasks, entropy, strict=True) if bits == 0]
    return Relation(
        values=_share(shared, entropy),
        reason="; ".join(f"labels of {task} are all alike" for task in constant),
        directed=True,
        baseline=Relation(_share(_chance(trace.labels, trace.label_videos), entropy), directed=True),
        of_tasks={"label_entropy": entropy},
        of_pairs={"label_mutual_information": shared},
    )


def _chance(labels: np.ndarray, videos: np.ndarray) -> np.ndarray:
    """What independent labels of as many kinds and videos share on average, (n_tasks, n_tasks), in bits."""
    kinds = np.array([len(np.unique(one)) for one in labels.T])
    return (kinds[:, None] - 1) * (kinds - 1) / (2 * np.log(2) * videos.sum())


def _by_pair(trace: Trace) -> Relation:
    """The relation where tasks say nothing about some frames: each pair by the frames labelled in both."""
    n_tasks, known = len(trace.tasks), trace.labels != UNLABELLED
    values, chances, shared = np.full((3, n_tasks, n_tasks), np.nan)
    reasons = []
    for a in range(n_tasks):
        for b in range(a, n_tasks):
            rows, names = known[:, a] & known[:, b], " and ".join(dict.fromkeys((trace.tasks[a], trace.tasks[b])))
            labels, frames = trace.labels[rows][:, [a, b]], trace.label_frames[rows]
            if not frames.sum():
                reasons.append(f"no training frame is labelled for {names}")
                continue
            entropy, own = in_bits(labels, frames)
            chance = _chance(labels, trace.label_videos[rows])
            values[[a, b], [b, a]] = _share(own, entropy)[[0, 1], [1, 0]]
            chances[[a, b], [b, a]] = _share(chance, entropy)[[0, 1], [1, 0]]
            shared[[a, b], [b, a]] = own[0, 1]
            where = f" on the {frames.sum()} frames labelled for {names}"
            alike = [trace.tasks[i] for i, bits in zip((a, b), entropy, strict=True) if bits == 0]
            reasons += [f"labels of {task} are all alike{where}" for task in dict.fromkeys(alike)]
    return Relation(
        values=values,
        reason="; ".join(reasons),
        directed=True,
        baseline=Relation(chances, directed=True),
        of_tasks={"label_entropy": in_bits(trace.labels, trace.label_frames)[0]},
        of_pairs={"label_mutual_information": shared},
    )


def in_bits(labels: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entropy of each task's labels (n_tasks,), and what every two share (n_tasks, n_tasks), in bits.

    Of the frames labelled for the task, or for both; NaN where there are none.

    Parameters
    ----------
    labels : ndarray of int, shape (n_combinations, n_tasks)
    counts : ndarray of int, shape (n_combinations,)
        How often each combination is seen.
    """
    alone = [(labels[:, i],) for i in range(labels.shape[1])]
    entropy = np.array([_entropy(one, one, counts) for one in alone])
    joint = np.array([[_entropy((*a, *b), (*a, *b), counts) for b in alone] for a in alone])
    if not (labels == UNLABELLED).any():
        return entropy, np.maximum(entropy[:, None] + entropy - joint, 0.0)
    of_both = np.array([[_entropy(a, (*a, *b), counts) for b in alone] for a in alone])  # the row's, labelled in both
    return entropy, np.maximum(of_both + of_both.T - joint, 0.0)


def as_text(tasks: Sequence[str], labels: np.ndarray, counts: np.ndarray) -> str:
    """What `in_bits` finds, in one line; what is undefined says why."""
    entropy, shared = in_bits(labels, counts)
    own = ", ".join(
        f"{task} has no labelled training frame" if np.isnan(bits) else f"{task} {bits:.3f}"
        for task, bits in zip(tasks, entropy, strict=True)
    )
    known = [f"{name} {shared[a, b]:.3f}" for name, a, b in pairs(tasks) if not np.isnan(shared[a, b])]
    disjoint = [
        f"no training frame is labelled for both {tasks[a]} and {tasks[b]}"
        for _, a, b in pairs(tasks)
        if np.isnan(shared[a, b]) and not np.isnan(entropy[[a, b]]).any()
    ]
    together = [f"shared: {', '.join(known)}"] if known else []
    return "; ".join([f"entropy in bits: {own}", *together, *disjoint])


def _entropy(labels: tuple[np.ndarray, ...], among: tuple[np.ndarray, ...], counts: np.ndarray) -> float:
    """Entropy in bits of what the columns show together, of the frames that are labelled in all of `among`."""
    known = (np.stack(among) != UNLABELLED).all(axis=0)
    if not known.all():
        labels, counts = tuple(one[known] for one in labels), counts[known]
        if not counts.sum():
            return float("nan")
    _, which = np.unique(np.stack(labels, axis=1), axis=0, return_inverse=True)
    shares = np.bincount(which.ravel(), counts) / counts.sum()
    return max(float(-(shares * np.log2(shares)).sum()), 0.0)


def _share(information: np.ndarray, entropy: np.ndarray) -> np.ndarray:
    """Information over the column's entropy, at most 1; NaN where that is zero."""
    out = np.full(information.shape, np.nan)
    return np.minimum(np.divide(information, entropy, out=out, where=entropy > 0), 1.0)
