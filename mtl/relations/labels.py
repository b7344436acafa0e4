"""What the tasks' labels say of each other, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtl.results import Relation, pairs
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
        a video have one.

    References
    ----------
    Miller, Note on the bias of information estimates, 1955.
    """
    n_tasks = len(trace.tasks)
    if not trace.label_frames.sum():
        return Relation(np.full((n_tasks, n_tasks), np.nan), reason="no training labels are recorded", directed=True)
    entropy, shared = in_bits(trace.labels, trace.label_frames)
    kinds = np.array([len(np.unique(labels)) for labels in trace.labels.T])
    chance = (kinds[:, None] - 1) * (kinds - 1) / (2 * np.log(2) * trace.label_videos.sum())
    constant = [task for task, bits in zip(trace.tasks, entropy, strict=True) if bits == 0]
    return Relation(
        values=_share(shared, entropy),
        reason="; ".join(f"labels of {task} are all alike" for task in constant),
        directed=True,
        baseline=Relation(_share(chance, entropy), directed=True),
        of_tasks={"label_entropy": entropy},
        of_pairs={"label_mutual_information": shared},
    )


def in_bits(labels: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entropy of each task's labels (n_tasks,), and what every two share (n_tasks, n_tasks), in bits.

    Parameters
    ----------
    labels : ndarray of int, shape (n_combinations, n_tasks)
    counts : ndarray of int, shape (n_combinations,)
        How often each combination is seen.
    """
    alone = [(labels[:, i],) for i in range(labels.shape[1])]
    entropy = np.array([_entropy(one, counts) for one in alone])
    joint = np.array([[_entropy((*a, *b), counts) for b in alone] for a in alone])
    return entropy, np.maximum(entropy[:, None] + entropy - joint, 0.0)


def as_text(tasks: Sequence[str], labels: np.ndarray, counts: np.ndarray) -> str:
    """What `in_bits` finds, in one line."""
    entropy, shared = in_bits(labels, counts)
    own = ", ".join(f"{task} {bits:.3f}" for task, bits in zip(tasks, entropy, strict=True))
    together = ", ".join(f"{name} {shared[a, b]:.3f}" for name, a, b in pairs(tasks))
    return f"entropy in bits: {own}" + (f"; shared: {together}" if together else "")


def _entropy(labels: tuple[np.ndarray, ...], counts: np.ndarray) -> float:
    """Entropy in bits of what the columns show together."""
    _, which = np.unique(np.stack(labels, axis=1), axis=0, return_inverse=True)
    shares = np.bincount(which.ravel(), counts) / counts.sum()
    return max(float(-(shares * np.log2(shares)).sum()), 0.0)


def _share(information: np.ndarray, entropy: np.ndarray) -> np.ndarray:
    """Information over the column's entropy, at most 1; NaN where that is zero."""
    out = np.full(information.shape, np.nan)
    return np.minimum(np.divide(information, entropy, out=out, where=entropy > 0), 1.0)
