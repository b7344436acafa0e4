"""What is shown is what was said."""

from __future__ import annotations

import logging
import os

import pytest
from rich.table import Table

from mtl.errors import UserError
from mtl.terminal import ConsoleHandler, complain, quiet, report, show


@pytest.mark.parametrize("line", ["relations=[gradient_similarity]", "traceback: [/data/x]", "a [bold]b", ":smile:"])
def test_a_line_that_looks_like_markup_is_shown_as_it_is(line, capsys):
    show(line)
    assert capsys.readouterr().out == f"{line}\n"


def test_a_mistake_is_said_without_the_noise_before_it(capfd):
    def mistaken() -> None:
        with quiet():
            os.write(2, b"noise of a library")
            raise UserError("what was wrong")

    with pytest.raises(UserError, match="what was wrong"):
        mistaken()
    assert capfd.readouterr().err == ""


NAME = "a\x1b[2J\x1b]0;title\x07b\x9b31mc\u202ed"
SHOWN = "a[2J]0;titleb31mcd"


def test_control_characters_of_a_name_do_not_reach_the_terminal(capsys):
    table = Table(box=None, show_header=False)
    table.add_row(NAME)
    show(NAME)
    show(table)
    ConsoleHandler().handle(logging.LogRecord("mtl", logging.WARNING, "", 0, "%s", (NAME,), None))
    complain(NAME)
    heard = capsys.readouterr()
    assert [line.strip() for line in heard.out.splitlines()] == [SHOWN, SHOWN, f"warning: {SHOWN}"]
    assert heard.err == f"{SHOWN}\n"


def test_a_result_of_a_run_is_shown_once_and_stands_in_its_log(capsys, caplog):
    caplog.set_level(logging.INFO)
    table = Table("AUC")
    table.add_row("0.5")
    report(table)
    (record,) = caplog.records
    assert "0.5" in record.getMessage()
    ConsoleHandler().handle(record)
    assert capsys.readouterr().out.count("0.5") == 1
