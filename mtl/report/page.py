"""A sweep's report as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping

from mtl.formatting import html_table
from mtl.report.sections import headline, sections
from mtl.report.summary import Summary
from mtl.report.tables import job_table

SHOWN_SIZE = 0.66  # pixels of the page per pixel of a figure
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
.headline { font-weight: 600; } .warning { background: #f2f2f2; border-left: 4px solid #555; padding: .4rem .8rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: .25rem .45rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
th:first-child, td:first-child, td.word { text-align: left; } th { border-bottom: 2px solid #666; }
td { white-space: nowrap; } td.sentence { white-space: normal; min-width: 22rem; }
details, summary { margin: .2rem 0; } summary { cursor: pointer; }
img { max-width: 100%; display: block; margin: 1rem 0; }
"""


def page(summary: Summary, pictures: Mapping[str, bytes]) -> str:
    """The report as one HTML page that needs nothing else.

    Parameters
    ----------
    summary : Summary
    pictures : mapping of str to bytes
        PNGs by name; they stand in the page itself.
    """
    title = f"Which auxiliary tasks help {summary.main_task}?"
    if summary.study is not None:
        title = f"Search by {summary.study.objective}"
    elif summary.axis != "tasks":
        title = f"Effect of {summary.axis} on {summary.main_task}"
    body = [f"<h1>{html.escape(title)}</h1>", f'<p class="headline">{html.escape(headline(summary))}</p>']
    for section in sections(summary):
        body.append(f"<h2>{html.escape(section.title)}</h2>")
        body += [html_table(section.table)] if section.table is not None else []
        if section.title == "Warnings":
            body += [f'<p class="warning">{html.escape(line)}</p>' for line in section.lines]
        elif section.lines:
            body.append(f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in section.lines)}</ul>")
        for name in section.figures:
            if name in pictures:
                data = base64.b64encode(pictures[name]).decode("ascii")
                width = int.from_bytes(pictures[name][16:20], "big") * SHOWN_SIZE
                label = html.escape(name.replace("_", " "))
                body.append(f'<img width="{width:.0f}" alt="{label}" src="data:image/png;base64,{data}">')
    body += _jobs(summary)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def _jobs(summary: Summary) -> list[str]:
    """The scores of every job, folded: the terminal has one line of each."""
    folded = []
    for run, row in zip(summary.runs, summary.table.to_dict("records"), strict=True):
        name = f"{row['set']}, seed {row['seed']}"
        table = job_table(run)
        if len(table):
            folded.append(f"<details><summary>{html.escape(name)}</summary>{html_table(table)}</details>")
        else:
            why = f": {row['failure']}" if row["failure"] else ""
            folded.append(f"<p>{html.escape(name)}, {html.escape(str(row['status']).lower() + why)}</p>")
    return ["<h2>Scores of each job</h2>", *folded] if folded else []
