"""Clips for video steps: repeatable, true about who is to be seen, and robust against broken pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image

from segma.errors import InputError
from segma.masks.mask import Mask, Masklet
from segma.samples import ImageSample, ObjectSample, PictureFile, TrackSample, VideoSample
from segma.training.batch import ClipBatch
from segma.training.clip_loader import ClipBatches, clip_batches
from segma.training.clip_sources import ClipPool, labelled_frames, real_clip, sprite_clip, still_clip
from segma.training.config import ClipConfig, CropConfig, PromptConfig, TrainConfig

SIZE = 96
PLAIN = CropConfig(colour=0.0, grey=0.0, degrade=0.0, rotate=0.0, whole=1.0, aimed=0.0)
CONFIG = TrainConfig(
    name="clips",
    image_size=SIZE,
    steps=20,
    workers=0,
    clips=ClipConfig(clips=2),
    prompts=PromptConfig(points=64),
)


def _disc(x: float, y: float, radius: float = 14, size: tuple[int, int] = (90, 120)) -> ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def _drawn(path: Path, masks: list[ndarray], seed: int = 0) -> PictureFile:
    """A picture with grainy discs of one bright colour each."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 50, (90, 120, 3))
    for number, mask in enumerate(masks):
        image[mask, number] += 180
    Image.fromarray(image.astype(np.uint8)).save(path)
    return PictureFile(path)


def _photos(folder: Path, count: int = 4) -> list[ImageSample]:
    samples: list[ImageSample] = []
    for number in range(count):
        masks = [_disc(40, 45), _disc(85, 45)]
        picture = _drawn(folder / f"photo{number}.png", masks, number)
        objects = tuple(ObjectSample(object_id=i, mask=Mask.from_dense(mask)) for i, mask in enumerate(masks))
        samples.append(
            ImageSample(
                file_name=picture.path.name, size=(90, 120), objects=objects, picture=picture, source="photos"
            )
        )
    return samples


def _video(folder: Path, frames: int = 12, loose: str = "", name: str = "clip") -> VideoSample:
    """One disc goes right; the other is gone on the last third, and not labelled on every fourth frame."""
    first: dict[int, Mask] = {}
    second: dict[int, Mask] = {}
    pictures: list[PictureFile] = []
    for time in range(frames):
        masks = [_disc(20 + 6 * time, 30)] + [_disc(60, 65)] * (time < 2 * frames // 3)
        pictures.append(_drawn(folder / f"{name}{time:02}.png", masks, time))
        first[time] = Mask.from_dense(masks[0])
        if time % 4 != 3:
            second[time] = Mask.from_dense(masks[1] if len(masks) > 1 else np.zeros((90, 120), bool))
    tracks = tuple(
        TrackSample(object_id=i, masklet=Masklet(size=(90, 120), masks=masks))
        for i, masks in enumerate((first, second))
    )
    return VideoSample(
        name=name,
        size=(90, 120),
        num_frames=frames,
        objects=tracks,
        pictures=tuple(pictures),
        source="films",
        loose=loose,
    )


@pytest.fixture
def pool(tmp_path: Path) -> ClipPool:
    return ClipPool.of([_video(tmp_path)], _photos(tmp_path))


def _same(a: ClipBatch, b: ClipBatch) -> bool:
    names = ("pixels", "clip", "masks", "known", "places", "inside", "weights", "complete")
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in names)


def test_the_same_number_gives_the_same_batch(pool: ClipPool) -> None:
    batches = ClipBatches(pool, CONFIG)
    assert len(batches) == 20
    assert _same(batches[3], batches[3])
    assert not torch.equal(batches[3].pixels, batches[4].pixels)
    other = ClipBatches(pool, replace(CONFIG, seed=1))
    assert not torch.equal(batches[3].pixels, other[3].pixels)


def test_a_batch_has_the_shapes_it_says_and_objects_seen_on_the_first_frame(pool: ClipPool) -> None:
    for index in range(12):
        batch = ClipBatches(pool, CONFIG)[index]
        count = len(batch.clip)
        assert batch.pixels.shape == (2, 6, 3, SIZE, SIZE) and batch.pixels.dtype == torch.uint8
        assert batch.masks.shape == (count, 6, SIZE, SIZE) and batch.places.shape == (count, 6, 64, 2)
        assert batch.clip.tolist() == sorted(batch.clip.tolist()) and set(batch.clip.tolist()) == {0, 1}
        assert np.bincount(batch.clip.numpy()).max() <= CONFIG.clips.objects
        areas = batch.masks.flatten(2).sum(2)
        assert (areas[:, 0] >= 40 * (SIZE / 256) ** 2).all() and batch.known[:, 0].all()
        for clip in range(2):
            mine = batch.clip == clip
            gone = ((areas[mine] == 0) & batch.known[mine]).sum()
            assert gone <= 0.4 * batch.known[mine].sum()


def test_a_resumed_run_goes_on_with_the_batch_it_would_have_had(pool: ClipPool) -> None:
    resumed = next(clip_batches(pool, CONFIG, [2]))
    assert _same(resumed, ClipBatches(pool, CONFIG)[2])
    assert resumed.seconds > 0


def test_of_a_real_clip_it_is_said_what_is_known_and_who_is_gone(tmp_path: Path) -> None:
    pool = ClipPool.of([_video(tmp_path)], [])
    clips = ClipConfig(frames=12, reverse=0.0)
    clip = real_clip(pool, clips, PLAIN, SIZE, np.random.default_rng(0))
    assert clip is not None and clip.complete.all()
    assert clip.known[0].all()
    assert clip.known[1].tolist() == [time % 4 != 3 for time in range(12)]
    areas = clip.masks.reshape(2, 12, -1).sum(2)
    assert (areas[1] > 0).tolist() == [time < 8 and time % 4 != 3 for time in range(12)]
    red = clip.frames[:, :, :, 0] > 115  # where the first disc was drawn
    assert (red == (clip.masks[0] > 0)).mean() > 0.99


