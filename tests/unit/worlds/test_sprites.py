"""Cut-outs and the clips made of them: the truth agrees with the pixels, and everything comes from a seed."""

from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from segma.masks.mask import Mask
from segma.samples import Attribute, ImageSample, ObjectSample, PictureFile
from segma.worlds.panning import camera_path, made_picture, seen, window_matrix
from segma.worlds.sprite_paths import SpritePath, drawn_path, leaving
from segma.worlds.sprites import Sprite, composed, cut_out, filmed, fitted, look_alike, matched, usable


def _random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _disc(size: int, middle: tuple[float, float], radius: float) -> ndarray:
    y, x = np.mgrid[:size, :size]
    return (x - middle[0]) ** 2 + (y - middle[1]) ** 2 <= radius**2


def _picture(mask: ndarray, colour: tuple[int, int, int], behind: tuple[int, int, int]) -> ndarray:
    noise = _random(1).integers(-20, 20, (*mask.shape, 1))
    return (np.where(mask[:, :, None], colour, behind) + noise).clip(0, 255).astype(np.uint8)


def _sprite(colour: tuple[int, int, int] = (200, 40, 40)) -> Sprite:
    mask = _disc(100, (50, 50), 20)
    found = cut_out(_picture(mask, colour, (30, 200, 30)), mask, _random())
    assert found is not None
    return found


def _path(xy: list[tuple[float, float]], **more: float) -> SpritePath:
    count = len(xy)
    return SpritePath(
        xy=np.array(xy, float),
        angle=np.zeros(count),
        scale=np.ones(count),
        velocity=np.gradient(np.array(xy, float), axis=0),
        bend_phase=np.zeros(count),
        **more,
    )


def _grey(frames: int, size: int = 128) -> ndarray:
    return np.full((frames, size, size, 3), 120, np.uint8)


def test_a_cut_out_carries_nothing_of_its_old_background() -> None:
    pixels = _sprite().pixels
    alpha = pixels[:, :, 3]
    edge = (alpha > 0.05) & (alpha < 0.95)
    assert edge.sum() > 50  # soft
    colours = pixels[edge][:, :3] / alpha[edge][:, None]
    assert colours[:, 0].min() > 140  # red as the object is, not green as what stood behind it
    assert colours[:, 1].max() < 100


@pytest.mark.parametrize(
    "mask",
    [
        _disc(100, (50, 50), 8),  # small
        _disc(100, (50, 50), 48),  # most of the picture
        _disc(100, (0, 50), 25),  # cut off by the edge
        np.zeros((100, 100), bool),
    ],
)
def test_what_is_small_or_huge_or_cut_off_is_no_sprite(mask: ndarray) -> None:
    assert cut_out(_picture(mask, (200, 40, 40), (0, 0, 0)), mask, _random()) is None


def test_a_flat_patch_is_no_sprite() -> None:
    assert cut_out(np.full((100, 100, 3), 77, np.uint8), _disc(100, (50, 50), 25), _random()) is None


def _sample(loose: str = "", is_crowd: bool = False, **attributes: Attribute) -> ImageSample:
    mask = Mask.from_dense(_disc(100, (50, 50), 20))
    each = ObjectSample(object_id=0, mask=mask, is_crowd=is_crowd, attributes=attributes)
    picture = PictureFile(Path("a.png"))
    return ImageSample(file_name="a.png", size=(100, 100), objects=(each,), picture=picture, loose=loose)


def test_only_tightly_labelled_single_things_are_cut_out() -> None:
    assert usable(_sample()) == (0,)
    for sample in (_sample("rough"), _sample(stuff=True), _sample(multi=True), _sample(is_crowd=True)):
        assert usable(sample) == ()


def test_the_truth_is_where_the_pixels_changed() -> None:
    clip = composed(_grey(3), [_sprite()], [_path([(40, 40), (50, 60), (60, 80)], bend=0.03)])
    changed = np.abs(clip.frames.astype(int) - 120).max(3) > 40
    assert (changed == (clip.masks[0] > 0)).mean() > 0.995
    middles = [np.argwhere(mask).mean(0)[::-1] + 0.5 for mask in clip.masks[0]]
    assert np.allclose(middles, [(40, 40), (50, 60), (60, 80)], atol=1.5)
    assert clip.contrast[0] > 40


