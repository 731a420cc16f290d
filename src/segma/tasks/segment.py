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
from segma.models.interfaces import Decoded, ImageFeatures, Promptable, PromptTensors
from segma.prompts.types import MaskPrompt, PromptSet
from segma.results import MaskRecord, Prediction
from segma.runtime import Runtime, memory_errors
from segma.tasks import postprocess
from segma.tasks.choice import single_masks
from segma.tasks.preprocess import alike, image_to_model, mask_prompt, pack_prompts
from segma.tasks.second_look import LookConfig, Window, in_window, placed, window_of


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
            for indices, decoded in self._decode(prompts):
                for row, index in enumerate(indices):
                    prompt, transform = prompts[index], self.encoded.transform
                    answers[index] = self._records(decoded, row, index, prompt, candidates, transform)
            if self.look is not None:
                for index, records in answers.items():
                    answers[index] = self._looked_again(prompts[index], records, candidates, self.look)
        records = tuple(record for index in sorted(answers) for record in answers[index])
        return Prediction(
            size=self.size,
            records=records,
            source=self.source,
            image=self.image,
            timings={"encode": self.encode_seconds, "decode": time.perf_counter() - start},
        )

    def _decode(self, prompts: Sequence[PromptSet]) -> Iterator[tuple[list[int], Decoded]]:
        """Prompts through the decoder, those that are alike together, a few at once."""
        spec, device = self.model.input_spec, self.runtime.torch_device
        step = self.runtime.prompts_at_once
        for group in alike(prompts):
            for start in range(0, len(group), step):
                indices = group[start : start + step]
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
        order = postprocess.candidate_order(predicted_iou, prompt, candidates)
        if list(order) == [0]:
            order = [int(single_masks(self.model, decoded)[row])]
        chosen = torch.tensor(order, device=decoded.predicted_iou.device)
        drawn = self.model.render_masks(decoded, torch.full_like(chosen, row), chosen).cpu().numpy()
        records: list[MaskRecord] = []
        for number, low_res_logits in zip(order, drawn, strict=True):
            if self.model.input_spec.looks_twice:
                low_res_logits = self._clicked(low_res_logits, prompt, transform)
            logits = postprocess.to_image_size(low_res_logits, transform)
            records.append(
                MaskRecord(
                    compact=Mask.from_dense(logits > self.model.mask_threshold),
                    predicted_iou=float(predicted_iou[number]),
                    stability_score=postprocess.stability_score(logits, self.model.mask_threshold, 1.0),
                    prompt_index=index,
                    points=prompt.points.xy if prompt.points else (),
                    low_res_logits=low_res_logits,
                )
            )
        return records

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
        device = self.runtime.torch_device
        decoded = decode(
            self.model, part, pack_prompts([asked], part.transform, self.model.input_spec, device)
        )
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


def encode(model: Promptable, image: UInt8[ndarray, "height width 3"], runtime: Runtime) -> EncodedImage:
    """The embedding of an image. Raises MemoryLimitError."""
    with memory_errors(), torch.inference_mode():
        pixels, transform = image_to_model(image, model.input_spec, runtime.torch_device)
        features = model.encode_image(pixels)
        return EncodedImage(features=features, shared=model.share(features), transform=transform)


def decode(model: Promptable, encoded: EncodedImage, tensors: PromptTensors) -> Decoded:
    """Qualities of all masks of a batch of prompts on an encoded image."""
    return model.decode(encoded.features, tensors, encoded.shared)
