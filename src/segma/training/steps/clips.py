"""A training step on clips: prompt a frame or two, track the rest through the model's own memories.

SAM 2 section 12 of the specification. The frames are visited as in tracking: prompted frames first, then the
others in the order of time, each through a bank that `tasks.track_memory.select` fills as in a session.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from segma.models.interfaces import ImageFeatures, MemoryBank, PromptTensors
from segma.models.sam2.model import Sam2
from segma.tasks import track_follow, track_memory, track_steps
from segma.tasks.preprocess import normalize
from segma.tasks.track_config import TrackConfig
from segma.training.batch import ClipBatch
from segma.training.clicks import next_clicks
from segma.training.config import TrainConfig
from segma.training.steps.asking import Answer, Asking, Truth, ask, correct, logits_of, presence_loss
from segma.training.steps.result import StepResult

Kind = Literal["mask", "click", "box"]
# The logit of a mask that is not there.
_ABSENT = -1024.0


@dataclass(frozen=True, slots=True)
class _Objects:
    """The objects of one clip."""

    masks: UInt8[Tensor, "n frames size size"]
    known: Bool[Tensor, "n frames"]
    complete: Bool[Tensor, " n"]
    places: Tensor
    inside: Tensor
    weights: Tensor

    def truth(self, frame: int) -> Truth:
        """What is true on a frame."""
        return Truth.single(
            self.places[:, frame], self.inside[:, frame], self.weights[:, frame], self.masks[:, frame]
        )

    def visible(self, frame: int) -> Bool[Tensor, " n"]:
        """Which objects are to be seen."""
        return self.masks[:, frame].flatten(1).amax(1).bool() & self.known[:, frame]


@dataclass(slots=True)
class _Memories:
    """What all objects of a clip remember, by frame: maps and pointers, one for each object."""

    maps: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    logits: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    pointers: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    anchors: list[int] = field(default_factory=list[int])

    def masks_before(self, frame: int, motion: Float[Tensor, "size size 2"]) -> Tensor | None:
        """The masks of the frame before, moved as a session does; no gradients go back through them."""
        logits = self.logits.get(frame - 1)
        if logits is None:
            return None
        size, side = motion.shape[0], logits.shape[-1]
        whole = F.interpolate(logits.detach(), (size, size), mode="bilinear", align_corners=False)
        now = F.interpolate(track_follow.moved(whole, motion.float()), (side, side), mode="area")
        gone = (logits <= _ABSENT).flatten(1).all(1)
        return track_steps.masks_before([None if bool(gone[row]) else now[row, 0] for row in range(len(now))])

    def banks(self, model: Sam2, frame: int, frames: int, count: int) -> list[MemoryBank]:
        """What each object attends to on a frame."""
        chosen = track_memory.select(
            frame,
            reverse=False,
            anchors=self.anchors,
            recent={other: True for other in self.maps if other not in self.anchors},
            spec=model.memory_spec,
            config=TrackConfig(),
            num_frames=frames,
        )
        return [
            MemoryBank(
                maps=tuple(self.maps[other][row] for other, _ in chosen.maps),
                rows=tuple(place for _, place in chosen.maps),
                pointers=tuple(self.pointers[other][row] for other, _ in chosen.pointers),
                distances=tuple(distance for _, distance in chosen.pointers),
            )
            for row in range(count)
        ]


@dataclass(slots=True)
class _Sums:
    """Losses and numbers of a batch while they are gathered."""

    losses: list[Tensor] = field(default_factory=list[Tensor])
    count: int = 0
    numbers: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def note(self, name: str, values: Tensor) -> None:
        """Take values into the mean of a name."""
        self.numbers.setdefault(name, []).extend(float(value) for value in values)


def clip_step(model: Sam2, batch: ClipBatch, config: TrainConfig, generator: torch.Generator) -> StepResult:
    """The loss of a batch of clips, averaged over the objects and their frames."""
    sums = _Sums()
    for clip in range(len(batch.pixels)):
        rows = batch.clip == clip
        objects = _Objects(*(getattr(batch, name)[rows] for name in _Objects.__slots__))
        with torch.set_grad_enabled(config.clips.train_encoder and torch.is_grad_enabled()):
            frames = model.encode_frame(normalize(batch.pixels[clip].float(), model.input_spec))
        _follow(model, frames, batch.motion[clip], objects, config, generator, sums)
    loss = torch.stack(sums.losses).sum() / max(1, sums.count)
    numbers = {name: sum(values) / len(values) for name, values in sums.numbers.items() if values}
    return StepResult(loss, numbers)


def _follow(
    model: Sam2,
    frames: ImageFeatures,
    motion: Float[Tensor, "frames size size 2"],
    objects: _Objects,
    config: TrainConfig,
    generator: torch.Generator,
    sums: _Sums,
) -> None:
    """All frames of one clip."""
    count, num_frames = objects.known.shape
    kind, prompted = _plan(objects, config, generator)
    memories = _Memories()
    for frame in [*prompted, *(other for other in range(num_frames) if other not in prompted)]:
        seen = ImageFeatures(
            frames.embedding[frame : frame + 1], tuple(level[frame : frame + 1] for level in frames.fine)
        )
        truth, visible = objects.truth(frame), objects.visible(frame)
        if frame in prompted:
            memories.anchors.append(frame)
            if kind == "mask":
                logits, pointers, present = _given(model, seen, objects.masks[:, frame])
                _remember(model, seen, memories, frame, logits, pointers, present)
                continue
            features = _for_each(model.condition_first(seen), count)
            answer = _prompted(model, features, truth, visible, kind, config, generator, sums)
        else:
            conditioned = model.condition(seen, memories.banks(model, frame, num_frames, count))
            before = memories.masks_before(frame, motion[frame]) if model.memory_spec.follows_masks else None
            asking = Asking.nothing(_for_each(conditioned, count), count, before)
            answer = ask(model, asking, truth, config)
            _add(answer, visible, objects, frame, config, sums)
        logits, pointers, present = _decided(model, answer)
        _remember(model, seen, memories, frame, logits, pointers, present)


def _plan(objects: _Objects, config: TrainConfig, generator: torch.Generator) -> tuple[Kind, list[int]]:
    """How the clip is prompted, and on which frames: the first, and now and then another one."""
    draws = [float(draw) for draw in torch.rand(4, generator=generator)]
    kind: Kind = "click" if draws[1] < 0.5 else "box"
    if draws[0] < config.clips.mask_prompt:
        kind = "mask"
    frames = objects.known.shape[1]
    usable = [frame for frame in range(1, frames) if bool(objects.visible(frame).all())]
    if usable and draws[2] < config.clips.second_prompt:
        return kind, [0, usable[int(draws[3] * len(usable))]]
    return kind, [0]


def _prompted(
    model: Sam2,
    features: ImageFeatures,
    truth: Truth,
    visible: Bool[Tensor, " n"],
    kind: Kind,
    config: TrainConfig,
    generator: torch.Generator,
    sums: _Sums,
) -> Answer:
    """The last answer on a frame that is prompted by a click or a box and then corrected."""
    if kind == "click":
        nothing = torch.full((len(visible), *features.fine[0].shape[-2:]), -1.0, device=visible.device)
        xy, _ = next_clicks(truth.masks, nothing, inner=config.prompts.inner, generator=generator)
        asking = Asking.clicks(features, xy)
    else:
        asking = Asking(features, boxes=_boxes(truth.masks, config.prompts.jitter, generator))
    answer = ask(model, asking, truth, config)
    for number in range(config.clips.corrections + 1):
        if number:
            correct(asking, answer, truth, config, generator)
            answer = ask(model, asking, truth, config)
        present = torch.ones(len(visible), device=visible.device)
        loss = answer.loss + config.losses.presence * presence_loss(answer.decoded, present)
        sums.losses.append(loss.sum() / (config.clips.corrections + 1))
    sums.count += len(visible)
    sums.note("iou/prompted", answer.iou)
    return answer


def _add(
    answer: Answer,
    visible: Bool[Tensor, " n"],
    objects: _Objects,
    frame: int,
    config: TrainConfig,
    sums: _Sums,
) -> None:
    """Losses of a tracked frame: masks where the object is, presence where the labels tell."""
    told = objects.known[:, frame] & (visible | objects.complete)
    loss = torch.where(visible, answer.loss, torch.zeros_like(answer.loss))
    weight = torch.where(visible, 1.0, config.losses.absence)
    presence = presence_loss(answer.decoded, visible.float()) * told * weight
    sums.losses.append((loss + config.losses.presence * presence).sum())
    sums.count += int(told.sum())
    assert answer.decoded.object_score is not None
    there = answer.decoded.object_score.detach() > 0
    sums.note("iou/tracked", answer.iou[visible])
    sums.note("false_absent", (~there[visible]).float())
    sums.note("false_present", there[told & ~visible].float())


def _given(
    model: Sam2, seen: ImageFeatures, masks: UInt8[Tensor, "n size size"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, pointers and presence of masks that are the prompt: they are the answer themselves."""
    whole = masks[:, None].float()
    logits = logits_of(masks, seen.fine[0].shape[-1])
    asking = Asking.nothing(_for_each(seen, len(masks)), len(masks))
    prompts = PromptTensors(asking.coords, asking.labels, None, model.reduce_masks(whole))
    decoded = model.decode(asking.features, prompts)
    assert decoded.object_score is not None
    present = whole.flatten(1).amax(1) > 0
    first = torch.zeros(len(masks), dtype=torch.long, device=masks.device)
    return logits, model.pointers(decoded, first, present & (decoded.object_score > 0)), present