def test_the_nearer_sprite_takes_the_pixels_of_the_other() -> None:
    sprites = [_sprite(), _sprite((40, 40, 200))]
    paths = [_path([(64, 64)] * 3), _path([(20, 64), (54, 64), (64, 64)])]
    clip = composed(_grey(3), sprites, paths)
    assert not (clip.masks[0] & clip.masks[1]).any()
    areas = clip.masks.reshape(2, 3, -1).sum(2)
    assert areas[0, 0] == areas[1, 2]
    assert 0 < areas[0, 1] < 0.8 * areas[0, 0]  # partly covered
    assert areas[0, 2] < 0.05 * areas[0, 0]  # all of it
    assert clip.frames[2, 64, 64, 2] > clip.frames[2, 64, 64, 0]


def test_smear_and_shadow_change_pixels_not_truth() -> None:
    path = _path([(30, 60), (60, 60), (90, 60)])
    sharp = composed(_grey(3), [_sprite()], [path])
    moved = composed(_grey(3), [_sprite()], [path], shutter=0.5, shadow=0.5)
    assert (sharp.masks == moved.masks).all()
    assert (sharp.frames != moved.frames).any()
    below = moved.frames[1, 60 + 22, 60, :]
    assert below.max() < 118  # shaded


def test_a_sprite_that_leaves_is_absent_and_comes_back_or_not() -> None:
    gone = 0
    for seed in range(20):
        path = leaving(drawn_path(6, 128, _random(seed)), 128, 30, _random(seed))
        clip = composed(_grey(6), [_sprite()], [path])
        gone += int((clip.masks[0].reshape(6, -1).sum(1) == 0).any())
        assert (path.xy[0] > 0).all() and (path.xy[0] < 128).all()
    assert gone == 20


def test_paths_move_and_cross() -> None:
    paths = [drawn_path(6, 128, _random(seed)) for seed in range(40)]
    lengths = [np.abs(np.diff(path.xy, axis=0)).sum() for path in paths]
    assert np.median(lengths) > 5
    assert sum(length == 0 for length in lengths) < 15  # few stand still
    for seed, path in enumerate(paths):
        crossing = drawn_path(6, 128, _random(seed + 100), meets=path)
        assert np.hypot(*(crossing.xy - path.xy).T).min() < 0.06 * 128


def test_a_look_alike_is_like_it_and_not_the_same() -> None:
    first = _sprite()
    second = look_alike(first, _random(3))
    assert second.pixels.shape != first.pixels.shape or not np.allclose(second.pixels, first.pixels)
    colours = [p.pixels[p.pixels[:, :, 3] > 0.95][:, :3].mean(0) for p in (first, second)]
    assert np.abs(colours[0] - colours[1]).max() < 40


def test_matching_keeps_colours_possible_and_moves_them_towards_the_background() -> None:
    dark = np.full((64, 64, 3), 10, np.uint8)
    made = matched(_sprite(), dark, 1.0, _random(5)).pixels
    assert (made[:, :, :3] <= 255 * made[:, :, 3:] + 1e-3).all() and made.min() >= 0
    before = _sprite().pixels
    assert made[:, :, :3].sum() / made[:, :, 3].sum() < before[:, :, :3].sum() / before[:, :, 3].sum()


def test_fitting_enlarges_little() -> None:
    sprite, scale = fitted(_sprite(), 500, _random())
    assert scale <= 1.5 and max(sprite.pixels.shape[:2]) < 90
    sprite, _ = fitted(_sprite(), 20, _random())
    assert max(sprite.pixels.shape[:2]) == 20


def test_film_is_fresh_on_each_frame() -> None:
    frames = next(made for seed in range(20) if len(np.unique(made := filmed(_grey(2), _random(seed)))) > 9)
    assert (frames[0] != frames[1]).any()
    assert abs(frames.mean() - 120) < 3


def test_the_camera_stays_inside_and_moves_slowly() -> None:
    for seed in range(50):
        path = camera_path((90, 160), 6, 0.05, _random(seed))
        for (x, y, width, height), _ in path:
            assert x >= 0 and y >= 0 and x + width <= 160 + 1e-6 and y + height <= 90 + 1e-6
    whole = seen(made_picture(90, _random()), camera_path((90, 90), 6, 0.05, _random(2)), 64)
    assert whole.shape == (6, 64, 64, 3)
    assert 0 < np.abs(np.diff(whole.astype(int), axis=0)).mean() < 40


def test_a_window_of_the_whole_picture_is_the_picture() -> None:
    image = made_picture(64, _random(7))
    assert np.allclose(window_matrix((0.0, 0.0, 64.0, 64.0), 64), [[1, 0, 0], [0, 1, 0]])
    assert (seen(image, [((0.0, 0.0, 64.0, 64.0), 0.0)], 64)[0] == image).all()
    outside = seen(image, [((-64.0, 0.0, 64.0, 64.0), 0.0)], 64, outside=(1, 2, 3))[0]
    assert (outside[:, :63] == (1, 2, 3)).all()
