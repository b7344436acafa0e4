"""Every check: a code, a title, a paragraph of docs/checks.md, a file of tests; and what they find in a real sweep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT
from made_evidence import evidence
from test_recorded import RECORDED, RUNS, SWEPT, copy_placed

from mtl.checks.base import SEVERITIES, Check
from mtl.checks.listing import every_check, findings
from mtl.report.summary import summarise
from mtl.tracking.journal import recorded

PAGE = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
PARAGRAPHS = dict(re.findall(r"^## (\S+)\n\n(.*?)(?=\n\n## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
NOT_CHECKS = {"__init__", "base", "evidence", "listing"}
CODES = [check.code for check in every_check()]


def test_every_module_is_one_check_and_no_code_stands_for_two():
    modules = [path.stem for path in (ROOT / "mtl" / "checks").glob("*.py") if path.stem not in NOT_CHECKS]
    assert sorted(type(check).__module__.rpartition(".")[2] for check in every_check()) == sorted(modules)
    assert len(set(CODES)) == len(CODES) >= 11
    assert len({check.title for check in every_check()}) == len(CODES)


@pytest.mark.parametrize("check", every_check(), ids=CODES)
def test_a_check_has_a_code_a_title_a_paragraph_and_tests(check: Check):
    assert re.fullmatch(r"MTL\d{3}", check.code)
    assert check.title[0].isupper()
    assert not check.title.endswith(".")
    assert (type(check).__doc__ or "").strip()
    paragraph = " ".join(PARAGRAPHS[check.code].split())
    assert paragraph.startswith(f"**{check.title}.** Looked at: ")
    assert "Why it matters: " in paragraph
    assert "What to do: " in paragraph
    assert (Path(__file__).parent / f"test_{check.code.lower()}.py").is_file()


def test_every_paragraph_and_every_file_of_tests_has_a_check():
    assert list(PARAGRAPHS) == CODES
    files = {path.stem.removeprefix("test_").upper() for path in Path(__file__).parent.glob("test_mtl*.py")}
    assert files == set(CODES)


def test_the_page_says_what_each_severity_means():
    assert re.findall(r"^\| (\w[\w ]*) \|", PAGE, re.MULTILINE)[1:] == list(SEVERITIES)


def test_nothing_passes_by_default():
    """Of a sweep without a run nothing is known."""
    assert {each.severity for each in findings(evidence())} == {"not applicable"}
    assert all(each.lines for each in findings(evidence()))


def test_a_recorded_sweep_has_the_findings_that_it_should(tmp_path):
    """Two sets of two seeds, a test video of each class, two epochs; a version that kept no list of videos."""
    for source in filter(Path.is_file, (RECORDED / "sweep").rglob("*")):
        copy_placed(source, tmp_path / source.relative_to(RECORDED / "sweep"), tmp_path)
    for number, name in enumerate(SWEPT):
        kept = RECORDED / "artifacts" / RUNS[name] / "predictions.parquet"
        copy_placed(kept, tmp_path / str(number) / "artifacts" / "predictions.parquet", tmp_path)
    runs = [run for run in recorded(tmp_path) if run.tags.get("sweep") != "parent"]
    found = summarise(runs, "general_anomaly").findings
    assert {each.code: (each.severity, " ".join(each.lines)) for each in found} == {
        "MTL001": (
            "issue",
            "With 2 seeds, no Holm p of 1 difference can be below 0.5: at least 6 seeds are needed for one below 0.05.",
        ),
        "MTL002": (
            "tip",
            "No auxiliary has random labels, so it is not known what any additional head does to the main task: "
            "tasks=anomaly_random is a set with such a control.",
        ),
        "MTL003": ("passed", "None of 4 runs has its best epoch at the end of the training budget."),
        "MTL004": (
            "not applicable",
            "Except for what is compared, 4 runs agree in parameters, frames, code. Not all of 4 runs say what they "
            "had as packages, arithmetic.",
        ),
        "MTL005": (
            "tip",
            "Fewer than 5 test videos: Abuse 1, Arrest 1, Arson 1, Assault 1, Burglary 1 and 8 more. No head of these "
            "runs has an AUC for such a class alone.",
        ),
        "MTL006": ("not applicable", "No head gives an anomaly score of its own beside the main head."),
        "MTL007": (
            "not applicable",
            "The runs do not say which videos they trained on. Of the others, one video holds at most 5.6% of test.",
        ),
        "MTL008": ("passed", "At most 0.00% of the comparisons of two frames are ties, in 4 runs."),
        "MTL009": ("passed", "None of 4 runs diverged."),
        "MTL010": ("not applicable", "Not all runs say what they would be chosen by, in the tag `objective`."),
        "MTL011": ("passed", "All frames of 18 test videos judge 4 runs."),
    }
