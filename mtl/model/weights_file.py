"""A weights file, told by its own bytes before Keras opens it, and what to do where it is something else."""

from __future__ import annotations

import logging
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np

from mtl.errors import UserError

log = logging.getLogger(__name__)

START_BYTES = 1024  # by which a file is told
LARGEST = 2**31  # bytes of one array: five times the largest of keras.applications, the first dense layer of VGG16
INNER = "model.weights.h5"  # in a whole model
KINDS = "a .weights.h5, a .keras, or a .h5 file as keras.applications has them"
AGAIN = "Download it again, from the address of the file itself."
NOTOP = "A file that ends in a classification head has a twin without it, with `notop` in its name: take that one."
LFS = b"version https://git-lfs"
PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7z", b"\x28\xb5\x2f\xfd": "zstd"}
SUFFIX = re.compile(r"(\.weights)?(\.h5|\.hdf5|\.keras)?$")
OUTSIDE = "names another file to read from"
NOT_OF_THE_MODEL = ("optimizer", "metrics", "loss")


@dataclass(frozen=True)
class Contents:
    """What a weights file holds.

    Attributes
    ----------
    suffix : str
        What Keras wants its name to end in.
    layers : tuple of str or None
        Layers with weights, in their order; None where the format does not tell.
    arrays, numbers : int
        Of the model, without the optimizer's.
    """

    suffix: str
    layers: tuple[str, ...] | None
    arrays: int
    numbers: int


def found(weights: str) -> Path:
    """The file that `backbone.weights` names.

    Raises
    ------
    UserError
        If there is none.
    """
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    meant = str(path.absolute())
    where = "" if meant == weights else f" (that is {meant})"
    right = "Right would be 'imagenet', 'random' or the path of a weights file."
    if path.is_dir():
        raise UserError(f"backbone.weights: '{weights}'{where} is a folder. {right}")
    raise UserError(f"backbone.weights: no file '{weights}'{where}. {right}")


def load(network: keras.Model, path: Path, name: str) -> None:
    """Load weights into a network, all of it or none; a classification head in the file is left out.

    The file is looked through first: releases of Keras before 3.12.4, and some after it, follow links into other files.

    Parameters
    ----------
    network : keras.Model
    path : Path
        A file.
    name : str
        Of the backbone, for messages.

    Raises
    ------
    UserError
        If it is no weights file, says to read elsewhere, or has not what the network takes.
    """
    where = f"backbone.weights={path}"
    _check_kind(path, where)
    with _damage_told(where):
        held = _contents(path, where)
    if not _named(path, held.suffix):
        raise UserError(
            f"{where}: Keras tells the format by the name, and its content is that of a file *{held.suffix}. "
            f"Right would be to rename it to {SUFFIX.sub('', path.name)}{held.suffix}."
        )
    takes = [layer.name for layer in network.layers if layer.weights]
    by_name = {}
    if held.layers is not None and len(held.layers) != len(takes):
        if not set(takes) <= set(held.layers) or not takes:
            raise UserError(f"{where}: no weights of {name}: {_compared(held, network, name)} {NOTOP}")
        by_name = {"by_name": True}
    try:
        with warnings.catch_warnings():
            # Keras warns where a part of the file does not fit, and leaves that part random
            warnings.simplefilter("error", UserWarning)
            network.load_weights(str(path), **by_name)
    except (UserWarning, OSError, ValueError, KeyError) as error:
        said = "" if _differs(held, network) else f" ({' '.join(str(error).split())})"
        raise UserError(f"{where}: no weights of {name}: {_compared(held, network, name)}{said}") from error
    if held.arrays > len(network.variables):
        n = held.arrays - len(network.variables)
        log.info(
            "%s: %d arrays of a classification head are left out, as in a file with `notop` in its name.", where, n
        )


def _check_kind(path: Path, where: str) -> None:
    """Raise `UserError` where the first bytes are those of something else."""
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    if not start:
        raise UserError(f"{where}: the file is empty. {AGAIN}")
    if start.startswith(LFS):
        size = re.search(rb"^size (\d{1,15})$", start, re.MULTILINE)
        whole = f" of {int(size[1]):,} bytes" if size else ""
        raise UserError(
            f"{where}: this is a git LFS pointer, which stands for a file{whole} that was not fetched. "
            "Right would be: git lfs pull, in the folder of the repository; or to download the file itself."
        )
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(PAGES) or b"<html" in text:
        title = re.search(rb"<title[^>]*>([^<]{1,60})", start, re.IGNORECASE)
        shown = "".join(c for c in title[1].decode(errors="replace") if c.isprintable()).strip() if title else ""
        raise UserError(
            f"{where}: this is a web page{f' ({shown})' if shown else ''}, as a server answers "
            f"where there is no such file or one must log in. {AGAIN}"
        )
    if start.startswith(PICKLES) or (start.startswith(b"PK") and not _is_whole_model(path, where)):
        raise UserError(
            f"{where}: this is a file of PyTorch or another program, not of Keras; such files may hold code and "
            f"are not opened. Right would be {KINDS}."
        )
    for begins, what in COMPRESSED.items():
        if start.startswith(begins):
            raise UserError(
                f"{where}: this is an archive ({what}). Right would be to unpack it and to name what it holds."
            )
    if not start.startswith(b"PK") and not h5py.is_hdf5(path):
        raise UserError(
            f"{where}: this is no weights file, it begins with {start[:12]!r}. Right would be {KINDS}. {AGAIN}"
        )


