"""Figures -> PNG, their words drawn from outlines of letters that the process keeps."""

from __future__ import annotations

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path as File
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from PIL import Image, ImageChops

DPI = 150
MARGIN = 0.1  # inches of white around all
COMPRESSION = 2  # of a PNG: twice as quick as the usual 6 for a file a third larger
PLAIN = frozenset(map(chr, range(0x20, 0x7F))) | frozenset("−–—±×→←·…°²³µ")  # letters that stand side by side
UNIT = 100.0  # points of the outlines that are kept


def write_pngs(folder: File, figures: Mapping[str, Figure]) -> None:
    """Write figures as PNG, by file name without suffix; one is compressed while the next is drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(1) as writer:
        futures = [writer.submit(_write, image(figure), folder / f"{name}.png") for name, figure in figures.items()]
    for future in futures:
        future.result()


def _write(drawn: Image.Image, file: File) -> None:
    file.write_bytes(_compressed(drawn))


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG, without the white around it."""
    return _compressed(image(figure))


def _compressed(drawn: Image.Image) -> bytes:
    buffer = io.BytesIO()
    drawn.save(buffer, "png", dpi=drawn.info["dpi"], compress_level=COMPRESSION)
    return buffer.getvalue()


def image(figure: Figure) -> Image.Image:
    """The figure's pixels, without the white around it.

    Drawn once: `Figure.savefig` draws twice, the first time for a layout that is found already.
    """
    canvas = Canvas(figure)
    with rc_context({"text.hinting": "no_hinting"}):  # the letters of Agg like ours
        canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    ink, margin = ImageChops.invert(drawn).getbbox() or (0, 0, *drawn.size), round(MARGIN * figure.dpi)
    width, height = drawn.size
    kept = drawn.crop(
        (max(ink[0] - margin, 0), max(ink[1] - margin, 0), min(ink[2] + margin, width), min(ink[3] + margin, height))
    )
    kept.info["dpi"] = (figure.dpi, figure.dpi)
    return kept


class Canvas(FigureCanvasAgg):
    """Agg, with letters as shapes.

    A figure of ours has a hundred words, and Agg lays out, loads and renders
    each letter of each anew; that was half of a figure's time. As one filled shape
    from letters in a cache a word takes a quarter of it. Hinting and kerning are
    left out, so letters keep their shape and widths at any size. Formulas, and words with
    a letter beyond `PLAIN`, which may have to be shaped or found in another
    font, are drawn by Agg.
    """

    def get_renderer(self) -> RendererAgg:
        """The renderer of the figure's size, one as long as that does not change."""
        size = (*self.figure.bbox.size, self.figure.dpi)
        if getattr(self, "_lettered", None) != size:
            self.renderer, self._lettered = _Renderer(*size), size
        return self.renderer


class _Renderer(RendererAgg):
    """Measures and draws words by their outlines."""

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: FontProperties, angle: float, ismath: Any = False,
        mtext: Any = None,
    ) -> None:  # fmt: skip
        """Fill the word's outline, its baseline beginning at (x, y) from the top left, in pixels."""
        if ismath or not PLAIN.issuperset(s):
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
            return
        outline = word(s, findfont(prop))
        place = Affine2D().scale(self._scale(prop)).rotate_deg(angle).translate(x, self.height - y)
        gc.set_linewidth(0.0)
        self.draw_path(gc, Path(outline.vertices, outline.codes), place, gc.get_rgb())

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> tuple[float, float, float]:
        """Width, height and depth below the baseline, in pixels."""
        if ismath or not PLAIN.issuperset(s):
            return super().get_text_width_height_descent(s, prop, ismath)
        outline, scale = word(s, findfont(prop)), self._scale(prop)
        heights = outline.vertices[:, 1] if len(outline.vertices) else np.zeros(1)
        return scale * outline.width, scale * float(np.ptp(heights)), -scale * float(heights.min())

    def _scale(self, prop: FontProperties) -> float:
        return self.points_to_pixels(prop.get_size_in_points()) / UNIT


class Outline(NamedTuple):
    """Shapes to fill, from (0, 0) on, for letters of `UNIT` points.

    Attributes
    ----------
    vertices : ndarray of shape (n, 2)
    codes : ndarray of uint8, shape (n,)
        As in `matplotlib.path.Path`.
    width : float
        Where the next letter begins.
    """

    vertices: np.ndarray
    codes: np.ndarray
    width: float


@lru_cache(maxsize=4096)
def word(text: str, font: str) -> Outline:
    """Outline of a word.

    Parameters
    ----------
    text : str
        Of letters in `PLAIN`.
    font : str
        Its file.
    """
    letters = [letter(character, font) for character in text]
    starts = np.cumsum([0.0, *(one.width for one in letters)])
    moved = [one.vertices + np.array([start, 0.0]) for one, start in zip(letters, starts, strict=False)]
    vertices = np.concatenate([np.empty((0, 2)), *moved])
    codes = np.concatenate([np.empty(0, np.uint8), *(one.codes for one in letters)])
    return Outline(vertices, codes, float(starts[-1]))


@lru_cache(maxsize=1024)
def letter(character: str, font: str) -> Outline:
    """Outline of a letter, found between two bars: alone it does not tell where it begins and ends."""
    bar, bars, among = (
        TextPath((0, 0), text, size=UNIT, prop=FontProperties(fname=font)) for text in ("|", "||", f"|{character}|")
    )
    n, (one, two, three) = len(bar), (np.array(path.vertices) for path in (bar, bars, among))
    begins, ends = two[-n:, 0].min() - one[:, 0].min(), three[-n:, 0].min() - one[:, 0].min()
    return Outline(three[n:-n] - [begins, 0.0], np.array(among.codes)[n:-n], float(ends - begins))
