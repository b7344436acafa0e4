"""A shot: one frame being drawn, from far to near."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mtl.drawing.canvas import NEAREST, Canvas, Dice, Point
from mtl.drawing.people import Person, Pose, draw_person, walking
from mtl.drawing.places import Scene
from mtl.drawing.things import Car, Thing, draw_car


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
