"""The classes of UCF-Crime, and every spelling of them in circulation."""

from __future__ import annotations

import re

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
# other spellings in circulation; letter case, spaces, dashes and underscores are not held against anyone
ALIASES = {
    "roadaccident": "RoadAccidents",
    "normalvideos": "Normal",
    "normalvideosevent": "Normal",
    "trainingnormalvideosanomaly": "Normal",
    "testingnormalvideosanomaly": "Normal",
    "normalvideosforeventrecognition": "Normal",
    **{name.casefold(): name for name in CLASSES},
}
SPLIT_FOLDERS = {"train": "train", "training": "train", "test": "test", "testing": "test"}


def class_of(name: str) -> str | None:
    """The canonical class a folder or label means, None where it means none."""
    return ALIASES.get(re.sub(r"[\s_-]+", "", name).casefold())
