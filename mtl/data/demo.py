"""A small made-up UCF-Crime, drawn by code: little surveillance scenes in the real layout.

Every video has a place (street, car park, shop, room) seen by one of a few cameras, and a cast of
people about their errands. In a video of an anomaly an event of its class fills three quarters or more of
the frames; the other frames look like those of a normal video, as in the real data, where a frame has its
video's label. Some normal videos show a harmless look-alike for a while.

Related on purpose: the classes share what is to be seen.

===================  ========================================================================
what is seen         in the events of
===================  ========================================================================
blows, raised limbs  Fighting (mutual), Assault, Abuse (one-sided), Vandalism (at things)
close contact        Fighting, Assault, Abuse, Arrest, Robbery
somebody lying       Assault, Shooting, Abuse, Arrest, Explosion, RoadAccidents
blood                Fighting, Assault, Shooting
a weapon aimed       Shooting, Robbery, Arrest
a black hood         Robbery, Burglary, Stealing, Shoplifting (most)
something taken      Robbery, Burglary, Stealing, Shoplifting
a stick or bar       Vandalism, Burglary, Stealing (cars), Abuse
a door broken open   Burglary, Vandalism
fire, smoke          Arson, Explosion, RoadAccidents (smoke)
splinters            Vandalism, RoadAccidents, Explosion
a vehicle's trouble  RoadAccidents, Stealing, Vandalism, Arson (outdoors)
uniforms             Arrest
look-alikes          Normal: a hug, a dance, a box carried, a lamp's glare, steam, loading a car
===================  ========================================================================

Violence (Assault, Fighting, Shooting) and property crime (Burglary, Stealing, Shoplifting, Vandalism) thus
have a core of their own, and hard negatives outside it (Abuse, Arrest; Robbery).

Everything else is drawn without regard to the class: without its event, a video of one class is pixel for
pixel the video that another class would have had. Cameras are shared by all classes and both splits, take
turns within each class, and pan and mirror at random. One exception: `PLACES`, as there is no road accident
in a room and no shoplifting without a shelf.

The same seed gives the same pixels everywhere: random numbers come only from generators whose streams are
guaranteed, angles are whole degrees looked up in a rounded table, shapes are circles and convex polygons
drawn by OpenCV without antialiasing at whole coordinates of a finer grid, and what follows is exact in integers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pandas as pd
from pydantic import PositiveInt

from mtl.data.ucf_crime import Fraction, UCFCrime
from mtl.mistakes import Mistake

log = logging.getLogger(__name__)

VERSION = 3  # of the drawing: another one gets another tree
SIZE = 64
WORLD = 84  # side of what is drawn, of which a camera shows a part
NEAREST = 76  # y of feet at the camera's own
FINE = 4  # sub-pixels per pixel and axis: drawn there without antialiasing, then averaged
STRIDE = 10  # frames of the original video between two that are kept, as in the real tree

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


# ---------------------------------------------------------------- people


@dataclass(frozen=True)
class Person:
    """What somebody looks like; `size` is relative to a grown-up."""

    size: float
    girth: float
    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    uniform: bool = False


@dataclass(frozen=True)
class Pose:
    """Angles in degrees: 0 hangs down (upright for `lean`), positive is forwards.

    A limb is (upper part, bend of the lower part against it).
    """

    lean: float = 0
    arms: tuple[Point, Point] = ((8, 5), (-8, 5))
    legs: tuple[Point, Point] = ((5, 0), (-5, 0))


STANDING = Pose()
LYING = Pose(lean=88, arms=((150, 20), (40, 30)), legs=((-85, -10), (-95, 5)))
LYING_CURLED = Pose(lean=82, arms=((120, 60), (100, 60)), legs=((-30, -80), (-50, -60)))
PUNCHING = Pose(lean=14, arms=((98, 0), (55, 95)), legs=((28, -8), (-30, -5)))
SWINGING = Pose(lean=8, arms=((155, 25), (60, 80)), legs=((24, -8), (-24, -6)))
KICKING = Pose(lean=-14, arms=((50, 70), (-40, 20)), legs=((82, -12), (-8, 0)))
GRAPPLING = Pose(lean=30, arms=((88, 12), (100, 20)), legs=((15, -10), (-38, -5)))
COWERING = Pose(lean=38, arms=((125, 65), (110, 80)), legs=((55, -75), (20, -70)))
HANDS_UP = Pose(lean=-3, arms=((160, 12), (-160, -12)), legs=((6, 0), (-6, 0)))
AIMING = Pose(lean=3, arms=((90, 0), (78, 14)), legs=((14, 0), (-14, 0)))
HELD = Pose(lean=32, arms=((-50, 35), (-40, 30)), legs=((10, -6), (-10, -6)))
KNEELING = Pose(lean=22, arms=((-45, 40), (-40, 40)), legs=((20, -105), (10, -95)))
HOLDING_DOWN = Pose(lean=48, arms=((52, 5), (40, 10)), legs=((55, -75), (-5, -40)))
BENDING = Pose(lean=58, arms=((62, 8), (50, 10)), legs=((18, -18), (-6, -12)))
REACHING = Pose(lean=8, arms=((105, -5), (10, 10)), legs=((10, 0), (-8, 0)))
POCKETING = Pose(lean=12, arms=((40, 95), (30, 80)), legs=((6, 0), (-6, 0)))
HUGGING = Pose(lean=8, arms=((75, 15), (65, 25)), legs=((6, 0), (-6, 0)))
WAVING = Pose(lean=0, arms=((165, 10), (-8, 5)), legs=((6, 0), (-6, 0)))


def walking(phase: float, pace: float = 1) -> Pose:
    """A step at `phase` degrees; pace 2 is a run."""
    swing = sine(phase)
    knees = [-30 * pace * max(0.0, side * sine(phase + 90)) - 5 for side in (1, -1)]
    return Pose(
        lean=3 + 7 * (pace - 1) * 2,
        arms=((-26 * pace * swing, 10 + 50 * (pace - 1)), (26 * pace * swing, 10 + 50 * (pace - 1))),
        legs=((27 * pace * swing, knees[0]), (-27 * pace * swing, knees[1])),
    )


def loaded(pose: Pose) -> Pose:
    """The pose with both arms holding something before the chest."""
    return replace(pose, arms=((38, 52), (30, 56)))


def limb(joint: Point, angles: Point, length: float, facing: int) -> tuple[Point, Point]:
    """Elbow and hand, or knee and foot."""
    middle = towards(joint, facing * angles[0], length / 2)
    return middle, towards(middle, facing * (angles[0] + angles[1]), length / 2)


def draw_person(canvas: Canvas, person: Person, at: Point, tall: float, facing: int, pose: Pose) -> list[Point]:
    """Draw somebody whose lowest foot stands `at` this point.

    Parameters
    ----------
    tall : float
        Height of a grown-up there, in pixels.
    facing : int
        1 to the right, -1 to the left.

    Returns
    -------
    list of point
        Both hands, then the head.
    """
    tall = tall * person.size
    width = 0.085 * tall * person.girth
    legs = [limb((0, 0), angles, 0.5 * tall, facing) for angles in pose.legs]
    hips = (at[0], at[1] - max(width / 2, *(joint[1] for leg in legs for joint in leg)))
    shoulders = towards(hips, 180 - facing * pose.lean, 0.32 * tall)
    head = towards(shoulders, 180 - facing * pose.lean, 0.11 * tall)
    arms = [limb(shoulders, angles, 0.40 * tall, facing) for angles in pose.arms]

    def stroke(start: Point, joints: tuple[Point, Point], thick: float, colour: Colour) -> None:
        canvas.line(start, joints[0], thick, colour)
        canvas.line(joints[0], joints[1], thick * 0.85, colour)

    far, near = 1, 0
    stroke(shoulders, arms[far], width * 0.8, shade(person.shirt, -35))
    for (knee, foot), colour in ((legs[far], shade(person.trousers, -25)), (legs[near], person.trousers)):
        joints = ((hips[0] + knee[0], hips[1] + knee[1]), (hips[0] + foot[0], hips[1] + foot[1]))
        stroke(hips, joints, width, colour)
        canvas.line(joints[1], (joints[1][0] + facing * 0.05 * tall, joints[1][1]), width * 0.7, (25, 22, 20))
    canvas.line(hips, shoulders, width * 1.9, person.shirt)
    canvas.disc(head, 0.078 * tall, person.skin)
    canvas.disc((head[0] - facing * 0.022 * tall, head[1] - 0.03 * tall), 0.062 * tall, person.hair)
    if person.uniform:
        brim = head[1] - 0.05 * tall
        canvas.line((head[0] - 0.07 * tall, brim), (head[0] + 0.08 * tall, brim), 1, (15, 20, 45))
        across = (towards(shoulders, facing * 90, -width * 0.6), towards(hips, facing * 90, width * 0.4))
        canvas.line(*across, 1, (225, 225, 90))
    stroke(shoulders, arms[near], width * 0.8, shade(person.shirt, 18))
    for _, hand in arms:
        canvas.disc(hand, width * 0.42, person.skin)
    return [arms[0][1], arms[1][1], head]


def masked(person: Person) -> Person:
    """The person under a black hood, in darker clothes."""
    shirt, trousers = shade(person.shirt, -40), shade(person.trousers, -30)
    return replace(person, skin=(28, 26, 28), hair=(14, 14, 16), shirt=shirt, trousers=trousers)


SKINS: list[Colour] = [(238, 200, 170), (224, 172, 130), (198, 134, 96), (141, 85, 50), (90, 58, 40)]
HAIRS: list[Colour] = [(25, 20, 18), (60, 40, 25), (110, 75, 40), (150, 130, 95), (120, 118, 115)]
CLOTHES: list[Colour] = [  # dark and muted, lest a cast is known by its colours
    (32, 30, 34), (45, 45, 50), (70, 72, 80), (60, 68, 92), (92, 104, 128), (94, 78, 64), (78, 86, 70), (110, 108, 105),
]  # fmt: skip
PAINTS: list[Colour] = [(50, 52, 58), (110, 112, 118), (180, 182, 185), (70, 80, 105), (120, 70, 65)]


def some_person(dice: Dice) -> Person:
    """Anybody."""
    return Person(
        size=dice.between(0.88, 1.08),
        girth=dice.between(0.85, 1.2),
        skin=dice.near(dice.pick(SKINS), 8),
        hair=dice.near(dice.pick(HAIRS), 8),
        shirt=dice.near(dice.pick(CLOTHES), 8),
        trousers=dice.near(dice.pick(CLOTHES), 8),
    )


def officer(person: Person) -> Person:
    """The person in uniform."""
    return replace(person, shirt=(28, 36, 70), trousers=(22, 26, 48), uniform=True)


# ---------------------------------------------------------------- things


@dataclass(frozen=True)
class Box:
    """A rectangle of the scene: a door, a window, a shelf."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> float:
        """Its x in the middle."""
        return (self.left + self.right) / 2


