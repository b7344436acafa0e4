"""Things: cars, doors, shelves, fire, what hands hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mtl.drawing.canvas import Canvas, Colour, Dice, Point, faded, shade, sine, towards
from mtl.drawing.people import PAINTS


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
