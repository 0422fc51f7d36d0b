"""A clip before it is drawn: who stands where, how they move, what the camera does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.synth.appearance import Look, sample_look, team_palette
from toolkit.synth.background import Place, make_place
from toolkit.synth.camera import WIDTH, Camera
from toolkit.synth.figure import Build, Figure, pose_figure, sample_build
from toolkit.synth.options import SynthOptions
from toolkit.synth.poses import Motion, sample_motion

F64 = NDArray[np.float64]
FOLLOW = {"low": 0.06, "normal": 0.36, "high": 0.8}
PEOPLE = {"hockey": (3, 6), "lacrosse": (3, 6), "crowd": (4, 11)}


@dataclass(frozen=True)
class Person:
    """One person of a clip.

    Attributes:
        build: Their lengths.
        motion: How they move.
        look: What they wear.
        place: (2,) ground position at the clip's middle, metres.
        velocity: (2,) metres a second.
        heading: Where they face at the middle, radians.
        spin: Radians a second.
    """

    build: Build
    motion: Motion
    look: Look
    place: F64
    velocity: F64
    heading: float
    spin: float


@dataclass(frozen=True)
class Scene:
    """Everything that decides a clip's pictures.

    Attributes:
        kind: `hockey`, `lacrosse` or `crowd`.
        people: The cast.
        place: The surroundings.
        frames: Number of frames.
        interval: Seconds between frames.
        exposure: Seconds that the shutter is open (options' blur included).
        aim, drift: (3,) what the camera looks at at mid-clip, and its velocity.
        yaw, yaw_rate, elevation, distance, focal, zoom: The camera's path.
        gain, cast, noise, softness: The sensor.
    """

    kind: str
    people: tuple[Person, ...]
    place: Place
    frames: int
    interval: float
    exposure: float
    aim: F64
    drift: F64
    yaw: float
    yaw_rate: float
    elevation: float
    distance: float
    focal: float
    zoom: float
    gain: float
    cast: F64
    noise: float
    softness: float

    def camera(self, seconds: float) -> Camera:
        """Returns the camera, `seconds` from the clip's middle."""
        return Camera.looking_at(
            self.aim + self.drift * seconds,
            self.yaw + self.yaw_rate * seconds,
            self.elevation,
            self.distance,
            self.focal * (1 + self.zoom * seconds),
        )

    def moment(self, frame: int) -> float:
        """Returns a frame's time in seconds from the clip's middle."""
        return (frame - (self.frames - 1) / 2) * self.interval

    def figures(self, frame: int) -> list[Figure]:
        """Poses everybody at a frame."""
        seconds = self.moment(frame)
        gap = 0.34 if self.kind == "crowd" else 0.62
        spots = np.stack([p.place + p.velocity * seconds for p in self.people])
        spots = _apart(spots, gap)
        share = frame / max(self.frames - 1, 1)
        start = seconds + self.interval * (self.frames - 1) / 2
        return [
            pose_figure(
                person.build,
                person.motion,
                person.motion.at(share, start),
                np.array([spot[0], spot[1], 0.0]),
                person.heading + person.spin * seconds,
            )
            for person, spot in zip(self.people, spots, strict=True)
        ]


def _apart(spots: F64, gap: float) -> F64:
    """Moves people who stand in one another apart (deterministic, a few rounds)."""
    spots = spots.copy()
    for _ in range(6):
        offset = spots[:, None] - spots[None]
        distance = np.linalg.norm(offset, axis=-1) + np.eye(len(spots)) * 9
        push = np.clip(gap - distance, 0, None) * 0.5
        spots += np.sum(
            offset / np.maximum(distance, 1e-3)[..., None] * push[..., None], axis=1
        )
    return spots


def sample_scene(
    rng: np.random.Generator, kind: str, index: int, options: SynthOptions
) -> Scene:
    """Draws a clip; in crowds the clip's index decides how crowded it is."""
    crowd = kind == "crowd"
    band = (0, 1, 2, 1)[index % 4] if crowd else -1
    pixels = float(rng.uniform(115, 205))
    if crowd:
        pixels = float(rng.uniform(*((75, 130), (85, 180), (90, 200))[band]))
    degrees = rng.uniform(8, 35)
    if crowd:
        degrees = rng.uniform(8, 24) if band < 2 else rng.uniform(8, 16)
    elevation = float(np.radians(degrees))
    distance = float(rng.uniform(13, 28))
    focal = pixels * distance / 1.75
    places = _places(rng, kind, band, pixels, elevation, options)
    common = rng.normal(0, 1.6 if not crowd else 0.5, 2)
    place = make_place(rng, kind)
    teams = [team_palette(rng, kind) for _ in range(2)]
    people = []
    for spot in places:
        team = team_palette(rng, kind) if crowd else teams[int(rng.integers(2))]
        people.append(_person(rng, kind, spot, common, team))
    tracked = np.array([*common, 0.0]) * float(rng.uniform(0.75, 1.0))
    return Scene(
        kind=kind,
        people=tuple(people),
        place=place,
        frames=int(rng.integers(4, 11)),
        interval=float(rng.uniform(0.08, 0.16)),
        exposure=float(rng.uniform(0.003, 0.018)) * options.blur,
        aim=np.array([rng.normal(0, 0.15), rng.normal(0, 0.15), 0.74]),
        drift=tracked + np.array([*rng.normal(0, 0.15, 2), 0.0]),
        yaw=float(rng.uniform(-0.5, 0.5)),
        yaw_rate=float(rng.normal(0, 0.01)),
        elevation=elevation,
        distance=distance,
        focal=focal,
        zoom=float(rng.normal(0, 0.03)),
        gain=float(rng.uniform(0.88, 1.12)),
        cast=rng.uniform(0.97, 1.03, 3),
        noise=float(rng.uniform(1.5, 6.5)),
        softness=float(rng.uniform(0.3, 0.75)),
    )


def _person(
    rng: np.random.Generator, kind: str, spot: F64, common: F64, team: NDArray[np.float32]
) -> Person:
    velocity = common + rng.normal(0, 0.25 if kind == "crowd" else 0.5, 2)
    speed = float(np.hypot(*velocity))
    heading = float(rng.uniform(-np.pi, np.pi))
    if speed > 1.2 and rng.random() < 0.75:
        heading = float(np.arctan2(velocity[1], velocity[0]) + rng.normal(0, 0.4))
    if kind == "crowd" and rng.random() < 0.6:  # most face the camera
        heading = float(-np.pi / 2 + rng.normal(0, 0.6))
    return Person(
        sample_build(rng, kind),
        sample_motion(rng, kind),
        sample_look(rng, kind, team),
        spot,
        velocity,
        heading,
        float(rng.normal(0, 0.35)),
    )


def _places(
    rng: np.random.Generator,
    kind: str,
    band: int,
    pixels: float,
    elevation: float,
    options: SynthOptions,
) -> list[F64]:
    per_metre = pixels / 1.75
    half = 0.5 * WIDTH / per_metre * (0.86 if kind == "crowd" else 0.62)
    deep = float(np.clip((165 - 0.52 * pixels) / (per_metre * np.sin(elevation)), 0.6, 4.0))
    low, high = options.players or PEOPLE[kind]
    count = int(rng.integers(low, high + 1))
    if band == 0:  # spread out
        room = max(int(2 * half / 0.85), 2)
        if options.players is None:
            count = min(max(count, 5), room, 9)
        columns = (np.arange(count) + 0.5) / count * 2 - 1
        jitter = rng.uniform(-0.12, 0.12, count) / count
        across = rng.permutation(columns + jitter) * half
        return [np.array([x, rng.uniform(-0.6, 0.6) * deep]) for x in across]
    if band == 2:  # rows of people behind one another
        if options.players is None:
            count = min(count + 2, 11)
        wide = rng.uniform(0.12, 0.30)
        return [
            np.array([rng.normal(0, wide), (k - count / 2) * rng.uniform(0.38, 0.55)])
            for k in range(count)
        ]
    follow = FOLLOW[options.occlusion]
    if band == 1:
        follow = {"low": 0.3, "normal": 0.55, "high": 0.85}[options.occlusion]
    places: list[F64] = []
    for _ in range(count):
        spot = np.array([rng.uniform(-half, half), rng.uniform(-deep, deep)])
        if places and rng.random() < follow:  # in front of or behind somebody
            other = places[int(rng.integers(len(places)))]
            step = rng.uniform(0.7, 1.7) * rng.choice([-1, 1])
            spot = other + np.array([rng.normal(0, 0.3), step])
            spot = np.clip(spot, (-half, -deep), (half, deep))
        places.append(spot)
    return places