@dataclass(frozen=True)
class Car:
    """A vehicle seen from the side."""

    length: float
    paint: Colour
    van: bool


def some_car(dice: Dice, tall: float) -> Car:
    """Any vehicle, in proportion to the people of the scene."""
    return Car(tall * dice.between(1.05, 1.3), dice.near(dice.pick(PAINTS), 8), dice.chance(0.25))


def draw_car(canvas: Canvas, car: Car, at: Point, facing: int, tilt: float = 0, dented: bool = False) -> None:
    """A car whose wheels stand `at` this point in their middle; `tilt` in degrees lifts its front."""
    u = car.length

    def place(x: float, y: float) -> Point:  # x forwards, y upwards, in lengths
        dx, dy = facing * x * u, y * u
        angle = facing * tilt
        return at[0] + dx * sine(angle + 90) - dy * sine(angle), at[1] - dy * sine(angle + 90) - dx * sine(angle)

    nose = 0.36 if dented else 0.5
    roof, slope = (0.46, 0.02) if car.van else (0.40, 0.14)
    canvas.polygon([place(-0.5, 0.08), place(nose, 0.08), place(nose, 0.22), place(-0.5, 0.25)], car.paint)
    cabin = [place(-0.42, 0.24), place(-0.40 + slope, roof), place(0.12, roof), place(0.28, 0.23)]
    canvas.polygon(cabin, shade(car.paint, -18))
    panes = [place(-0.32, 0.25), place(-0.30 + slope, roof - 0.04), place(0.09, roof - 0.04), place(0.2, 0.25)]
    canvas.polygon(panes, (50, 60, 70))
    canvas.line(place(-0.08, 0.1), place(-0.08, roof - 0.02), 0.6, shade(car.paint, -40))
    for x in (-0.29, 0.27):
        canvas.disc(place(x, 0.08), 0.085 * u, (20, 20, 22))
        canvas.disc(place(x, 0.08), 0.04 * u, (120, 120, 120))
    canvas.disc(place(nose - 0.03, 0.18), 0.03 * u, (250, 240, 190))
    if dented:
        canvas.polygon([place(nose, 0.22), place(nose - 0.16, 0.33), place(nose - 0.2, 0.22)], shade(car.paint, -50))


def draw_door(canvas: Canvas, box: Box, colour: Colour, forced: bool) -> None:
    """A door, closed or broken open."""
    canvas.box(box.left - 0.7, box.top - 0.7, box.right + 0.7, box.bottom, shade(colour, -40))
    if not forced:
        canvas.box(box.left, box.top, box.right, box.bottom, colour)
        canvas.disc((box.right - 1.3, (box.top + box.bottom) / 2), 0.5, (210, 200, 120))
        return
    canvas.box(box.left, box.top, box.right, box.bottom, (25, 25, 28))
    width = box.right - box.left
    leaf = [(0.0, box.top), (0.45, box.top + 3), (0.3, box.bottom + 3), (0.0, box.bottom)]
    canvas.polygon([(box.left - open_by * width, y) for open_by, y in leaf], colour)
    canvas.line((box.right, box.top + 6), (box.right - 2.5, box.top + 10), 0.6, (200, 180, 140))


def draw_shelf(canvas: Canvas, box: Box, seed: object, gaps: float) -> None:
    """A shelf of goods, some of them missing."""
    dice = Dice(seed)
    wood = faded(dice.near((120, 100, 80), 30))
    canvas.box(box.left, box.top, box.right, box.bottom, shade(wood, -45))
    rows = 3
    step = (box.bottom - box.top) / rows
    for row in range(rows):
        floor = box.top + (row + 1) * step
        x = box.left + 0.8
        while x < box.right - 2:
            width, height, colour = dice.between(1.5, 3), dice.between(0.4, 0.75), faded(dice.colour())
            if not dice.chance(gaps):
                canvas.box(x, floor - height * step, min(x + width, box.right - 0.6), floor, colour)
            x += width + 0.4
        canvas.box(box.left, floor - 0.6, box.right, floor + 0.3, wood)


