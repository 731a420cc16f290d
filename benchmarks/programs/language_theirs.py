"""The peer: GPT2LMHeadModel of transformers, the same shape and weights, its `generate`, a static cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from programs.language_ours import LIKELY, config_of, state_of, task_name
from programs.turns import Task
from torch import Tensor
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, set_seed


def sampling(variant: str, autocast: bool, half: bool, tokens: int, rows: Sequence[int]) -> dict[str, Task]:
    """As `language_ours.sampling`; `half`: the weights in bfloat16."""
    model = model_of(variant)
    model = model.to(torch.bfloat16) if half else model

    def run(count: int, **options: Any) -> Tensor:
        how = GenerationConfig(
            max_new_tokens=tokens, min_new_tokens=tokens, eos_token_id=None, pad_token_id=0, use_cache=True,
            cache_implementation="static", **options,
        )  # fmt: skip
        begin = torch.zeros(count, 1, dtype=torch.long)
        precision = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
        set_seed(0)
        with torch.inference_mode(), precision:
            found: Any = model.generate(begin, attention_mask=torch.ones_like(begin), generation_config=how)
        return found[:, 1:]

    kinds: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("greedy", {"do_sample": False}),
        ("top-k and top-p", {"do_sample": True, "top_k": LIKELY.top_k, "top_p": LIKELY.top_p}),
    )
    return {
        task_name(kind, count): Task(
            run=lambda count=count, options=options: run(count, **options), summary=lambda ids: ids.tolist()
        )
        for kind, options in kinds
        for count in rows
    }


def model_of(variant: str) -> GPT2LMHeadModel:
    """Our values under its names; strict but for what is made of others."""
    sizes = config_of(variant)
    config = GPT2Config(
        vocab_size=sizes.vocabulary, n_positions=sizes.block, n_embd=sizes.dim, n_layer=sizes.layers,
        n_head=sizes.heads, activation_function="gelu", tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = GPT2LMHeadModel._from_config(config, attn_implementation="sdpa")
    model.load_state_dict(to_gpt2(state_of(variant), sizes.layers), strict=True)
    if model.config._attn_implementation != "sdpa":
        raise RuntimeError("transformers does not use sdpa attention")
    return model.eval().requires_grad_(False)


def to_gpt2(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Query, key and value as one matrix; matrices the other way round."""
    found = {
        "transformer.wte.weight": state["tok_emb.weight"],
        "transformer.wpe.weight": state["pos_emb"][0],
        "transformer.ln_f.weight": state["ln_f.weight"],
        "transformer.ln_f.bias": state["ln_f.bias"],
        "lm_head.weight": state["head.weight"],
    }
    for number in range(layers):
        ours, theirs = f"blocks.{number}.", f"transformer.h.{number}."
        parts = [f"{ours}attn.{name}." for name in ("query", "key", "value")]
        rows = {
            "attn.c_attn": [torch.cat([state[part + kind] for part in parts]) for kind in ("weight", "bias")],
            **{
                name: [state[f"{ours}{own}.{kind}"] for kind in ("weight", "bias")]
                for name, own in (
                    ("attn.c_proj", "attn.proj"),
                    ("mlp.c_fc", "mlp.0"),
                    ("mlp.c_proj", "mlp.2"),
                )
            },
        }
        for name, (weight, bias) in rows.items():
            found[f"{theirs}{name}.weight"] = weight.T.contiguous()
            found[f"{theirs}{name}.bias"] = bias
        for name, own in (("ln_1", "ln1"), ("ln_2", "ln2")):
            for kind in ("weight", "bias"):
                found[f"{theirs}{name}.{kind}"] = state[f"{ours}{own}.{kind}"]
    return found
