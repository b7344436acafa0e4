"""Digests of weights and architecture: what tells one backbone from another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import keras
import numpy as np


def weights_digest(variables: Sequence[keras.Variable]) -> str:
    """Digest of the values of variables, in their order."""
    hashed = hashlib.blake2b(digest_size=16)
    for variable in variables:
        hashed.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return hashed.hexdigest()


def architecture_digest(network: keras.Model) -> str:
    """Digest of a network's layers and their settings; names that Keras counts up do not enter."""
    hashed = hashlib.blake2b(digest_size=16)
    for layer in network.layers:
        settings = {k: v for k, v in layer.get_config().items() if k != "name"}
        hashed.update(f"{type(layer).__name__}{sorted(settings.items(), key=str)}".encode())
    return hashed.hexdigest()
