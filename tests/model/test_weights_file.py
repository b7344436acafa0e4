"""Weights files: what is none is told by its content, nothing in one leads out of it, a head is left out."""

from __future__ import annotations

import gzip
import io
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, sampled

from mtl.errors import UserError

pytestmark = pytest.mark.tensorflow


def network(seed: int = 0, units: int = 3, head: bool = False):
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="in")
    outputs = keras.layers.Dense(units, name="hidden")(keras.layers.Dense(2, name="first")(inputs))
    return keras.Model(inputs, keras.layers.Dense(5, name="predictions")(outputs) if head else outputs)


def saved(model, path: Path) -> Path:
    """A model's weights in the format that a name asks for; .h5 as keras.applications has them."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    if path.name.endswith((".weights.h5", ".keras")):
        model.save_weights(path) if path.name.endswith(".h5") else model.save(path)
    else:
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


def refused(path: Path) -> str:
    """The one line with which a file is refused; the network keeps what it had."""
    from mtl.model import weights_file

    model = network()
    before = model.get_weights()
    with pytest.raises(UserError) as caught:
        weights_file.load(model, path, "tiny")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    line = str(caught.value)
    assert line.startswith(f"backbone.weights={path}: ")
    assert "\n" not in line
    return line


def packed(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 9406464\n"
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><head><title>Sign\x1b in</title></head><body></body></html>\n"


@pytest.mark.parametrize("name", sampled(["w.h5", "w", "w.weights.h5", "w.keras"], every=4))
@pytest.mark.parametrize(
    ("content", "what", "right"),
    [
        (LFS, "git LFS pointer, which stands for a file of 9,406,464 bytes", "git lfs pull"),
        (PAGE, "a web page (Sign in)", "Download it again"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a web page", "Download it again"),
        (b"", "the file is empty", "Download it again"),
        (bytes(1000), "no weights file, it begins with b'\\x00", "Download it again"),
        (b"\x80\x02}q\0.", "a file of PyTorch or another program", "Right would be a .weights.h5, a .keras, or a .h5"),
        (packed(**{"m/data.pkl": b"x"}), "a file of PyTorch or another", "Right would be a .weights.h5, a .keras"),
        (packed(**{"m/data.pkl": b"x"})[:40], "damaged or cut zip archive", "Download it again"),
        (gzip.compress(b"x"), "an archive (gzip)", "unpack it"),
    ],
    ids=["LFS pointer", "page", "xml", "empty", "zeros", "pickle", "PyTorch", "cut zip", "gzip"],
)
def test_what_is_no_weights_file_is_told_by_its_content_with_the_way_out(tmp_path, name, content, what, right):
    (tmp_path / name).write_bytes(content)
    line = refused(tmp_path / name)
    assert what in line
    assert right in line


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5"])
def test_a_cut_file_says_how_much_is_there(tmp_path, name):
    path = saved(network(), tmp_path / name)
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    assert f"the file is cut, {len(data) - 100:,} of {len(data):,} bytes. Download it again" in refused(path)


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5", "w.keras"])
@pytest.mark.parametrize("head", [False, True])
def test_weights_come_back_and_a_classification_head_is_left_out_and_said(tmp_path, caplog, name, head):
    from mtl.model import weights_file

    caplog.set_level("INFO")
    source = network(seed=1, head=head)
    model = network(seed=2)
    weights_file.load(model, saved(source, tmp_path / name), "tiny")
    for there, here in zip(source.get_weights(), model.get_weights(), strict=False):
        np.testing.assert_array_equal(here, there)
    assert ("2 arrays of a classification head are left out" in caplog.text) is head
    assert ("notop" in caplog.text) is head


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5", "w.keras"])
def test_weights_of_another_architecture_are_counted_against_its_own(tmp_path, name):
    # 4*2+2 and 2*9+9 numbers instead of 4*2+2 and 2*3+3
    line = refused(saved(network(units=9), tmp_path / name))
    assert "no weights of tiny: the file holds 4 arrays with 37 numbers, tiny takes 4 with 19." in line


def test_a_head_on_another_architecture_names_the_way_out(tmp_path):
    import keras

    inputs = keras.Input((4,))
    other = keras.Model(inputs, keras.layers.Dense(5, name="predictions")(inputs))
    assert "notop" in refused(saved(other, tmp_path / "w.h5"))


@pytest.mark.parametrize(
    ("format_", "name", "right"),
    [
        ("h5", "a.b.weights.h5", "a.b.h5"),
        ("weights.h5", "a.h5", "a.weights.h5"),
        ("h5", "a.bin", "a.bin.h5"),
        ("keras", "a.h5", "a.keras"),
    ],
)
def test_a_name_of_another_format_is_told_with_the_right_one(tmp_path, format_, name, right):
    saved(network(), tmp_path / f"right.{format_}").rename(tmp_path / name)
    assert f"Right would be to rename it to {right}." in refused(tmp_path / name)


# what leads out of a file

KERNEL = {"h5": "first/first/kernel", "weights.h5": "layers/dense/vars/0"}


def array_outside(file, at: str, whole: Path) -> None:
    shape = file[at].shape
    raw = whole.with_suffix(".bin")
    raw.write_bytes(np.ones(shape, "f4").tobytes())
    del file[at]
    file.create_dataset(at, shape, "f4", external=[(str(raw), 0, raw.stat().st_size)])


def virtual_array(file, at: str, whole: Path) -> None:
    import h5py

    shape = file[at].shape
    del file[at]
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource(str(whole), at, shape)
    file.create_virtual_dataset(at, layout)


def link_of(depth: int):
    """A link into another file in place of a part, so many levels above the array."""

    def link(file, at: str, whole: Path) -> None:
        import h5py

        part = "/".join(at.split("/")[: len(at.split("/")) - depth])
        del file[part]
        file[part] = h5py.ExternalLink(str(whole), f"/{part}")

    return link


def soft_link(file, at: str, whole: Path) -> None:
    import h5py

    file.move(at, "elsewhere")
    file[at] = h5py.SoftLink("/elsewhere")


LEADS_OUT = {
    "array outside": array_outside,
    "virtual array": virtual_array,
    "link for an array": link_of(0),
    "link for a layer": link_of(1),
    "link for all": link_of(2),
    "soft link": soft_link,
}


@pytest.fixture(params=[*LEADS_OUT])
def leading_out(request, tmp_path):
    """Files of both formats of which one array is to be read from another file, harmless ones."""
    import h5py

    made = []
    for suffix, at in KERNEL.items():
        whole = saved(network(), tmp_path / f"whole.{suffix}")
        path = tmp_path / f"probe.{suffix}"
        shutil.copy(whole, path)
        with h5py.File(path, "a") as file:
            LEADS_OUT[request.param](file, at, whole)
        made.append(path)
    return made


def test_a_file_that_leads_into_others_is_refused_before_keras_opens_it(leading_out, monkeypatch):
    import keras

    monkeypatch.setattr(keras.Model, "load_weights", lambda *args, **words: pytest.fail("Keras has opened it"))
    for path in leading_out:
        line = refused(path)
        assert "refused, since its" in line
        assert "is a link" in line or "names another file to read from" in line


@pytest.mark.slow
def test_keras_itself_refuses_it_too_from_the_lower_bound_on(leading_out):
    for path in leading_out:
        model = network(seed=3)
        with pytest.raises((ValueError, KeyError, UserWarning)):  # noqa: PT012
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                model.load_weights(str(path))


def test_a_whole_model_is_looked_through_too(tmp_path):
    import h5py

    path = saved(network(), tmp_path / "w.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    inner = tmp_path / "inner.h5"
    inner.write_bytes(members["model.weights.h5"])
    with h5py.File(inner, "a") as file:
        file["layers/extra"] = h5py.ExternalLink("/elsewhere", "/x")
    path.write_bytes(packed(**{**members, "model.weights.h5": inner.read_bytes()}))
    assert "'/layers/extra' is a link" in refused(path)


def test_an_array_that_claims_more_than_is_there_is_refused(tmp_path):
    import h5py

    path = saved(network(), tmp_path / "w.weights.h5")
    with h5py.File(path, "a") as file:
        del file[KERNEL["weights.h5"]]
        file.create_dataset(KERNEL["weights.h5"], (2**20, 2**20), "f4", chunks=(2**10, 2**10))
    assert "claims 4,398,046,511,104 bytes and has 0" in refused(path)


def test_the_lower_bound_of_keras_is_the_first_release_that_refuses_links():
    # tried with every release: 3.12.4 and 3.15.1 refuse all of LEADS_OUT, those before, between and 3.15.0 read some
    from importlib.metadata import version

    from packaging.specifiers import SpecifierSet

    if sys.version_info < (3, 11):
        pytest.skip("tomllib")
    import tomllib

    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    bound = SpecifierSet(next(one for one in needed if one.startswith("keras")).removeprefix("keras"))
    tried = ["3.10.0", "3.12.0", "3.12.3", "3.12.4", "3.13.2", "3.14.1", "3.15.0", "3.15.1"]
    assert [one for one in tried if one in bound] == ["3.12.4", "3.15.1"]
    assert version("keras") in bound
