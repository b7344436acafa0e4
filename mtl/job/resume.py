"""A killed training is gone on with: which one it is, and what is forgotten once it is done."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mtl.config.build import build, plain_config
from mtl.job.context import SweepContext
from mtl.job.fingerprint import data_digest, data_key, fingerprint
from mtl.results import Killed
from mtl.terminal import quiet

if TYPE_CHECKING:
    from mtl.training.checkpoint import Checkpoints

log = logging.getLogger(__name__)


def killed_before(config: DictConfig, sweep: SweepContext | None) -> Killed | None:
    """The run of this config and these data that left a checkpoint; None without one.

    The data are looked at only where some run left a checkpoint at all.
    """
    checkpoints = _checkpoints(config)
    if checkpoints is None:
        return None
    plain = plain_config(config)
    digest = sweep.digests.get(data_key(plain)) if sweep else None
    key = fingerprint(plain, digest or _digest_now(config))
    checkpoint = checkpoints.of(key)
    return Killed(key, checkpoint.record()) if checkpoint.exists else None


def forget(config: DictConfig, key: str) -> None:
    """Remove the checkpoint of a run that is finished; say what those of other runs take."""
    checkpoints = _checkpoints(config)
    if checkpoints is None or not key:
        return
    checkpoints.of(key).remove()
    others = checkpoints.waiting()
    if others:
        mib = sum(path.stat().st_size for path in others) / 2**20
        log.info(
            "%d checkpoint%s of runs that were killed in %s (%.0f MiB): the same command goes on from it, "
            "and its folder may be deleted.", len(others), "s" * (len(others) > 1), checkpoints.dir, mib,
        )  # fmt: skip


def _checkpoints(config: DictConfig) -> Checkpoints | None:
    """Where checkpoints are; None where none is kept, or none is there."""
    node = config.training.checkpoint
    folder = Path(str(node.dir)).expanduser()
    if node.epochs is None or not folder.is_dir() or not any(folder.iterdir()):
        return None
    with quiet():  # it brings TensorFlow along
        found: Checkpoints = build(node)
    return found


def _digest_now(config: DictConfig) -> str:
    """Digest of the data as they lie."""
    from mtl.features.feature_key import stats

    data, of_data = build(config.data), logging.getLogger("mtl.data")
    before = of_data.level
    of_data.setLevel(logging.WARNING)  # the run itself tells of its data
    try:
        frames = data.frames()
    finally:
        of_data.setLevel(before)
    return data_digest(frames, stats(data.root, frames["path"]))
