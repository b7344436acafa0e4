"""Batches of frames, decoded in threads ahead of who takes them."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtl.data.frames import BadFrame, FrameRoot, read_frame
from mtl.errors import UserError

SAMPLED = 16  # frames that are read to learn the usual size
AHEAD_BYTES = 2**28  # of frames decoded ahead, at most, beyond two batches
AT_ONCE = 16  # frames per errand of a thread, at most

Odd = tuple[int, "np.ndarray | BadFrame"]  # what does not fit into the batch, with its place


@dataclass(frozen=True)
class Batch:
    """Neighbouring frames.

    Attributes
    ----------
    size : int
        Number of frames, bad ones included.
    groups : list of (ndarray of int, ndarray of uint8)
        Positions and images (b, h, w, 3) of the frames that share a size.
    bad : list of (int, BadFrame)
        Positions of the others, with the reason.
    """

    size: int
    groups: list[tuple[np.ndarray, np.ndarray]]
    bad: list[tuple[int, BadFrame]]


class Decoder:
    """Threads that decode frames.

    Parameters
    ----------
    threads : int
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def batches(
        self, root: FrameRoot, paths: pd.Series, frame_shape: tuple[int, int], batch_size: int
    ) -> Generator[Batch, None, None]:
        """Frames in order, `batch_size` at a time, decoded ahead as far as `AHEAD_BYTES` go.

        Frames of the usual (height, width) are written straight into the batch; a batch
        of mixed sizes comes in groups, so that nothing waits for company and piles up.
        """
        errand = int(np.clip(-(-batch_size // self.threads), 1, AT_ONCE))
        enough = 2 + -(-2 * self.threads * errand // batch_size)
        batch_bytes = batch_size * frame_shape[0] * frame_shape[1] * 3
        ahead = int(np.clip(AHEAD_BYTES // batch_bytes, 2, enough))
        waiting: deque[tuple[int, np.ndarray, list[Future[list[Odd]]]]] = deque()
        try:
            for start in range(0, len(paths), batch_size):
                names = paths.iloc[start : start + batch_size].tolist()
                images = np.empty((len(names), *frame_shape, 3), np.uint8)
                errands = [
                    self._pool.submit(_decode, root, names[i : i + errand], images[i : i + errand], i)
                    for i in range(0, len(names), errand)
                ]
                waiting.append((start, images, errands))
                if len(waiting) == ahead:
                    yield _collected(*waiting.popleft())
            while waiting:
                yield _collected(*waiting.popleft())
        finally:
            for _, _, errands in waiting:
                for one in errands:
                    one.cancel()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)


def _decode(root: FrameRoot, names: Sequence[str], images: np.ndarray, first: int) -> list[Odd]:
    """Decode frames into their places; what does not fit there is returned."""
    odd: list[Odd] = []
    for i, name in enumerate(names):
        try:
            image = read_frame(root, name)
        except BadFrame as error:
            odd.append((first + i, error))
            continue
        if image.shape == images.shape[1:]:
            images[i] = image
        else:
            odd.append((first + i, image))
    return odd


def _collected(start: int, images: np.ndarray, errands: Sequence[Future[list[Odd]]]) -> Batch:
    """A batch once its frames are decoded."""
    odd = [one for errand in errands for one in errand.result()]
    if not odd:
        return Batch(len(images), [(start + np.arange(len(images)), images)], [])
    bad = [(start + at, found) for at, found in odd if isinstance(found, BadFrame)]
    others: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
    for at, found in odd:
        if not isinstance(found, BadFrame):
            others.setdefault(found.shape, []).append((at, found))
    usual = np.delete(np.arange(len(images)), [at for at, _ in odd])
    groups = [(start + usual, images[usual])] if len(usual) else []
    for same in others.values():
        groups.append((start + np.array([at for at, _ in same]), np.stack([image for _, image in same])))
    return Batch(len(images), groups, bad)


def usual_size(root: FrameRoot, paths: pd.Series, among: np.ndarray) -> tuple[int, int]:
    """Height and width that most frames of a sample have, the earlier ones where it is even.

    Parameters
    ----------
    root : Path or FrameReader
    paths : Series of str
    among : ndarray of int
        Positions in `paths` that the sample is taken from.

    Raises
    ------
    UserError
        If no frame of the sample can be read.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    reasons = []
    for at in np.unique(np.linspace(0, len(among) - 1, SAMPLED).astype(int)):
        path = paths.iloc[among[at]]
        try:
            image = read_frame(root, path)
        except BadFrame as error:
            reasons.append(f"{path} ({error})")
            continue
        sizes[(image.shape[0], image.shape[1])] += 1
    if not sizes:
        raise UserError(f"None of {len(reasons)} frames of {root} can be read: {', '.join(reasons[:3])}, ...")
    return sizes.most_common(1)[0][0]


def n_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
