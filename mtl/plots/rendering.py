"""Figures -> PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageChops

DPI = 150
MARGIN = 0.1  # inches of white around all
COMPRESSION = 2  # of a PNG: twice as quick as the usual 6 for a file a third larger


def write_pngs(folder: Path, figures: Mapping[str, Figure]) -> None:
    """Write figures as PNG, by file name without suffix; one is compressed while the next is drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(1) as writer:
        futures = [writer.submit(_write, image(figure), folder / f"{name}.png") for name, figure in figures.items()]
    for future in futures:
        future.result()


def _write(drawn: Image.Image, file: Path) -> None:
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
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    ink, margin = ImageChops.invert(drawn).getbbox() or (0, 0, *drawn.size), round(MARGIN * figure.dpi)
    width, height = drawn.size
    kept = drawn.crop(
        (max(ink[0] - margin, 0), max(ink[1] - margin, 0), min(ink[2] + margin, width), min(ink[3] + margin, height))
    )
    kept.info["dpi"] = (figure.dpi, figure.dpi)
    return kept
