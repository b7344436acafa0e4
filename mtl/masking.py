"""Passwords and tokens leave no trace: everything printed, tracked or written down goes through `masked`."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote, unquote

T = TypeVar("T")

MASK = "***"
# Variables whose value is, or holds, a secret; MLflow reads all but the first.
URI_VARIABLE = "MTL_TRACKING_URI"
FROM_VARIABLE = f"env:{URI_VARIABLE}"  # an address that says: look there
VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
SHORTEST = 4  # characters of a secret that is looked for wherever it stands; a shorter one is part of many words

# up to the last @, as a password may hold @ and / itself; a quote or a blank ends an address
USER = re.compile(r"(?<=://)([^\s'\"<>:@/]*)(:?)[^\s'\"<>]*@")
QUERY = re.compile(
    r"(?i)([?&;][\w.-]*(?:password|passwd|passphrase|pass|pwd|token|secret|(?:api|access)[_-]?key|signature|sig|credentials?)=)[^&;#\s'\"<>]+",
)


def masked(text: str) -> str:
    """The text without passwords, tokens and the like.

    Of an address ``scheme://user:password@host`` the user stays, of a query the names;
    values of the variables that hold a secret go wherever they stand.
    """
    for secret in _secrets():
        text = text.replace(secret, MASK)
    if "://" not in text:
        return text
    return QUERY.sub(rf"\1{MASK}", USER.sub(_user, text))


def _user(found: re.Match[str]) -> str:
    """Before the @: the name where a password follows it, else nothing, as it may be a token."""
    return f"{found[1]}:{MASK}@" if found[2] else f"{MASK}@"


def has_secret(uri: str) -> bool:
    """Whether an address holds what `masked` takes out of it."""
    return masked(uri) != uri


def _secrets() -> list[str]:
    """What is known to be secret in this process, as it is and as an address spells it; the longest first."""
    known = [os.environ.get(name, "") for name in VARIABLES]
    uri = os.environ.get(URI_VARIABLE, "")
    user = re.search(r"://[^:@/]*:(.*)@", uri)
    known += [user[1]] if user else []
    known += [value for _, value in re.findall(QUERY.pattern.replace("[^&", "([^&") + ")", uri)]
    spelled = {form for each in known for form in (each, quote(each, safe=""), unquote(each))}
    return sorted((each for each in spelled if len(each) >= SHORTEST and MASK not in each), key=len, reverse=True)


def masked_in(value: T) -> T:
    """The same of every text in nested mappings and lists."""
    if isinstance(value, str):
        return masked(value)  # type: ignore[return-value]
    if isinstance(value, Mapping):
        return {key: masked_in(inner) for key, inner in value.items()}  # type: ignore[return-value]
    if isinstance(value, list):
        return [masked_in(inner) for inner in value]  # type: ignore[return-value]
    return value


class MaskedFormatter(logging.Formatter):
    """Log lines, tracebacks included, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return masked(super().format(record))
