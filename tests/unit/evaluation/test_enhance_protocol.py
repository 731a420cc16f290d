"""Enhancers beside bicubic: what is compared with what, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stubs.enhancer import LATENTS, toy_enhancer
from stubs.tokenizer import smooth_clip, toy_tokenizer

from segma.evaluation.metrics.psnr_ssim import psnr, ssim
from segma.evaluation.protocols.enhance import run
from segma.media.resample import enlarged, reduced
from segma.runtime import Runtime
from segma.samples import ImageSample, PictureFile
from segma.tasks.enhance import Enhancement

CPU = Runtime(device="cpu", precision="fp32")


def sample(path: Path, height: int, width: int) -> ImageSample:
    Image.fromarray(smooth_clip(1, height, width)[0]).save(path)
    return ImageSample(file_name=path.name, size=(height, width), picture=PictureFile(path=path))


def test_ours_and_bicubic_of_the_same_reduced_picture(tmp_path: Path) -> None:
    tokenizer = toy_tokenizer(LATENTS)
    works = [
        Enhancement(network=toy_enhancer(), tokenizer=tokenizer, scale=scale, runtime=CPU) for scale in (2, 4)
    ]
    samples = [sample(tmp_path / "a.png", 31, 42), sample(tmp_path / "b.png", 3, 40)]
    samples.append(sample(tmp_path / "c.png", 8, 8))
    (tmp_path / "c.png").write_bytes(b"no picture")
    heard: list[tuple[int, int]] = []
    report = run(works, samples, on_progress=lambda done, total: heard.append((done, total)))
    assert heard[-1] == (3, 3)
    assert [part.name for part in report.parts] == [
        f"{scale}x{way}: {who}"
        for scale in (2, 4)
        for way in ("", " from codes")
        for who in ("bicubic", "ours")
    ]
    assert [text.partition(":")[0] for text in report.skipped] == ["b.png", "c.png"]
    picture = smooth_clip(1, 31, 42)[0]
    small = reduced(picture, 4)
    row = next(each for each in report.rows if each.mode == "4x: bicubic")
    truth = picture[:28, :40]
    assert row.values == {"psnr": psnr(enlarged(small, 4), truth), "ssim": ssim(enlarged(small, 4), truth)}
    ours = next(each for each in report.rows if each.mode == "4x: ours")
    assert ours.values["psnr"] == psnr(works[1].picture(small), truth)
    assert ours.values["gain"] == pytest.approx(ours.values["psnr"] - row.values["psnr"])
    assert ours.values["wins"] == float(ours.values["gain"] > 0)
    bare = run(works[:1], samples[:1], codes=False)
    assert len(bare.rows) == 2 and not bare.skipped
    assert np.isfinite(bare.mean("psnr", "2x: ours")) and "above bicubic" in bare.table()