def test_clips_run_backwards_and_at_strides(tmp_path: Path) -> None:
    pool = ClipPool.of([_video(tmp_path, 31)], [])
    clips = ClipConfig(frames=4, reverse=0.5)
    ways: set[tuple[bool, int]] = set()
    for seed in range(30):
        clip = real_clip(pool, clips, PLAIN, SIZE, np.random.default_rng(seed))
        if clip is None or not clip.masks[0].any((1, 2)).all():
            continue
        places = [np.argwhere(mask).mean(0)[1] for mask in clip.masks[0]]
        ways.add((places[1] > places[0], round(abs(places[1] - places[0]) / 4.8)))
    assert len({stride for _, stride in ways}) >= 3
    assert {forward for forward, _ in ways} == {True, False}


def test_a_short_clip_is_gone_through_to_and_fro(tmp_path: Path) -> None:
    pool = ClipPool.of([_video(tmp_path, 3)], [])
    clip = real_clip(pool, ClipConfig(reverse=0.0), PLAIN, SIZE, np.random.default_rng(1))
    assert clip is not None
    assert (clip.masks[0, 1] == clip.masks[0, 3]).all() and (clip.masks[0, 0] == clip.masks[0, 4]).all()


def test_loose_labels_are_not_complete(tmp_path: Path) -> None:
    pool = ClipPool.of([_video(tmp_path, loose="classes, not instances")], [])
    batch = ClipBatches(pool, CONFIG)[0]
    assert not batch.complete.any()


def test_clips_with_labels_on_one_frame_are_left_out(tmp_path: Path) -> None:
    video = _video(tmp_path)
    once = replace(
        video.objects[0], masklet=Masklet(size=(90, 120), masks={0: video.objects[0].masklet.masks[0]})
    )
    assert labelled_frames(replace(video, objects=(once,))) == (0,)
    assert not ClipPool.of([replace(video, objects=(once,))], []).videos


def test_a_sprite_moves_and_its_background_moves_otherwise(pool: ClipPool) -> None:
    moved = behind = total = 0
    for seed in range(12):
        clip = sprite_clip(pool, ClipConfig(absent=0.0), PLAIN, SIZE, np.random.default_rng(seed))
        assert clip is not None and clip.complete.all()
        assert clip.masks.sum(0).max() <= 1  # no pixel is of two
        seen = clip.masks.max((2, 3)).min(1) > 0
        middles = [[np.argwhere(mask).mean(0) for mask in masks] for masks in clip.masks[seen]]
        moved += sum(np.abs(np.subtract(way[-1], way[0])).max() > 4 for way in middles)
        total += len(middles)
        free = ~clip.masks.any((0, 1))
        change = np.abs(clip.frames[-1].astype(int) - clip.frames[0])[free].mean() if free.any() else 0
        behind += change > 4
    assert moved > 0.5 * total
    assert behind >= 6


def test_sprites_leave_when_told_to(pool: ClipPool) -> None:
    absent = [0, 0]
    for number, share in enumerate((0.0, 1.0)):
        for seed in range(8):
            clip = sprite_clip(pool, ClipConfig(absent=share), PLAIN, SIZE, np.random.default_rng(seed))
            assert clip is not None
            absent[number] += int((clip.masks.max((2, 3)) == 0)[:, 1:].sum())
    assert absent[1] > absent[0] + 5


def test_a_photo_under_a_moving_camera_keeps_its_truth(pool: ClipPool) -> None:
    clip = still_clip(pool, ClipConfig(), PLAIN, SIZE, np.random.default_rng(4))
    assert clip is not None and clip.known.all()
    bright = clip.frames.max(3) > 115
    # all that is bright and nothing else, but for objects that were not chosen
    assert (bright[clip.masks.any(0)]).mean() > 0.97


def test_broken_pictures_are_skipped_and_counted(tmp_path: Path) -> None:
    video, photos = _video(tmp_path), _photos(tmp_path)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    photos[0] = replace(photos[0], picture=PictureFile(broken))
    photos[1] = replace(photos[1], picture=PictureFile(tmp_path / "missing.png"))
    batches = ClipBatches(ClipPool.of([video], photos), CONFIG)
    made = [batches[index] for index in range(8)]
    assert sum(batch.unreadable for batch in made) > 0
    assert all(batch.skipped >= batch.unreadable and len(batch.pixels) == 2 for batch in made)


def test_where_nothing_can_be_read_or_is_there_it_is_said(tmp_path: Path) -> None:
    video = _video(tmp_path)
    for picture in video.pictures:
        picture.path.write_bytes(b"")
    with pytest.raises(InputError, match="Hardly any clip"):
        ClipBatches(ClipPool.of([video], []), CONFIG)[0]
    with pytest.raises(InputError, match="no labelled clips"):
        next(clip_batches(ClipPool.of([], []), CONFIG))


def test_frames_of_another_size_than_their_labels_are_not_used(tmp_path: Path) -> None:
    video = _video(tmp_path)
    Image.new("RGB", (33, 44)).save(video.pictures[0].path)
    pool = ClipPool.of([replace(video, pictures=(video.pictures[0],) * 12)], [])
    assert real_clip(pool, ClipConfig(), PLAIN, SIZE, np.random.default_rng(0)) is None
