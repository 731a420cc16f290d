"""One image, many questions: encode once, then masks for points, boxes, masks and embeddings.

Invariants of `ImageSession`: the embedding belongs to `image` and never changes; asking changes nothing but
the parts kept for a second look, so any number of threads may ask (the lock queues them).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from segma.errors import PromptError
from segma.geometry.transforms import Transform
from segma.masks.mask import Mask
from segma.models.interfaces import Decoded, ImageFeatures, JudgesViews, Promptable, PromptTensors
from segma.prompts.types import MaskPrompt, PromptSet
from segma.results import MaskRecord, Prediction
from segma.runtime import Runtime, memory_errors
from segma.tasks import postprocess, views
from segma.tasks.choice import first_candidate, single_masks
from segma.tasks.preprocess import alike, fit, image_to_model, mask_prompt, pack_prompts
from segma.tasks.second_look import LookConfig, Window, in_window, placed, usual_look, window_of
from segma.tasks.views import View


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedImage:
    """What the network knows of one image; made by `encode`, read by every question."""

    features: ImageFeatures
    shared: Any  # each model's own tensors, see models.interfaces
    transform: Transform


@dataclass(slots=True)
class ImageSession:
    """An image that can be asked about. Use as a context or just drop it; nothing needs closing.

    `source` is the file's name, for messages and results. `look` is for models that see small things badly:
    these are then looked at again, closer.
    """

    model: Promptable
    image: UInt8[ndarray, "height width 3"]
    runtime: Runtime = field(default_factory=Runtime)
    source: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    encoded: EncodedImage = field(init=False, repr=False)
    encode_seconds: float = field(init=False, default=0.0)
    look: LookConfig | None = None
    parts: dict[Window, EncodedImage] = field(
        init=False, repr=False, default_factory=dict[Window, EncodedImage]
    )

    def __post_init__(self) -> None:
        start = time.perf_counter()
        with self.lock:
            self.encoded = encode(self.model, self.image, self.runtime)
        self.encode_seconds = time.perf_counter() - start

    def __enter__(self) -> ImageSession:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @property
    def size(self) -> tuple[int, int]:
        """Height, width."""
        return self.encoded.transform.image_size

    def segment(
        self,
        *,
        points: Sequence[Sequence[float | int]] | ndarray | None = None,
        labels: Sequence[int] | ndarray | None = None,
        box: Sequence[float | int] | ndarray | None = None,
        mask: Bool[ndarray, "height width"] | None = None,
        previous: MaskRecord | None = None,
        embedding: Float[ndarray, "n dim"] | None = None,
        candidates: int = 1,
        normalized: bool = False,
    ) -> Prediction:
        """Masks for one object, best first.

        `points` (n, 2) and `box` (4) are image pixels, x first, or fractions if `normalized`; `labels` 1
        (include) or 0. `mask` is a rough mask of the image, `previous` a record of an earlier answer to
        improve on. `candidates` up to 3. Raises PromptError.
        """
        prompt = PromptSet.of(
            points=points,
            labels=labels,
            box=box,
            mask=self._mask_prompt(mask, previous),
            embedding=embedding,
        )
        return self.predict([prompt], candidates=candidates, normalized=normalized)

    def predict(
        self, prompts: Sequence[PromptSet], *, candidates: int = 1, normalized: bool = False
    ) -> Prediction:
        """Masks for many objects at once; `record.prompt_index` says whose. Raises PromptError."""
        if not 1 <= candidates <= 3:
            raise PromptError("prompt.shape", f"{candidates} candidates: there are 1 to 3 of a prompt.")
        if normalized:
            prompts = [prompt.denormalized(self.size) for prompt in prompts]
        for prompt in prompts:
            prompt.check_inside(self.size)
        start = time.perf_counter()
        answers: dict[int, list[MaskRecord]] = {}
        with self.lock, memory_errors(), torch.inference_mode():
            at_scales = [index for index, prompt in enumerate(prompts) if self._deserves_views(prompt)]
            at_once = [index for index in range(len(prompts)) if index not in at_scales]
            for indices, decoded in self._decode(prompts, at_once):
                for row, index in enumerate(indices):
                    prompt, transform = prompts[index], self.encoded.transform
                    answers[index] = self._records(decoded, row, index, prompt, candidates, transform)
            if self.look is not None:
                for index, records in answers.items():
                    answers[index] = self._looked_again(prompts[index], records, candidates, self.look)
            for index in at_scales:
                answers[index] = self._at_scales(prompts[index], index, candidates)
        records = tuple(record for index in sorted(answers) for record in answers[index])
        return Prediction(
            size=self.size,
            records=records,
            source=self.source,
            image=self.image,
            timings={"encode": self.encode_seconds, "decode": time.perf_counter() - start},
        )

    def _decode(
        self, prompts: Sequence[PromptSet], numbers: Sequence[int]
    ) -> Iterator[tuple[list[int], Decoded]]:
        """The prompts of these numbers through the decoder, those that are alike together, a few at once."""
        spec, device = self.model.input_spec, self.runtime.torch_device
        step = self.runtime.prompts_at_once
        for group in alike([prompts[number] for number in numbers]):
            for start in range(0, len(group), step):
                indices = [numbers[place] for place in group[start : start + step]]
                chosen = [prompts[index] for index in indices]
                tensors = pack_prompts(chosen, self.encoded.transform, spec, device)
                yield indices, decode(self.model, self.encoded, tensors)

    def _records(
        self,
        decoded: Decoded,
        row: int,
        index: int,
        prompt: PromptSet,
        candidates: int,
        transform: Transform,
    ) -> list[MaskRecord]:
        """The answers to one prompt of a decoded batch, best first."""
        predicted_iou = decoded.predicted_iou[row].float().cpu().numpy()
        first = first_candidate(self.model.input_spec)
        order = postprocess.candidate_order(predicted_iou, prompt, candidates, first)
        if list(order) == [0]:
            order = [int(single_masks(self.model, decoded)[row])]
        drawn = self._drawn(decoded, row, order, prompt, transform)
        return [
            self._record(logits, float(predicted_iou[number]), index, prompt, transform)
            for number, logits in zip(order, drawn, strict=True)
        ]

    def _drawn(
        self, decoded: Decoded, row: int, order: Sequence[int], prompt: PromptSet, transform: Transform
    ) -> Float[ndarray, "masks side side"]:
        """Low-resolution logits of some masks of one prompt of a decoded batch."""
        chosen = torch.tensor(order, device=decoded.predicted_iou.device)
        drawn = self.model.render_masks(decoded, torch.full_like(chosen, row), chosen).cpu().numpy()
        if not self.model.input_spec.looks_twice:
            return drawn
        return np.stack([self._clicked(logits, prompt, transform) for logits in drawn])

    def _record(
        self,
        low_res_logits: Float[ndarray, "side side"],
        predicted_iou: float,
        index: int,
        prompt: PromptSet,
        transform: Transform,
    ) -> MaskRecord:
        """The record of one mask, at the size of what was encoded."""
        logits = postprocess.to_image_size(low_res_logits, transform)
        return MaskRecord(
            compact=Mask.from_dense(logits > self.model.mask_threshold),
            predicted_iou=predicted_iou,
            stability_score=postprocess.stability_score(logits, self.model.mask_threshold, 1.0),
            prompt_index=index,
            points=prompt.points.xy if prompt.points else (),
            low_res_logits=low_res_logits,
        )

    def _deserves_views(self, prompt: PromptSet) -> bool:
        """Whether a prompt is asked about at several scales: a single click on something."""
        if self.look is None or not isinstance(self.model, JudgesViews) or not self.model.views:
            return False
        return prompt.is_ambiguous and prompt.points is not None and bool(prompt.points.labels[0])

    def views_of(self, prompt: PromptSet, shares: Sequence[float]) -> list[View]:
        """What one click finds in the whole image and in parts of it; see `tasks.views`."""
        assert prompt.points is not None
        height, width = self.size
        look = self.look or LookConfig()
        around = views.windows(prompt.points.xy[0], self.size, shares)
        found: list[View] = []
        for window in [(0, 0, width, height), *around]:
            is_whole = window == (0, 0, width, height)
            part = self.encoded if is_whole else self._part(window, look)
            asked = prompt if is_whole else in_window(prompt, window, self.size)
            decoded = self._decoded(part, asked)
            numbers = range(decoded.predicted_iou.shape[1])
            drawn = self._drawn(decoded, 0, numbers, asked, part.transform)
            found.append(View(window, drawn, decoded.predicted_iou[0].float().cpu().numpy()))
        return found

    def _at_scales(self, prompt: PromptSet, index: int, candidates: int) -> list[MaskRecord]:
        """The best answers to a click of those at all scales."""
        assert isinstance(self.model, JudgesViews)
        found = self.views_of(prompt, self.model.views)
        features = views.describe(found, self.size)
        scores = self.model.judge_views(torch.from_numpy(features)[None])[0].cpu().numpy()  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
        num_masks, overlaps = len(found[0].predicted_iou), views.overlaps_in(features, len(scores))
        cut, records = views.cut_off(features, len(scores)), list[MaskRecord]()
        order = views.best_first(scores, overlaps, candidates, cut)
        # an estimate is never above that of a better candidate
        for number, estimate in zip(order, np.minimum.accumulate(scores[order]), strict=True):
            view, mask = found[number // num_masks], number % num_masks
            records.append(self.record_of(view, mask, float(estimate), index, prompt))
        return records

    def record_of(
        self, view: View, mask: int, predicted_iou: float, index: int, prompt: PromptSet
    ) -> MaskRecord:
        """A mask of a view as a record of the whole image; `prompt` is the one about the whole."""
        x0, y0, x1, y1 = view.window
        part = fit((y1 - y0, x1 - x0), self.model.input_spec)
        record = self._record(view.low_res_logits[mask], predicted_iou, index, prompt, part)
        if (y1 - y0, x1 - x0) == self.size:
            return record
        return placed(record, view.window, prompt, self.size)

    def _decoded(self, encoded: EncodedImage, prompt: PromptSet) -> Decoded:
        """One prompt on the whole image or a part of it."""
        spec, device = self.model.input_spec, self.runtime.torch_device
        return decode(self.model, encoded, pack_prompts([prompt], encoded.transform, spec, device))

    def _clicked(
        self, low_res_logits: Float[ndarray, "side side"], prompt: PromptSet, transform: Transform
    ) -> Float[ndarray, "side side"]:
        """Without the pieces that were not clicked on, where there are clicks and no box."""
        if prompt.points is None or prompt.box is not None:
            return low_res_logits
        scale = transform.scale * (len(low_res_logits) / transform.model_size)
        included = [xy for xy, label in zip(prompt.points.xy, prompt.points.labels, strict=True) if label]
        cells = [((x + 0.5) * float(scale[0]), (y + 0.5) * float(scale[1])) for x, y in included]
        return postprocess.only_clicked(low_res_logits, cells)

    def _looked_again(
        self, prompt: PromptSet, records: list[MaskRecord], candidates: int, look: LookConfig
    ) -> list[MaskRecord]:
        """The answers from a part of the picture, or those that there are where the whole will do."""
        window = window_of(prompt, records[0].compact, self.size, look, self.parts)
        if window is None:
            return records
        if prompt.mask is None and prompt.num_clicks > 1 and prompt.box is None:  # as if clicked one by one
            assert records[0].low_res_logits is not None
            prompt = replace(prompt, mask=MaskPrompt(records[0].low_res_logits))
        part, asked = self._part(window, look), in_window(prompt, window, self.size)
        decoded = self._decoded(part, asked)
        index = records[0].prompt_index
        again = self._records(decoded, 0, index, asked, candidates, part.transform)
        return [placed(record, window, prompt, self.size) for record in again]

    def _part(self, window: Window, look: LookConfig) -> EncodedImage:
        """The embedding of a part of the picture, kept for the next clicks."""
        part = self.parts.pop(window, None)
        if part is None:
            x0, y0, x1, y1 = window
            part = encode(self.model, np.ascontiguousarray(self.image[y0:y1, x0:x1]), self.runtime)
        while len(self.parts) >= look.kept:
            del self.parts[next(iter(self.parts))]
        self.parts[window] = part
        return part

    def _mask_prompt(
        self, mask: Bool[ndarray, "height width"] | None, previous: MaskRecord | None
    ) -> MaskPrompt | None:
        """The mask prompt of a person's mask or of an earlier answer."""
        if previous is not None:
            if previous.low_res_logits is None:
                raise PromptError(
                    "prompt.shape",
                    "The earlier answer came without its logits (it was loaded from a file).",
                    "Give its mask: mask=record.mask.",
                )
            return MaskPrompt(previous.low_res_logits)
        if mask is None:
            return None
        if mask.shape != self.size:
            found = f"{mask.shape[1]}x{mask.shape[0]}"
            raise PromptError(
                "prompt.shape", f"The mask is {found}, the image {self.size[1]}x{self.size[0]}."
            )
        return mask_prompt(mask, self.model.input_spec)


def usual_session(
    model: Promptable,
    image: UInt8[ndarray, "height width 3"],
    runtime: Runtime,
    source: str = "",
    lock: threading.Lock | None = None,
) -> ImageSession:
    """A session as users get it: with the second look that goes with the model."""
    look = usual_look(model.input_spec)
    return ImageSession(model, image, runtime, source, lock or threading.Lock(), look=look)


def encode(model: Promptable, image: UInt8[ndarray, "height width 3"], runtime: Runtime) -> EncodedImage:
    """The embedding of an image. Raises MemoryLimitError."""
    with memory_errors(), torch.inference_mode():
        pixels, transform = image_to_model(image, model.input_spec, runtime.torch_device)
        features = model.encode_image(pixels)
        return EncodedImage(features=features, shared=model.share(features), transform=transform)


def decode(model: Promptable, encoded: EncodedImage, tensors: PromptTensors) -> Decoded:
    """Qualities of all masks of a batch of prompts on an encoded image."""
    return model.decode(encoded.features, tensors, encoded.shared)
