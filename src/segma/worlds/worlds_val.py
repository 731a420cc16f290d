"""The exam `worlds-val` as a data set: a folder whose pictures are made on first use.

A folder becomes one by `python -m segma.worlds.exam make FOLDER`; pictures that are missing in it are
rendered when they are asked for. Masks are always drawn from the scenes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segma.errors import FormatError, InputError
from segma.media.image import write_image
from segma.samples import ImageSample, PictureFile, QuestionSample, VideoSample
from segma.worlds.exam_entries import NAME, SIZE, ExamEntry, read_exam

if TYPE_CHECKING:
    from segma.datasets.report import ReadReport
    from segma.worlds.scene import Scene

LAYOUT = "a folder made by `python -m segma.worlds.exam make FOLDER`, with worlds-val.txt in it"
"""What a folder must look like, in one line."""
MARK = "worlds-val.txt"
_TEXT = (
    "The exam worlds-val of segma: made scenes, never to be trained on. Pictures are rendered on first use.\n"
)


def matches(root: Path) -> bool:
    """Whether a folder looks like this."""
    return (root / MARK).is_file()


def make(root: Path) -> None:
    """Make a folder the exam's, with all pictures. What is there stays."""
    root.mkdir(parents=True, exist_ok=True)
    (root / MARK).write_text(_TEXT, encoding="utf-8")
    for entry in read_exam():
        if not all(path.is_file() for path in _paths(root, entry)):
            _write_pictures(_scene(entry), _paths(root, entry))


def read(
    root: str | Path, *, split: str | None = None, report: ReadReport | None = None
) -> Iterator[ImageSample | VideoSample]:
    """The images, then the clips, or those of `split` ("images", "clips"), with sentences.

    `report` stays as it is: nothing is skipped. Raises InputError where the folder is not the exam's, or for
    another split; FormatError where a scene is not drawn as it was frozen.
    """
    root = Path(root)
    if not matches(root):
        raise InputError("input.not_found", f"{root}: not this layout.", f"Wanted: {LAYOUT}.")
    if split not in (None, "images", "clips"):
        raise InputError("input.value", f"{NAME} has no split {split!r}.", "Known: images, clips.")
    chosen = [each for each in read_exam() if split is None or each.is_clip == (split == "clips")]
    return (_sample(root, each) for each in chosen)


def questions(split: str | None = None) -> tuple[QuestionSample, ...]:
    """The exam's questions; they name their images and clips as `read` does (without a suffix)."""
    chosen = [each for each in read_exam() if split is None or each.is_clip == (split == "clips")]
    return tuple(one for each in chosen for one in each.questions)


def _paths(root: Path, entry: ExamEntry) -> list[Path]:
    if not entry.is_clip:
        return [root / "images" / f"{entry.name}.png"]
    return [root / "clips" / entry.name / f"{frame:05d}.jpg" for frame in range(entry.num_frames)]


def _scene(entry: ExamEntry) -> Scene:
    """The entry's scene. Raises FormatError where it is not the one that was frozen."""
    from segma.worlds.families import draw_scene

    scene = draw_scene(entry.family, entry.seed, num_frames=entry.num_frames)
    if scene.digest() != entry.digest:
        raise FormatError(
            "format.bad",
            f"{NAME}: {entry.name} is not drawn as it was frozen.",
            "Use the release of segma that this exam belongs to.",
        )
    return scene


def _write_pictures(scene: Scene, paths: list[Path]) -> None:
    from segma.worlds.render import render

    frames = render([scene], size=SIZE).images[0].permute(0, 2, 3, 1).contiguous().numpy()
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for frame, path in zip(frames, paths, strict=True):
        write_image(frame, path, overwrite=True)


def _sample(root: Path, entry: ExamEntry) -> ImageSample | VideoSample:
    """An entry with its truth, and its pictures as files."""
    from segma.worlds.exam import bare
    from segma.worlds.render import render
    from segma.worlds.truth import image_truth, video_truth

    scene, paths = _scene(entry), _paths(root, entry)
    if not all(path.is_file() for path in paths):
        _write_pictures(scene, paths)
    masks = replace(render([bare(scene)], size=SIZE), scenes=(scene,))
    pictures = tuple(PictureFile(path) for path in paths)
    if entry.is_clip:
        (clip,) = video_truth(masks)
        return replace(clip.sample, pictures=pictures, sentences=entry.sentences, source=NAME)
    (image,) = image_truth(masks)
    return replace(image.sample, picture=pictures[0], sentences=entry.sentences, source=NAME)
