"""MTL005: classes with few test videos."""

from __future__ import annotations

from collections.abc import Mapping

from mtl.checks.base import Check, Finding
from mtl.checks.evidence import Evidence
from mtl.tasks import NORMAL

FEWEST = 5  # intervals draw whole videos: of four, 1.6 % of the draws are one video four times; of five, 0.2 %
MOST_NAMED = 5  # classes that a line names


class FewTestVideos(Check):
    """Classes of which fewer than five test videos are judged."""

    code = "MTL005"
    title = "A class has few test videos"

    def look(self, at: Evidence) -> Finding:
        """An issue where a score counts such a class by itself; else a tip."""
        counts = _videos_by_class(at)
        if not counts:
            return self.not_applicable("No run has predictions, so the classes of its test videos are not known.")
        few = {name: n for name, n in sorted(counts.items(), key=lambda item: (item[1], item[0])) if n < FEWEST}
        if not few:
            least = min(counts, key=lambda name: (counts[name], name))
            return self.passed(
                f"Every class has {FEWEST} test videos or more; {least} has the fewest, {counts[least]}."
            )
        named = ", ".join(f"{name} {n}" for name, n in list(few.items())[:MOST_NAMED])
        more = f" and {len(few) - MOST_NAMED} more" if len(few) > MOST_NAMED else ""
        line = f"Fewer than {FEWEST} test videos: {named}{more}."
        heads = _heads_that_count(at, few)
        if heads:
            return self.issue(
                f"{line} The AUC of such a class, and each mean over classes that holds it ({', '.join(heads)}), "
                "can change much with one more video."
            )
        if NORMAL in few:
            return self.issue(f"{line} Every AUC is made with the frames of so few normal videos.")
        return self.tip(f"{line} No head of these runs has an AUC for such a class alone.")


def _videos_by_class(at: Evidence) -> dict[str, int]:
    """Test videos by class; where runs differ the fewest."""
    found: dict[str, int] = {}
    for entry in at.entries:
        videos = entry.predicted.by_video
        counts = videos[videos["split"] == "test"].groupby("class_name")["video"].nunique()
        found |= {str(name): min(int(n), found.get(str(name), int(n))) for name, n in counts.items()}
    return found


def _heads_that_count(at: Evidence, classes: Mapping[str, int]) -> list[str]:
    """Tasks with an AUC of one of the classes alone."""
    metrics = {name for run in at.design.counted for name in run.metrics if name.startswith("class_auc/")}
    places = [name.removeprefix("class_auc/").partition(".") for name in metrics]
    return sorted({task for task, _, name in places if name in classes})
