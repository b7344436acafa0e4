"""Places: what a camera sees when nobody is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from mtl.drawing.canvas import SIZE, VERSION, WORLD, Canvas, Colour, Dice, Point, faded, shade
from mtl.drawing.things import Box, Car, draw_door, draw_shelf


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
