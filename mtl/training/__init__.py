"""The loop, its compiled steps, and what is measured of task gradients between epochs."""

from mtl.training.loop import Training as Training
