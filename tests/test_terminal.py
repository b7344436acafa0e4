"""What is shown is what was said."""

from __future__ import annotations

import os

import pytest

from mtl.errors import UserError
from mtl.terminal import quiet, show


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
