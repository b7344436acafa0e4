"""A sweep's report for a terminal, as Markdown, as files."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import RenderableType
from rich.text import Text

from mtl.ablation import design
from mtl.formatting import escaped, fitting, markdown_table, terminal_table
from mtl.plots.rendering import png
from mtl.report.afterwards import afterwards_frame
from mtl.report.decided import as_plain
from mtl.report.figures import draw
from mtl.report.page import page
from mtl.report.screened import as_plain as screening_as_plain
from mtl.report.screened import relevance_frame, sets_frame
from mtl.report.sections import headline, sections
from mtl.report.study_tables import trials_frame
from mtl.report.summary import Summary

LONGEST_DESCRIPTION = 7500  # MLflow cuts a description at 8,000 characters


def sweep_tables(summary: Summary) -> list[RenderableType]:
    """The report for a terminal."""
    width = shutil.get_terminal_size().columns
    shown: list[RenderableType] = []
    for section in sections(summary):
        table = section.table if section.on_terminal else None
        if table is not None:
            for i, part in enumerate(fitting(table, width)):
                shown.append(terminal_table(section.title if i == 0 else "", part))
        lines = section.lines if section.brief is None else section.brief
        if table is None and lines:
            shown.append(Text(section.title, style="bold"))
        shown += [Text(line) for line in lines]
        shown += [Text("")] if lines else []
    return [*shown, Text(headline(summary), style="bold")]


def markdown(summary: Summary) -> str:
    """The report as a sweep's description: cut between two lines where MLflow would cut it anywhere."""
    kept: list[str] = []
    for line in _markdown_lines(summary):
        if sum(map(len, kept)) + len(kept) + len(line) > LONGEST_DESCRIPTION:
            kept.append("\n… the rest is in the artifact `summary.md`.")
            break
        kept.append(line)
    return "\n".join(kept)


def _markdown_lines(summary: Summary, figures: Mapping[str, Figure] | None = None) -> list[str]:
    lines = [f"**{escaped(headline(summary))}**"]
    for section in sections(summary):
        lines += ["", f"**{escaped(section.title)}**", ""]
        lines += [*markdown_table(section.table), ""] if section.table is not None else []
        lines += [f"* {escaped(line)}" for line in section.lines]
        for name in section.figures:
            lines += ["", f"![{name}]({name}.png)"] if figures and name in figures else []
    return lines


def write_summary(folder: Path, summary: Summary) -> None:
    """Write the report: ``summary.html`` (all of it, self-contained), ``.md``, ``.json``, ``.csv`` and figures."""
    folder.mkdir(parents=True, exist_ok=True)
    compared = summary.compared
    summary.sets.to_csv(folder / "summary.csv")
    summary.table.to_csv(folder / "runs.csv", index=False)
    tables = {
        "auxiliaries": compared.auxiliaries,
        "type_heads": compared.heads,
        "gain_predictors": compared.gain_predictors,
    }
    for name, table in (tables | {"gain_points": compared.points}).items():
        if len(table):
            table.to_csv(folder / f"{name}.csv", index=False)
    if summary.study is not None:
        summary.study.write(folder)
        trials_frame(summary.study).to_csv(folder / "trials.csv", index=False)
    if summary.screenings:
        relevance_frame(summary.screenings).to_csv(folder / "relevance.csv", index=False)
        sets_frame(summary.screenings).to_csv(folder / "predicted_sets.csv", index=False)
        later = afterwards_frame(summary.screenings)
        if len(later):
            later.to_csv(folder / "best_and_worst.csv", index=False)
    figures = draw(summary)
    pictures = {name: png(figure) for name, figure in figures.items()}
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(picture)
    text = "\n".join(_markdown_lines(summary, figures)) + "\n"
    (folder / "summary.md").write_text(text, encoding="utf-8")
    (folder / "summary.html").write_text(page(summary, pictures), encoding="utf-8")
    (folder / "summary.json").write_text(
        json.dumps(_plain(summary), indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )


def _decision(summary: Summary) -> object:
    """Of a sweep that ends when it knows."""
    if summary.decision is None or summary.rule is None:
        return None
    return _finite(as_plain(summary.decision, summary.rule))


def _finite(value: object) -> object:
    """The same with null for a number that is none."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(summary: Summary) -> dict[str, object]:
    """The report for machines."""
    compared = summary.compared
    tables = {"sets": summary.sets.reset_index(), "auxiliaries": compared.auxiliaries, "type_heads": compared.heads}
    tables |= {
        "gain_predictors": compared.gain_predictors,
        "gain_points": compared.points,
        "seeds": compared.seeds,
    }
    tables |= {"groups": summary.groups}
    return {
        "headline": headline(summary),
        "main_task": summary.main_task,
        "judge": summary.judge.by,
        "judged": summary.judged,
        "compared": summary.axis,
        "base": compared.base,
        "test_videos": compared.n_videos,
        "margin": compared.margin,
        "budget": summary.budget,
        "warnings": list(summary.warnings),
        "checks": [{**asdict(each), "see": each.anchor} for each in summary.findings],
        "not_finished": design.failures(summary.runs),
        "decision": _decision(summary),
        "screenings": _finite([screening_as_plain(each) for each in summary.screenings]),
        **{name: json.loads(table.to_json(orient="records", double_precision=15)) for name, table in tables.items()},
    }
