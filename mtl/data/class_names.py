"""The classes of UCF-Crime, and every spelling of them in circulation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

ANOMALIES = (
    "Abuse",
    "Arrest",
    "Arson",
    "Assault",
    "Burglary",
    "Explosion",
    "Fighting",
    "RoadAccidents",
    "Robbery",
    "Shooting",
    "Shoplifting",
    "Stealing",
    "Vandalism",
)
CLASSES = (*ANOMALIES, "Normal")
SPLITS = ("train", "val", "test")
# the folder of each class in the usual frame set
FOLDERS = {name: "NormalVideos" if name == "Normal" else name for name in CLASSES}
# other spellings in circulation, by their folded name
ALIASES = {"roadaccident": "RoadAccidents", **{name.casefold(): name for name in CLASSES}}
# the official release keeps its normal videos in folders such as Training-Normal-Videos-Part-1,
# Testing_Normal_Videos_Anomaly and Normal_Videos_for_Event_Recognition
NORMAL = re.compile(
    r"(train|training|val|valid|validation|test|testing)?normalvideos?(anomaly|event|foreventrecognition)?(part\d+)?"
)
# the split that a folder's name means, in any letter case
SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def folded(name: str) -> str:
    """A name without what is not held against anyone: letter case, spaces, dashes and underscores."""
    return re.sub(r"[\s_-]+", "", name).casefold()


def class_of(name: str) -> str | None:
    """The canonical class a folder or label means, None where it means none."""
    plain = folded(name)
    return "Normal" if NORMAL.fullmatch(plain) else ALIASES.get(plain)


@dataclass(frozen=True)
class ClassNames:
    """The classes of a data set, and what the name of a folder or a label means there.

    Attributes
    ----------
    names : tuple of str
        Canonical, in the order of the frame table's categories.
    meaning : callable
        The canonical class that a folder or label means, None where it means none.
    folders : tuple of str
        How class folders are called, for messages.
    of : str
        The data set, for messages.
    """

    names: tuple[str, ...]
    meaning: Callable[[str], str | None]
    folders: tuple[str, ...]
    of: str


UCF_CRIME = ClassNames(CLASSES, class_of, tuple(FOLDERS.values()), "UCF-Crime")
