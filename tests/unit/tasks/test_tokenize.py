"""Pictures and clips to codes and back: any size and length, as a stream and at once, large ones in tiles."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy import ndarray
from stubs.tokenizer import SMALL, smooth_clip, toy_tokenizer

from segma.checkpoints.load import load
from segma.errors import Cancelled, FormatError, InputError, ModelError
from segma.formats.codes import CodeGroup
from segma.models.interfaces import VisualTokenizer
from segma.models.omnitokenizer.model import OmniTokenizer, Stream
from segma.results import CodeGrid
from segma.runtime import Runtime
from segma.tasks.tokenize import (
    TokenizeConfig,
    decode,
    decode_groups,
    encode,
    encode_groups,
    grid_for,
    header_for,
)

CPU = Runtime(device="cpu", precision="fp32")
KL = replace(SMALL, num_codes=0)
OFFICIAL = replace(SMALL, temporal_layout="official", temporal_memory=0)
LOCAL = replace(SMALL, encoder_spatial="cw", decoder_spatial="c")
JOINT = replace(LOCAL, joint=True, shortcut=True)
IMAGES = replace(OFFICIAL, spatial_position="relative", temporal_patch=2)


@pytest.fixture(scope="module")
def network() -> OmniTokenizer:
    return toy_tokenizer()


def codes_of(network: OmniTokenizer, clip: ndarray, *, is_picture: bool = False) -> CodeGrid:
    size = (clip.shape[1], clip.shape[2])
    header = header_for(network, size, fps=None if is_picture else 25.0)
    return encode(network, list(clip), header, runtime=CPU)


def by_hand(network: OmniTokenizer, clip: ndarray, frames: int) -> torch.Tensor:
    """Padded pixels (1, 3, frames, 32, 48) of a clip of 20 x 36 pixels."""
    padded = np.pad(clip, ((0, frames - len(clip)), (0, 12), (0, 12), (0, 0)), mode="edge")
    return torch.tensor(padded).permute(3, 0, 1, 2)[None].float() / 255 - 0.5


def test_the_network_is_what_the_task_needs(network: OmniTokenizer) -> None:
    assert isinstance(network, VisualTokenizer)
    spec = network.code_spec
    assert (spec.num_codes, spec.channels, spec.patch, spec.side_multiple, spec.chunk) == (50, 0, 8, 16, 0)
    assert toy_tokenizer(KL).code_spec.channels == 8
    assert spec.attends_whole and not toy_tokenizer(LOCAL).code_spec.attends_whole
    assert toy_tokenizer(OFFICIAL).code_spec.chunk == 17
    assert toy_tokenizer(IMAGES).code_spec.chunk == 1
    assert grid_for(spec, (1, 17)) == (2, 4)


@pytest.mark.parametrize("frames", [1, 2, 5, 8, 11])
def test_a_stream_gives_the_codes_and_pixels_of_the_whole_clip(network: OmniTokenizer, frames: int) -> None:
    clip = smooth_clip(frames)
    grid = codes_of(network, clip)
    padded = 1 + -(-(frames - 1) // 4) * 4
    with torch.inference_mode():
        codes = network.encode_codes(by_hand(network, clip, padded))[0]
        pixels = network.decode_codes(codes[None])[0].permute(1, 2, 3, 0)
    assert grid.codes is not None and np.array_equal(grid.codes, codes.numpy())
    assert len(np.unique(grid.codes)) > 4, "random weights should use several codes"
    shown = ((pixels + 0.5).clamp(0, 1) * 255).numpy()[:frames, :20, :36]
    decoded = decode(network, grid, runtime=CPU)
    assert decoded.shape == (frames, 20, 36, 3) and decoded.dtype == np.uint8
    assert np.abs(decoded - shown).max() <= 0.51


@pytest.mark.parametrize("latents", [False, True], ids=["codes", "latents"])
def test_the_tokenizer_in_the_package_streams_as_it_does_the_whole_clip(latents: bool) -> None:
    module = load("tokenizer", CPU).module
    assert isinstance(module, OmniTokenizer)
    clip = (90 + 0.3 * smooth_clip(9, 64, 64)).astype(np.uint8)
    header = header_for(module, (64, 64), fps=25.0, latents=latents)
    given: list[int] = []
    frames = (given.append(number) or frame for number, frame in enumerate(clip))
    groups: list[CodeGroup] = []
    for group in encode_groups(module, frames, header, runtime=CPU):
        groups.append(group)
        assert len(given) <= sum(each.num_frames for each in groups) + 1, "a group comes with its frames"
    assert [group.num_frames for group in groups] == [1, 4, 4]
    pixels = torch.tensor(clip).permute(3, 0, 1, 2)[None].float() / 255 - 0.5
    with torch.inference_mode():
        at_once = (module.encode_latent if latents else module.encode_codes)(pixels)
        shown = (module.decode_latent if latents else module.decode_codes)(at_once)
    streamed = torch.tensor(np.stack([group.values for group in groups]))
    if latents:
        torch.testing.assert_close(streamed, at_once[0], atol=1e-4, rtol=1e-4)
    else:
        assert torch.equal(streamed.long(), at_once[0]) and len(streamed.unique()) > 50
    made = np.stack(list(decode_groups(module, groups, header, runtime=CPU)))
    truth = ((shown[0].permute(1, 2, 3, 0) + 0.5).clamp(0, 1) * 255).numpy()
    assert np.abs(made - truth).max() <= 0.51
    assert np.square(made - clip.astype(float)).mean() ** 0.5 < 20, "and it looks like the clip"


def test_a_picture_is_the_first_frame_of_its_clip(network: OmniTokenizer) -> None:
    clip = smooth_clip(6)
    picture, whole = codes_of(network, clip[:1], is_picture=True), codes_of(network, clip)
    assert picture.fps is None and np.array_equal(picture.values[0], whole.values[0])
    shown = decode(network, picture, runtime=CPU)
    assert shown.shape == (20, 36, 3)
    assert np.abs(shown.astype(int) - decode(network, whole, runtime=CPU)[0]).max() <= 1


def test_of_a_picture_nothing_is_remembered(network: OmniTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    [picture] = smooth_clip(1)
    wanted = codes_of(network, picture[None], is_picture=True)
    pixels = decode(network, wanted, runtime=CPU)
    for name in ("encoding_stream", "decoding_stream"):
        monkeypatch.setattr(OmniTokenizer, name, lambda _: pytest.fail("a clip's memory was made"))
    grid = codes_of(network, picture[None], is_picture=True)
    assert grid == wanted and np.array_equal(decode(network, grid, runtime=CPU), pixels)


def test_latents_come_back_as_means_and_decode() -> None:
    network = toy_tokenizer(KL)
    clip = smooth_clip(6)
    grid = codes_of(network, clip)
    with torch.inference_mode():
        mean = network.encode_gaussian(by_hand(network, clip, 9)).mean[0]
    assert grid.latent is not None and grid.latent.shape == (3, 4, 6, 8) and grid.codes is None
    assert np.allclose(grid.latent, mean.numpy(), atol=1e-5)
    assert decode(network, grid, runtime=CPU).shape == clip.shape


def test_a_model_with_both_gives_codes_or_latents() -> None:
    network = toy_tokenizer(JOINT)
    clip = smooth_clip(6)
    for latents in (False, True):
        header = header_for(network, (20, 36), fps=25.0, latents=latents)
        grid = encode(network, clip, header, runtime=CPU)
        assert (grid.latent is not None, grid.num_codes) == (latents, 0 if latents else 50)
        with torch.inference_mode():
            pixels = by_hand(network, clip, 9)
            if latents:
                shown = network.decode_latent(network.encode_latent(pixels))
            else:
                shown = network.decode_codes(network.encode_codes(pixels))
        truth = ((shown[0].permute(1, 2, 3, 0) + 0.5).clamp(0, 1) * 255).numpy()[:6, :20, :36]
        assert np.abs(decode(network, grid, runtime=CPU) - truth).max() <= 0.51
    with pytest.raises(ModelError, match="codes and no latents"):
        header_for(toy_tokenizer(), (20, 36), latents=True)


def test_tiles_are_larger_where_no_layer_attends_to_all_of_a_frame() -> None:
    whole, local = (toy_tokenizer(config).code_spec for config in (SMALL, LOCAL))
    assert TokenizeConfig().sides(whole) == (512, 64) and TokenizeConfig().sides(local) == (1024, 128)
    assert TokenizeConfig(tile_pixels=64, margin_pixels=0).sides(local) == (64, 0)


def test_official_models_take_chunks_each_by_itself() -> None:
    network = toy_tokenizer(OFFICIAL)
    clip = smooth_clip(20)
    grid = codes_of(network, clip)
    assert grid.chunk == 17 and [group.num_frames for group in grid.groups] == [1, 4, 4, 4, 4, 1, 2]
    with torch.inference_mode():
        first = network.encode_codes(by_hand(network, clip[:17], 17))[0]
        second = network.encode_codes(by_hand(network, clip[17:], 5))[0]
        pixels = network.decode_codes(second[None])[0].permute(1, 2, 3, 0)
    assert grid.codes is not None
    assert np.array_equal(grid.codes, torch.cat([first, second]).numpy())
    shown = ((pixels + 0.5).clamp(0, 1) * 255).numpy()[:3, :20, :36]
    assert np.abs(decode(network, grid, runtime=CPU)[17:] - shown).max() <= 0.51


def test_models_of_images_alone_take_frame_by_frame() -> None:
    network = toy_tokenizer(IMAGES)
    clip = smooth_clip(3)
    grid = codes_of(network, clip)
    assert grid.codes is not None and len(grid.codes) == 3
    alone = codes_of(network, clip[2:], is_picture=True)
    assert np.array_equal(grid.values[2], alone.values[0])
    assert decode(network, grid, runtime=CPU).shape == clip.shape


class Counting(OmniTokenizer):
    """The network, which also writes down how much its streams remember."""

    def __init__(self) -> None:
        super().__init__(SMALL)
        self.streams: list[Stream] = []

    def encoding_stream(self) -> Stream:
        self.streams.append(super().encoding_stream())
        return self.streams[-1]

    def decoding_stream(self) -> Stream:
        self.streams.append(super().decoding_stream())
        return self.streams[-1]

    def held(self) -> int:
        """Numbers in all streams."""
        pasts = [past for stream in self.streams for past in (*stream.spatial, *stream.temporal)]
        tensors = [each for past in pasts for each in (past.groups, past.keys, past.values)]
        return sum(each.numel() for each in tensors if each is not None)


def test_a_long_clip_takes_no_more_memory_and_no_more_frames_than_needed() -> None:
    taken: list[int] = []

    def frames() -> Iterator[ndarray]:
        for index, frame in enumerate(smooth_clip(45)):
            taken.append(index)
            yield frame

    counting = Counting().eval()
    held: list[int] = []
    groups: list[CodeGroup] = []
    header = header_for(counting, (20, 36), fps=25.0)
    for group in encode_groups(counting, frames(), header, runtime=CPU):
        groups.append(group)
        assert len(taken) == 1 + 4 * (len(groups) - 1), "a group waits for its own frames only"
        held.append(counting.held())
    assert held[3:] == [held[3]] * (len(held) - 3) and len(held) == 12
    counting.streams.clear()
    held = []
    for _ in decode_groups(counting, groups, header, runtime=CPU):
        held.append(counting.held())
    assert len(held) == 45 and len(set(held[13:])) == 1


def test_tiles_show_no_border_and_small_pictures_know_none(network: OmniTokenizer) -> None:
    clip = smooth_clip(5, height=70, width=150)
    header = header_for(network, (70, 150), fps=25.0)
    whole = encode(network, clip, header, runtime=CPU)
    tiled = TokenizeConfig(tile_pixels=48, margin_pixels=16)
    found = encode(network, clip, header, runtime=CPU, config=tiled)
    assert found.values.shape == whole.values.shape
    assert encode(network, clip, header, runtime=CPU, config=TokenizeConfig(tile_pixels=160)) == whole
    assert decode(network, whole, runtime=CPU, config=tiled).shape == clip.shape
    # what a model without attention sees of its surroundings is inside the margin: then tiles change nothing
    network = toy_tokenizer()
    for name, weight in network.named_parameters():
        if "to_out" in name:
            weight.zero_()
    still = encode(network, clip, header, runtime=CPU)
    assert encode(network, clip, header, runtime=CPU, config=tiled) == still
    shown = decode(network, still, runtime=CPU).astype(int)
    assert np.abs(decode(network, still, runtime=CPU, config=tiled) - shown).max() <= 1


def test_codes_of_another_model_are_refused(network: OmniTokenizer) -> None:
    grid = codes_of(network, smooth_clip(1), is_picture=True)
    for config, text in (
        (replace(SMALL, num_codes=64), "num codes 50, not 64"),
        (replace(SMALL, patch=4), "patch 8, not 4"),
        (replace(SMALL, temporal_patch=2), "temporal patch 4, not 2"),
        (KL, "num codes 50, not 0"),
        (OFFICIAL, "chunk 0, not 17"),
        (replace(SMALL, window=8), r"grid \(4, 6\), not \(8, 8\)"),
    ):
        with pytest.raises(ModelError, match=text) as caught:
            decode(toy_tokenizer(config), grid, runtime=CPU)
        assert caught.value.code == "model.task"
    with pytest.raises(ModelError, match="--model mine"):
        decode(toy_tokenizer(KL), replace(grid, model="mine"), runtime=CPU)


def test_wrong_frames_and_groups_are_told(network: OmniTokenizer) -> None:
    frames = [smooth_clip(1)[0], smooth_clip(1, height=24)[0]]
    with pytest.raises(InputError, match="Frame 1") as caught:
        list(encode_groups(network, iter(frames), header_for(network, (20, 36)), runtime=CPU))
    assert caught.value.code == "input.array"
    with pytest.raises(FormatError, match="no frames"):
        encode(network, [], header_for(network, (20, 36)), runtime=CPU)
    wrong = CodeGroup(values=np.full((4, 6), 50), num_frames=1)
    with pytest.raises(FormatError, match="outside the codebook"):
        list(decode_groups(network, [wrong], header_for(network, (20, 36)), runtime=CPU))
    with pytest.raises(InputError, match="Tiles of 0"):
        TokenizeConfig(tile_pixels=0)


def test_progress_is_told_and_cancelling_is_heard(network: OmniTokenizer) -> None:
    seen: list[tuple[int, int | None]] = []
    cancel = threading.Event()

    def on_progress(done: int, total: int | None) -> None:
        seen.append((done, total))
        if done == 5:
            cancel.set()

    header = header_for(network, (20, 36), fps=25.0)
    with pytest.raises(Cancelled):
        encode(network, smooth_clip(12), header, runtime=CPU, on_progress=on_progress, cancel=cancel)
    assert seen == [(1, None), (5, None)]