def draw_fire(canvas: Canvas, at: Point, size: float, dice: Dice) -> None:
    """Flames of about this height."""
    for colour, scale in (((205, 60, 15), 1.0), ((245, 135, 25), 0.72), ((255, 225, 110), 0.42)):
        for _ in range(5):
            x = at[0] + dice.between(-0.45, 0.45) * size * scale
            tip = (x + dice.between(-0.15, 0.15) * size, at[1] - size * scale * dice.between(0.6, 1.15))
            half = 0.16 * size * (0.6 + 0.4 * scale)
            canvas.polygon([(x - half, at[1]), tip, (x + half, at[1])], dice.near(colour, 12))


def draw_smoke(
    canvas: Canvas, at: Point, size: float, dice: Dice, colour: Colour = (70, 68, 66), opacity: float = 0.6
) -> None:
    """A cloud that rises and widens."""
    puffs = []
    for i in range(9):
        rise = i / 8 * size * 1.5
        drift = dice.between(-0.5, 0.5) * (0.3 * size + 0.5 * rise)
        puffs.append(((at[0] + drift, at[1] - rise), dice.between(0.22, 0.42) * size))
    canvas.haze(puffs, dice.near(colour, 10), opacity)
    canvas.haze(puffs[2:7:2], shade(colour, 25), opacity / 2)


def draw_bag(canvas: Canvas, handle: Point, size: float, colour: Colour) -> None:
    """A bag below its handle."""
    x, y = handle
    canvas.line(handle, (x, y + 0.3 * size), 0.5, shade(colour, -40))
    canvas.box(x - size / 2, y + 0.25 * size, x + size / 2, y + 1.15 * size, colour)


# what somebody holds, drawn from both hands, the angle of the near arm and the height of a grown-up
Thing = Callable[[Canvas, Sequence[Point], float, float], None]
CARDBOARD: Colour = (130, 100, 65)
IRON: Colour = (40, 34, 30)
GLASS: Colour = (215, 225, 230)


def bag(colour: Colour) -> Thing:
    """A bag in the hand."""
    return lambda canvas, hands, angle, tall: draw_bag(canvas, hands[0], 0.22 * tall, colour)


def box(colour: Colour) -> Thing:
    """A box, or a television set, between the hands."""

    def draw(canvas: Canvas, hands: Sequence[Point], angle: float, tall: float) -> None:
        x, y, half = (hands[0][0] + hands[1][0]) / 2, hands[0][1], 0.15 * tall
        canvas.box(x - half, y - half, x + half, y + half, colour)
        canvas.box(x - half, y - 0.5, x + half, y + 0.3, shade(colour, -45))

    return draw


def stick(canvas: Canvas, hands: Sequence[Point], angle: float, tall: float) -> None:
    """A stick or an iron bar."""
    canvas.line(hands[0], towards(hands[0], angle, 0.34 * tall), 0.9, IRON)


def gun(canvas: Canvas, hands: Sequence[Point], angle: float, tall: float) -> None:
    """A small weapon."""
    canvas.line(hands[0], towards(hands[0], angle, 0.1 * tall), 0.9, IRON)


def draw_shards(canvas: Canvas, at: Point, reach: float, dice: Dice, amount: int, colour: Colour) -> None:
    """Splinters about a point."""
    for _ in range(amount):
        x, y = at[0] + dice.between(-reach, reach), at[1] + dice.between(-0.4, 0.4) * reach
        canvas.polygon([(x, y), (x + dice.between(0.5, 1.6), y + 0.4), (x + 0.4, y + dice.between(0.6, 1.6))], colour)


def draw_cracks(canvas: Canvas, at: Point, reach: float, dice: Dice, amount: int) -> None:
    """Cracks that run from a point."""
    for _ in range(amount):
        canvas.line(at, towards(at, dice.whole(0, 359), dice.between(0.5, 1) * reach), 0.5, (235, 240, 245))


# ---------------------------------------------------------------- places


@dataclass(frozen=True)
class Scene:
    """The background of a video and what stands in it."""

    place: str
    picture: Canvas
    floor: float  # y where the floor begins
    tall: float  # height of a grown-up at the lower edge
    door: Box
    door_colour: Colour
    shelf: Box | None
    goods: str  # seed of the shelf's goods
    car: Car | None
    car_at: Point
    car_facing: int

    @property
    def outdoors(self) -> bool:
        """Whether cars can be there."""
        return self.car is not None


WALLS: list[Colour] = [(170, 165, 155), (150, 150, 160), (180, 170, 140), (140, 155, 150), (165, 145, 135)]


def paint_wall(canvas: Canvas, floor: float, dice: Dice, wall: Colour, ground: Colour) -> None:
    """Wall and floor, each a little uneven."""
    canvas.box(0, 0, WORLD, floor, wall)
    canvas.box(0, floor, WORLD, WORLD, ground)
    for _ in range(10):
        x, y = dice.between(0, WORLD), dice.between(floor, WORLD)
        canvas.box(x, y, x + dice.between(3, 14), y + dice.between(0.5, 2), dice.near(ground, 10))
    canvas.box(0, floor - 0.7, WORLD, floor + 0.3, shade(ground, -35))


def paint_street(canvas: Canvas, floor: float, dice: Dice) -> None:
    """House fronts, a pavement and a road."""
    paint_wall(canvas, floor, dice, dice.near(dice.pick(WALLS), 20), dice.near((130, 130, 128), 25))
    x = dice.between(-5, 3)
    pane = dice.near((70, 85, 100), 30)
    while x < WORLD:
        for y in (floor - 26, floor - 14):
            canvas.box(x - 0.6, y - 0.6, x + 6.6, y + 7.6, shade(pane, 60))
            canvas.box(x, y, x + 6, y + 7, dice.near(pane, 25))
        x += dice.between(10, 15)
    kerb = floor + dice.between(7, 13)
    canvas.box(0, kerb, WORLD, WORLD, dice.near((75, 75, 80), 20))
    canvas.box(0, kerb, WORLD, kerb + 0.8, (165, 165, 160))
    start = dice.between(-8, 0)
    for i in range(6):
        canvas.box(start + 16 * i, kerb + 13, start + 16 * i + 8, kerb + 14, (205, 205, 195))


def paint_car_park(canvas: Canvas, floor: float, dice: Dice) -> None:
    """Asphalt with bays before a fence or hedge."""
    sky = dice.near(dice.pick([(150, 170, 190), (90, 110, 130), (60, 62, 75)]), 20)
    paint_wall(canvas, floor, dice, sky, dice.near((92, 92, 95), 25))
    hedge = dice.near(dice.pick([(60, 85, 50), (110, 105, 100), (95, 70, 55)]), 15)
    canvas.box(0, floor - dice.between(5, 11), WORLD, floor, hedge)
    for i in range(10):
        canvas.line((10 * i - 6, floor), (10 * i - 3, floor - 10), 0.6, shade(hedge, -30))
    slant, shift = dice.between(-6, 6), dice.between(0, 12)
    for i in range(8):
        x = shift + 15 * i - 10
        canvas.line((x, floor + 2), (x + slant, floor + 17), 0.8, (190, 190, 185))
    if dice.chance(0.5):
        x = dice.between(5, 58)
        canvas.line((x, floor), (x, 2), 1.2, (70, 70, 72))
        canvas.box(x - 2.5, 1, x + 2.5, 2.5, (230, 225, 200))


