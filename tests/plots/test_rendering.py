"""A PNG shows what matplotlib would have drawn, in less time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from PIL import Image, ImageChops, ImageFilter

from mtl.plots import rendering

WORDS = "Road accidents: \N{MINUS SIGN}0.17 [0.20, 0.40] \N{PLUS-MINUS SIGN} 5 % first \N{RIGHTWARDS ARROW} second"


def with_words(*words: str, **how: object) -> Figure:
    figure = Figure(figsize=(6, 2), dpi=rendering.DPI)
    for i, each in enumerate(words):
        figure.text(0.05, 0.4 + 0.2 * i, each, **how)
    return figure


def by_agg(figure: Figure) -> np.ndarray:
    """Grey ink, 0 to 1, of the figure as matplotlib saves it, without the white around."""
    saved = io.BytesIO()
    FigureCanvasAgg(figure)
    with rc_context({"text.hinting": "no_hinting"}):
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
    axes.set(xticklabels=[], yticklabels=[])
    ours = read(rendering.png(figure))
    assert ours.info["dpi"][0] == pytest.approx(rendering.DPI, abs=1)
    assert ours.size[0] < 4 * rendering.DPI
    np.testing.assert_array_equal(inked(ours), by_agg(figure))


@pytest.mark.parametrize("angle", [0, 45, 90])
@pytest.mark.parametrize("size", [6.5, 9, 14])
def test_words_look_as_matplotlib_draws_them(size, angle):
    figure = with_words("Shoplifting \N{MINUS SIGN}0.17", fontsize=size, rotation=angle, color="0.2")
    ours, theirs = inked(read(rendering.png(figure))), by_agg(figure)
    assert np.abs(np.subtract(ours.shape, theirs.shape)).max() <= 2
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.1)  # as much ink
    height, width = np.minimum(ours.shape, theirs.shape)
    both = [Image.fromarray((255 * each[:height, :width]).astype(np.uint8)) for each in (ours, theirs)]
    soft = [np.asarray(each.filter(ImageFilter.GaussianBlur(1.5)), float).ravel() for each in both]
    alike = 0.8 if angle else 0.95  # older matplotlib turns pixels, not letters
    assert np.corrcoef(*soft)[0, 1] > alike  # where the letters are


def test_words_take_the_room_that_they_took():
    renderers = [kind(100, 100, rendering.DPI) for kind in (rendering._Renderer, RendererAgg)]
    size = FontProperties(size=9)
    with rc_context({"text.hinting": "no_hinting"}):
        ours, theirs = (renderer.get_text_width_height_descent(WORDS, size, False) for renderer in renderers)
    assert ours[0] == pytest.approx(theirs[0], rel=0.02)
    assert ours[1:] == pytest.approx(theirs[1:], abs=1.5)  # Agg counts whole pixels
    assert renderers[0].get_text_width_height_descent("", size, False) == (0.0, 0.0, 0.0)


def test_a_word_is_its_letters_side_by_side():
    font = findfont(FontProperties())
    h, i, both = (rendering.word(text, font) for text in ("H", "I", "HI"))
    assert both.width == h.width + i.width
    np.testing.assert_allclose(both.vertices, np.concatenate([h.vertices, i.vertices + np.array([h.width, 0])]))
    assert rendering.word(" ", font).width > 0


@pytest.mark.parametrize("word", [r"$\alpha_1$", "\N{LATIN SMALL LETTER A}\N{COMBINING DIAERESIS}", "Каракас"])
def test_formulas_and_other_scripts_are_left_to_matplotlib(word):
    figure = with_words(word)
    np.testing.assert_array_equal(inked(read(rendering.png(figure))), by_agg(figure))


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
