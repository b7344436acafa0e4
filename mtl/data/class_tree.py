"""Folders of classes below a root, with or without folders of splits above them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mtl.data.class_names import SPLITS, ClassNames, folded
from mtl.data.folders import EXTENSIONS, image_paths, is_image, or_list, scan, subfolders
from mtl.data.split_folders import quoted, split_folder, split_of
from mtl.data.tree import check_folder
from mtl.data.videos import EXTENSIONS as VIDEOS
from mtl.errors import UserError, misspelt
from mtl.tasks import NORMAL, check_name

# Normal, NormalVideos; NonViolence, no_fight: a no that is told from the word by its letter case or a sign
_LIKE_NORMAL = re.compile(r"(?i:normal.*)|(?i:non?|not)[ _-]+\S.*|(?:[Nn]on?|[Nn]ot|NON?|NOT)(?=[A-Z]).+")
RIGHT = "Right would be <root>/<split>/<Class>/... or <root>/<Class>/..., with images or videos in it."


@dataclass(frozen=True)
class ClassFolder:
    """A folder of one class: of a split, or of "" where the root has no folders of splits."""

    split: str
    class_name: str
    path: Path


@dataclass(frozen=True)
class ClassTree:
    """What folders say of classes and splits.

    Attributes
    ----------
    root : Path
    known : ClassNames
        Names as the frame table has them: those of the folders, but `Normal` for the normal class.
    folders : tuple of ClassFolder
        In order of split and name.
    normal : str or None
        How the folders call the normal class; None where there is none.
    depth : int
        Parts of a path before what lies below the class folder: 1, or 2 where splits have folders.
    """

    root: Path
    known: ClassNames
    folders: tuple[ClassFolder, ...]
    normal: str | None
    depth: int

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that have a folder."""
        return tuple(split for split in SPLITS if any(folder.split == split for folder in self.folders))


def class_tree(root: Path, normal: str | None) -> ClassTree:
    """The class folders below a root.

    Parameters
    ----------
    root : Path
    normal : str or None
        The class that is no anomaly; None takes the only one whose name says so, if there is one.

    Raises
    ------
    UserError
        Where there are none, only one, two that differ by letter case, blanks or signs alone, splits within
        classes, or a name that no table could bear.
    """
    check_folder(root, "data.root")
    given = {split: folder for split in SPLITS if (folder := split_folder(root, split, ())) is not None}
    if given and "train" not in given:
        raise UserError(f"data.root {root} holds {quoted([f.name for f in given.values()])}, but no 'Train'. {RIGHT}")
    found: list[tuple[str, str, Path]] = []
    for split, above in (given or {"": root}).items():
        inside = subfolders(above, root)
        if not inside:
            raise UserError(f"{above} holds no class folder. {RIGHT}")
        found += [(split, unicodedata.normalize("NFC", entry.name), Path(entry.path)) for entry in inside]
    names = sorted({name for _, name, _ in found})
    _check_names(names, root, [path for _, _, path in found])
    chosen = _normal(names, normal)
    table_name = {name: NORMAL if name == chosen else name for name in names}
    known = ClassNames(tuple(sorted(table_name.values())), table_name.get, tuple(names), root.name)
    folders = tuple(ClassFolder(split, table_name[name], path) for split, name, path in found)
    return ClassTree(root, known, folders, chosen, 2 if given else 1)


def _check_names(names: Sequence[str], root: Path, folders: Sequence[Path]) -> None:
    """Refuse names that are no classes of one data set."""
    by_folded: dict[str, str] = {}
    for name in names:
        twin = by_folded.setdefault(folded(name), name)
        if twin != name:
            raise UserError(
                f"Class folders '{twin}' and '{name}' below {root} differ by letter case, blanks or dashes alone; "
                "right would be one name for one class."
            )
    for folder in folders:
        inside = [entry.name for entry in subfolders(folder, root) if split_of(entry.name)]
        if inside and len(names) > 1:
            raise UserError(f"{folder} holds {quoted(inside)}: splits lie within a class. {RIGHT}")
    if len(names) == 1:
        inside = [entry.name for entry in subfolders(folders[0], root)]
        deeper = f" Do its folders {quoted(inside[:3])} mean more? Then data.root={folders[0]}." if inside else ""
        raise UserError(f"{root} holds a single class, '{names[0]}': there is nothing to tell apart.{deeper} {RIGHT}")
    for name in names:
        try:
            check_name(name)
        except UserError as error:
            raise UserError(f"Class folder '{name}' below {root} {error}") from None


def _normal(names: Sequence[str], asked: str | None) -> str | None:
    """Which of the names is the normal class, None where none is."""
    if asked is None:
        all_folded = {folded(name) for name in names}
        like = [
            name
            for name in names
            if _LIKE_NORMAL.fullmatch(name)
            or any(folded(name) == no + other for no in ("non", "no", "not") for other in all_folded)
        ]
        return NORMAL if NORMAL in like else like[0] if len(like) == 1 else None
    name = unicodedata.normalize("NFC", asked)
    if name not in names:
        raise UserError(f"data.normal: there is no class folder '{asked}'. {misspelt(asked, names)}")
    if name != NORMAL and NORMAL in names:
        raise UserError(f"data.normal: is '{asked}', but a class folder is called '{NORMAL}' and is none; rename one.")
    return name


def walk(folder: Path, root: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The folder and all folders below it in order of name; a link that leads back to one above is refused."""
    real = folder.resolve()
    if real in above:
        raise UserError(f"{folder} is a link to {real}, which it lies in.")
    yield folder
    for entry in subfolders(folder, root):
        yield from walk(Path(entry.path), root, (*above, real))


def images_below(folder: Path, root: Path, skipped: list[tuple[str, str]]) -> pa.Array:
    """Paths relative to the root of all images below a folder, however deep."""
    return pa.concat_arrays([image_paths(each, root, skipped) for each in walk(folder, root)])


def kind_of(folder: Path, root: Path) -> str:
    """What lies below a class folder: `images`, or `videos` where there is no image.

    Raises
    ------
    UserError
        Where there is neither.
    """
    has_video = False
    for each in walk(folder, root):
        for entry in scan(each):
            if is_image(entry.name):
                return "images"
            has_video = has_video or entry.name.lower().endswith(VIDEOS)
    if not has_video:
        raise UserError(
            f"Class folder {folder} holds no {or_list(EXTENSIONS)} file and no video ({', '.join(VIDEOS)})."
        )
    return "videos"


def one_kind(tree: ClassTree) -> str:
    """What all class folders hold: `images` or `videos`.

    Raises
    ------
    UserError
        Where one holds neither, or they are unlike.
    """
    kinds = {folder.path: kind_of(folder.path, tree.root) for folder in tree.folders}
    examples = {kind: folder for folder, kind in kinds.items()}
    if len(examples) > 1:
        raise UserError(
            f"Class folder {examples['images']} holds images, {examples['videos']} only videos; right would be "
            "one kind in all of them."
        )
    return next(iter(examples))
