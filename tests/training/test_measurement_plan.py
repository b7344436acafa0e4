"""What a share of a training's passes buys, counted by hand."""

from __future__ import annotations

import pytest

from mtl.training.measurement_plan import Cost, Course, within_share

DEMO = Course(epochs=8, frames=79 * 32)
FOUR = Cost.of(4, 32, permutes=True, tries=True)


def planned(share, course=DEMO, cost=FOUR, n_batches=8, epochs=None, batches=None):
    return within_share(share, course, cost, n_batches, epochs, batches)


def test_a_batch_takes_a_forward_pass_and_two_more_for_each_backward_one():
    assert (FOUR.compared, FOUR.tried) == (32 * 11, 32 * 15)
    assert Cost.of(2, 16, permutes=False, tries=False) == Cost(16 * 5, 0)
    assert DEMO.passes == 8 * 79 * 32 * 3


@pytest.mark.parametrize(
    ("share", "epochs", "batches"),
    [
        (0.06, [2, 3, 4, 6, 7, 8], 1),
        (0.07, [2, 3, 4, 5, 6, 7, 8], 1),
        (0.3, [2, 3, 4, 5, 6, 7, 8], 4),
        (9, [*range(2, 9)], 8),
    ],
)
def test_more_passes_buy_more_epochs_and_then_more_batches(share, epochs, batches):
    found = planned(share)
    assert (found.epochs, found.batches) == (epochs, batches)
    n = len(epochs)
    spent = batches * (n * FOUR.compared + -(-n // found.tried) * FOUR.tried) / DEMO.passes
    assert spent <= share
    assert (
        f"{spent:.1%} of the passes of the training steps, within gradient_measurements.share={share:g}" in found.text
    )


def test_too_small_a_share_still_measures_at_both_ends_and_says_so():
    found = planned(1e-6)
    assert (found.epochs, found.batches) == ([2, 8], 1)
    assert "1 of 8 held-out batches, in turns, after epochs 2, 8;" in found.text
    assert "more than gradient_measurements.share=1e-06, which is too little for any measurement" in found.text
    assert planned(1e-6, Course(1, 64)).epochs == [1]
    assert planned(1e-6, Course(2, 64)).epochs == [2]


def test_what_is_given_is_kept():
    assert planned(0.06, epochs=[2, 5]).epochs == [2, 5]
    assert planned(0.06, epochs=[2, 5]).tried == 1
    assert planned(1e-6, epochs=1).batches == 1
    assert planned(0.06, batches=8).batches == 8
    assert planned(0.06, batches=8).epochs == [2, 8]


def test_batches_take_turns():
    found = planned(0.06)
    turns = [found.turn(number, 4).tolist() for number in range(6)]
    assert turns == [[0], [1], [2], [3], [0], [1]]
    assert planned(9).turn(5, 8).tolist() == [*range(8)]
