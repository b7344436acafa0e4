"""What the camera makes of what is drawn: colours, light, clock, noise, compression."""

from __future__ import annotations

import numpy as np

from mtl.drawing.canvas import SIZE, Dice


def hadamard(n: int) -> np.ndarray:
    """Walsh-Hadamard matrix of order n, a power of two, rows by rising number of sign changes."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < n:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    changes = (np.diff(matrix, axis=1) != 0).sum(axis=1)
    return matrix[np.argsort(changes, kind="stable")]


BLOCK = 8
WALSH = hadamard(BLOCK)
FREQUENCY = np.add.outer(np.arange(BLOCK), np.arange(BLOCK)).astype(np.float32)


def compress(frames: np.ndarray, quality: float) -> np.ndarray:
    """Blocky artefacts as of a codec: coarse steps for high frequencies of 8x8 blocks.

    By Walsh-Hadamard instead of cosines: whole numbers below 2**24 throughout, hence exact in float32
    whatever the order of the sums.
    """
    n = len(frames)
    tiles = frames.reshape(n, SIZE // BLOCK, BLOCK, SIZE // BLOCK, BLOCK, 3).transpose(0, 1, 3, 5, 2, 4)
    spectrum = WALSH @ tiles.astype(np.float32) @ WALSH.T
    step = np.floor(BLOCK**2 * (1 + quality * FREQUENCY))
    spectrum = np.floor(spectrum / step + np.float32(0.5)) * step
    tiles = np.floor((WALSH.T @ spectrum @ WALSH) / BLOCK**2)
    return tiles.transpose(0, 1, 4, 2, 5, 3).reshape(frames.shape).astype(np.int32)


def film(frames: np.ndarray, dice: Dice) -> np.ndarray:
    """What the video's camera makes of its frames: colours, light, vignette, clock, noise, compression."""
    n = len(frames)
    if dice.chance(0.1):
        grey = frames @ np.array([77, 150, 29], np.int32) >> 8
        frames = np.repeat(grey[..., None], 3, axis=-1)
    exposure = dice.between(0.82, 1.08)
    gains = np.array([round(64 * exposure * dice.between(0.95, 1.05)) for _ in range(3)], np.int32)
    frames = (frames * gains >> 6) + dice.whole(-5, 12)
    ramp = np.arange(SIZE, dtype=np.int32) * 2 - SIZE
    frames = frames - (np.add.outer(ramp**2, ramp**2) * dice.whole(0, 30) >> 13)[None, :, :, None]
    if dice.chance(0.6):
        stamp_clock(frames, dice)
    raw = np.random.PCG64(dice.whole(0, 2**48)).random_raw(n * SIZE * SIZE // 2).astype("<u8").view(np.uint8)
    throws = raw.reshape(4, n, SIZE, SIZE).astype(np.int32)
    noise = throws[0] + throws[1] + throws[2] + throws[3] - 510  # nearly normal, sd 148
    frames = frames + (noise * dice.whole(2, 4) >> 7)[..., None]
    return np.clip(compress(np.clip(frames, 0, 255), dice.between(0.1, 0.9)), 0, 255).astype(np.uint8)


def stamp_clock(frames: np.ndarray, dice: Dice) -> None:
    """The camera's clock: a row of small unreadable digits, the last ones running."""
    x, y = dice.pick([2, 30]), dice.pick([2, 59])
    ink = dice.pick([235, 250, 20])
    for digit in range(9):
        left = x + 3 * digit + (digit // 3)
        for t in range(len(frames)):
            dots = Dice(left, y, t // (1 if digit > 6 else 1000)).whole(1, 63)
            for bit in range(6):
                if dots >> bit & 1:
                    frames[t, y + bit // 2, left + bit % 2] = ink