def paint_shop(canvas: Canvas, floor: float, dice: Dice) -> None:
    """A tiled floor, a wall with a sign and a counter."""
    ground = dice.near(dice.pick([(190, 185, 175), (150, 150, 155), (165, 140, 115)]), 15)
    paint_wall(canvas, floor, dice, dice.near((185, 180, 170), 45), ground)
    shift = dice.between(-20, 20)
    for i in range(-6, 8):
        canvas.line((42 + 8 * i, floor), (42 + 18 * i + shift, WORLD), 0.4, shade(ground, -22))
    for y in (floor + 5, floor + 13, floor + 24):
        canvas.box(0, y, WORLD, y + 0.4, shade(ground, -22))
    x = dice.between(4, 40)
    canvas.box(x, 2, x + dice.between(10, 22), 5.5, dice.colour())
    x = dice.pick([0.0, WORLD - 16])
    counter = dice.near((120, 95, 75), 30)
    canvas.box(x, floor - 7, x + 16, floor + 4, counter)
    canvas.box(x, floor - 8, x + 16, floor - 6.5, shade(counter, 40))


def paint_room(canvas: Canvas, floor: float, dice: Dice) -> None:
    """A wall with a picture, a carpet, a sofa."""
    paint_wall(canvas, floor, dice, dice.near(dice.pick(WALLS), 20), dice.near((120, 95, 75), 35))
    x, y = dice.between(4, 50), dice.between(3, 9)
    canvas.box(x, y, x + 9, y + 7, (60, 50, 40))
    canvas.box(x + 0.8, y + 0.8, x + 8.2, y + 6.2, dice.colour())
    rug = dice.colour(60, 190)
    x, y = dice.between(2, 25), floor + dice.between(6, 14)
    canvas.polygon([(x + 4, y), (x + 32, y), (x + 36, y + 12), (x, y + 12)], rug)
    canvas.polygon([(x + 7, y + 2), (x + 29, y + 2), (x + 32, y + 10), (x + 4, y + 10)], shade(rug, 25))
    sofa, x = dice.colour(40, 180), dice.pick([-2.0, WORLD - 18])
    canvas.box(x, floor - 8, x + 20, floor + 3, sofa)
    canvas.box(x, floor - 2, x + 20, floor + 5, shade(sofa, 20))


PAINTERS: dict[str, Callable[[Canvas, float, Dice], None]] = {
    "street": paint_street,
    "car park": paint_car_park,
    "shop": paint_shop,
    "room": paint_room,
}


@cache
def view(seed: int, camera: str) -> Scene:
    """What a camera sees when nobody is there; `camera` is a place and a number."""
    dice = Dice(VERSION, seed, camera)
    place = camera.rpartition(" ")[0]
    canvas = Canvas()
    floor = dice.between(28, 34)
    tall = dice.between(29, 35)
    PAINTERS[place](canvas, floor, dice)
    canvas.fade()
    wide, shelf, goods = 0.3 * tall, None, f"goods {dice.whole(0, 10**9)}"
    left = dice.between(20, SIZE - wide)
    if place in ("shop", "room"):  # door and shelf side by side, both in view wherever the camera points
        space, gap = dice.between(15, 21), dice.between(2, 4)
        left = dice.between(20, SIZE - wide - gap - space)
        start = left + wide + gap
        if dice.chance(0.5):
            start, left = left, left + space + gap
        shelf = Box(start, floor - 0.62 * tall, start + space, floor + 2)
        draw_shelf(canvas, shelf, goods, gaps=0)
    door = Box(left, floor - 0.66 * tall, left + wide, floor)
    colour = faded(dice.near(dice.pick([(110, 75, 50), (70, 75, 80), (60, 80, 70), (150, 145, 135)]), 20))
    draw_door(canvas, door, colour, forced=False)
    car_at = (dice.between(30, 54), floor + dice.between(9, 17))
    return Scene(place, canvas, floor, tall, door, colour, shelf, goods, None, car_at, dice.pick([-1, 1]))


# ---------------------------------------------------------------- a shot: one frame being drawn


@dataclass
class Shot:
    """One frame in the making: what is put in is drawn from far to near.

    The event happens about `spot`; positions beside it are in heights of a grown-up, and
    mirrored where `side` is -1.
    """

    scene: Scene
    cast: Sequence[Person]
    spot: Point
    side: int
    luck: Sequence[float]  # the event's own throws, the same in all frames of the video
    seed: str  # of the video, for what must look the same in all of its frames
    dice: Dice  # of this frame
    canvas: Canvas
    layers: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    light: int = 0
    car_moved: bool = False

    def put(self, depth: float, draw: Callable[[], object]) -> None:
        """Draw at this depth (y of the feet) when the frame is done."""
        self.layers.append((depth, draw))

    def tall(self, y: float) -> float:
        """Height of a grown-up whose feet are at y."""
        floor = self.scene.floor
        return self.scene.tall * (0.72 + 0.28 * (y - floor) / (NEAREST - floor))

    def steps(self, pace: float = 1) -> Pose:
        """Some moment of a walk, or at pace 2 of a run."""
        return walking(self.dice.whole(0, 359), pace)

    def fixed(self, what: str) -> Dice:
        """Throws that are the same in all frames."""
        return Dice(self.seed, what)

    def beside(self, dx: float, dy: float = 0) -> Point:
        """A point beside the event; dy is in pixels."""
        return self.spot[0] + self.side * dx * self.tall(self.spot[1]), self.spot[1] + dy

    def person(self, person: Person, at: Point, facing: int, pose: Pose, hold: Thing | None = None) -> None:
        """Put somebody in, with what they hold."""
        tall = self.tall(at[1])

        def draw() -> None:
            hands = draw_person(self.canvas, person, at, tall, facing, pose)
            if hold is not None:
                hold(self.canvas, hands, facing * sum(pose.arms[0]), tall)

        self.put(at[1], draw)

    def actor(
        self, person: Person, dx: float, pose: Pose, dy: float = 0, away: bool = False, hold: Thing | None = None
    ) -> None:
        """Put somebody in beside the event, facing it or turned away."""
        facing = self.side if (dx < 0) != away else -self.side
        self.person(person, self.beside(dx, dy), facing, pose, hold)

    def car(self, at: Point, facing: int, tilt: float = 0, dented: bool = False, car: Car | None = None) -> None:
        """Put a car in, the scene's own where no other is given."""
        shown = car or self.scene.car
        if shown is not None:
            self.car_moved = self.car_moved or car is None
            self.put(at[1], lambda: draw_car(self.canvas, shown, at, facing, tilt, dented))

    def own_car(self, dented: bool = False) -> None:
        """Put the scene's own car where it is parked."""
        self.car(self.scene.car_at, self.scene.car_facing, dented=dented)

    def finish(self, corner: Point) -> np.ndarray:
        """The part of the frame that the camera shows, int32 (64, 64, 3)."""
        for _, draw in sorted(self.layers, key=lambda layer: layer[0]):
            draw()
        return np.clip(self.canvas.shown(*corner) + self.light, 0, 255)


Event = Callable[[Shot, float], int]


# ---------------------------------------------------------------- what several events share

REELING = replace(STANDING, lean=-25)
TALKING = replace(STANDING, arms=((55, 85), (8, 5)))
BLOWS = (PUNCHING, SWINGING, KICKING, GRAPPLING)


def bleed(shot: Shot, dx: float, amount: float) -> None:
    """A red stain on the floor."""
    (x, y), wide = shot.beside(dx, 2), 2.5 + 4 * amount
    shot.put(shot.scene.floor, lambda: shot.canvas.line((x - wide, y), (x + wide, y), 2.2, (165, 22, 25)))


