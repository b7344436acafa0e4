"""What lies in a store, feature vectors and decoded videos, as the command line looks after it: one thing per key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mtl.data.kept_folder import KeptFolder, finish_removals, refuse_link
from mtl.data.kept_videos import KeptVideos, kept_videos
from mtl.features import feature_key
from mtl.features.archive import SHORT, Archive, archives
from mtl.terminal import printable

VIDEOS, DIGESTS = "videos", "feature_files"  # below the store, as frames_dir and digests_dir in conf/data/


class Entry(Protocol):
    """What is kept under a key: it is listed, checked and removed as a whole.

    Attributes
    ----------
    key : str
    columns : tuple of str
        What `cells` are; they tell one kind of entry from another.
    """

    key: str
    columns: tuple[str, ...]

    def cells(self) -> list[str]:
        """What a table says of it."""

    def about(self) -> str:
        """All about it, as JSON."""

    def __str__(self) -> str:
        """What it is, in a few words."""

    def size(self) -> int:
        """Bytes on the disk."""

    def last_used(self) -> float:
        """Seconds since the epoch."""

    def busy(self) -> bool:
        """Whether somebody writes now."""

    def writer(self) -> str:
        """Who wrote last."""

    def n_parts(self) -> int:
        """How many steps `mend` takes."""

    def mend(self, advance: Callable[[int], None]) -> Iterator[str]:
        """What is damaged, a line each; it is removed, so that the next run makes it again."""

    def orphaned(self) -> str:
        """Why no run can ask for it any more; empty if one may."""

    def discard(self) -> bool:
        """Remove it, unless somebody writes now: whether it is gone."""


class VectorsEntry(Archive):
    """The feature vectors of one key."""

    columns: tuple[str, ...] = ("backbone", "weights", "cut", "px", "precision", "data", "vectors", "bad")

    def cells(self) -> list[str]:
        """What made them, for which data, and how many there are."""
        roots = "\n".join(Path(root).name for root in self.roots())
        rows = sum(part.rows for part in self.parts())
        return [*self._described(), roots, f"{rows:,}", f"{len(self.bad()):,}"]

    def _described(self) -> list[str]:
        """Backbone, weights, cut, image size and precision, for people."""
        frozen = self.spec().get("frozen")
        if not isinstance(frozen, Mapping):
            return ["?"] * 5
        others = [str(frozen.get(name) or "-") for name in ("cut", "image_size", "precision")]
        return [str(frozen.get("backbone") or "packed frames"), str(frozen.get("weights") or "-")[:SHORT], *others]

    def about(self) -> str:
        """Key, data roots and spec."""
        return json.dumps({"key": self.key, "roots": self.roots(), **self.spec()}, indent=2)

    def __str__(self) -> str:
        """What made them."""
        return " ".join(word for word in self._described() if word != "-")

    def writer(self) -> str:
        """The process that wrote last."""
        return f"process {self.owner()}"

    def n_parts(self) -> int:
        """Parts that the manifest names."""
        return len(self.parts())

    def mend(self, advance: Callable[[int], None]) -> Iterator[str]:
        """Lines on damaged parts and on damaged lines of the lists."""
        lines = self.damaged_lines()
        damaged = []
        for part in self.parts():
            reason = self.damaged(part)
            advance(1)
            if reason:
                damaged.append(part)
                yield f"{part.rows:,} feature vectors are damaged, {reason}"
        for line in lines:
            yield f"damaged, {line}"
        if damaged or lines:
            with self.locked():
                self.drop(damaged)

    def orphaned(self) -> str:
        """An older extraction, other libraries, or data that are gone."""
        spec, roots = self.spec(), self.roots()
        if not spec:
            return "what it holds cannot be read any more"
        if (spec.get("extraction"), spec.get("decoding")) != (feature_key.VERSION, feature_key.DECODING):
            return "made by another version of the extraction"
        frozen = spec.get("frozen")
        for name, wheels in feature_key.COMPUTING.items():
            made = frozen.get(name) if isinstance(frozen, Mapping) else None
            here = feature_key.installed_version(*wheels)
            if made and here and made != here:
                return f"made with {name} {made}, here is {here}"
        if roots and not any(Path(root).exists() for root in roots):
            return f"its data are gone: {', '.join(roots)}"
        return ""

    def discard(self) -> bool:
        """Remove it, unless somebody writes now."""
        with self.locked(wait=False) as mine:
            if mine:
                self.remove()
        return mine


class VideosEntry(KeptVideos):
    """The frames of videos that were decoded in one way."""

    columns: tuple[str, ...] = ("step", "px", "videos", "frames", "bad")

    def cells(self) -> list[str]:
        """How they were decoded, and how many there are."""
        counts = self.counts()
        return [*self._described(), f"{counts.videos:,}", f"{counts.frames:,}", f"{counts.bad:,}"]

    def _described(self) -> list[str]:
        """Step and size of the frames, for people."""
        how = self.how()
        step, width, height = (how.get(name, "?") for name in ("step", "width", "height"))
        size = "as they are" if width is height is None else f"{width}x{height}"
        return [printable(str(step)), printable(size)]

    def about(self) -> str:
        """Key, data roots and how they were decoded."""
        return json.dumps({"key": self.key, "roots": self.roots(), **self.how()}, indent=2)

    def __str__(self) -> str:
        """What they are."""
        step, size = self._described()
        return f"decoded videos, step {step}, {size}"

    def writer(self) -> str:
        """Nobody says who it is."""
        return "another process"

    def n_parts(self) -> int:
        """Videos."""
        return len(self.names())

    def mend(self, advance: Callable[[int], None]) -> Iterator[str]:
        """Lines on damaged videos."""
        for name in self.names():
            wrong = self.damaged(name)
            advance(1)
            if wrong:
                yield wrong
                self.drop(name)

    def orphaned(self) -> str:
        """Another decoder or resizing, or videos that are gone."""
        return self.outdated() or self.gone()

    def discard(self) -> bool:
        """Remove it, unless somebody decodes now."""
        with self.locked() as mine:
            if mine:
                self.remove()
        return mine


def entries(folder: Path) -> list[Entry]:
    """All that a store keeps: feature vectors, then decoded videos, of each the last used first."""
    found: list[Entry] = [VectorsEntry(one.folder) for one in archives(folder)]
    found += [VideosEntry(one.folder) for one in kept_videos(folder / VIDEOS)]
    return found


def digests(folder: Path) -> KeptFolder | None:
    """What a store remembers of feature files; None where that is nothing."""
    refuse_link(folder / DIGESTS)
    return KeptFolder(folder / DIGESTS) if (folder / DIGESTS).is_dir() else None


def finish(folder: Path) -> None:
    """Remove what interrupted removals left in a store."""
    for one in (folder, folder / VIDEOS):
        finish_removals(one)


def short(known: Sequence[Entry]) -> list[str]:
    """Keys as they are shown."""
    return [entry.key[:SHORT] for entry in known]