def _is_whole_model(path: Path, where: str) -> bool:
    """Whether a zip archive is a `.keras` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return INNER in archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise UserError(f"{where}: this is a damaged or cut zip archive ({error}). {AGAIN}") from error


@contextmanager
def _damage_told(where: str) -> Iterator[None]:
    """Say in one line what HDF5 stumbles over."""
    try:
        yield
    except UserError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        cut = re.search(r"truncated file: eof = (\d+),.* stored_eof = (\d+)", str(error))
        if cut:
            raise UserError(f"{where}: the file is cut, {int(cut[1]):,} of {int(cut[2]):,} bytes. {AGAIN}") from error
        raise UserError(f"{where}: the file is damaged ({' '.join(str(error).split())}). {AGAIN}") from error


def _contents(path: Path, where: str) -> Contents:
    """What a file holds, once nothing in it leads elsewhere."""
    if not zipfile.is_zipfile(path):
        with h5py.File(path, "r") as file:
            return _contents_of(file, where, ".weights.h5")
    with zipfile.ZipFile(path) as archive, archive.open(INNER) as inner, h5py.File(inner, "r") as file:
        return _contents_of(file, where, ".keras")


def _contents_of(file: h5py.File, where: str, suffix: str) -> Contents:
    """What an open file holds."""
    _check_links(file, where)
    of_layers = file if _listed(file, "layer_names") else file.get("model_weights")
    if of_layers is not None and suffix != ".keras":
        names = _listed(of_layers, "layer_names")
        layers = tuple(name for name in names if _listed(of_layers[name], "weight_names"))
        sizes = [array.size for _, array in _arrays(of_layers)]
        return Contents(".h5", layers, len(sizes), sum(sizes))
    if not any(isinstance(part, h5py.Group) for part in file.values()):
        raise UserError(f"{where}: an HDF5 file without weights of a Keras model. Right would be {KINDS}.")
    sizes = [array.size for name, array in _arrays(file) if name.split("/")[0] not in NOT_OF_THE_MODEL]
    return Contents(suffix, None, len(sizes), sum(sizes))


def _arrays(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """Arrays of a group with their paths, once each; nothing of them is read."""
    found: list[tuple[str, h5py.Dataset]] = []
    group.visititems(lambda name, item: found.append((name, item)) if isinstance(item, h5py.Dataset) else None)
    yield from found


def _check_links(file: h5py.File, where: str) -> None:
    """Raise `UserError` where anything leads out of the file, or claims more bytes than it has."""
    seen, todo = set(), [file["/"]]
    while todo:
        group = todo.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:  # a hard link may lead back up
            continue
        seen.add(address)
        for name in group:
            at = f"{group.name.rstrip('/')}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise UserError(f"{where}: refused, since its part {at!r} is a link, which may lead out of the file.")
            item = group[name]
            if isinstance(item, h5py.Group):
                todo.append(item)
            elif isinstance(item, h5py.Dataset) and item.shape is not None:
                _check_array(item, f"{where}: refused, since its array {at!r}")


def _check_array(array: h5py.Dataset, refused: str) -> None:
    """Raise `UserError` where an array lies elsewhere, or is not there as far as it says."""
    if array.external or array.is_virtual:
        raise UserError(f"{refused} {OUTSIDE}.")
    size = int(np.prod(array.shape, dtype=object)) * array.dtype.itemsize
    plain = array.id.get_create_plist().get_nfilters() == 0
    if size > LARGEST or (plain and size > array.id.get_storage_size()):
        raise UserError(f"{refused} claims {size:,} bytes and has {array.id.get_storage_size():,}.")


def _listed(group: h5py.Group, name: str) -> list[str]:
    """A list of names among the attributes of a group, in pieces where it is long."""
    pieces = [name] if name in group.attrs else []
    while not pieces or pieces[0] != name:
        if f"{name}{len(pieces)}" not in group.attrs:
            break
        pieces.append(f"{name}{len(pieces)}")
    found = [one for piece in pieces for one in group.attrs[piece]]
    return [one.decode() if isinstance(one, bytes) else str(one) for one in found]


def _named(path: Path, suffix: str) -> bool:
    """Whether Keras will take a file for what it is."""
    name = path.name
    if suffix == ".h5":
        return name.endswith((".h5", ".hdf5")) and not name.endswith(".weights.h5")
    return name.endswith(suffix)


def _numbers(network: keras.Model) -> int:
    """Numbers that a network takes."""
    return sum(int(np.prod(variable.shape)) for variable in network.variables)


def _differs(found: Contents, network: keras.Model) -> bool:
    """Whether the numbers alone tell why the weights do not fit."""
    return (found.arrays, found.numbers) != (len(network.variables), _numbers(network))


def _compared(found: Contents, network: keras.Model, name: str) -> str:
    """What a file holds beside what the network takes."""
    return (
        f"the file holds {found.arrays:,} arrays with {found.numbers:,} numbers, "
        f"{name} takes {len(network.variables):,} with {_numbers(network):,}."
    )