def burn(shot: Shot, at: Point, depth: float, size: float) -> None:
    """Fire under smoke."""
    shot.put(depth, lambda: draw_smoke(shot.canvas, (at[0], at[1] - 0.5 * size), size, shot.dice))
    shot.put(depth + 0.1, lambda: draw_fire(shot.canvas, at, size, shot.dice))


def flash(shot: Shot, at: Point, size: float, light: int) -> None:
    """A flash that lights the scene."""
    shot.light += light
    shot.put(WORLD, lambda: shot.canvas.disc(at, size, (255, 210, 110)))
    shot.put(WORLD + 1, lambda: shot.canvas.disc(at, 0.6 * size, (255, 250, 225)))


def debris(shot: Shot, at: Point, reach: float, amount: int, colour: Colour) -> None:
    """Splinters on the floor, the same in all frames."""
    shot.put(at[1] - 1, lambda: draw_shards(shot.canvas, at, reach, shot.fixed("debris"), amount, colour))


# ---------------------------------------------------------------- events
# Each draws its share of one frame at `p` in [0, 1) of its course, and returns how many of the cast it took.


def abuse(shot: Shot, p: float) -> int:
    """Somebody big beats somebody small who cowers, with the hand or a stick, again and again."""
    strong = replace(shot.cast[0], size=1.1)
    weak = replace(shot.cast[1], size=0.72 if shot.luck[0] < 0.6 else 0.95)
    shot.actor(strong, -0.26, shot.dice.pick([SWINGING, PUNCHING]), hold=stick if shot.luck[1] < 0.4 else None)
    shot.actor(weak, 0.22, LYING_CURLED if p > 0.7 else shot.dice.pick([COWERING, KNEELING]), dy=0.5)
    return 2


def assault(shot: Shot, p: float) -> int:
    """Somebody is attacked, falls, is kicked; the attacker runs."""
    attacker, victim = shot.cast[:2]
    if p < 0.45:
        shot.actor(attacker, -0.28, shot.dice.pick(BLOWS))
        shot.actor(victim, 0.2, shot.dice.pick([COWERING, REELING, COWERING]))
        return 2
    shot.actor(victim, 0.35, LYING, dy=1)
    bleed(shot, 0.6, p)
    if p < 0.85:
        shot.actor(attacker, -0.22, shot.dice.pick([KICKING, SWINGING, PUNCHING]))
    else:
        shot.actor(attacker, -0.5 - 4 * (p - 0.85), shot.steps(1.8), away=True)
    return 2


def fighting(shot: Shot, p: float) -> int:
    """Two or three people strike one another."""
    gap = shot.dice.between(0.2, 0.32)
    shot.actor(shot.cast[0], -gap, shot.dice.pick(BLOWS))
    shot.actor(shot.cast[1], gap, shot.dice.pick(BLOWS), dy=0.5)
    if p > 0.4:
        bleed(shot, 0, p - 0.4)
    if shot.luck[0] < 0.6 and len(shot.cast) > 2:
        shot.actor(shot.cast[2], -gap - 0.35, shot.dice.pick(BLOWS), dy=-1)
        return 3
    return 2


def shooting(shot: Shot, p: float) -> int:
    """Somebody aims and fires; somebody falls."""
    shooter, victim = shot.cast[:2]
    shot.actor(shooter, -0.55, AIMING if p < 0.9 else shot.steps(1.8), hold=gun)
    if p < 0.75 and shot.dice.chance(0.5):
        tall = shot.tall(shot.spot[1])
        flash(shot, shot.beside(0.02, -0.8 * tall), 0.09 * tall, shot.dice.whole(12, 30))
    if p > 0.3:
        shot.actor(victim, 0.55, LYING, dy=1)
        bleed(shot, 0.6, p)
    else:
        shot.actor(victim, 0.55, shot.dice.pick([HANDS_UP, COWERING, REELING]), dy=1)
    return 2


def robbery(shot: Shot, p: float) -> int:
    """A weapon is aimed at somebody whose hands are up; the robber makes off with a bag."""
    robber, victim = masked(shot.cast[0]), shot.cast[1]
    loot = bag(victim.shirt)
    shot.actor(victim, 0.45, HANDS_UP if p < 0.8 else KNEELING)
    if p < 0.4:
        shot.actor(robber, -0.25, AIMING, hold=gun)
    elif p < 0.6:
        shot.actor(robber, -0.05, shot.dice.pick([REACHING, GRAPPLING]), hold=loot)
    else:
        shot.actor(robber, -0.3 - 1.2 * (p - 0.6), shot.steps(1.7), away=True, hold=loot)
    return 2


def burglary(shot: Shot, p: float) -> int:
    """A door is forced with a bar, and boxes are carried out."""
    door, y, side = shot.scene.door, shot.scene.floor + 3, shot.side
    burglar, mate = masked(shot.cast[0]), masked(shot.cast[1])
    shot.put(shot.scene.floor, lambda: draw_door(shot.canvas, door, shot.scene.door_colour, forced=p > 0.3))
    if p < 0.3:
        shot.person(burglar, (door.middle - side * 5, y), side, shot.dice.pick([BENDING, REACHING, GRAPPLING]), stick)
        return 1
    away = 8 + 22 * (p - 0.3) + shot.dice.between(0, 6)
    shot.person(burglar, (door.middle - side * away, y + 3), -side, loaded(shot.steps()), box((45, 48, 55)))
    if shot.luck[0] < 0.5:
        shot.person(mate, (door.middle + side, y), -side, shot.dice.pick([loaded(STANDING), BENDING]), box(CARDBOARD))
        return 2
    return 1


def stealing(shot: Shot, p: float) -> int:
    """Outdoors a car is opened and driven off, or, anywhere, a bag that stands about is taken."""
    thief, owner = masked(shot.cast[0]), shot.cast[1]
    if shot.scene.outdoors and shot.luck[0] < 0.6:
        (x, y), facing = shot.scene.car_at, shot.scene.car_facing
        if p < 0.6:
            shot.own_car()
            pose = shot.dice.pick([BENDING, REACHING, GRAPPLING, BENDING])
            shot.person(thief, (x + 1, y + 2), facing, pose, stick if p < 0.3 else None)
        else:
            shot.car((x + facing * 90 * (p - 0.6), y + 2), facing, tilt=4)
        return 1
    loot = shade(owner.trousers, 40)
    shot.actor(owner, 0.5, shot.dice.pick([STANDING, TALKING]), away=True)
    if p < 0.4:
        tall = shot.tall(shot.spot[1])
        handle = shot.beside(0.25, -0.25 * tall)
        shot.put(shot.spot[1], lambda: draw_bag(shot.canvas, handle, 0.22 * tall, loot))
        shot.actor(thief, -0.1, shot.dice.pick([BENDING, BENDING, REACHING]))
    else:
        shot.actor(thief, -0.2 - 0.9 * (p - 0.4), shot.steps(1.6), away=True, hold=bag(loot))
    return 2


def shoplifting(shot: Shot, p: float) -> int:
    """Somebody reaches into a shelf, hides the goods and leaves with a full bag."""
    shelf, side = shot.scene.shelf, shot.side
    if shelf is None:
        return 0
    shot.put(shot.scene.floor, lambda: draw_shelf(shot.canvas, shelf, shot.scene.goods, gaps=0.1 + 0.5 * p))
    thief = masked(shot.cast[0]) if shot.luck[1] < 0.7 else shot.cast[0]
    x, y, full = shelf.middle - side * 7, shot.scene.floor + 5, bag(shade(thief.trousers, 30))
    if p >= 0.7:
        shot.person(thief, (x - side * 60 * (p - 0.7), y + 7), -side, shot.steps(1.3), full)
        return 1
    shot.person(thief, (x, y), side, shot.dice.pick([REACHING, REACHING, POCKETING, BENDING]), full)
    if shot.luck[0] < 0.5:
        shot.person(shot.cast[1], (x + side * 14, y), -side, shot.dice.pick([REACHING, POCKETING]))
        return 2
    return 1


