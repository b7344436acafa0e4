"""What a user did wrong, said in one line."""

from __future__ import annotations

import difflib
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
