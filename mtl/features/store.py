"""The feature store: feature vectors of frozen parts on disk, shared by all runs that agree on what determines them."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from mtl.data.decoding import Decoder, n_cores, usual_size
from mtl.data.frames import FrameReader, FrameRoot
from mtl.errors import UserError
from mtl.features.checked_vectors import KeptVectors
from mtl.features.computed import ComputedVectors
from mtl.features.extraction import Advance, Extraction, Request, spec_text
from mtl.features.extractor import FeatureExtractor, FrameSizes
from mtl.features.feature_key import Stats, identities, stats
from mtl.features.features import Features
from mtl.features.places import Places, vector_bytes
from mtl.features.vectors import FeatureVectors, MappedVectors
from mtl.files import NoLocksError

log = logging.getLogger(__name__)

Share = Annotated[float, Field(ge=0, lt=1)]
GIB, MIB = 2**30, 2**20


class FeatureStore:
    """Feature vectors of frozen parts on disk, shared by all runs that agree on what determines them.

    Parameters
    ----------
    dir : str
        Folder of the store; made when it is first written to.
    max_gib : float
        Where the missing feature vectors of one call would take more on disk they are computed on every use.
    memory_gib : float
        Feature vectors of one call that take more are read from disk, not held in memory.
    part_mib : float
        Size of a part: a kill costs two at most, and writing holds two in memory.
    decode_threads : int or None
        Threads that decode frames; None takes one per core.
    max_bad_share : float
        More bad frames than this share of a call's end it.
    """

    def __init__(
        self,
        dir: str,
        max_gib: PositiveFloat,
        memory_gib: NonNegativeFloat,
        part_mib: PositiveFloat,
        decode_threads: PositiveInt | None,
        max_bad_share: Share,
    ) -> None:
        self.dir = Path(dir).expanduser().absolute()
        self.max_gib = max_gib
        self.memory_gib = memory_gib
        self.part_mib = part_mib
        self.decode_threads = decode_threads or n_cores()
        self.max_bad_share = max_bad_share

    def of(
        self,
        frames: pd.DataFrame,
        root: FrameRoot,
        frozen: FeatureExtractor,
        progress: Advance | None = None,
        on_start: Advance | None = None,
        found: Stats | None = None,
    ) -> Features:
        """Feature vectors of frames; those that are not there yet are computed and kept.

        Parameters
        ----------
        frames : DataFrame
            With the column `path`, relative to `root`.
        root : Path or FrameReader
        frozen : FeatureExtractor
        progress : callable, optional
            Called with a number of frames whenever so many more are done.
        on_start : callable, optional
            Called once with the number of frames to do, before the first; not where there is none.
        found : Stats, optional
            Of these frames, where the file system has been asked already.

        Raises
        ------
        UserError
            If more frames are bad than `max_bad_share`, if the disk has no room or may
            not be written to, or if the root is not there.
        """
        start = time.perf_counter()
        if frames.empty:
            raise UserError("There are no frames to make features of.")
        root = root if isinstance(root, FrameReader) else Path(root)
        ids, gone = identities(frames["path"], found or stats(root, frames["path"]))
        decoder = Decoder(self.decode_threads)
        hooks = (progress or _nothing, on_start or _nothing)
        request = Request(root, frames["path"], ids, gone, self.max_bad_share, decoder, *hooks)
        request.check()
        request.frame_shape = usual_size(request.root, request.paths, np.flatnonzero(~request.is_bad()))
        extraction = Extraction(self.dir, request, frozen, frozen.feature_shape(request.frame_shape))
        places, todo = extraction.look()
        if extraction.bytes_of(len(todo)) <= self.max_gib * GIB:
            vectors: FeatureVectors = self._kept(extraction, places, todo)
        else:
            vectors = self._not_kept(extraction, places, len(todo))
        computed = extraction.computed
        bad = request.is_bad()
        good = frames[~bad] if bad.any() else frames
        seconds = time.perf_counter() - start
        return Features(good.reset_index(drop=True), vectors, request.table(bad), computed, seconds, extraction.archive)

    def _kept(self, extraction: Extraction, places: Places, todo: np.ndarray) -> FeatureVectors:
        """Feature vectors in memory where they fit, else mapped; missing ones are computed first."""
        request = extraction.request
        places = extraction.complete(int(self.part_mib * MIB), (places, todo))
        extraction.archive.touch(request.root.absolute())
        good = np.flatnonzero(~request.is_bad())
        mapped = KeptVectors(places, good, extraction)
        size = len(good) * vector_bytes(extraction.shape, extraction.dtype)
        log.info(
            "%s; kept, %.2f GiB, %.2f of them new, within features.max_gib=%g",
            extraction.summary(),
            size / GIB,
            extraction.bytes_of(extraction.computed) / GIB,
            self.max_gib,
        )
        if size <= self.memory_gib * GIB:
            return mapped.in_memory()
        log.info(
            "Feature vectors of %s take %.2f GiB, more than features.memory_gib=%g: read from disk, a block of "
            "steps ahead, in a shuffle of all training frames.",
            spec_text(extraction.frozen.spec),
            size / GIB,
            self.memory_gib,
        )
        return mapped

    def _not_kept(self, extraction: Extraction, places: Places, n_missing: int) -> ComputedVectors:
        """Feature vectors computed on every use; each frame's size is kept, so that bad frames are known beforehand."""
        request, frozen = extraction.request, extraction.frozen
        log.info(
            "features: %s feature vectors of %s are missing, %.2f GiB, more than features.max_gib=%g: computed on "
            "every use",
            f"{n_missing:,} of {len(request.ids):,}",
            spec_text(frozen.spec),
            extraction.bytes_of(n_missing) / GIB,
            self.max_gib,
        )
        found = self._sizes(request, frozen.batch_size)
        good = np.flatnonzero(~request.is_bad())
        for height, width in np.unique(found, axis=0).tolist():
            if (height, width) != request.frame_shape and frozen.feature_shape((height, width)) != extraction.shape:
                odd = good[(found == (height, width)).all(axis=1)]
                request.bad.update({request.ids[i].tobytes(): request.misfit((height, width)) for i in odd})
        request.check()
        if not places.missing.all():
            extraction.archive.touch(request.root.absolute())
        return ComputedVectors(extraction, places)

    def _sizes(self, request: Request, batch_size: int) -> np.ndarray:
        """Height and width of the good frames, shape (n, 2), kept where that is possible."""
        try:
            return self._sizes_in(Extraction(self.dir, request, FrameSizes(batch_size), (2,)))
        except NoLocksError:
            log.info("The file system of %s cannot lock files: the sizes of the frames are not kept.", self.dir)
            with tempfile.TemporaryDirectory() as own:
                return self._sizes_in(Extraction(Path(own), request, FrameSizes(batch_size), (2,), private=True))

    def _sizes_in(self, sizes: Extraction) -> np.ndarray:
        known = sizes.complete(int(self.part_mib * MIB))
        sizes.archive.touch(sizes.request.root.absolute())
        if sizes.computed:
            log.info("%s", sizes.summary())
        good = np.flatnonzero(~sizes.request.is_bad())
        return MappedVectors(known, good, (2,), sizes.dtype).take(np.arange(len(good)))


def _nothing(n: int) -> None:
    """Hear of progress and do nothing."""
