"""The options of `segma track`: what is followed, how, and over which frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from segma.errors import InputError

if TYPE_CHECKING:
    from segma.tasks.track_config import TrackConfig

_PROMPT = "NAME@FRAME:point=X,Y[:-][;point=...][;box=X0,Y0,X1,Y1][;mask=FILE]"

Objects = Annotated[
    list[str] | None,
    typer.Option(
        "--object",
        metavar=_PROMPT,
        help="An object, pointed at on a frame: clicks (:- excludes), a box, or a mask alone. Repeat for "
        "further objects and frames. Frames count from 0.",
    ),
]
PromptFile = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        help='The same as JSON: a list of {"object": "ball", "frame": 0, "points": [[512, 300]], '
        '"labels": [1], "box": [40, 80, 210, 460], "mask": "file.png"}; labels are 1 (include) or 0.',
    ),
]


class MemoryRule(StrEnum):
    """Which frames an object remembers."""

    RECENT = "recent"
    RELIABLE = "reliable"
    DISTRACTOR = "distractor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Saying:
    """What a person says of objects."""

    object: Objects = None
    prompts: PromptFile = None
    fix: Annotated[
        list[str] | None,
        typer.Option(
            "--fix",
            metavar=_PROMPT,
            help="A correction of an object of a project; only frames that it can change are tracked again.",
        ),
    ] = None
    absent: Annotated[
        list[str] | None,
        typer.Option("--absent", metavar="NAME@A-B", help="Say that an object is not there on these frames."),
    ] = None
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="NAME", help="Remove an object; the others stay as they are."),
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Over which frames, and which way."""

    frames: Annotated[
        str | None,
        typer.Option("--frames", metavar="A-B", help="These frames only, both inclusive, from 0."),
    ] = None
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Track towards the beginning, from the last prompted frame.")
    ] = False
    both: Annotated[
        bool,
        typer.Option("--both", help="To the end, and from the first prompt of each shot to its beginning."),
    ] = False
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where tracking of a project was stopped or killed.")
    ] = False

    def check(self) -> tuple[int, int] | None:
        """The frames that were named. Raises InputError for options that contradict each other."""
        from segma.prompts.parse import frame_range

        if self.reverse and self.both:
            raise InputError("input.value", "--reverse and --both contradict each other.", "Give one.")
        if self.resume and (self.frames or self.reverse or self.both):
            raise InputError(
                "input.value",
                "--resume goes on with the frames of the stopped run.",
                "Give it without others.",
            )
        return None if self.frames is None else frame_range(self.frames)

    @property
    def way(self) -> Literal["forward", "reverse", "both"]:
        """forward, reverse or both."""
        return "reverse" if self.reverse else "both" if self.both else "forward"


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How objects are followed: the fields of TrackConfig that people need. None: as it was, or usual."""

    across_cuts: Annotated[
        bool | None,
        typer.Option("--across-cuts", help="Go on at shot cuts, as if there were none.", show_default=False),
    ] = None
    reidentify: Annotated[
        bool | None,
        typer.Option("--reidentify", help="Look for objects again after a cut.", show_default=False),
    ] = None
    memory: Annotated[
        MemoryRule | None,
        typer.Option(
            "--memory",
            metavar="|".join(MemoryRule),
            help="What an object remembers: the last frames, the last reliable ones, or also those with "
            "something like it beside it.",
        ),
    ] = None
    hypotheses: Annotated[
        int | None,
        typer.Option("--hypotheses", metavar="N", help="Histories kept of each object, 1 to 8; slower."),
    ] = None
    motion: Annotated[
        float | None,
        typer.Option(
            "--motion",
            metavar="X",
            help="Weight of the expected motion among candidates, 0 to 1; 0.15 is good.",
        ),
    ] = None
    redetect: Annotated[
        bool | None,
        typer.Option("--redetect", help="After a long absence take only reliable masks.", show_default=False),
    ] = None
    pool: Annotated[
        int | None,
        typer.Option("--pool", metavar="N", help="Memories coarser by N, 1 to 16: faster, less exact."),
    ] = None
    max_conditioning: Annotated[
        int | None,
        typer.Option("--max-conditioning", metavar="N", help="At most so many prompted frames, the nearest."),
    ] = None
    exclusive: Annotated[
        bool | None,
        typer.Option(
            "--exclusive", help="Look-alikes: two objects do not take the same pixels.", show_default=False
        ),
    ] = None
    non_overlap: Annotated[
        bool | None,
        typer.Option("--non-overlap", help="A pixel belongs to one object at most.", show_default=False),
    ] = None
    no_fill_holes: Annotated[
        bool | None, typer.Option("--no-fill-holes", help="Leave small holes in masks.", show_default=False)
    ] = None

    def config(self, stored: Mapping[str, Any] | None = None) -> TrackConfig:  # JSON
        """The config: what the options say, else what a project was made with. Raises InputError."""
        from segma.tasks.track_config import TrackConfig

        if self.across_cuts and self.reidentify:
            raise InputError(
                "input.value", "--across-cuts and --reidentify contradict each other.", "Give one."
            )
        known = TrackConfig.__dataclass_fields__
        values = {name: value for name, value in (stored or {}).items() if name in known}
        given = {name: value for name, value in asdict(self).items() if value is not None}
        cuts = [name for name in ("across_cuts", "reidentify") if given.pop(name, None)]
        if cuts:
            values["cuts"] = "ignore" if cuts == ["across_cuts"] else "reidentify"
        if given.pop("no_fill_holes", None):
            values["fill_hole_area"] = 0
        if "motion" in given:
            values["motion_weight"] = given.pop("motion")
        if "memory" in given:
            given["memory"] = given["memory"].value
        return TrackConfig(**{**values, **given})