def _decided(model: Sam2, answer: Answer) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, pointers and presence as a session would keep them."""
    assert answer.decoded.object_score is not None
    present = answer.decoded.object_score.detach() > 0
    logits = torch.where(present.view(-1, 1, 1, 1), answer.logits, torch.full_like(answer.logits, _ABSENT))
    return logits, model.pointers(answer.decoded, answer.chosen, present), present


def _remember(
    model: Sam2,
    seen: ImageFeatures,
    memories: _Memories,
    frame: int,
    logits: Tensor,
    pointers: Tensor,
    present: Tensor,
) -> None:
    """Make the memory of a frame, with gradients."""
    size = model.input_spec.size
    masks = F.interpolate(logits, (size, size), mode="bilinear", align_corners=False).sigmoid()
    memories.maps[frame] = model.encode_memory(seen, masks, present)
    memories.pointers[frame] = pointers
    memories.logits[frame] = logits


def _for_each(features: ImageFeatures, count: int) -> ImageFeatures:
    """Features with a batch of `count`."""
    return ImageFeatures(
        features.embedding.expand(count, -1, -1, -1),
        tuple(level.expand(count, -1, -1, -1) for level in features.fine),
    )


def _boxes(
    masks: UInt8[Tensor, "n size size"], jitter: float, generator: torch.Generator
) -> Float[Tensor, "n 4"]:
    """Boxes x0, y0, x1, y1 around masks, each side moved by up to `jitter` of the extent; whole if empty."""
    size = masks.shape[-1]
    rows: list[Tensor] = []
    for mask in masks:
        ys, xs = (torch.nonzero(mask.any(axis))[:, 0] for axis in (1, 0))
        if not len(xs):
            rows.append(torch.tensor([0.0, 0.0, size - 1.0, size - 1.0]))
            continue
        box = torch.tensor([float(xs[0]), float(ys[0]), float(xs[-1]), float(ys[-1])])
        extent = torch.stack([box[2] - box[0], box[3] - box[1]]).repeat(2)
        moved = box + (torch.rand(4, generator=generator) * 2 - 1) * jitter * extent
        rows.append(moved.clamp(0, size - 1))
    return torch.stack(rows).to(masks.device)
