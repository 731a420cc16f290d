"""Processes that train one network together: torchrun, DDP and FSDP2, and what they tell each other.

The only importer of torch.distributed (of its slow parts only where they are used). A step of a team is the
step that one process would take with as many batches a step as the team takes together: the same batches, the
same draws, the mean of their gradients.
"""

from __future__ import annotations

import copy
import gc
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from segma.errors import InputError, ModelError, StoreError
from segma.nn.backbones.conv_pyramid import ConvBlock
from segma.nn.backbones.hiera import HieraBlock
from segma.runtime import Runtime
from segma.training.steps.result import StepResult

KINDS = ("ddp", "fsdp")
"""ddp: each process has the whole network; fsdp: a part of the weights, gradients and optimizer."""
# The others wait while the first process measures; a process that dies is noticed at once all the same.
_PATIENCE = timedelta(hours=2)
# Every process must go through these in the same order, so they are only taken where it does.
_BLOCKS = (ConvBlock, HieraBlock)
# What the libraries below say when a process that they talk to is gone.
_GONE = ("gloo", "nccl", "connection closed", "connection reset", "socket", "broken pipe", "tcpstore")

_Value = TypeVar("_Value")
Step = Callable[[nn.Module, Any, torch.Generator], StepResult]


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """Who trains together: this process is number `rank` of `size`, and computes on `device`.

    A context: while it lasts the processes are connected. Process 0 leads: it alone writes and measures.
    """

    rank: int = 0
    size: int = 1
    device: torch.device

    @classmethod
    def alone(cls, device: torch.device | None = None) -> Team:
        """A team of one process."""
        return cls(device=device or torch.device("cpu"))

    @classmethod
    def from_environment(cls, device: str = "auto", environment: Mapping[str, str] | None = None) -> Team:
        """The team that torchrun started this process in; a team of one without torchrun.

        On GPUs every process takes the one of its number on its machine. Raises InputError for variables that
        make no sense, ModelError for a device that is not there or cannot be shared.
        """
        variables = os.environ if environment is None else environment
        found = Runtime(device=device).torch_device
        if "RANK" not in variables or "WORLD_SIZE" not in variables:
            return cls.alone(found)
        rank, size = _number(variables, "RANK"), _number(variables, "WORLD_SIZE")
        if not 0 <= rank < size:
            raise InputError(
                "input.value", f"RANK is {rank} of WORLD_SIZE {size}.", "Start it with torchrun."
            )
        if size == 1:
            return cls.alone(found)
        if found.type == "mps" or (found.type == "cuda" and ":" in str(found)):
            raise ModelError(
                "model.device", f"{size} processes cannot share {found}.", "Use --device cpu or cuda."
            )
        if found.type == "cuda":
            own = _number(variables, "LOCAL_RANK")
            if own >= torch.cuda.device_count():
                raise ModelError(
                    "model.device",
                    f"There are {torch.cuda.device_count()} GPUs for {own + 1} or more processes.",
                    "Start as many processes as there are GPUs: torchrun --nproc-per-node gpu.",
                )
            found = torch.device("cuda", own)
        return cls(rank=rank, size=size, device=found)

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and measures."""
        return self.rank == 0

    def __enter__(self) -> Team:
        if self.size > 1:
            if self.device.type == "cuda":
                torch.cuda.set_device(self.device)
            with self.explained():
                dist.init_process_group(
                    "nccl" if self.device.type == "cuda" else "gloo",
                    rank=self.rank,
                    world_size=self.size,
                    timeout=_PATIENCE,
                )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.size > 1:
            gc.collect()  # DDP, in a cycle, holds the group, whose threads are to end here and not at exit
            dist.destroy_process_group()

    def numbers(self, first: int, total: int) -> range:
        """The numbers of the batches that this process makes, of those from `first` to before `total`."""
        return range(first + self.rank, total, self.size)

    def sums(self, values: Sequence[float | int]) -> list[float]:
        """The sums of what all processes have in each place."""
        if self.size == 1:
            return [float(value) for value in values]
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        with self.explained():
            dist.all_reduce(sums)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
        return [float(value) for value in sums]

    def told(self, value: _Value) -> _Value:
        """What process 0 has; to be picklable."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        with self.explained():
            dist.broadcast_object_list(box, 0, device=self.device)
        return box[0]

    def all(self, value: _Value) -> list[_Value]:
        """What each process has, in their order; to be picklable."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        with self.explained():
            dist.all_gather_object(found, value)  # pyright: ignore[reportUnknownMemberType]  torch again
        return found

    def whole(self, state: Mapping[str, Any]) -> dict[str, Any]:  # tensors, or state dicts of them
        """A state dict with the tensors that are kept in parts put together; all processes must call it."""
        if self.size == 1:
            return dict(state)
        with self.explained():
            return {name: whole(value) for name, value in state.items()}

    def trainee(self, module: nn.Module, step: Step, kind: str = "ddp", *, blocks: bool = False) -> Trainee:
        """A module ready to be trained by the whole team, with the weights that process 0 has.

        DDP trains the module itself; FSDP a copy, so that the module stays whole. `blocks`: FSDP also parts
        the blocks of the trunk, which saves memory, and needs all processes to go through them equally often.
        """
        if self.size == 1:
            return Trainee(self, module, _Stepper(module, step), "")
        with self.explained():
            for weight in module.parameters():
                if weight.shape[2:] == (1, 1):  # channels last or not is the same, but DDP looks at strides
                    weight.data = weight.data.clone(memory_format=torch.contiguous_format)
            for tensor in (*module.parameters(), *module.buffers()):
                dist.broadcast(tensor.detach(), 0)
            if kind == "fsdp":
                return self._parted(module, step, blocks=blocks)
            stepper = DistributedDataParallel(
                _Stepper(module, step),
                find_unused_parameters=True,  # a batch of boxes leaves what clicks need alone
                gradient_as_bucket_view=True,
            )
        return Trainee(self, module, stepper, "ddp")

    def _parted(self, module: nn.Module, step: Step, *, blocks: bool) -> Trainee:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        own = copy.deepcopy(module)
        for parameter in own.parameters():  # FSDP2 cannot part channels-last weights
            parameter.data = parameter.data.contiguous()
        mesh = init_device_mesh(self.device.type, (self.size,))
        if blocks:
            for layer in own.modules():
                if isinstance(layer, _BLOCKS):
                    fully_shard(layer, mesh=mesh)
        stepper = _Stepper(own, step, touches_all=True)
        fully_shard(stepper, mesh=mesh)
        return Trainee(self, own, stepper, "fsdp")

    @contextmanager
    def explained(self) -> Generator[None]:
        """Turns what is raised when another process is gone into StoreError `job.lost`."""
        try:
            yield
        except RuntimeError as error:
            said = str(error)
            is_gone = isinstance(error, dist.DistError) or any(word in said.lower() for word in _GONE)
            if self.size == 1 or not is_gone:
                raise
            raise StoreError(
                "job.lost",
                f"Process {self.rank} of {self.size} lost the others ({said.splitlines()[0]}).",
                "One of them ended, and said why; the same command again goes on from the last checkpoint.",
            ) from error


class _Stepper(nn.Module):
    """A step as a module's forward, which is where DDP and FSDP2 do their work.

    A step calls methods of the network; all weights are there while this forward lasts. With `touches_all`
    every weight that is there gets a gradient, if only of zeros: FSDP2 wants the same ones of all processes.
    """

    def __init__(self, module: nn.Module, step: Step, *, touches_all: bool = False) -> None:
        super().__init__()
        self.module = module
        self._step = step
        self._touches_all = touches_all

    def forward(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:  # a batch
        """The loss and the numbers of a step."""
        result = self._step(self.module, batch, generator)
        loss = result.loss
        if self._touches_all:
            from torch.distributed.tensor import DTensor

            there = (each for each in self.module.parameters() if not isinstance(each, DTensor))
            loss = loss + sum(each.flatten()[:0].sum() for each in there if each.requires_grad)
        return loss, result.numbers


@dataclass(frozen=True, slots=True)
class Trainee:
    """A network in training: `module` has the weights to be optimised, with FSDP only this process's part."""

    team: Team
    module: nn.Module
    stepper: Any  # what DDP or FSDP2 made of a module
    kind: str

    def learn(self, batch: Any, generator: torch.Generator, share: float, *, is_last: bool) -> StepResult:
        """Forward and backward of a batch, which is this share of the process's step.

        After the last batch of a step the gradients are the mean over the team. Raises StoreError `job.lost`.
        """
        with self.team.explained(), self._apart(is_last=is_last):
            loss, numbers = self.stepper(batch, generator)
            torch.autograd.backward([loss * share])
            if is_last and self.kind == "fsdp":
                self._forget_zeros()
        return StepResult(loss.detach(), numbers)

    def gradient_norm(self, largest: float | int) -> float:
        """The norm of the gradients before they are cut to `largest`; not finite: leave the step out."""
        with self.team.explained():
            norm = nn.utils.clip_grad_norm_(self.module.parameters(), largest)
            return float(self.team.whole({"norm": norm})["norm"])

    def restore(self, state: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
        """Copy saved whole tensors into a state dict that may be kept in parts."""
        for name, value in saved.items():
            state[name].copy_(self._like(value, state[name]))

    def restore_optimizer(self, optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
        """Load an optimizer's saved state dict, of whole tensors."""
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        state = {
            index: {
                name: self._like(value, weights[index]) if name != "step" else value
                for name, value in values.items()
            }
            for index, values in saved["state"].items()
        }
        optimizer.load_state_dict({**saved, "state": state})

    def _apart(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Gradients stay with the process until the last batch of a step."""
        if self.kind == "ddp" and not is_last:
            return self.stepper.no_sync()
        if self.kind == "fsdp":
            self.stepper.set_requires_gradient_sync(is_last)
        return nullcontext()

    def _like(self, value: Tensor, other: Tensor) -> Tensor:
        """A whole tensor, in parts where the other one is."""
        return parts_like(value, other) if self.kind == "fsdp" else value

    def _forget_zeros(self) -> None:
        """No gradient where no process has one, so that the optimizer passes over it as without a team."""
        weights = [weight for weight in self.module.parameters() if weight.grad is not None]
        grads: list[Any] = [weight.grad for weight in weights]  # in parts
        found = [bool(grad.to_local().any()) for grad in grads]
        for weight, count in zip(weights, self.team.sums(found), strict=True):
            if not count:
                weight.grad = None


def whole(value: Any) -> Any:  # a tensor, a state dict, or anything else
    """What is kept in parts by the processes of a team, in one; anything else as it is."""
    from torch.distributed.tensor import DTensor

    if isinstance(value, DTensor):
        return value.full_tensor()
    if isinstance(value, dict):  # by name, or by an optimizer's numbers
        state = cast(dict[str | int, Any], value)
        return {name: whole(each) for name, each in state.items()}
    return value


def parts_like(value: Tensor, other: Tensor) -> Tensor:
    """A whole tensor in parts, where the other one is kept so."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(other, DTensor):
        return distribute_tensor(value.to(other.device), other.device_mesh, other.placements)
    return value


def _number(variables: Mapping[str, str], name: str) -> int:
    try:
        return int(variables[name])
    except (KeyError, ValueError) as error:
        found = variables.get(name, "not set")
        raise InputError(
            "input.value", f"{name} is {found}, expected a number.", "Start it with torchrun."
        ) from error
