"""People: how they look, stand and move."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mtl.drawing.canvas import Canvas, Colour, Dice, Point, shade, sine, towards


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
