"""How well a generator foretells what was kept aside, by the loss of its kind."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from segma.runtime import Runtime
from segma.training.generator_batch import GeneratorBatch
from segma.training.steps.generating import GeneratorStudent, Loss


@dataclass(frozen=True, slots=True)
class GeneratorExam:
    """Batches of what was kept aside, the tokenizer for those of pixels, and the number that counts."""

    batches: tuple[GeneratorBatch, ...]
    tokenizer: nn.Module
    loss: Loss
    number: str
    latents: bool

    def __bool__(self) -> bool:
        return bool(self.batches)

    @torch.inference_mode()
    def scores(self, module: nn.Module, runtime: Runtime) -> dict[str, float]:
        """The mean number with the class or sentence, as `nats`, and without, as `nats_unasked`.

        Both are of the same draws of chance, and those are the same each time.
        """
        was_training = module.training
        module.eval()
        student, totals, rows = GeneratorStudent(module, self.tokenizer, latents=self.latents), [0.0, 0.0], 0
        for place, batch in enumerate(self.batches):
            batch = batch.to(runtime.torch_device)
            values = student.values_of(batch)
            for index in range(len(totals)):
                blank = torch.full((len(values),), bool(index), device=values.device)
                chance = torch.Generator().manual_seed(place)
                found = self.loss(module, values, batch.asked, blank, chance).numbers
                totals[index] += len(values) * found[self.number]
            rows += len(values)
        module.train(was_training)
        names = (self.number, f"{self.number}_unasked")
        return {name: round(total / rows, 4) for name, total in zip(names, totals, strict=True)}
