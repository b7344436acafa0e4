"""MTL007: one video rules a split."""

from __future__ import annotations

import pandas as pd

from mtl.checks.base import Check, Finding
from mtl.checks.evidence import Evidence
from mtl.data.class_names import SPLITS

# one video of a share s of the negative frames can move an AUC by s: at .05 by more than most auxiliaries do
LIMIT = 0.05
TIMES = 5  # and this many times an equal share: of few videos each holds much
LARGEST = 10


class RulingVideo(Check):
    """One video that holds a large share of the frames of a split."""

    code = "MTL007"
    title = "One video holds a large share of a split"

    def look(self, at: Evidence) -> Finding:
        """An issue where a video holds 5 % of a split's frames or more, and five times an equal share."""
        by_split = _by_split(at)
        if not by_split:
            return self.not_applicable("The runs keep neither predictions nor a list of their videos.")
        ruled = {split: worst for split, worst in by_split.items() if _rules(worst)}
        if ruled:
            return self.issue(*(_line(split, worst) for split, worst in ruled.items()))
        shares = ", ".join(f"{worst.iloc[0] / worst.sum():.1%} of {split}" for split, worst in by_split.items())
        if "train" not in by_split:
            return self.not_applicable(
                f"The runs do not say which videos they trained on. Of the others, one video holds at most {shares}."
            )
        return self.passed(f"One video holds at most {shares}.")


def _by_split(at: Evidence) -> dict[str, pd.Series]:
    """By split the frames of its videos, most first; where runs differ, of those whose largest holds most."""
    tables = [*at.videos, *(entry.predicted.by_video for entry in at.entries)]
    found: dict[str, pd.Series] = {}
    for split in SPLITS:
        for table in tables:
            frames = table.loc[(table["split"] == split).to_numpy()].groupby("video", observed=True)["frames"].sum()
            frames = frames.sort_values(ascending=False, kind="stable")
            if frames.sum() and (split not in found or _share(frames) > _share(found[split])):
                found[split] = frames
    return found


def _share(frames: pd.Series) -> float:
    return float(frames.iloc[0] / frames.sum())


def _rules(frames: pd.Series) -> bool:
    return _share(frames) >= max(LIMIT, TIMES / len(frames))


def _line(split: str, frames: pd.Series) -> str:
    line = f"{split}: {frames.index[0]} holds {_share(frames):.1%} of the frames of {len(frames):,} videos"
    ten = frames.iloc[:LARGEST].sum() / frames.sum()
    return f"{line}, the {LARGEST} largest hold {ten:.1%}." if len(frames) > LARGEST else f"{line}."
