"""Tokenizers measured beside k-means, principal components, WebP and H.264."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from stubs.tokenizer import SMALL, smooth_clip, toy_tokenizer

from segma.datasets import promptbench
from segma.errors import InputError
from segma.evaluation.code_peers import FitConfig, fit_peers, patches_of
from segma.evaluation.data import unlabelled
from segma.evaluation.metrics.psnr_ssim import psnr
from segma.evaluation.pixels import square_of, squares_of
from segma.evaluation.protocols.tokens import TokensConfig, run
from segma.media.footage import middle_of
from segma.runtime import Runtime
from segma.samples import ImageSample, PictureFile, VideoSample

CPU = Runtime(device="cpu", precision="fp32")
QUICK = TokensConfig(size=32, clip_size=16, frames=5, fitting=FitConfig(patches=400, rounds=3))
BOTH = replace(SMALL, joint=True)


@pytest.fixture
def data(tmp_path: Path) -> list[ImageSample | VideoSample]:
    """Four pictures and three clips of seven frames in folders, no two alike."""
    for number in range(4):
        Image.fromarray(smooth_clip(1, 48, 64, seed=number)[0]).save(tmp_path / f"{number}.png")
    found: list[ImageSample | VideoSample] = list(unlabelled(tmp_path))
    for number in range(3):
        folder = tmp_path / f"clip{number}"
        folder.mkdir()
        for index, frame in enumerate(smooth_clip(7, 24, 40, seed=9 + number)):
            Image.fromarray(frame).save(folder / f"{index}.png")
        pictures = tuple(PictureFile(folder / f"{index}.png") for index in range(7))
        clip = VideoSample(name=folder.name, size=(24, 40), num_frames=7, fps=10.0, pictures=pictures)
        found.append(clip)
    return found


def test_all_ways_stand_side_by_side_at_one_rate(data: list[ImageSample | VideoSample]) -> None:
    told: list[tuple[int, int]] = []
    report = run(toy_tokenizer(BOTH), data, QUICK, runtime=CPU, on_progress=lambda *done: told.append(done))
    assert [part.name for part in report.parts] == [
        "pictures: codes", "pictures: k-means", "pictures: WebP", "pictures: latents", "pictures: PCA",
        "clips: codes", "clips: k-means", "clips: H.264", "clips: latents", "clips: PCA",
        "both: codes", "both: k-means",
    ]  # fmt: skip
    assert told == [(number, 7) for number in range(1, 8)] and report.skipped == ()
    for kind, codes, latents in (("pictures", 6 / 64, 16 * 8 / 64), ("clips", 0.0375, 0.8)):
        for way in ("codes", "k-means"):
            assert report.mean("bits_per_pixel", f"{kind}: {way}") == pytest.approx(codes)
        for way in ("latents", "PCA"):
            assert report.mean("bits_per_pixel", f"{kind}: {way}") == pytest.approx(latents)
    for way in ("pictures: k-means", "pictures: PCA", "clips: PCA", "clips: k-means"):
        assert report.mean("psnr", way) > report.mean("psnr", f"{way.partition(':')[0]}: codes") + 5
        ours = "latents" if way.endswith("PCA") else "codes"
        gap = report.mean("psnr", f"{way.partition(':')[0]}: {ours}") - report.mean("psnr", way)
        assert report.mean("gain", way) == pytest.approx(gap)
    assert report.mean("fits", "pictures: WebP") == 0, "12 bytes are too few for any WebP"
    assert 0 < report.mean("codes_used", "pictures: codes") <= report.mean("codes_used", "both: codes") <= 1
    assert 1 <= report.mean("perplexity", "both: codes") <= 50
    json.dumps(report.to_dict(), allow_nan=False)


def test_peers_are_fitted_to_what_is_given_or_to_the_other_half(
    data: list[ImageSample | VideoSample],
) -> None:
    pictures = data[:4]
    network = toy_tokenizer()
    seen = run(network, pictures, QUICK, fit=pictures, runtime=CPU)
    unseen = run(network, pictures, QUICK, runtime=CPU)
    assert seen.mean("psnr", "pictures: k-means") > unseen.mean("psnr", "pictures: k-means") + 0.5
    assert (seen.settings["fit"], unseen.settings["fit"]) == ("given", "the other half of the data")
    alone = run(network, pictures[:1], QUICK, runtime=CPU)
    assert [part.name for part in alone.parts] == ["pictures: codes", "pictures: WebP"], "there is no half"
    assert alone.skipped == ("pictures: there is nothing to fit k-means and components to",)
    assert run(network, pictures, QUICK, fit=pictures, runtime=CPU).rows == seen.rows, "the seed decides"
    bare = run(network, pictures, replace(QUICK, peers=False), runtime=CPU)
    assert [part.name for part in bare.parts] == ["pictures: codes"]


def test_what_cannot_be_measured_is_said(data: list[ImageSample | VideoSample], tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"none")
    short = replace(data[-1], name="short", pictures=data[-1].pictures[:3])  # type: ignore[union-attr]
    lost = VideoSample(name="lost", size=(24, 40), num_frames=7)
    report = run(toy_tokenizer(), [*data[:4], short, lost], QUICK, runtime=CPU)
    assert report.part("pictures: codes").count == 3
    said = " ".join(report.skipped)
    assert "1.png" in said and "short: 3 frames, expected 5 or more" in said and "lost" in said
    assert "not fitted to 1.png" in said
    images_alone = replace(SMALL, temporal_layout="official", spatial_position="relative", temporal_memory=0)
    report = run(toy_tokenizer(images_alone), data, replace(QUICK, peers=False), runtime=CPU)
    assert "3 clips: the model is one of pictures" in report.skipped


@pytest.mark.parametrize(
    "wrong", [{"size": 40}, {"clip_size": 20}, {"frames": 4}, {"size": 0}, {"frames": -3}]
)
def test_sizes_that_codes_do_not_divide_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        run(toy_tokenizer(), [], replace(QUICK, **wrong), runtime=CPU)


def test_k_means_knows_a_patch_by_heart_and_components_a_line() -> None:
    spec = toy_tokenizer(BOTH).code_spec
    rng = np.random.default_rng(3)
    few = rng.integers(0, 256, (50, 8, 8, 3), np.uint8)
    picture = np.concatenate([np.concatenate(few[row : row + 10], 1) for row in range(0, 50, 10)], 0)[None]
    fitting = FitConfig(patches=50, rounds=2)
    peers = fit_peers([picture], 1, spec, fitting, torch.Generator().manual_seed(0))
    assert peers is not None and peers.group is None
    made, codes = peers.by_codes(picture)
    assert np.array_equal(made, picture) and sorted(codes) == list(range(50)), "as many codes as patches"
    assert patches_of(picture, spec)[1] is None
    steps = rng.uniform(-1, 1, (8, 192))
    mixed = rng.uniform(-10, 10, (400, 8)) @ steps / 2
    flat = np.clip(mixed + 128, 0, 255).reshape(20, 20, 3, 8, 8).transpose(0, 3, 1, 4, 2)
    flat = flat.reshape(160, 160, 3).round().astype(np.uint8)[None]
    peers = fit_peers([flat], 1, spec, replace(fitting, patches=400), torch.Generator().manual_seed(0))
    assert peers is not None
    assert psnr(peers.by_numbers(flat)[0], flat[0]) > 55, "eight numbers hold all but the rounding"
    assert fit_peers([], 0, spec, fitting, torch.Generator()) is None


def test_the_middle_of_pictures_and_clips(data: list[ImageSample | VideoSample]) -> None:
    picture, clip = data[0], data[-1]
    assert isinstance(picture, ImageSample) and isinstance(clip, VideoSample)
    whole = np.zeros((40, 60, 3), np.uint8)
    whole[:, 10:50] = 200
    assert np.array_equal(middle_of(whole, (20, 20)), np.full((20, 20, 3), 200))
    assert square_of(picture, 32).shape == (1, 32, 32, 3)
    original = smooth_clip(7, 24, 40, seed=11)
    found = squares_of(clip, 24, 5)
    assert np.array_equal(found, original[1:6, :, 8:32])
    assert len(squares_of(clip, 24, 41, group=4)) == 5 and len(squares_of(clip, 24, 3)) == 3
    with pytest.raises(InputError, match="pixels"):
        square_of(replace(picture, picture=None), 32)


@pytest.mark.slow  # two halves of k-means and WebP's search over real files
def test_real_photos_and_clips(shared: Path) -> None:
    everything = list(promptbench.read(shared / "realdev"))
    samples = [*everything[:10], *everything[-2:]]
    report = run(toy_tokenizer(BOTH), samples, TokensConfig(fitting=FitConfig(patches=5000)), runtime=CPU)
    assert report.part("pictures: WebP").count == 10 and report.part("clips: H.264").count == 2
    assert report.mean("psnr", "pictures: PCA") > 24 and report.skipped == ()
