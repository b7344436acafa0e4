"""Events, by class, and harmless look-alikes."""

from __future__ import annotations

from dataclasses import replace

from mtl.drawing.canvas import WORLD, Colour, Point, shade
from mtl.drawing.people import (
    AIMING,
    BENDING,
    COWERING,
    GRAPPLING,
    HANDS_UP,
    HELD,
    HOLDING_DOWN,
    HUGGING,
    KICKING,
    KNEELING,
    LYING,
    LYING_CURLED,
    POCKETING,
    PUNCHING,
    REACHING,
    STANDING,
    SWINGING,
    WAVING,
    loaded,
    masked,
    officer,
    walking,
)
from mtl.drawing.shot import Event, Shot
from mtl.drawing.things import (
    CARDBOARD,
    GLASS,
    bag,
    box,
    draw_bag,
    draw_cracks,
    draw_door,
    draw_fire,
    draw_shards,
    draw_shelf,
    draw_smoke,
    gun,
    some_car,
    stick,
)

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
