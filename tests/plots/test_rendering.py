"""A PNG shows what matplotlib would have saved."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageChops

from mtl.plots import rendering


def with_words(*words: str, **how: object) -> Figure:
    figure = Figure(figsize=(6, 2), dpi=rendering.DPI)
    for i, each in enumerate(words):
        figure.text(0.05, 0.4 + 0.2 * i, each, **how)
    return figure


def by_agg(figure: Figure) -> np.ndarray:
    """Grey ink, 0 to 1, of the figure as matplotlib saves it, without the white around."""
    saved = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(saved)
    return inked(Image.open(saved))


def inked(image: Image.Image) -> np.ndarray:
    inverted = ImageChops.invert(image.convert("L"))
    return np.asarray(inverted.crop(inverted.getbbox()), float) / 255


def read(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def test_a_png_is_what_matplotlib_would_save_without_the_white_around_it():
    figure = Figure(figsize=(4, 3), dpi=rendering.DPI)
    axes = figure.add_axes((0.2, 0.2, 0.6, 0.6))
    axes.plot([1, 3, 2], marker="o")
    axes.set(xlabel="Road accidents \N{MINUS SIGN}0.17", ylabel=r"$\alpha_1$")
    ours = read(rendering.png(figure))
    assert ours.info["dpi"][0] == pytest.approx(rendering.DPI, abs=1)
    assert ours.size[0] < 4 * rendering.DPI
    np.testing.assert_array_equal(inked(ours), by_agg(figure))


def test_an_empty_figure_is_a_white_image():
    image = read(rendering.png(Figure(figsize=(1, 1), dpi=rendering.DPI)))
    assert image.size == (rendering.DPI, rendering.DPI)
    assert np.asarray(image).min() == 255


def test_figures_are_written_by_name(tmp_path):
    rendering.write_pngs(tmp_path / "figures", {"a": with_words("a"), "b": with_words("b")})
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["a.png", "b.png"]
    assert (tmp_path / "figures" / "b.png").read_bytes() == rendering.png(with_words("b"))


def test_a_figure_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(IsADirectoryError):
        rendering.write_pngs(tmp_path, {"a": with_words("a")})
