"""The trial step of an optimizer, before the data are read."""

from functools import partial

import pytest

from mtl.errors import UserError

pytestmark = pytest.mark.tensorflow


def test_an_optimizer_of_the_same_numbers_is_tried_once_a_process(monkeypatch):
    import keras

    from mtl.training import optimizer

    monkeypatch.setattr(optimizer, "_taken", set())
    made = []

    def make(**numbers):
        made.append(numbers)
        return keras.optimizers.SGD(**numbers)

    for rate in (0.1, 0.1, 0.2, 0.1):
        optimizer.check_optimizer(partial(make, learning_rate=rate))
    assert made == [{"learning_rate": 0.1}, {"learning_rate": 0.2}]
    for _ in range(2):  # what is no plain value is looked at every time, and so is what is refused
        optimizer.check_optimizer(partial(make, learning_rate=keras.optimizers.schedules.CosineDecay(0.1, 10)))
        with pytest.raises(UserError, match=r"training\.optimizer: "):
            optimizer.check_optimizer(partial(make, learning_rate=0.1, momentum=2.0))
    assert len(made) == 6
