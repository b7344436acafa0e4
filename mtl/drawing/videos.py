"""Videos: a place, a cast about their errands, and an event in the midst of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mtl.drawing.canvas import NEAREST, SIZE, VERSION, WORLD, Canvas, Dice, Point
from mtl.drawing.events import EVENT_SHARE, EVENTS, LOOK_ALIKE, LOOK_ALIKE_SHARE, TALKING
from mtl.drawing.film import film
from mtl.drawing.people import BENDING, CLOTHES, REACHING, STANDING, WAVING, Person, Pose, some_person, walking
from mtl.drawing.places import view
from mtl.drawing.shot import Event, Shot
from mtl.drawing.things import Thing, bag, some_car

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
    name = _name(video, seed)
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


def event_frames(folder: str, video: str, seed: int, n_frames: int) -> tuple[int, int]:
    """The kept frames [first, last) that the video's event fills, as `draw_video` draws it; (0, 0) without one."""
    return some_event(folder, Dice(_name(video, seed), "event"), n_frames)[1:]


def _name(video: str, seed: int) -> str:
    """What determines every throw of a video's dice."""
    return f"{VERSION}/{seed}/{video}"


def some_event(folder: str, dice: Dice, n_frames: int) -> tuple[Event | None, int, int]:
    """The video's event, or none, and the kept frames [first, last) that it fills."""
    normal = folder == "NormalVideos"
    if normal and not dice.chance(LOOK_ALIKE):
        return None, 0, 0
    length = max(1, round(n_frames * dice.between(*(LOOK_ALIKE_SHARE if normal else EVENT_SHARE))))
    first = dice.whole(0, n_frames - length)
    return dice.pick(EVENTS[folder]), first, first + length
