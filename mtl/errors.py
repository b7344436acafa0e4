"""What a user did wrong, said in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class UserError(ValueError):
    """A fault of the input, not of the program: shown as one line, without a traceback.

    The message says what was wrong, what was found and what would be right.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that ends a message: the nearest known name, else all of them.

    Parameters
    ----------
    name : str
        What was found.
    known : iterable of str
        What would be right.

    Returns
    -------
    str
        ``Did you mean 'x'?`` where something is near (letter case is not held
        against anyone), else ``Known: a, b, c.``
    """
    known = sorted(known)
    by_folded = {option.casefold(): option for option in known}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{by_folded[near[0]]}'?"
    return f"Known: {', '.join(known)}." if known else "Nothing is known there."


def misspelt(name: str, known: Iterable[str]) -> str:
    """A hint as of `nearest`, but for names whose mistaking would change what is learned: classes.

    Only what is one slip of typing away is suggested: a letter too many, too few or another one, or
    two neighbours that changed places; letter case, blanks, dashes and underscores do not count. The first
    letter must be right, because a word that turns another one round differs there: Anormal is not Normal.
    """
    known = sorted(known)
    typed = _letters(name)
    near = [option for option in known if _is_one_slip(typed, _letters(option))]
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Known: {', '.join(known)}." if known else "Nothing is known there."


def _letters(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _is_one_slip(typed: str, right: str) -> bool:
    """Whether one slip of typing, not in the first letter, leads from one to the other."""
    start = _n_alike(typed, right)
    typed, right = typed[start:], right[start:]
    end = _n_alike(typed[::-1], right[::-1])
    typed, right = typed[: len(typed) - end], right[: len(right) - end]
    is_swapped = len(typed) == 2 and typed[::-1] == right
    return start > 0 and (max(len(typed), len(right)) <= 1 or is_swapped)


def _n_alike(one: str, other: str) -> int:
    """Length of the beginning that two words share."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