def vandalism(shot: Shot, p: float) -> int:
    """A stick is swung at a car, a door or a shelf until it breaks."""
    scene, amount = shot.scene, 2 + int(9 * p)
    if scene.outdoors and shot.luck[0] < 0.6:
        x, y = scene.car_at[0], scene.car_at[1] - 0.3 * scene.tall
        stand = (x - shot.side * 0.62 * scene.tall, scene.car_at[1] + 1)
        shot.own_car(dented=p > 0.5)
    else:
        goal = scene.shelf if scene.shelf is not None and shot.luck[1] < 0.5 else scene.door
        x, y = goal.middle, (goal.top + goal.bottom) / 2
        stand = (x - shot.side * 0.4 * scene.tall, scene.floor + 4)
        if goal is scene.door and p > 0.6:
            shot.put(scene.floor, lambda: draw_door(shot.canvas, goal, scene.door_colour, forced=True))
    shot.put(stand[1] - 0.5, lambda: draw_cracks(shot.canvas, (x, y), 6, shot.fixed("cracks"), amount))
    debris(shot, (x, stand[1] + 0.5), 8, amount, GLASS)
    shot.person(shot.cast[0], stand, shot.side, shot.dice.pick([SWINGING, SWINGING, REACHING, KICKING]), stick)
    return 1


def arson(shot: Shot, p: float) -> int:
    """Somebody sets fire to a car or to what stands there; it burns and smokes."""
    scene = shot.scene
    if scene.outdoors and shot.luck[0] < 0.6:
        x, y = scene.car_at[0], scene.car_at[1] - 0.2 * scene.tall
        shot.own_car()
    elif scene.shelf is not None and shot.luck[1] < 0.6:
        x, y = scene.shelf.middle, scene.shelf.bottom
    else:
        x, y = scene.door.middle, scene.floor + 1
    depth = max(y, scene.car_at[1] if scene.outdoors else 0) + 0.5
    burn(shot, (x, y), depth, scene.tall * (0.15 + 0.75 * min(1.0, p * 1.4)))
    if p < 0.3:
        pose = shot.dice.pick([BENDING, REACHING, SWINGING])
        shot.person(shot.cast[0], (x - shot.side * 0.5 * scene.tall, depth + 1), shot.side, pose)
    elif p < 0.5:
        away = 14 + 100 * (p - 0.3)
        shot.person(shot.cast[0], (x - shot.side * away, depth + 2), -shot.side, shot.steps(1.8))
    else:
        return 0
    return 1


def explosion(shot: Shot, p: float) -> int:
    """A flash, then fire and smoke, splinters and people on the ground."""
    (x, y), tall = shot.spot, shot.scene.tall
    if p < 0.15:
        flash(shot, (x, y - 0.4 * tall), 0.8 * tall, 45)
        return 0
    shot.put(y + 0.5, lambda: draw_smoke(shot.canvas, (x, y - 2), 0.95 * tall, shot.dice, opacity=0.7))
    if p < 0.65:
        shot.put(y + 1, lambda: draw_fire(shot.canvas, (x, y), tall * (0.9 - 0.5 * p), shot.dice))
    debris(shot, (x, y), 22, 18, (60, 55, 50))
    shot.actor(shot.cast[0], -0.8, LYING, dy=2)
    shot.actor(shot.cast[1], 0.7 + 0.6 * p, LYING_CURLED if shot.luck[0] < 0.5 else shot.steps(1.8), dy=1, away=True)
    return 2


def road_accident(shot: Shot, p: float) -> int:
    """A car runs into another; it smokes, and somebody may lie on the road."""
    scene, side = shot.scene, shot.side
    if scene.car is None:
        return 0
    other = some_car(shot.fixed("other car"), scene.tall)
    x, y = scene.car_at[0], scene.car_at[1] + 3
    reach = 0.42 * (scene.car.length + other.length)
    if p < 0.15:
        shot.own_car()
        shot.car((x - side * (reach + 160 * (0.15 - p)), y), side, car=other)
        return 0
    shot.car(scene.car_at, -side, tilt=-6, dented=True)
    shot.car((x - side * reach, y), side, tilt=12 + 25 * shot.luck[1], dented=True, car=other)
    x -= side * reach / 2
    debris(shot, (x, y + 1.2), 10, 10, GLASS)
    smoke = (150, 150, 150) if shot.luck[2] < 0.7 else (80, 78, 76)
    shot.put(y + 0.3, lambda: draw_smoke(shot.canvas, (x, y - 5), 0.5 * scene.tall, shot.dice, smoke, 0.5))
    if shot.luck[0] >= 0.6:
        return 0
    shot.person(shot.cast[0], (x + side * 6, y + 7), side, LYING)
    if p > 0.5:
        shot.person(shot.cast[1], (x - side * 8, y + 6), side, shot.dice.pick([BENDING, KNEELING]))
    return 2


def arrest(shot: Shot, p: float) -> int:
    """Officers in uniform hold somebody down, then lead them off."""
    suspect, officers = shot.cast[0], [officer(person) for person in shot.cast[1:3]]
    if p < 0.65:
        down = shot.luck[0] < 0.6
        shot.actor(suspect, -0.05, shot.dice.pick([LYING_CURLED, KNEELING]) if down else HELD, dy=0.6)
        shot.actor(officers[0], -0.3, HOLDING_DOWN if down else GRAPPLING)
        for second in officers[1:]:
            pose = shot.dice.pick([HOLDING_DOWN, GRAPPLING, AIMING])
            shot.actor(second, 0.42, pose, dy=-0.5, hold=gun if p < 0.2 else None)
    else:
        moved, phase, side = 0.9 * (p - 0.65), shot.dice.whole(0, 359), shot.side
        shot.person(suspect, shot.beside(moved), side, replace(HELD, legs=walking(phase).legs))
        holding = replace(GRAPPLING, legs=walking(phase + 90).legs)
        shot.person(officers[0], shot.beside(moved - 0.24, -0.4), side, holding)
        for second in officers[1:]:
            shot.person(second, shot.beside(moved + 0.28, -0.6), side, walking(phase + 180))
    if shot.scene.outdoors and shot.dice.chance(0.35):
        beam = [((shot.spot[0] - shot.side * 24, 18.0), 9.0)]
        colour = shot.dice.pick([(60, 90, 255), (255, 60, 50)])
        shot.put(shot.scene.floor, lambda: shot.canvas.haze(beam, colour, 0.35))
    return 1 + len(officers)


# ---------------------------------------------------------------- harmless look-alikes


def hug(shot: Shot, p: float) -> int:
    """Two people embrace."""
    shot.actor(shot.cast[0], -0.13, HUGGING)
    shot.actor(shot.cast[1], 0.13, HUGGING, dy=0.5)
    return 2


def dance(shot: Shot, p: float) -> int:
    """Two people dance or play, arms in the air."""
    moves = [WAVING, HANDS_UP, walking(60), replace(STANDING, arms=((90, 20), (-90, -20)))]
    shot.actor(shot.cast[0], -0.4, shot.dice.pick(moves))
    shot.actor(shot.cast[1], 0.4, shot.dice.pick(moves))
    return 2


