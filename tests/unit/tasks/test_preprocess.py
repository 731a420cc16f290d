"""Pictures and prompts as the model wants them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from segma.errors import PromptError
from segma.models.interfaces import InputSpec
from segma.prompts.types import Box, Embedding, MaskPrompt, Points, PromptSet, Text
from segma.tasks.preprocess import alike, fit, image_to_model, mask_prompt, pack_prompts

CPU = torch.device("cpu")
PAD = InputSpec(size=64, mask_size=16, fit="pad", mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0))
STRETCH = InputSpec(size=64, mask_size=16, fit="stretch", mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0))


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [((1, 1), 64, 64), ((1, 2000), 1, 64), ((2000, 1), 64, 1), ((32, 64), 32, 64)],
)
def test_pictures_of_every_shape_are_normalised_and_then_padded(
    size: tuple[int, int], rows: int, columns: int
) -> None:
    image = np.full((*size, 3), (11, 24, 38), np.uint8)
    pixels, transform = image_to_model(image, PAD, CPU)
    assert pixels.shape == (1, 3, 64, 64) and pixels.dtype == torch.float32
    assert transform.input_size == (rows, columns)
    for channel, value in enumerate((1.0, 2.0, 2.0)):
        assert (pixels[0, channel, :rows, :columns] == value).all()
        assert pixels[0, channel].sum() == value * rows * columns  # zeros elsewhere


def test_a_stretched_picture_fills_the_square() -> None:
    image = np.full((10, 40, 3), (11, 24, 38), np.uint8)
    pixels, transform = image_to_model(image, STRETCH, CPU)
    assert transform.stretched
    assert (pixels[0, 0] == 1).all()


def test_shrinking_averages_what_it_leaves_out() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 200
    plain = InputSpec(size=64, mask_size=16, fit="pad", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    pixels, _ = image_to_model(stripes, plain, CPU)
    assert (pixels[..., 2:-2] - 100).abs().max() <= 1


@pytest.mark.parametrize("size", [(50, 80), (300, 200)])
def test_floats_are_resized_as_by_torch_and_not_rounded(size: tuple[int, int]) -> None:
    """SAM 2's predictor uses torch's antialiased filter on floats; Pillow's on floats gives the same."""
    image = np.random.default_rng(5).integers(0, 256, (*size, 3), dtype=np.uint8)
    rounded, _ = image_to_model(image, STRETCH, CPU)
    exact, _ = image_to_model(image, replace(STRETCH, resize="float"), CPU)
    channels = torch.as_tensor(image).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(channels, (64, 64), mode="bilinear", antialias=True)
    expected = (expected - torch.tensor(STRETCH.mean).view(3, 1, 1)) / torch.tensor(STRETCH.std).view(3, 1, 1)
    torch.testing.assert_close(exact, expected, atol=1e-4, rtol=0)
    assert 0.1 < (rounded - exact)[0, 0].abs().max() <= 1.0  # rounded twice: along rows, then along columns


def test_a_persons_mask_becomes_logits_that_are_sure() -> None:
    mask = np.zeros((32, 64), bool)
    mask[:16, :32] = True
    logits = mask_prompt(mask, PAD).logits
    assert logits.shape == (16, 16)
    assert (logits[:4, :8] == 10).all() and (logits[4:8] == -10).all() and (logits[:4, 8:] == -10).all()
    assert (logits[8:] == -10).all()  # the padding
    mask[:16, 32:34] = True  # half a cell
    np.testing.assert_allclose(mask_prompt(mask, PAD).logits[:4, 8], 0, atol=1e-5)


def test_prompts_of_one_shape_go_together() -> None:
    point, two = Points([[1.0, 2.0]]), Points([[1.0, 2.0], [3.0, 4.0]])
    mask = MaskPrompt(np.zeros((16, 16), np.float32))
    prompts = [
        PromptSet(points=point),
        PromptSet(points=two),
        PromptSet(box=Box(0.0, 0.0, 5.0, 5.0)),
        PromptSet(points=Points([[9.0, 9.0]])),
        PromptSet(points=point, mask=mask),
        PromptSet(points=point, box=Box(0.0, 0.0, 5.0, 5.0)),
        PromptSet(embedding=Embedding(np.zeros((1, 8), np.float32))),
        PromptSet(embedding=Embedding(np.zeros((2, 8), np.float32))),
        PromptSet(box=Box(1.0, 1.0, 5.0, 5.0)),
    ]
    assert alike(prompts) == [[0, 3], [1], [2, 8], [4], [5], [6], [7]]


def test_a_sentence_is_refused() -> None:
    with pytest.raises(PromptError, match="cannot read text") as caught:
        alike([PromptSet(text=Text("the dog"))])
    assert caught.value.code == "prompt.unsupported"


def test_coordinates_are_scaled_to_the_models_frame() -> None:
    transform = fit((32, 128), PAD)
    prompts = [
        PromptSet(points=Points([[128.0, 32.0], [10.0, 4.0]], [1, 0]), box=Box(0.0, 0.0, 64.0, 16.0)),
        PromptSet(points=Points([[0.0, 0.0], [1.0, 1.0]], [0, 1]), box=Box(2.0, 2.0, 4.0, 4.0)),
    ]
    tensors = pack_prompts(prompts, transform, PAD, CPU)
    assert tensors.coords is not None and tensors.labels is not None and tensors.boxes is not None
    assert tensors.coords.tolist() == [[[64, 16], [5, 2]], [[0, 0], [0.5, 0.5]]]
    assert tensors.labels.tolist() == [[1, 0], [0, 1]]
    assert tensors.boxes.tolist() == [[0, 0, 32, 8], [1, 1, 2, 2]]
    assert tensors.coords.dtype == tensors.boxes.dtype == torch.float32
    assert tensors.mask_logits is None and tensors.embeddings is None


def test_masks_and_embeddings_are_stacked() -> None:
    prompts = [
        PromptSet(
            mask=MaskPrompt(np.full((16, 16), value, np.float32)),
            embedding=Embedding(np.full((2, 8), value, np.float32)),
        )
        for value in (1.0, 2.0)
    ]
    tensors = pack_prompts(prompts, fit((32, 128), PAD), PAD, CPU)
    assert tensors.coords is None and tensors.boxes is None
    assert tensors.mask_logits is not None and tensors.mask_logits.shape == (2, 1, 16, 16)
    assert tensors.embeddings is not None and tensors.embeddings[1].unique().tolist() == [2]


def test_logits_of_another_model_are_refused() -> None:
    prompt = PromptSet(mask=MaskPrompt(np.zeros((8, 8), np.float32)))
    with pytest.raises(PromptError, match="side 8, this model wants 16"):
        pack_prompts([prompt], fit((32, 128), PAD), PAD, CPU)
