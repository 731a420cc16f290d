"""How well a language model foretells codes that were kept aside: cross entropy, in nats a code."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from segma.models.omnitokenizer.gpt import Gpt
from segma.runtime import Runtime
from segma.training.code_batch import LabelledBatch, SentenceBatch
from segma.training.steps.language import Speaker, nats


@dataclass(frozen=True, slots=True)
class LanguageExam:
    """Batches of what was kept aside, and the tokenizer for those of pixels."""

    batches: tuple[SentenceBatch | LabelledBatch, ...]
    tokenizer: nn.Module

    def __bool__(self) -> bool:
        return bool(self.batches)

    @torch.inference_mode()
    def scores(self, module: nn.Module, runtime: Runtime) -> dict[str, float]:
        """Nats a code: `nats` with the class or sentence, `nats_unasked` without."""
        assert isinstance(module, Gpt)
        was_training = module.training
        module.eval()
        speaker, totals, rows = Speaker(module, self.tokenizer), [0.0, 0.0], 0
        for batch in self.batches:
            batch = batch.to(runtime.torch_device)
            codes = speaker.codes_of(batch)
            asked = batch.words if isinstance(batch, SentenceBatch) else batch.labels
            for number in range(len(totals)):
                blank = torch.full((len(codes),), bool(number), device=codes.device)
                totals[number] += len(codes) * float(nats(module, codes, asked, blank))
            rows += len(codes)
        module.train(was_training)
        names = ("nats", "nats_unasked")
        return {name: round(total / rows, 4) for name, total in zip(names, totals, strict=True)}
