"""What is shown is what was said."""

from __future__ import annotations

import logging
import os

import pytest
from rich.table import Table

from mtl.errors import UserError
from mtl.terminal import ConsoleHandler, complain, exit_status, quiet, report, show


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


def ended(error):
    def act():
        if error is not None:
            raise error
        return 0

    return exit_status(act, logging.INFO, "The same command goes on.")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (None, 0, ""),
        (UserError("m.pt ends in .pt."), 1, "m.pt ends in .pt."),
        (
            OSError(28, "No space left on device", "x.png"),
            1,
            "x.png: No space left on device. The same command goes on.",
        ),
        (OSError("nothing more is known"), 1, "nothing more is known. The same command goes on."),
        (KeyboardInterrupt(), 130, "Interrupted. The same command goes on."),
    ],
)
def test_a_command_ends_with_one_line_and_its_status(error, status, said, caplog):
    assert ended(error) == status
    assert caplog.messages == ([said] if said else [])


def test_lines_of_a_command_are_shown_once_however_often_it_is_called(capsys):
    before = logging.getLogger().handlers[:]
    try:
        for _ in range(2):
            ended(KeyboardInterrupt())
        assert capsys.readouterr().out.count("warning: Interrupted.") == 2
    finally:
        logging.getLogger().handlers[:] = before
