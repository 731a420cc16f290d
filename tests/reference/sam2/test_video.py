"""Twelve frames of real video through a session: two objects, a correction, both directions, masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor

from segma.masks.mask import Mask
from segma.media.source import FolderSource
from segma.models.sam2.model import Sam2
from segma.prompts.types import Box, FramePrompt, Points
from segma.runtime import Runtime
from segma.tasks.track import VideoSession
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_state import FrameMemory

Golden = dict[str, ndarray]
Read = Callable[[str], Golden]

# The original's order of work, and hole filling off, as its CPU build has it.
CONFIG = TrackConfig(fill_hole_area=0, before_first_prompt=True, cuts="ignore")


def session(shared: Path, network: Sam2) -> VideoSession:
    return VideoSession(
        network, FolderSource(shared / "media" / "bedroom"), CONFIG, runtime=Runtime(device="cpu")
    )


def points(*clicks: tuple[float, float, int]) -> FramePrompt:
    return FramePrompt(points=Points([(x, y) for x, y, _ in clicks], [label for *_, label in clicks]))


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> Mask:
    rows, columns = np.mgrid[:540, :960]
    return Mask.from_dense(((columns - x) / radius_x) ** 2 + ((rows - y) / radius_y) ** 2 < 1)


# After a correction: its frame is remembered as 0 and 1, so that the noise that twelve tracked frames have
# gathered (2e-3 of a logit) turns some 60 pixels over, and the memory differs by 1e-2 on average.
CORRECTED_SHARE, CORRECTED_MEMORY = 0.995, 2e-2
# Where a pixel of a prompted frame is 0 but for noise (object 2 of A has two), summing in another order turns
# it over: with one thread the score of frame 1 is 1e-7 off, with two 3e-4. Then the tolerance of later frames
# holds from the first on.
LATER = 4


class Watch:
    """Compares what a session holds of each frame with the recorded numbers, as the run goes on."""

    def __init__(self, video: VideoSession, golden: Golden) -> None:
        self.video, self.golden = video, golden
        self.compared = 0
        self.share, self.mean = 0.999, 1e-2

    def run(self, key: str, names: Iterable[str], steps: int = 0, **where: Any) -> None:
        """`steps`: how many frames were tracked before this run, for the tolerance."""
        for number, frame in enumerate(self.video.run(**where)):
            for name in names:
                self.compare(f"{key}/f{frame.index:02d}/o{name}", name, frame.index, number + steps)
                area = frame.records[name].compact.area
                assert abs(area - self.golden[f"{key}/f{frame.index:02d}/o{name}/area"]) <= 300

    def compare(self, key: str, name: str, frame: int, step: int) -> None:
        memory = self.video.track(name).memory(frame)
        assert memory is not None
        self.compared += 1
        if step and self.is_undecided(name):
            step = max(step, LATER)
        close = 1e-5 if step == 0 else 1e-4 if step == 1 else 3e-4 if step == 2 else 3e-3
        score = self.golden[f"{key}/score"].item()
        assert abs(memory.object_score - score) <= close, (key, memory.object_score, score)
        assert np.abs(memory.pointer.numpy() - self.golden[f"{key}/ptr"]).max() <= close, key
        assert bool(self.golden[f"{key}/cond"]) == (frame in self.video.track(name).anchors)
        self.logits(key, memory, step)
        if step > 0 and memory.spatial is not None:
            self.memory(key, memory.spatial, step)

    def logits(self, key: str, memory: FrameMemory, step: int) -> None:
        expected = self.golden[f"{key}/logits_s2"].astype(np.float32)
        off = np.abs(memory.low_res_logits.numpy()[::2, ::2] - expected)
        if step <= 2:
            assert (off <= 1.2e-2 + 1e-3 * np.abs(expected)).all(), (key, off.max())
        else:
            assert np.mean(off <= 3e-2 + 1e-3 * np.abs(expected)) >= self.share, (key, off.max())

    def is_undecided(self, name: str) -> bool:
        """Whether a prompted frame has pixels that noise may turn over when it is remembered as 0 and 1."""
        for memory in self.video.track(name).anchors.values():
            large = F.interpolate(memory.low_res_logits[None, None], (1024, 1024), mode="bilinear")
            if bool((large.abs() < 5e-5).any()):
                return True
        return False

    def memory(self, key: str, spatial: Tensor, step: int) -> None:
        ours = spatial.permute(2, 0, 1)[::8, ::8, ::8].float().numpy()
        expected = self.golden[f"{key}/mem_s"]
        off = np.abs(ours - expected)
        assert off.mean() <= (1e-3 if step <= 3 else self.mean), (key, off.mean())
        if step <= 3:  # two steps of bfloat16, which has 8 bits
            assert (off <= 2 * np.maximum(np.abs(expected), 1) * 2.0**-7).all(), key

    def answer(self, key: str, name: str, frame: int) -> None:
        """The mask that a prompting call gives."""
        record = self.video.record(name, frame)
        assert record is not None
        self.compared += 1
        assert abs(record.compact.area - self.golden[f"{key}/f{frame:02d}/o{name}/area"]) <= 30, key


@pytest.fixture(scope="module")
def after_a(shared: Path, tiny: Sam2, golden_file: Read) -> Watch:
    """Two objects on frame 0, followed to the end and compared on the way."""
    video = session(shared, tiny)
    watch = Watch(video, golden_file("video_A"))
    video.say("1", 0, points((210, 350, 1), (250, 220, 1)))
    watch.answer("A/add1", "1", 0)
    video.say("2", 0, FramePrompt(box=Box.of((300, 0, 500, 400))))
    watch.answer("A/add2", "2", 0)
    watch.run("A", ("1", "2"))
    return watch


@pytest.mark.timeout(900)
def test_two_objects_forward(after_a: Watch) -> None:
    assert after_a.compared == 2 + 24
    for name, frame in (("1", 6), ("2", 11), ("1", 0)):
        memory = after_a.video.track(name).memory(frame)
        assert memory is not None
        expected = after_a.golden[f"A/f{frame:02d}/o{name}/logits"].astype(np.float32)
        off = np.abs(memory.low_res_logits.numpy() - expected)
        assert np.mean(off <= 3e-2 + 1e-3 * np.abs(expected)) >= 0.999


@pytest.mark.timeout(900)
@pytest.mark.slow  # about a minute more on two quiet cores
def test_a_correction_and_both_directions(after_a: Watch, golden_file: Read) -> None:
    video = after_a.video
    watch = Watch(video, golden_file("video_B"))
    video.say("1", 6, points((82, 410, 0)))
    watch.answer("B/click6", "1", 6)
    watch.run("Bfwd", ("1", "2"), steps=6, first=6)
    watch.share, watch.mean = CORRECTED_SHARE, CORRECTED_MEMORY
    watch.run("Brev", ("1", "2"), steps=6, first=0, last=8, reverse=True)
    assert watch.compared == 1 + 2 * 6 + 2 * 9


@pytest.mark.timeout(900)
def test_masks_more_clicks_and_clearing(shared: Path, tiny: Sam2, golden_file: Read) -> None:
    video = session(shared, tiny)
    watch = Watch(video, golden_file("video_C"))
    video.say("7", 3, FramePrompt(mask=ellipse(400, 220, 120, 160)))
    watch.answer("C/mask3", "7", 3)
    video.say("8", 3, points((210, 350, 1), (250, 220, 1), (600, 100, 0)))
    watch.answer("C/click3", "8", 3)
    video.say("8", 3, points((150, 300, 1)))
    watch.answer("C/click3more", "8", 3)
    watch.run("Cfwd", ("7", "8"), first=3, last=5)
    watch.run("Crev", ("7", "8"), steps=2, first=0, last=3, reverse=True)
    video.clear("8", 3)
    assert 3 not in video.track("8").anchors and 3 in video.track("7").anchors
    assert watch.compared == 3 + 6 + 8


@pytest.mark.timeout(600)
def test_an_object_that_is_not_there(shared: Path, plain_tiny: Sam2, golden_file: Read) -> None:
    video = session(shared, plain_tiny)
    watch = Watch(video, golden_file("video_plain"))
    answer = video.say("1", 0, points((210, 350, 1), (250, 220, 1)))
    assert not answer.is_present and answer.compact.area == 0
    for frame in video.run(0, 2):
        memory = video.track("1").memory(frame.index)
        assert memory is not None and memory.low_res_logits.max() == -1024
        key = f"{next(iter(watch.golden)).split('/')[0]}/f{frame.index:02d}/o1"
        assert abs(memory.object_score - watch.golden[f"{key}/score"].item()) <= 3e-4
        torch.testing.assert_close(memory.pointer, plain_tiny.no_obj_ptr[0])