def removal(shot: Shot, p: float) -> int:
    """Somebody carries a box across."""
    at = (shot.spot[0] + shot.side * 40 * (p - 0.5), shot.spot[1])
    shot.person(shot.cast[0], at, shot.side, loaded(shot.steps()), box(CARDBOARD))
    return 1


def glare(shot: Shot, p: float) -> int:
    """A lamp dazzles the camera."""
    at = (shot.spot[0], 12 + 10 * shot.luck[0])
    colour = (255, 190, 90) if shot.luck[1] < 0.5 else (255, 245, 220)
    shot.light += shot.dice.whole(5, 20)
    shot.put(0, lambda: shot.canvas.haze([(at, 9)], colour, 0.35))
    shot.put(0.1, lambda: shot.canvas.disc(at, 3.5, colour))
    return 0


def steam(shot: Shot, p: float) -> int:
    """Pale steam from a vent or a kitchen."""
    at = (shot.spot[0], shot.scene.floor + 2)
    shot.put(shot.scene.floor, lambda: draw_smoke(shot.canvas, at, 12, shot.dice, (200, 200, 200), 0.35))
    return 0


def loading(shot: Shot, p: float) -> int:
    """Somebody busy at their own car, or with the goods on the shelf."""
    scene = shot.scene
    if scene.shelf is not None:
        at = (scene.shelf.middle - shot.side * 7, scene.floor + 5)
        shot.person(shot.cast[0], at, shot.side, shot.dice.pick([REACHING, STANDING]))
    else:
        (x, y), facing = scene.car_at, scene.car_facing
        pose, hold = shot.dice.pick([BENDING, STANDING]), box(CARDBOARD) if p < 0.5 else None
        shot.person(shot.cast[0], (x - facing * 0.6 * scene.tall, y + 1), facing, pose, hold)
    return 1


EVENTS: dict[str, tuple[Event, ...]] = {
    "Abuse": (abuse,),
    "Arrest": (arrest,),
    "Arson": (arson,),
    "Assault": (assault,),
    "Burglary": (burglary,),
    "Explosion": (explosion,),
    "Fighting": (fighting,),
    "RoadAccidents": (road_accident,),
    "Robbery": (robbery,),
    "Shooting": (shooting,),
    "Shoplifting": (shoplifting,),
    "Stealing": (stealing,),
    "Vandalism": (vandalism,),
    "NormalVideos": (hug, dance, removal, glare, steam, loading),
}

CAMERAS = 2  # at each kind of place; all classes and both splits are seen by the same ones
EVERYWHERE = ("street", "shop", "car park", "room")
PLACES: dict[str, tuple[str, ...]] = dict.fromkeys(EVENTS, EVERYWHERE) | {
    "RoadAccidents": ("street", "car park"),
    "Shoplifting": ("shop", "room"),
}

LOOK_ALIKE = 0.15  # chance of a look-alike in a normal video
LOOK_ALIKE_SHARE = (0.2, 0.5)  # of the video's frames
EVENT_SHARE = (0.75, 1.0)


# ---------------------------------------------------------------- errands: what people do otherwise


@dataclass(frozen=True)
class Errand:
    """An ordinary way through the picture."""

    start: Point
    speed: float  # pixels per kept frame; 0 stands
    hold: Thing | None
    phase: int
    idle: Sequence[Pose]


def some_errand(dice: Dice, floor: float) -> Errand:
    """Somebody walks by, or stands about."""
    stands = dice.chance(0.4)
    idle = dice.shuffled([STANDING, STANDING, TALKING, WAVING, REACHING, BENDING])[:3]
    return Errand(
        start=(dice.between(6, WORLD - 6), dice.between(floor + 5, NEAREST - 8)),
        speed=0 if stands else dice.pick([-1, 1]) * dice.between(1.5, 4.5),
        hold=bag(dice.near(dice.pick(CLOTHES), 10)) if dice.chance(0.3) else None,
        phase=dice.whole(0, 359),
        idle=[STANDING, *idle],
    )


def run_errand(shot: Shot, person: Person, errand: Errand, t: int) -> None:
    """Put somebody in who goes about their business at kept frame `t`."""
    if errand.speed == 0:
        pose = errand.idle[0] if shot.dice.chance(0.85) else shot.dice.pick(errand.idle)
        shot.person(person, errand.start, 1 if errand.phase < 180 else -1, pose, errand.hold)
        return
    road = WORLD + 24
    x = (errand.start[0] + errand.speed * t + 12) % road - 12
    facing = 1 if errand.speed > 0 else -1
    shot.person(person, (x, errand.start[1]), facing, walking(errand.phase + 115 * t), errand.hold)


# ---------------------------------------------------------------- the camera


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


# ---------------------------------------------------------------- videos


def draw_video(folder: str, video: str, camera: str, seed: int, n_frames: int) -> np.ndarray:
    """The kept frames of one video.

    Parameters
    ----------
    folder : str
        The class as its folder is called, a key of `EVENTS`.
    video : str
        The video's name; with the seed it determines every throw.
    camera : str
        One of those at the places of `PLACES`, such as "shop 2".
    seed : int
    n_frames : int
        Kept frames, that is, a tenth of the original's.

    Returns
    -------
    ndarray of uint8, shape (n_frames, 64, 64, 3)
        RGB.
    """
    name = f"{VERSION}/{seed}/{video}"
    dice = Dice(name, "scene")
    scene = view(seed, camera)
    if scene.shelf is None:
        scene = replace(scene, car=some_car(dice, scene.tall))
    cast = [some_person(dice) for _ in range(dice.whole(2, 3))]
    errands = [some_errand(dice, scene.floor) for _ in cast]
    traffic = some_car(dice, scene.tall) if scene.outdoors and dice.chance(0.4) else None
    lane, speed = dice.between(scene.floor + 12, 60), dice.pick([-1, 1]) * dice.between(5, 12)

    throws = Dice(name, "event")
    event, first, last = some_event(folder, throws, n_frames)
    spot = (throws.between(30, 54), throws.between(max(scene.floor + 12, 50), 63))
    side, luck = throws.pick([-1, 1]), [throws.between(0, 1) for _ in range(4)]

    corner = (dice.between(0, WORLD - SIZE), dice.between(0, NEAREST - SIZE - 4))
    mirrored = dice.chance(0.5)

    frames = []
    for t in range(n_frames):
        canvas = Canvas(scene.picture.pixels.copy())
        shot = Shot(scene, cast, spot, side, luck, name, Dice(name, t), canvas)
        busy = event(shot, (t - first) / (last - first)) if event is not None and first <= t < last else 0
        for person, errand in list(zip(cast, errands, strict=True))[busy:]:
            run_errand(shot, person, errand, t)
        if not shot.car_moved:
            shot.car(scene.car_at, scene.car_facing)
        if traffic is not None:
            x = (lane * 7 + speed * t) % (WORLD + 160) - 48
            shot.car((x, lane), 1 if speed > 0 else -1, car=traffic)
        frames.append(shot.finish(corner))
    shown = np.stack(frames)
    return film(shown[:, :, ::-1] if mirrored else shown, Dice(name, "camera"))


def some_event(folder: str, dice: Dice, n_frames: int) -> tuple[Event | None, int, int]:
    """The video's event, or none, and the kept frames [first, last) that it fills."""
    normal = folder == "NormalVideos"
    if normal and not dice.chance(LOOK_ALIKE):
        return None, 0, 0
    length = max(1, round(n_frames * dice.between(*(LOOK_ALIKE_SHARE if normal else EVENT_SHARE))))
    first = dice.whole(0, n_frames - length)
    return dice.pick(EVENTS[folder]), first, first + length


