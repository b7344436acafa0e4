"""Which frames each task says something about: counted, said, and refused where the main task could not be judged."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd

from mtl.errors import UserError
from mtl.tasks import UNLABELLED

log = logging.getLogger(__name__)


def require_labelled(frames: pd.DataFrame, targets: Mapping[str, np.ndarray], main_task: str) -> None:
    """Raise `UserError` where a split has frames, but none that is labelled for the main task.

    Parameters
    ----------
    frames : DataFrame
        With `split`.
    targets : mapping of str to int32 ndarray (n_frames,)
    main_task : str
    """
    known, splits = targets[main_task] != UNLABELLED, frames["split"].astype(str).to_numpy()
    for split in ("train", "val", "test"):
        if (splits == split).any() and not known[splits == split].any():
            raise UserError(
                f"main_task: none of the {(splits == split).sum():,} {split} frames is labelled for '{main_task}'; "
                "right would be a main task with labels in train, val and test (`unlabelled` of the task, data.labels)."
            )


def say_labelled(frames: pd.DataFrame, targets: Mapping[str, np.ndarray]) -> dict[str, int]:
    """One line per task that says nothing about some frames.

    Returns
    -------
    dict of str to int
        ``n_labelled/<task>``: labelled frames of all splits, of these tasks; nothing where every frame is labelled.
    """
    splits, videos = frames["split"].astype(str).to_numpy(), frames["video"].cat.codes.to_numpy()
    counts = {}
    for name, target in targets.items():
        known = target != UNLABELLED
        if known.all():
            continue
        train, val, test = (splits == split for split in ("train", "val", "test"))
        frames_of = [f"{(known & split).sum():,} of {split.sum():,}" for split in (train, val)]
        videos_of = [f"{len(np.unique(videos[rows])):,}" for rows in (known & test, test)]
        log.info(
            "%s: %s train frames are labelled, %s val frames, %s test videos", name, *frames_of, " of ".join(videos_of)
        )
        if not (known & train).any():
            log.warning("%s has no labelled training frame: nothing of it is learned.", name)
        counts[f"n_labelled/{name}"] = int(known.sum())
    return counts
