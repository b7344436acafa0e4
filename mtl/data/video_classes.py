"""What the name of a video tells in each data set: its class, and the source that it is of."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

from mtl.data.class_names import CLASSES, class_of
from mtl.tasks import JOINED, NORMAL

XD_MARK = "_label_"  # before the labels; the last one counts
XD_LABELS = ("B1", "B2", "B4", "B5", "B6", "G")  # fighting, shooting, riot, abuse, car accident, explosion
XD_NORMAL, XD_NONE = "A", "0"
XD_MOST = 3  # labels of one video
SHANGHAITECH_NAME = re.compile(r"\d\d_(\d{3,4})")  # scene, then four digits for an anomalous video, three for a normal
ANOMALY = "Anomaly"


@dataclass(frozen=True)
class VideoNames:
    """How videos of a data set are called.

    Attributes
    ----------
    of : str
        The data set, for messages.
    classes : tuple of str
        In the order of the frame table's categories.
    class_of : callable
        The class by a video's name, None where it tells none.
    right : str
        What a name tells, for messages.
    source : str or None
        A regular expression whose group is what all videos of a source share; None: each is its own.
    normal_have_no_events : bool
        Whether the annotation of events names anomalous videos only.
    """

    of: str
    classes: tuple[str, ...]
    class_of: Callable[[str], str | None]
    right: str
    source: str | None
    normal_have_no_events: bool


def ucf_crime_class(video: str) -> str | None:
    """The class by the letters before the digits of a video's name; None where they are none's."""
    if XD_MARK in video:  # of a film that begins as a class does
        return None
    letters = re.match(r"[A-Za-z_ -]+(?=\d)", video)
    return class_of(letters[0]) if letters else None


def xd_violence_class(video: str) -> str | None:
    """The labels at the end of a name, joined in the order of `XD_LABELS`; None where there is none.

    Examples
    --------
    >>> xd_violence_class("v=Ab_3x__#00-01-10_00-02-20_label_G-B2-0")
    'B2-G'
    >>> xd_violence_class("Bad.Boys.1995__#00-01-10_00-02-20_label_A")
    'Normal'
    """
    _, mark, end = video.rpartition(XD_MARK)
    labels = {label for label in end.split(JOINED) if label != XD_NONE}
    if not mark or not labels:
        return None
    if labels == {XD_NORMAL}:
        return NORMAL
    known = labels <= set(XD_LABELS) and len(labels) <= XD_MOST
    return JOINED.join(label for label in XD_LABELS if label in labels) if known else None


def shanghaitech_class(video: str) -> str | None:
    """`Anomaly` for ``01_0014``, `Normal` for ``01_001``, None for other names."""
    found = SHANGHAITECH_NAME.fullmatch(video)
    return None if found is None else ANOMALY if len(found[1]) == len("0014") else NORMAL


def _xd_violence_classes() -> tuple[str, ...]:
    """Every set of one to three labels, and the normal class."""
    sets = [JOINED.join(few) for n in range(1, XD_MOST + 1) for few in combinations(XD_LABELS, n)]
    return (*sets, NORMAL)


UCF_CRIME = VideoNames("UCF-Crime", CLASSES, ucf_crime_class, "a class and a number, as Abuse028 does", None, False)
XD_VIOLENCE = VideoNames(
    "XD-Violence", _xd_violence_classes(), xd_violence_class,
    f"up to {XD_MOST} of {', '.join(XD_LABELS)}, or {XD_NORMAL}, at its end, as in _label_B2-G-0", r"^(.*?)__", True,
)  # fmt: skip
SHANGHAITECH = VideoNames(
    "ShanghaiTech", (ANOMALY, NORMAL), shanghaitech_class, "01_0014 if anomalous and 01_001 if normal", None, True
)
BY_NAME = {"ucf_crime": UCF_CRIME, "xd_violence": XD_VIOLENCE, "shanghaitech": SHANGHAITECH}
