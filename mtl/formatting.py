"""Numbers -> text -> tables for a terminal, for Markdown and for HTML."""

from __future__ import annotations

import html

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

NOTHING = "–"
SPACE, MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"
WORD = ' class="word"'
SENTENCE = ' class="word sentence"'  # may be broken into lines
LONG = 40  # characters from which text is a sentence


def number(value: float, digits: int = 3) -> str:
    """With a real minus, and none before a zero; a dash for what is not there."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", MINUS) if np.isfinite(value) else NOTHING


def signed(value: float, digits: int = 3) -> str:
    """With its sign; zero has a plus."""
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", MINUS) if np.isfinite(value) else NOTHING


def interval(low: float, high: float) -> str:
    """Both ends, or a dash."""
    return f"{low:.3f}–{high:.3f}" if np.isfinite(low) and np.isfinite(high) else NOTHING


def signed_interval(low: float, high: float, digits: int = 3) -> str:
    """Both ends with their signs, never broken, or a dash."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return NOTHING
    return f"{signed(low, digits)}{SPACE}to{SPACE}{signed(high, digits)}"


def percentage(share: float) -> str:
    """A share in whole percent; a dash for what is not there."""
    return f"{share:.0%}" if np.isfinite(share) else NOTHING


def p_value(value: float) -> str:
    """Three digits, but never zero."""
    return "<0.001" if value < 0.0005 else number(value)


def plural(n: int, noun: str) -> str:
    """So many of them."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def fitting(table: pd.DataFrame, width: int) -> list[pd.DataFrame]:
    """The table cut into tables that fit into the width, all with the first column."""
    first = min(max([8, *(len(str(name)) for name in table.index)]), 28) + 3
    parts: list[list[str]] = [[]]
    left = width - first
    for name in table.columns:
        head = max(len(word) for word in str(name).replace("_", "_ ").split(" "))
        takes = max([head, *(len(str(cell)) for cell in table[name])]) + 2
        if takes > left and parts[-1]:
            parts.append([])
            left = width - first
        parts[-1].append(name)
        left -= takes
    return [table[part] for part in parts]


def terminal_table(title: str, table: pd.DataFrame) -> Table:
    """A table that fits into 80 columns where it can: heads stand in narrow lines, numbers are never broken."""
    shown = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    longest = max((len(word) for name in table.index for word in str(name).split()), default=1)
    shown.add_column(Text(str(table.index.name)), overflow="fold", min_width=min(longest, 24))
    for name in table.columns:
        is_number = bool(table[name].map(lambda cell: " " not in cell).all())
        head = Text(str(name).replace("_vs_", "\N{NO-BREAK SPACE}/ ").replace("_", "_\n").replace(" ", "\n"))
        shown.add_column(head, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for index, row in zip(table.index, table.to_numpy(), strict=True):
        shown.add_row(*(Text(str(cell)) for cell in [index, *row]))
    return shown


def markdown_table(table: pd.DataFrame) -> list[str]:
    """Lines of a table, the index first."""
    names = [str(table.index.name), *map(str, table.columns)]
    rows = [[str(index), *map(str, row)] for index, row in zip(table.index, table.to_numpy(), strict=True)]
    head = [f"| {' | '.join(map(escaped, names))} |", f"|{' --- |' * len(names)}"]
    return head + [f"| {' | '.join(map(escaped, row))} |" for row in rows]


def escaped(text: str) -> str:
    """Text that is no markup in a Markdown table."""
    return "".join(f"\\{sign}" if sign in r"\|*`<[" else sign for sign in text)


def html_table(table: pd.DataFrame) -> str:
    """A table that scrolls by itself where it is wider than the page."""
    head = "".join(
        f"<th>{html.escape(str(name)).replace('_', '_<wbr>')}</th>" for name in [table.index.name, *table.columns]
    )
    rows = []
    for index, row in zip(table.index, table.to_numpy(), strict=True):
        cells = "".join(f"<td{_kind(str(cell))}>{html.escape(str(cell))}</td>" for cell in row)
        rows.append(f"<tr><td>{html.escape(str(index))}</td>{cells}</tr>")
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _kind(cell: str) -> str:
    if len(cell) >= LONG:
        return SENTENCE
    return "" if _is_numeric(cell) else WORD


def _is_numeric(cell: str) -> bool:
    return cell in (NOTHING, "base") or (cell[:1].isdigit() and not cell[-1:].isalpha()) or cell[:1] in f"+<{MINUS}"
