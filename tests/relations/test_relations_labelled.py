"""Relations where a task says nothing about some frames: pairs by what is labelled in both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_relations import make_trace, over_steps, over_videos, within_class

from mtl.relations.gradient import conflict_rate, gradient_similarity
from mtl.relations.labels import as_text, label_information
from mtl.relations.loss import loss_correlation_trend


def masked(n_tasks=3, kept=600, steps=150):
    """Task c says nothing about frames from `kept` on, nor about the batches from `steps` on."""
    trace = make_trace(n_tasks)
    labelled = np.ones(trace.val_losses.shape, bool)
    labelled[kept:, 2] = False
    losses, weights = trace.losses.copy(), trace.weights.copy()
    losses[steps:, 2], weights[steps:, 2] = np.nan, 0
    val_losses = np.where(labelled, trace.val_losses, np.nan)
    return trace, replace(trace, val_losses=val_losses, val_labelled=labelled, losses=losses, weights=weights)


@pytest.mark.parametrize("relation", [over_videos, within_class])
def test_pairs_are_measured_on_the_frames_labelled_in_both(relation):
    whole, trace = masked()
    found, before = relation(trace), relation(whole)
    assert found.values[0, 1] == pytest.approx(before.values[0, 1])
    own = {name: getattr(whole, name)[:600] for name in ("val_losses", "val_videos", "val_classes")}
    few = relation(replace(whole, **own))
    np.testing.assert_allclose(found.values[2], few.values[2], atol=1e-12)
    np.testing.assert_allclose(found.low[2, :2], few.low[2, :2], atol=0.05)
    np.testing.assert_array_equal(found.values, found.values.T)
    assert "a and c, b and c: 600 of 900 validation frames are labelled" in found.reason
    assert "a and b" not in found.reason


@pytest.mark.parametrize("relation", [over_steps, loss_correlation_trend])
def test_steps_without_a_task_do_not_count_for_its_pairs(relation):
    whole, trace = masked()
    found, before = relation(trace), relation(whole)
    assert found.values[0, 1] == pytest.approx(before.values[0, 1])
    few = relation(replace(whole, losses=whole.losses[:150], weights=whole.weights[:150]))
    np.testing.assert_allclose(found.values[2], few.values[2], atol=1e-9)
    assert "labelled" in found.reason


def test_a_task_that_is_never_there_is_undefined_and_says_so():
    _, trace = masked(kept=0, steps=0)
    for relation in (over_videos, over_steps, loss_correlation_trend):
        found = relation(trace)
        assert np.isnan(found.values[2]).all()
        assert np.isfinite(found.values[0, 1])
        assert "a and c, b and c: 0 of" in found.reason


def test_gramians_of_batches_without_a_task_are_left_out_with_their_number():
    _, trace = masked()
    gramians = trace.gramians.copy()
    gramians[-4:, 2], gramians[-4:, :, 2] = np.nan, np.nan
    found = gradient_similarity(replace(trace, gramians=gramians), warmup_epochs=0)
    assert np.isfinite(found.values).all()
    assert found.reason == "gradient of c is zero, not finite or of no labelled frame on 4 of 40 batches"
    assert np.isfinite(conflict_rate(replace(trace, gramians=gramians), warmup_epochs=0).values).all()


def test_label_information_counts_frames_labelled_in_both_by_hand():
    # b is labelled on half of the frames, where it is a copy of a; on the others nothing is known of it
    labels = np.array([[0, 0], [1, 1], [0, -1], [1, -1], [2, -1]])
    trace = replace(make_trace(2), labels=labels, label_frames=np.array([10, 10, 5, 5, 30]), label_videos=np.full(5, 2))
    found = label_information(trace)
    np.testing.assert_allclose(found.values, 1)
    np.testing.assert_allclose(found.of_pairs["label_mutual_information"][0, 1], 1)  # bit: 10 of either
    p = np.array([15, 15, 30]) / 60
    np.testing.assert_allclose(found.of_tasks["label_entropy"], [-(p * np.log2(p)).sum(), 1])
    assert as_text("ab", labels, trace.label_frames) == "entropy in bits: a 1.500, b 1.000; shared: a_vs_b 1.000"


def test_tasks_that_share_no_frame_share_no_information():
    labels = np.array([[0, -1], [1, -1], [-1, 0], [-1, 1]])
    found = label_information(
        replace(make_trace(2), labels=labels, label_frames=np.full(4, 9), label_videos=np.ones(4, int))
    )
    assert np.isnan(found.values[0, 1])
    assert "no training frame is labelled for a and b" in found.reason
    alone = "entropy in bits: a 1.000, b 1.000; no training frame is labelled for both a and b"
    assert as_text("ab", labels, np.full(4, 9)) == alone
    of_three = as_text("abc", np.column_stack([labels, [0, 1, 0, 1]]), np.full(4, 9))
    assert of_three == (
        "entropy in bits: a 1.000, b 1.000, c 1.000; shared: a_vs_c 1.000, b_vs_c 1.000; "
        "no training frame is labelled for both a and b"
    )
    without = as_text("ab", np.array([[-1, 0], [-1, 1]]), np.full(2, 9))
    assert without == "entropy in bits: a has no labelled training frame, b 1.000"
