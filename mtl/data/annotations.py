"""Annotation files: lines of `<path> <class>`, read with the line's number in every refusal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mtl.data.class_names import ClassNames
from mtl.data.folders import EXTENSIONS, image_paths, or_list, refuse_link_out
from mtl.data.frame_table import Listing, sorted_codes
from mtl.data.text import read_text
from mtl.errors import UserError, misspelt

# <path> <class>; the path may contain spaces
ANNOTATION = r"^(?P<path>.*\S)\s+(?P<label>\S+)\s*$"
# what needs a closer look in a path: backslashes, a root or a drive, empty steps, steps to here or upwards
ODD_PATH = r"\\|^/|^[A-Za-z]:|//|(?:^|/)\.\.?(?:/|$)"


def read_annotations(
    file: Path, root: Path, split: str, listed: dict[Path, pa.Array], known: ClassNames
) -> Iterator[Listing]:
    """Frames of an annotation file, class by class.

    Each line is a path relative to `root` and, as the last word, a class; the path
    may contain spaces. Blank lines, CRLF and a byte order mark are taken as they come.

    Parameters
    ----------
    listed : dict of Path to pyarrow.Array
        Images of folders that were listed already; train and val share theirs.
    known : ClassNames
        Of the data set.

    Raises
    ------
    UserError
        With the line's number: wrong columns, unknown class, a path that is
        absolute, leads out of the root, is there twice, is no image or is missing.
    """
    lines = pa.array(read_text(file).split("\n"), pa.large_string())
    words = pc.extract_regex(lines, ANNOTATION)
    wrong = pc.is_null(words).to_numpy(False)
    wrong[wrong] = pc.match_substring_regex(lines.filter(pa.array(wrong)), r"\S").to_numpy(False)  # blank is not wrong
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        found = lines[at].as_py().strip()
        raise UserError(f"{file}:{at + 1}: expected `<path> <class>`, found '{found}'{and_more(wrong.sum())}.")
    number = np.flatnonzero(pc.is_valid(words).to_numpy(False)) + 1
    if len(number) == 0:
        raise UserError(f"{file} is empty; it should hold lines of `<path> <class>`.")
    words = words.filter(pc.is_valid(words))
    del lines
    classes = _label_codes(pc.struct_field(words, "label"), file, number, known)
    paths = _inside_paths(pc.struct_field(words, "path"), file, number)
    _check_present(paths, root, file, number, listed)
    for code in np.unique(classes):
        yield Listing(split, known.names[code], paths.filter(pa.array(classes == code)))


def _label_codes(labels: pa.Array, file: Path, number: np.ndarray, known: ClassNames) -> np.ndarray:
    """Position in the data set's classes of every line's label."""
    codes, distinct = sorted_codes(labels)
    meant = [known.meaning(label) for label in distinct]
    unknown = np.flatnonzero(np.array([name is None for name in meant])[codes])
    if len(unknown):
        label = distinct[codes[unknown[0]]]
        raise UserError(
            f"{file}:{number[unknown[0]]}: '{label}' is no class of {known.of}{and_more(len(unknown))}. "
            f"{misspelt(label, known.names)}"
        )
    return np.array([known.names.index(name) for name in meant if name is not None])[codes]


def _inside_paths(paths: pa.Array, file: Path, number: np.ndarray) -> pa.Array:
    """The paths in posix form, none of them absolute, leading upwards, double or no image."""

    def refuse(pattern: str, reason: str) -> None:
        at = np.flatnonzero(pc.match_substring_regex(paths, pattern).to_numpy(False))
        if len(at):
            raise UserError(f"{file}:{number[at[0]]}: {reason}: '{paths[int(at[0])].as_py()}'{and_more(len(at))}.")

    if pc.any(pc.match_substring_regex(paths, ODD_PATH)).as_py():
        only_back = pc.invert(pc.match_substring(paths, "/"))  # written on Windows
        paths = pc.if_else(only_back, pc.replace_substring(paths, "\\", "/"), paths)
        paths = pc.replace_substring_regex(paths, r"(^|/)(?:\./)+", r"\1")
        paths = pc.replace_substring_regex(paths, r"([^/])/{2,}", r"\1/")
        refuse(r"^(?:/|\\|[A-Za-z]:)", "the path is absolute, it should be relative to data.root")
        refuse(r"(?:^|/)\.\.(?:/|$)", "the path leads out of data.root")
    encoded = paths.dictionary_encode()
    if len(encoded.dictionary) < len(paths):
        codes = encoded.indices.to_numpy()
        _, first = np.unique(codes, return_index=True)
        again = np.setdiff1d(np.arange(len(codes)), first)[0]
        raise UserError(
            f"{file}:{number[again]}: '{paths[int(again)].as_py()}' is there already, "
            f"in line {number[first[codes[again]]]}{and_more(len(codes) - len(first))}."
        )
    images = pc.match_substring_regex(paths, r"(?i)\.(?:png|jpe?g)$").to_numpy(False)
    if not images.all():
        at = int(np.flatnonzero(~images)[0])
        raise UserError(
            f"{file}:{number[at]}: '{paths[at].as_py()}' is no {or_list(EXTENSIONS)} file{and_more((~images).sum())}."
        )
    return paths


def _check_present(paths: pa.Array, root: Path, file: Path, number: np.ndarray, listed: dict[Path, pa.Array]) -> None:
    """Refuse paths that are missing or links out of the root; every folder is listed once."""
    codes, folders = sorted_codes(pc.replace_substring_regex(paths, r"/?[^/]*$", ""))
    missing = np.ones(len(paths), bool)
    for code, name in enumerate(folders):
        folder = root / name
        if folder not in listed and os.path.isdir(folder):  # noqa: PTH112 (no error for odd names)
            refuse_link_out(folder, root)
            listed[folder] = image_paths(folder, root, [])
        if folder in listed:
            rows = np.flatnonzero(codes == code)
            missing[rows] = ~pc.is_in(paths.take(pa.array(rows)), value_set=listed[folder]).to_numpy(False)
    if missing.any():
        at_line = int(np.flatnonzero(missing)[0])
        raise UserError(
            f"{file}:{number[at_line]}: there is no file '{paths[at_line].as_py()}' "
            f"below {root}{and_more(missing.sum())}."
        )


def annotation_lines(frames: pd.DataFrame, split: str) -> str:
    """The annotation file of a split: a line ``<path> <class>`` per frame, in the table's order."""
    rows = frames[frames["split"] == split]
    return "".join(f"{path} {name}\n" for path, name in zip(rows["path"], rows["class_name"], strict=True))


def and_more(n: int) -> str:
    """How many other lines have the same fault."""
    return f" (and {n - 1} more such)" if n > 1 else ""
