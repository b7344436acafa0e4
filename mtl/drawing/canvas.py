"""Dice, colours, and plain shapes on a fine grid, the same everywhere for the same seed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np

VERSION = 3  # of the drawing: another one gets another tree
SIZE = 64
WORLD = 84  # side of what is drawn, of which a camera shows a part
NEAREST = 76  # y of feet at the camera's own
FINE = 4  # sub-pixels per pixel and axis: drawn there without antialiasing, then averaged

Colour = tuple[int, int, int]
Point = tuple[float, float]
T = TypeVar("T")

SINE = [round(math.sin(math.radians(degree)), 6) for degree in range(360)]


def sine(degrees: float) -> float:
    """Sine of an angle taken to whole degrees, the same on every machine."""
    return SINE[round(degrees) % 360]


def towards(start: Point, degrees: float, length: float) -> Point:
    """The point at `length` from `start`; 0 degrees is straight down, 90 to the right."""
    return start[0] + length * sine(degrees), start[1] + length * sine(degrees + 90)


class Dice:
    """Random numbers whose stream is guaranteed for ever, from a seed in words."""

    def __init__(self, *seed: object) -> None:
        self._random = random.Random("/".join(map(str, seed))).random

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self._random()

    def whole(self, low: int, high: int) -> int:
        """Uniform among low, ..., high."""
        return low + int(self._random() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self._random() * len(options))]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """The options in random order."""
        return sorted(options, key=lambda _: self._random())

    def colour(self, low: int = 30, high: int = 225) -> Colour:
        """Any colour with channels in [low, high]."""
        return self.whole(low, high), self.whole(low, high), self.whole(low, high)

    def near(self, colour: Colour, spread: int = 15) -> Colour:
        """A shade of the colour."""
        shift = self.whole(-spread, spread)
        return shade(colour, shift + self.whole(-5, 5), shift + self.whole(-5, 5), shift + self.whole(-5, 5))


def shade(colour: Colour, red: int, green: int | None = None, blue: int | None = None) -> Colour:
    """The colour with its channels raised, all of them alike where only one number is given."""
    more = (red, red if green is None else green, red if blue is None else blue)
    r, g, b = (min(255, max(0, channel + by)) for channel, by in zip(colour, more, strict=True))
    return r, g, b


PALE: Colour = (172, 170, 165)


def faded(colour: Colour) -> Colour:
    """The colour of something at the back of the scene."""
    r, g, b = ((3 * channel + 2 * pale) // 5 for channel, pale in zip(colour, PALE, strict=True))
    return r, g, b


# ---------------------------------------------------------------- canvas


class Canvas:
    """Plain shapes on a fine grid; coordinates and widths are in pixels of the final picture."""

    def __init__(self, pixels: np.ndarray | None = None) -> None:
        side = WORLD * FINE
        self.pixels = np.zeros((side, side, 3), np.uint8) if pixels is None else pixels

    def line(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        """A stroke with round ends."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.sqrt(dx * dx + dy * dy)
        if length > 0:  # not by cv2.line, whose thick lines differ between OpenCV 4 and 5
            x, y = width / 2 * dy / length, width / 2 * -dx / length
            ends = (start, -1), (start, 1), (end, 1), (end, -1)
            self.polygon([(point[0] + side * x, point[1] + side * y) for point, side in ends], colour)
        self.disc(start, width / 2, colour)
        self.disc(end, width / 2, colour)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """A filled circle."""
        cv2.circle(self.pixels, fine(centre), max(1, round(radius * FINE)), colour, cv2.FILLED, cv2.LINE_8)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """A filled rectangle; right and bottom are outside."""
        x0, y0, x1, y1 = (max(0, round(value * FINE)) for value in (left, top, right, bottom))
        self.pixels[y0:y1, x0:x1] = colour

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled convex polygon."""
        cv2.fillConvexPoly(self.pixels, np.array([fine(p) for p in points], np.int32), colour, cv2.LINE_8)

    def haze(self, discs: Sequence[tuple[Point, float]], colour: Colour, opacity: float) -> None:
        """Discs that the scene shines through."""
        mask = np.zeros(self.pixels.shape[:2], np.uint8)
        for centre, radius in discs:
            cv2.circle(mask, fine(centre), max(1, round(radius * FINE)), 1, cv2.FILLED, cv2.LINE_8)
        inside = mask.astype(bool)
        part = round(opacity * 256)
        mixed = self.pixels[inside].astype(np.int32) * (256 - part) + np.array(colour, np.int32) * part
        self.pixels[inside] = (mixed >> 8).astype(np.uint8)

    def fade(self) -> None:
        """Pale everything drawn so far, so that what is put in later stands out."""
        self.pixels[:] = (self.pixels.astype(np.int32) * 3 + np.array(PALE, np.int32) * 2) // 5

    def shown(self, left: float, top: float) -> np.ndarray:
        """The part of the picture from this corner at its final size, int32 (64, 64, 3)."""
        x, y = fine((left, top))
        part = self.pixels[y : y + SIZE * FINE, x : x + SIZE * FINE]
        rows = halved(halved(part.astype(np.uint16)))
        columns = halved(halved(rows.swapaxes(0, 1))).swapaxes(0, 1)
        return (columns // FINE**2).astype(np.int32)


def halved(pixels: np.ndarray) -> np.ndarray:
    """Sums of neighbouring rows."""
    return pixels[0::2] + pixels[1::2]


def fine(point: Point) -> tuple[int, int]:
    """Coordinates on the fine grid."""
    return round(point[0] * FINE), round(point[1] * FINE)
