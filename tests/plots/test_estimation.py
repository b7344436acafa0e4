"""Estimation plots hold every run, every resampled difference and the band of the margin."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from mtl.plots import dots
from mtl.plots.estimation import BAND, BEYOND, WITHIN, Difference, estimation_plot
from mtl.plots.layout import COLOURS
from mtl.plots.rendering import png

NAN = float("nan")
LONG = "tasks=[general_anomaly,violence,property_crime,anomaly_type,random_labels]"


def drawn(n_sets: int, n_seeds: int, names: list[str] | None = None, margin: float = 0.01) -> Figure:
    """A figure of so many sets and seeds, the first one the base."""
    rng = np.random.default_rng(n_sets)
    names = names or [f"set_{i}" for i in range(n_sets)]
    seeds = {name: {str(s): float(rng.uniform(0.6, 0.9)) for s in range(n_seeds)} for name in names}
    differences = {name: Difference(0.01, -0.02, 0.04, rng.normal(0.01, 0.015, 500)) for name in names[1:]}
    return estimation_plot(seeds, differences, names[0], "AUC of main", margin)


def dots_of(figure: Figure) -> list[int]:
    """How many circles each column has."""
    lines = figure.axes[0].get_lines()
    return [len(line.get_xdata()) for line in lines if line.get_marker() == "o"]


def areas(figure: Figure, colour: str) -> int:
    """How many parts of distributions have a colour."""
    faces = [each.get_facecolor()[0][:3] for each in figure.axes[1].collections]
    return sum(np.allclose(face, to_rgb(colour)) for face in faces)


@pytest.mark.parametrize(("n_sets", "n_seeds"), [(2, 1), (2, 2), (4, 6), (8, 3), (16, 12)])
def test_every_run_is_a_circle_every_seed_a_line_and_every_difference_a_distribution(n_sets, n_seeds):
    figure = drawn(n_sets, n_seeds)
    above, below = figure.axes
    assert dots_of(figure) == [n_seeds] * n_sets
    joined = [line for line in above.get_lines() if line.get_color() == "0.75"]
    assert [len(line.get_xdata()) for line in joined] == [n_sets] * n_seeds
    assert areas(figure, WITHIN) == n_sets - 1
    assert areas(figure, BEYOND) == 2 * (n_sets - 1)  # above the margin, and below its negative
    intervals = [line for line in below.get_lines() if list(line.get_ydata()) == [-0.02, 0.04]]
    assert [line.get_xdata()[0] for line in intervals] == list(range(1, n_sets))
    assert len(below.get_xticklabels()) == n_sets


def test_the_band_ends_at_the_margin_and_is_in_view():
    figure = drawn(3, 4, margin=0.2)
    below = figure.axes[1]
    (band,) = [each for each in below.patches if np.allclose(each.get_facecolor()[:3], to_rgb(BAND))]
    box = band.get_extents().transformed(below.transData.inverted())
    assert (box.y0, box.y1) == pytest.approx((-0.2, 0.2))
    low, high = below.get_ylim()
    assert low < -0.2 < 0.2 < high
    assert any("−0.2 and +0.2 it does not matter" in text.get_text() for text in figure.legends[0].get_texts())
    assert areas(figure, BEYOND) == 0  # all resamples lie within
    assert any(list(line.get_ydata()) == [0, 0] for line in below.get_lines())


def test_a_missing_run_breaks_its_line_and_a_set_without_any_is_undefined():
    seeds = {"base": {"0": 0.7, "1": 0.8}, "b": {"0": 0.6}, "c": {"0": NAN, "1": 0.9}, "d": {"0": NAN}}
    figure = estimation_plot(seeds, {"b": Difference(-0.1, -0.1, -0.1, np.full(9, -0.1))}, "base", "AUC", 0.01)
    assert dots_of(figure) == [2, 1, 1, 0]
    first, second = [np.asarray(line.get_ydata(), float) for line in figure.axes[0].get_lines()[:2]]
    np.testing.assert_array_equal(first, [0.7, 0.6, NAN, NAN])
    np.testing.assert_array_equal(second, [0.8, NAN, 0.9, NAN])
    assert [text.get_text() for text in figure.axes[0].texts] == ["undefined"]
    assert not figure.axes[1].collections  # resamples that are all alike have no distribution


def test_what_is_within_ends_where_the_margin_is():
    figure = drawn(2, 3)
    faces = {tuple(each.get_facecolor()[0][:3]): each for each in figure.axes[1].collections}
    within = faces[to_rgb(WITHIN)].get_paths()[0].vertices[:, 1]
    assert (within.min(), within.max()) == pytest.approx((-0.01, 0.01))


def test_axes_stay_within_what_an_auc_and_a_difference_can_be():
    seeds = {"base": {"0": 0.0, "1": 1.0}, "b": {"0": 1.0, "1": 0.0}}
    draws = np.linspace(-1, 1, 101)
    figure = estimation_plot(seeds, {"b": Difference(0.0, -1.0, 1.0, draws)}, "base", "AUC", 0.01)
    assert figure.axes[0].get_ylim() == (0, 1)
    assert figure.axes[1].get_ylim() == (-1, 1)


def test_a_single_seed_has_resamples_of_videos_alone():
    assert "in resamples of videos (below)" in " ".join(drawn(2, 1).get_suptitle().split())
    assert "in resamples of videos and seeds (below)" in " ".join(drawn(2, 2).get_suptitle().split())


@pytest.mark.parametrize(
    "names",
    [
        ["anomaly", "anomaly_violence", "anomaly_type", "all"],
        [LONG, "b", f"{LONG}, weighting=uncertainty"],
        [f"{i} + property_crime + anomaly_type" for i in range(16)],
    ],
    ids=["short", "long", "many"],
)
def test_no_name_lies_on_another_or_is_cut_off(names):
    figure = drawn(len(names), 2, names)
    assert png(figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    labels = figure.axes[1].get_xticklabels()
    boxes = [label.get_window_extent(renderer) for label in labels]
    if not labels[0].get_rotation():
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    (key,) = figure.legends
    assert all(box.y0 >= key.get_window_extent(renderer).y1 for box in boxes)
    width, height = figure.get_size_inches() * figure.dpi
    every = [*boxes, *(axes.yaxis.label.get_window_extent(renderer) for axes in figure.axes)]
    assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in every)
    upper, lower = (axes.yaxis.label.get_window_extent(renderer) for axes in figure.axes)
    assert lower.y1 <= figure.axes[0].get_window_extent(renderer).y0 or not upper.overlaps(lower)


def test_shades_are_told_apart_in_grey():
    luminance = [float(np.dot(to_rgb(colour), [0.299, 0.587, 0.114])) for colour in (COLOURS[0], WITHIN, BAND, "1")]
    assert luminance == sorted(luminance)
    assert luminance[1] - luminance[0] > 0.3
    assert luminance[2] - luminance[1] > 0.1


def test_a_forest_shades_the_margin():
    table = pd.DataFrame({"difference": [0.1], "low": [0.05], "high": [0.15]}, ["a"])
    axes = dots.forest_plot(table, "AUC", margin=0.3).axes[0]
    (band,) = axes.patches
    box = band.get_extents().transformed(axes.transData.inverted())
    assert (box.x0, box.x1) == pytest.approx((-0.3, 0.3))
    assert axes.get_xlim()[0] < -0.3
    assert "within ±0.3" in axes.get_xlabel()
    assert not dots.forest_plot(table, "AUC").axes[0].patches
