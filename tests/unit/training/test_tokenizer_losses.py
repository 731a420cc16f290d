"""Adversarial losses and the codebook's upkeep, on small things."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segma.errors import InputError
from segma.nn.diffusion import Schedule
from segma.nn.vq import Codebook
from segma.training.losses.adversarial import (
    PatchDiscriminator,
    fooling_loss,
    hinge_loss,
    matching_loss,
)


def test_a_discriminator_learns_to_tell_and_its_maps_pull_the_made_ones() -> None:
    torch.manual_seed(0)
    model = PatchDiscriminator(2).train()
    real, made = (
        torch.rand(4, 3, 32, 32),
        torch.rand(4, 3, 32, 32).mean(1, keepdim=True).expand(-1, 3, -1, -1),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses: list[float] = []
    for _ in range(12):
        loss = hinge_loss(model(real).logits, model(made).logits)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert float(fooling_loss(model(made).logits).detach()) > float(fooling_loss(model(real).logits).detach())
    changed = made.clone().requires_grad_()
    matching_loss(model(real), model(changed)).backward()
    assert changed.grad is not None and changed.grad.abs().sum() > 0
    assert float(matching_loss(model.eval()(real), model(real)).detach()) == pytest.approx(0, abs=1e-6)


def test_noise_changes_the_input_once_it_has_a_strength() -> None:
    model, x = PatchDiscriminator(3).eval(), torch.rand(1, 3, 9, 32, 32)
    assert torch.equal(model.noise(x), x)
    with torch.no_grad():
        model.noise.weight[0] = 1.0
    noisy = model.noise(x)
    assert torch.equal(noisy[:, 1:], x[:, 1:]) and not torch.equal(noisy[:, 0], x[:, 0])


def test_codes_that_nobody_chooses_are_put_on_vectors() -> None:
    book = Codebook(16, 4)
    z = F.normalize(torch.randn(200, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    crowded = F.normalize(z[:3].repeat(40, 1) + 0.01 * z[:120], dim=-1)
    for _ in range(10):
        book.learn(crowded, book.nearest(crowded))
    chosen = set(book.nearest(crowded).tolist())
    assert len(chosen) <= 3
    assert book.revive(crowded, torch.Generator().manual_seed(1)) == 16 - len(chosen)
    assert len(set(book.nearest(crowded).tolist())) > len(chosen)
    assert book.revive(crowded, torch.Generator().manual_seed(1)) == 0


def test_long_inputs_are_searched_in_pieces_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Codebook(16, 4)
    z = F.normalize(torch.randn(3, 50, 4), dim=-1)
    whole = book.nearest(z)
    monkeypatch.setattr("segma.nn.vq._AT_ONCE", 16 * 7)
    assert torch.equal(book.nearest(z), whole)
    assert torch.equal(whole, torch.cdist(z, book.embeddings).argmin(-1))


def test_steps_back_undo_steps_forth() -> None:
    schedule = Schedule.linear(100)
    clean, noise = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    for step in (99, 40, 0):
        at = torch.tensor([step, step])
        noised = schedule.noised(clean, at, noise)
        found = schedule.believed(noised, at, noise, torch.zeros_like(noise))
        torch.testing.assert_close(found.clean, clean, atol=2e-3, rtol=1e-3)
        wanted = schedule.noised(clean, at - 1, noise) if step else clean
        torch.testing.assert_close(schedule.leap(noised, at, noise), wanted, atol=2e-3, rtol=1e-3)
    assert float(schedule.kept[-1]) < 0.01 < float(schedule.kept[0])


@pytest.mark.parametrize("count", [0, 101])
def test_steps_that_are_not_there_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="steps"):
        Schedule.linear(100).fewer(count)
