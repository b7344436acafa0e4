"""Figures of a screening: every set, auxiliary and run is in them, also where some number is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtl.plots.rendering import png
from mtl.plots.screenings import ForetoldRuns, PredictedSet, foretold_plot, relevance_plot, sets_plot

NAN = float("nan")


def test_members_are_dark_squares_and_trained_sets_open_ones():
    sets = [
        PredictedSet(("a",), 1, 0.8, 0.75, 0.85, 0.79),
        PredictedSet(("a", "b"), 2, 0.78, 0.73, 0.83, NAN),
        PredictedSet((), 1200, 0.7, NAN, NAN, 0.7),
    ]
    figure = sets_plot(sets, ["a", "b"], 0.7, "AUC of main")
    above, below = figure.axes
    dark, light = below.get_lines()
    assert set(zip(dark.get_xdata(), dark.get_ydata(), strict=True)) == {(0, 0), (1, 0), (1, 1)}
    assert len(light.get_xdata()) == 3
    (trained,) = [line for line in above.get_lines() if line.get_marker() == "s"]
    assert np.isfinite(trained.get_ydata()).tolist() == [True, False, True]
    assert [label.get_text() for label in below.get_xticklabels()] == ["1", "2", "1,200"]
    assert len(png(figure)) > 5_000


def test_both_coefficients_and_a_missing_interval_are_drawn():
    rows = {"ridge": [0.02, 0.0], "difference": [0.03, NAN], "low": [0.01, NAN], "high": [0.05, NAN]}
    table = pd.DataFrame({**rows, "verdict": ["helps", "cannot tell"]}, index=["a", "b"])
    axes = relevance_plot(table, "AUC of main", 0.01).axes[0]
    (ridge,) = [line for line in axes.get_lines() if line.get_marker() == "D"]
    assert ridge.get_xdata().tolist() == [0.02, 0.0]
    assert any(text.get_text() == "undefined" for text in axes.texts)
    low, high = axes.get_xlim()
    assert low < -0.01
    assert high > 0.05


def test_left_out_runs_lie_over_what_was_measured():
    runs = ForetoldRuns(
        *(np.array(each) for each in ([0.1, -0.1], [0.08, -0.02], [0.0, -0.1], [0.16, 0.06])), "R² 0.50"
    )
    axes = foretold_plot(runs, "AUC of main").axes[0]
    assert axes.get_title() == "R² 0.50"
    assert axes.get_xlim() == axes.get_ylim()
    (dots,) = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert dots.get_ydata().tolist() == [0.08, -0.02]
