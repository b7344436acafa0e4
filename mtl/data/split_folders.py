"""Which folder of a tree is which split, and what a tree that is laid out otherwise should be told."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from mtl.config.words import quoted as override
from mtl.data.class_names import SPLIT_FOLDERS, ClassNames
from mtl.data.folders import is_image, subfolders
from mtl.errors import UserError, misspelt

DEPTH = 3  # folders below, or above, that are searched for what a person may have meant
LOOKED_AT = 5000  # entries of a folder that are looked at for a hint
NUMBERS = ("no", "one", "two", "three")


def split_of(name: str) -> str | None:
    """The split that a folder's name means, None where it means none."""
    return SPLIT_FOLDERS.get(name.casefold())


def split_folder(root: Path, split: str, needed: Collection[str]) -> Path | None:
    """The one folder of the root that means `split`.

    Parameters
    ----------
    root : Path
    split : str
        One of `SPLITS`.
    needed : collection of str
        Splits that must have a folder.

    Returns
    -------
    Path or None
        None where there is none and none is needed.

    Raises
    ------
    UserError
        If two folders mean it, or none does that is needed; a root that would be right is named.
    """
    folders = [entry.name for entry in subfolders(root, root)]
    found = [name for name in folders if split_of(name) == split]
    if len(found) > 1:
        raise UserError(f"{root} holds {quoted(found)}: both mean {split}. Keep one.")
    if found:
        return root / found[0]
    if split not in needed:
        return None
    way_out = _other_root(root, needed)
    if folders:
        raise UserError(f"data.root {root} holds no '{split.title()}', only {quoted(folders)}.{way_out}")
    raise UserError(f"data.root {root} holds no folder; it should hold 'Train' and 'Test'.{way_out}")


def class_folders(split_folder: Path, root: Path, needed: Collection[str], known: ClassNames) -> list[tuple[str, Path]]:
    """Class and folder of every class folder of a split, in order of name.

    Raises
    ------
    UserError
        If there is none, or one is no class: what it seems to be instead is said.
    """
    found = []
    for entry in subfolders(split_folder, root):
        class_name = known.meaning(entry.name)
        if class_name is None:
            raise UserError(_no_class(Path(entry.path), split_folder, needed, known))
        found.append((class_name, Path(entry.path)))
    if not found:
        raise UserError(f"{split_folder} holds no class folder. Known: {', '.join(known.folders)}.")
    return found


def _no_class(folder: Path, above: Path, needed: Collection[str], known: ClassNames) -> str:
    """What to say of a folder that should be a class's; a class is suggested for a slip of typing alone."""
    said = f"Folder '{folder.name}' in {above} is no class of {known.of}"
    if _holds_splits(above, needed):
        return f"{said}: {above} holds the splits. Go one deeper: {_typed(above)}"
    if split_of(folder.name) not in (None, split_of(above.name)):  # moved up, it would be learned from or judged by
        return f"{said}, but a split's name. Right would be {above.parent / folder.name}, beside '{above.name}'."
    inside = sorted(name for name in _folders(folder) if known.meaning(name))
    if inside:
        inner, outer = shlex.quote(str(folder)), shlex.quote(str(above))
        return (
            f"{said}; the class folders, such as '{inside[0]}', lie one deeper than they should. "
            f"Right would be {above / inside[0]}: mv {inner}/* {outer}/ && rmdir {inner}"
        )
    return f"{said}. {misspelt(folder.name, {*known.names, *known.folders})}"


def _other_root(root: Path, needed: Collection[str]) -> str:
    """The nearest root that has all splits, as the end of a message; nothing where there is none."""
    for n, above in enumerate(islice(root.parents, DEPTH), start=1):
        # only from within a split: a stranger's tree further up is nobody's advice
        if any(split_of(part) for part in root.relative_to(above).parts) and _holds_splits(above, needed):
            return f" Go {NUMBERS[n]} higher: {_typed(above)}"
    level = [root]
    for n in range(1, DEPTH + 1):
        level = [folder / name for folder in level for name in _folders(folder)][:LOOKED_AT]
        for below in level:
            if _holds_splits(below, needed):
                return f" Go {NUMBERS[n]} deeper: {_typed(below)}"
    return ""


def _holds_splits(folder: Path, needed: Collection[str]) -> bool:
    """Whether every split that is needed has a folder there."""
    return {split_of(name) for name in _folders(folder)} >= set(needed)


def _folders(folder: Path) -> list[str]:
    """Names of the folders within, for a hint: links and what cannot be listed are left out."""
    try:
        with os.scandir(folder) as entries:
            looked_at = list(islice(entries, LOOKED_AT))
    except OSError:
        return []
    found = [e.name for e in looked_at if e.is_dir(follow_symlinks=False)]
    return sorted(name for name in found if not name.startswith((".", "__")))


def passed_over(root: Path, used: Collection[Path]) -> list[str]:
    """Folders below the root that hold images of which none is used, relative to it.

    Looked for beside, above and within the folders that are used. Of one that is found what
    lies below is not named as well. Links are not followed.

    Parameters
    ----------
    root : Path
    used : collection of Path
        Folders whose images are used.
    """
    above = {parent for folder in used for parent in folder.parents if parent.is_relative_to(root)} - set(used)
    found = [folder for folder in above if folder != root and _holds_image(folder, depth=0)]
    for folder in above | set(used):
        beside = {Path(e.path) for e in _subfolders(folder)} - above - set(used)
        found += [other for other in beside if _holds_image(other, DEPTH)]
    return sorted(folder.relative_to(root).as_posix() for folder in found)


def _subfolders(folder: Path) -> list[os.DirEntry[str]]:
    """Folders within, however many other entries there are."""
    with os.scandir(folder) as entries:
        found = [e for e in entries if e.is_dir(follow_symlinks=False)]
    return [e for e in found if not e.name.startswith((".", "__"))]


def _holds_image(folder: Path, depth: int) -> bool:
    """Whether an image lies in the folder or up to `depth` folders below."""
    try:
        with os.scandir(folder) as entries:
            if any(is_image(entry.name) and entry.is_file(follow_symlinks=False) for entry in entries):
                return True
    except OSError:
        return False
    return depth > 0 and any(_holds_image(folder / name, depth - 1) for name in _folders(folder))


def _typed(root: Path) -> str:
    """The override that makes a folder the root, as it is typed in a shell."""
    plain = re.fullmatch(r"[\w./-]+", str(root), re.ASCII)
    return f"data.root={root}" if plain else override("data.root", str(root))


def quoted(names: Collection[str]) -> str:
    """Names in quotes, by commas."""
    return ", ".join(f"'{name}'" for name in names)
