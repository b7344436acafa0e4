"""What a person can do where a disk does not take feature vectors."""

from __future__ import annotations

from pathlib import Path

from mtl import files
from mtl.errors import UserError

ELSEWHERE = (
    "et features.dir (MTL_FEATURES_DIR) to another folder, "
    "or let features.max_gib be smaller than these feature vectors, so that they are not kept."
)
NO_ROOM_REMEDY = f"Make room (python -m mtl.features prune), s{ELSEWHERE}"
NOT_ALLOWED_REMEDY = f"S{ELSEWHERE}"
NO_LOCKS_REMEDY = "Set features.dir (MTL_FEATURES_DIR) to a disk that can, or features.max_gib=1e-9, which keeps none."


def disk_error(error: OSError, folder: Path, needed: int) -> OSError | UserError:
    """The one line of `mtl.files.disk_error`, with what helps: more room does not where writing is not allowed."""
    remedy = NO_ROOM_REMEDY
    if error.errno in files.NOT_ALLOWED:
        remedy = NOT_ALLOWED_REMEDY
    elif error.errno in files.NO_LOCKS:
        remedy = NO_LOCKS_REMEDY
    return files.disk_error(error, folder, needed, remedy)