# ---------------------------------------------------------------- the tree

MARKER = "drawing.json"  # written last; a tree without it, or with another one, is not whole


@dataclass(frozen=True)
class Drawing:
    """Everything that determines a tree, besides `VERSION`."""

    seed: int
    train_videos: int  # per class of anomaly
    test_videos: int
    normal_train_videos: int
    normal_test_videos: int
    frames_per_video: int

    @property
    def marker(self) -> dict[str, int]:
        """What the tree's marker says."""
        return {"version": VERSION, "size": SIZE, **asdict(self)}

    @property
    def folder(self) -> str:
        """Name of the tree's folder, another one for every other tree."""
        digest = hashlib.sha256(json.dumps(self.marker, sort_keys=True).encode()).hexdigest()
        return f"seed{self.seed}-{digest[:8]}"

    def videos(self) -> Iterator[tuple[str, str, str, str]]:
        """Split folder, class folder, name and camera of every video.

        The cameras of a class take turns, so that chance makes none of them tell the class.
        """
        for folder in EVENTS:
            normal = folder == "NormalVideos"
            train, test = (
                (self.normal_train_videos, self.normal_test_videos) if normal else (self.train_videos, self.test_videos)
            )
            for split, numbers in (("Train", range(1, train + 1)), ("Test", range(train + 1, train + test + 1))):
                cameras = [f"{place} {number}" for place in PLACES[folder] for number in range(CAMERAS)]
                cameras = Dice(VERSION, self.seed, folder, split).shuffled(cameras)
                for i, number in enumerate(numbers):
                    name = f"{folder}{number:03d}_x264"
                    if normal:  # as in the real set, where test names differ by an underscore
                        name = (
                            f"Normal_Videos{number:03d}_x264" if split == "Train" else f"Normal_Videos_{i + 1:03d}_x264"
                        )
                    yield split, folder, name, cameras[i % len(cameras)]


def is_whole(tree: Path, drawing: Drawing) -> bool:
    """Whether the tree stands there, of this drawing, with as many frames as it should have."""
    try:
        if json.loads((tree / MARKER).read_text(encoding="utf-8")) != drawing.marker:
            return False
        found = sum(
            sum(1 for _ in os.scandir(tree / split / folder)) for split in ("Train", "Test") for folder in EVENTS
        )
    except (OSError, ValueError):
        return False
    return found == drawing.frames_per_video * sum(1 for _ in drawing.videos())


def write_tree(tree: Path, drawing: Drawing) -> None:
    """Draw the tree where it does not stand whole already.

    It is drawn in a temporary folder beside its place and renamed, so that nobody ever sees a part of
    it; of several processes that draw at once the first one's tree stays, and all are of the same pixels.

    Raises
    ------
    Mistake
        If the place cannot be written.
    """
    if is_whole(tree, drawing):
        return
    started = time.perf_counter()
    try:
        tree.parent.mkdir(parents=True, exist_ok=True)
        sweep_up(tree)
        draft = Path(tempfile.mkdtemp(prefix=f".{tree.name}.", dir=tree.parent))
    except OSError as error:
        raise Mistake(f"The demo's frames cannot be written to {tree.parent}: {error.strerror}.") from error
    try:
        for split in ("Train", "Test"):
            for folder in EVENTS:
                (draft / split / folder).mkdir(parents=True)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            list(pool.map(lambda video: write_video(draft, drawing, *video), drawing.videos()))
        (draft / MARKER).write_text(json.dumps(drawing.marker, indent=2), encoding="utf-8")
        draft.chmod(0o755)  # temporary folders are private
        publish(draft, tree, drawing)
    except OSError as error:
        raise Mistake(f"The demo's frames cannot be written to {tree}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    log.info("Drew the demo's frames to %s in %.1f s.", tree, time.perf_counter() - started)


def write_video(root: Path, drawing: Drawing, split: str, folder: str, video: str, camera: str) -> None:
    """Draw and write the frames of one video."""
    frames = draw_video(folder, video, camera, drawing.seed, drawing.frames_per_video)
    for t, frame in enumerate(frames):
        path = root / split / folder / f"{video}_{t * STRIDE}.png"
        good, png = cv2.imencode(".png", frame[..., ::-1])
        if not good:
            raise OSError(f"{path} could not be encoded")
        path.write_bytes(png.tobytes())


def publish(draft: Path, tree: Path, drawing: Drawing) -> None:
    """Rename the draft to its final name; what is there and not whole goes, what is whole stays."""
    for _ in range(10):
        try:
            draft.rename(tree)
            return
        except OSError:  # something stands there
            if is_whole(tree, drawing):
                return
        wreck = Path(tempfile.mkdtemp(prefix=f".{tree.name}.", dir=tree.parent))
        try:
            tree.rename(wreck / "wreck")
        except FileNotFoundError:
            pass  # another process was quicker
        finally:
            shutil.rmtree(wreck, ignore_errors=True)
    raise OSError("something else keeps appearing there")


def sweep_up(tree: Path) -> None:
    """Remove drafts of processes that were killed: those older than an hour."""
    for draft in tree.parent.glob(f".{tree.name}.*"):
        if time.time() - draft.stat().st_mtime > 3600:
            shutil.rmtree(draft, ignore_errors=True)


class Demo(UCFCrime):
    """The drawn UCF-Crime, written below `root` the first time its frames are asked for.

    Parameters
    ----------
    root : str
        Where drawn trees are kept, each in a folder of its own, named after what determines it.
    seed : int
        Of the drawing; another one gives other videos.
    train_videos, test_videos : int
        Videos per class of anomaly.
    normal_train_videos, normal_test_videos : int
    frames_per_video : int
        Kept frames of each video.
    annotations, val_fraction, split_seed, every, max_frames_per_video, max_train_frames, max_test_frames
        As for `UCFCrime`.

    Attributes
    ----------
    root : Path
        The tree's own folder.
    """

    name = "demo"

    def __init__(
        self,
        root: str,
        seed: int,
        train_videos: PositiveInt,
        test_videos: PositiveInt,
        normal_train_videos: PositiveInt,
        normal_test_videos: PositiveInt,
        frames_per_video: PositiveInt,
        annotations: Mapping[str, str | None],
        val_fraction: Fraction,
        split_seed: int,
        every: PositiveInt,
        max_frames_per_video: PositiveInt | None,
        max_train_frames: PositiveInt | None,
        max_test_frames: PositiveInt | None,
    ) -> None:
        self.drawing = Drawing(
            seed, train_videos, test_videos, normal_train_videos, normal_test_videos, frames_per_video
        )
        super().__init__(
            root=str(Path(root) / self.drawing.folder),
            annotations=annotations,
            val_fraction=val_fraction,
            split_seed=split_seed,
            every=every,
            max_frames_per_video=max_frames_per_video,
            max_train_frames=max_train_frames,
            max_test_frames=max_test_frames,
        )

    def check(self) -> None:
        """Raise `Mistake` where the tree is neither there nor can be written."""
        if is_whole(self.root, self.drawing):
            super().check()
            return
        there = next(parent for parent in self.root.parents if parent.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise Mistake(
                f"The demo's frames cannot be written to {self.root.parent}: {there} is no folder to write in."
            )

    def frames(self) -> pd.DataFrame:
        """The frame table as of `UCFCrime`, drawn first where it is not there yet."""
        self.check()
        write_tree(self.root, self.drawing)
        return super().frames()
