"""Pictures made larger: tiles and the whole are one, sizes of all kinds, what fits what."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from stubs.enhancer import LATENTS, TOY, toy_enhancer
from stubs.tokenizer import SMALL, smooth_clip, toy_tokenizer

from segma.errors import Cancelled, InputError, ModelError
from segma.media.resample import enlarged, reduced
from segma.models.omnitokenizer.enhancer import Enhancer
from segma.models.omnitokenizer.enhancer_config import VARIANTS, EnhancerConfig
from segma.runtime import Runtime
from segma.tasks import enhance

CPU = Runtime(device="cpu", precision="fp32")


def enhancement(scale: int = 2, *, sizes: EnhancerConfig = TOY, tile: int = 256) -> enhance.Enhancement:
    tokenizer = toy_tokenizer(LATENTS) if sizes.channels else None
    network = toy_enhancer(sizes)
    return enhance.Enhancement(
        network=network, tokenizer=tokenizer, scale=scale, runtime=CPU, tile_pixels=tile
    )


def test_a_network_that_says_nothing_is_bicubic() -> None:
    network = toy_enhancer()
    for each in network.heads.parameters():
        torch.nn.init.zeros_(each)
    [picture] = smooth_clip(1, 21, 35)
    off = replace(enhancement(4), network=network).picture(picture).astype(int) - enlarged(picture, 4)
    assert np.abs(off).mean() < 0.3 and np.abs(off).max() <= 4  # Pillow clips and rounds between two passes


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("channels", [8, 0])
def test_a_picture_in_tiles_is_the_picture_done_at_once(scale: int, channels: int) -> None:
    sizes = replace(TOY, channels=channels)
    [picture] = smooth_clip(1, 61, 83)
    whole = enhancement(scale, sizes=sizes).picture(picture)
    heard: list[tuple[int, int | None]] = []
    tiled = enhancement(scale, sizes=sizes, tile=16).picture(picture, lambda *step: heard.append(step))
    assert whole.shape == (61 * scale, 83 * scale, 3)
    assert np.abs(whole.astype(int) - enlarged(picture, scale).astype(int)).max() > 5
    assert int(np.abs(whole.astype(int) - tiled.astype(int)).max()) <= 1  # sums in another order
    assert heard == [(number, 24) for number in range(1, 25)]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (16, 16), (17, 9)])
def test_pictures_of_all_sizes_and_clips_frame_by_frame(size: tuple[int, int]) -> None:
    clip = smooth_clip(2, *size)
    made = list(enhancement().frames(iter(clip)))
    assert [frame.shape for frame in made] == [(2 * size[0], 2 * size[1], 3)] * 2
    assert np.array_equal(made[1], enhancement().picture(clip[1]))


def test_latents_are_looked_at() -> None:
    [picture] = smooth_clip(1, 32, 32)
    ours, other = enhancement(), replace(enhancement(), tokenizer=toy_tokenizer(LATENTS, seed=1))
    assert not np.array_equal(ours.picture(picture), other.picture(picture))


def test_what_does_not_fit_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"cannot be made 3 times larger\. 2 or 4\.") as wrong:
        enhancement(3)
    assert wrong.value.code == "input.value"
    for tokenizer, said in ((None, "no tokenizer"), (toy_tokenizer(SMALL), "latents of 0 channels")):
        with pytest.raises(ModelError, match=f"latents of 8 channels, here: {said}"):
            replace(enhancement(), tokenizer=tokenizer)
    with pytest.raises(InputError, match="Tiles of 0 pixels"):
        enhancement(tile=0)
    replace(enhancement(sizes=replace(TOY, tokenizer="abc")), weights="def")
    assert "latents of another tokenizer" in caplog.text
    monkeypatch.setattr(enhance, "MAX_PIXELS", 1000)
    with pytest.raises(InputError, match=r"20x20 pixels would become 40x40, over 1,000") as large:
        enhancement().picture(smooth_clip(1, 20, 20)[0])
    assert large.value.code == "input.too_large"
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        enhancement().picture(smooth_clip(1, 8, 8)[0], cancel=stop)


def test_the_small_one_is_small_and_sizes_make_sense() -> None:
    with torch.device("meta"):
        network = Enhancer(VARIANTS["omnitokenizer_enhancer_small"])
    assert 2 * sum(each.numel() for each in network.parameters()) < 2**20
    assert network.enhance_spec.reach == 18
    for wrong in (
        {"dim": 0},
        {"blocks": 0},
        {"channels": -1},
        {"scales": ()},
        {"scales": (4, 2)},
        {"scales": (99,)},
    ):
        with pytest.raises(ModelError, match=r"An? enhancer configuration makes no sense"):
            EnhancerConfig(**wrong)  # pyright: ignore[reportArgumentType]  wrong on purpose


def test_reduced_and_enlarged() -> None:
    picture = np.full((9, 7, 3), 77, np.uint8)
    assert reduced(picture, 4).shape == (2, 1, 3) and (reduced(picture, 4) == 77).all()
    assert enlarged(picture[..., 0], 2).shape == (18, 14)
