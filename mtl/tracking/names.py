"""Names and values as MLflow allows them."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")
# What MLflow takes.
MAX_KEY, MAX_PARAM, MAX_TAG, MAX_DIGEST, MAX_PROFILE = 250, 6000, 8000, 36, 1_000_000


def legal_key(key: str) -> str:
    """The name as MLflow takes it: other characters become ``_``, a long one is cut and told apart by a hash."""
    legal = re.sub(r"[^\w\-./: ]" if os.name != "nt" else r"[^\w\-./ ]", "_", key)
    legal = re.sub(r"^(\.\.?(?=/|$)|/)", "_", legal)
    legal = posixpath.normpath(legal) if legal else "_"
    return legal if len(legal) <= MAX_KEY else f"{legal[: MAX_KEY - 9]}-{_short_hash(key)}"


def legal_keys(mapping: Mapping[str, T]) -> dict[str, T]:
    """The mapping under legal names; names that became equal are told apart by a hash."""
    legal: dict[str, T] = {}
    for key, value in mapping.items():
        name = legal_key(key)
        if name in legal or (name != key and name in mapping):
            name = f"{name[: MAX_KEY - 9]}-{_short_hash(key)}"
        legal[name] = value
    return legal


def flatten(mapping: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested mappings as one, names joined by dots; an empty mapping stays as a value."""
    flat: dict[str, object] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


def as_text(value: object, limit: int) -> str:
    """The value as text that every store can hold, cut at the limit."""
    words = str(value).encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    return words if len(words) <= limit else f"{words[: limit - 3]}..."
