"""What a made scene is, in plain numbers: drawn once from a seed, equal everywhere, hashed and kept as JSON.

Lengths are in units of the square root of the frame's area, so a frame of `size` = (height, width) has
height x width = 1; the origin is the frame's centre, x right, y down; angles are radians, clockwise as seen.
Colours are red, green, blue in 0..1.

Invariants: object ids are 1, 2, ... in painting order within their whole; a parent stands before its parts;
the parts of a whole share its depth and its class; a motion has one pose and presence, or one for every
frame; shots begin at frame 0 and are in order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

CLASSES = (
    *("disc", "ring", "block", "triangle", "star", "heart", "moon", "cross", "pebble", "blob"),
    *("leaf", "gear", "letter", "arrow", "snake", "chain", "comb", "ladder", "spiral", "fence"),
    *("branch", "key", "fish", "tree", "car", "cup", "flower", "mushroom", "house", "boat"),
    *("lamp", "bird", "beetle", "figure", "balloon", "umbrella", "bottle", "glasses", "clock", "kite"),
)
COLOURS = (
    *("red", "orange", "yellow", "green", "teal", "blue"),
    *("purple", "pink", "brown", "white", "grey", "black"),
)
TEXTURES = ("plain", "clouded", "grained", "striped", "spotted", "cellular", "shaded", "checked", "marbled")
SHAPES = ("round", "long", "pointed", "angular", "branched", "hollow", "irregular", "jointed")
SIZES = ("tiny", "small", "medium", "large", "huge")
MOTIONS = (
    *("still", "straight", "accelerating", "bouncing", "circling", "wandering", "turning", "approaching"),
    *("deforming", "articulated", "crossing", "leaving", "vanishing", "darting"),
    *("starting", "stopping", "doubling", "racing"),
)

NOISE_TILES = 21
"""How many tiles of noise there are to make textures of."""

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where something is in its parent (a whole: in the scene), at one moment.

    A local point is first deformed (`bend`: sideways by its height squared; `wave`: sideways by a sine
    along its height that begins at `phase`; wholes only), then scaled (x by scale * stretch, y by scale /
    stretch), turned by `angle`, and shifted to (x, y). A shape fits about a circle of radius 1 before it is
    scaled.
    """

    x: float = 0.0
    y: float = 0.0
    angle: float = 0.0
    scale: float = 1.0
    stretch: float = 1.0
    bend: float = 0.0
    wave: float = 0.0
    phase: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """How something moves: `kind` is one of MOTIONS; one pose for all frames, or a pose for each.

    `present` says by frame whether it is in the world at all (leaving the picture or being hidden is not
    absence here; masks tell that).
    """

    kind: str = "still"
    poses: tuple[Pose, ...] = (Pose(),)
    present: tuple[bool, ...] = (True,)

    def pose(self, frame: int) -> Pose:
        """Where it is on a frame."""
        return self.poses[frame if len(self.poses) > 1 else 0]

    def is_present(self, frame: int) -> bool:
        """Whether it is in the world on a frame."""
        return self.present[frame if len(self.present) > 1 else 0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """An outline in its own coordinates; `kind` is one of `shapes.KINDS` and says what `numbers` are.

    `holes` are discs (x, y, radius) cut out of it; `smooth` is the radius of the smooth union of strokes and
    of rounded corners.
    """

    kind: str
    numbers: tuple[float, ...]
    holes: tuple[tuple[float, float, float], ...] = ()
    smooth: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Texture:
    """How a surface is coloured: a pattern, 0..1 at each point, runs through `colours`.

    `kind` is one of TEXTURES; `tile` picks the noise; `scale` is repeats by unit of the surface's own
    coordinates, `angle`, `shift` and `stretch` place it; `warp` bends it by noise; `contrast` 0..1 is how
    much of the way between the colours it goes; `perspective` lays it on a floor that begins at y = 0;
    `blur` is how much it is out of focus, in repeats.
    """

    kind: str
    colours: tuple[Colour, Colour, Colour]
    tile: int = 0
    scale: float = 1.0
    angle: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    stretch: float = 1.0
    warp: float = 0.0
    contrast: float = 1.0
    perspective: bool = False
    blur: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Attributes:
    """What can be said of an object in words: one each of COLOURS, TEXTURES, SHAPES and SIZES.

    `letter` is the character of a letter, "" for everything else.
    """

    colour: str
    texture: str
    shape: str
    size: str
    letter: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneObject:
    """One thing, or one part of a thing: what it is, how it looks, where it is.

    A whole has no `parent`; `part` names a part within its class ("" for a whole). Its own surface is
    `shape` (None for a group that is only its parts); its mask is its own surface and those of all its
    parts. Greater `depth` is further away: painted earlier, and moved less by the camera. `opacity` 1 is
    solid; `relief` is how rounded it looks, `gloss` how shiny; `shadow` says whether it throws one.
    """

    object_id: int
    parent: int | None
    class_name: str
    part: str
    attributes: Attributes
    shape: Shape | None
    texture: Texture
    depth: float
    motion: Motion
    opacity: float = 1.0
    relief: float = 0.5
    gloss: float = 0.0
    shadow: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """A piece of background that is no object: sky, floor, wall, a far hill."""

    name: str
    shape: Shape
    texture: Texture
    pose: Pose = field(default_factory=Pose)
    softness: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Background:
    """What is behind everything: one texture that covers the frame, and regions painted over it in order.

    `motion` moves all of it by frame, on its own (clouds, water, a belt), besides what the camera does;
    `depth` is how far away it is to the camera.
    """

    texture: Texture
    regions: tuple[Region, ...] = ()
    motion: tuple[Pose, ...] = (Pose(),)
    depth: float = 2.0

    def pose(self, frame: int) -> Pose:
        """Where it is on a frame."""
        return self.motion[frame if len(self.motion) > 1 else 0]


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera looks on one frame: its centre in the scene, its magnification, its roll."""

    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    roll: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """How the camera moves: `kind` is "still", "pan", "zoom", "shake" or "drift"; one view, or one each."""

    kind: str = "still"
    views: tuple[View, ...] = (View(),)

    def view(self, frame: int) -> View:
        """Where it looks on a frame."""
        return self.views[frame if len(self.views) > 1 else 0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Light:
    """Where light comes from and what it does.

    `angle` is the direction it comes from in the picture; `height` 0..1 from grazing to frontal; `ambient`
    0..1 what reaches the shade; `shadow` 0..1 how dark shadows are, `reach` how far they fall (in lengths),
    `softness` how blurred they are; `falloff` 0..1 how much darker the far side of the picture is; `spot`
    (x, y, radius) lights only a disc, a radius of 0 lights all; `dapple` 0..1 is how dark the shade of
    leaves is that lies over all.
    """

    angle: float = -2.2
    height: float = 0.6
    ambient: float = 0.6
    colour: Colour = (1.0, 1.0, 1.0)
    shadow: float = 0.4
    reach: float = 0.03
    softness: float = 0.02
    falloff: float = 0.0
    spot: tuple[float, float, float] = (0.0, 0.0, 0.0)
    dapple: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Degradations:
    """What the camera and the file do to the picture; zeros leave it as it is.

    `defocus` and the `streak` (x, y) of a moving camera are lengths; `aperture` blurs the edges of what is
    not at `focus` depth; `shutter` is the part of a frame's time that it is open (moving things blur);
    `noise` is the deviation of pixel noise; `compression` 0..1 as in a JPEG of falling quality; `vignette`
    0..1 darkens corners; `exposure` and `contrast` and `saturation` multiply; `haze` 0..1 mixes in a pale
    veil; `grey` drops colour.
    """

    defocus: float = 0.0
    streak: tuple[float, float] = (0.0, 0.0)
    aperture: float = 0.0
    focus: float = 1.0
    shutter: float = 0.0
    noise: float = 0.0
    compression: float = 0.0
    vignette: float = 0.0
    exposure: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    haze: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """A run of frames between cuts: from `start` until the next shot, before its own background and light."""

    start: int
    background: Background
    light: Light


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One made scene: an image where `num_frames` is 1, else a clip.

    `size` is (height, width) in lengths; `objects` are in order of their ids. `digest` names it: equal
    scenes have equal digests, on every machine.
    """

    seed: int
    family: str
    size: tuple[float, float]
    num_frames: int
    fps: float
    objects: tuple[SceneObject, ...]
    camera: Camera
    degradations: Degradations
    shots: tuple[Shot, ...]

    @property
    def background(self) -> Background:
        """The background of the first shot."""
        return self.shots[0].background

    @property
    def light(self) -> Light:
        """The light of the first shot."""
        return self.shots[0].light

    def shot(self, frame: int) -> Shot:
        """The shot that a frame belongs to."""
        return next(shot for shot in reversed(self.shots) if shot.start <= frame)

    @property
    def wholes(self) -> tuple[SceneObject, ...]:
        """The objects that are no parts."""
        return tuple(each for each in self.objects if each.parent is None)

    def parts(self, object_id: int) -> Iterator[SceneObject]:
        """The parts, directly below, of an object."""
        return (each for each in self.objects if each.parent == object_id)

    def whole_of(self, object_id: int) -> int:
        """The id of the whole that an object belongs to (its own where it is one)."""
        parent = self.objects[object_id - 1].parent
        return object_id if parent is None else self.whole_of(parent)

    def to_json(self) -> str:
        """The scene as JSON; `scene_json.read_scene` gives it back."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    def digest(self) -> str:
        """SHA-256 of `to_json`, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
