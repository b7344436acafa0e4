"""What is shown is what was said."""

from __future__ import annotations

import pytest

from mtl.terminal import show


@pytest.mark.parametrize("line", ["relations=[gradient_similarity]", "traceback: [/data/x]", "a [bold]b", ":smile:"])
def test_a_line_that_looks_like_markup_is_shown_as_it_is(line, capsys):
    show(line)
    assert capsys.readouterr().out == f"{line}\n"
