"""A plain loop: batch, loss, step, mean of the weights, log, validate, save; resumes where it was.

Everything random in step i comes from the run's seed and i, so a run that was killed goes on with the curve
it would have had.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segma.errors import Cancelled, ModelError
from segma.media.files import explained_errors
from segma.training import saving
from segma.training.batch import ClipBatch, ImageBatch
from segma.training.board import Board
from segma.training.config import TrainConfig
from segma.training.distributed import Step, Team, Trainee
from segma.training.optim import WeightMean, learning_rate, optimizer

_log = logging.getLogger(__name__)
_LOG = "log.jsonl"
_LOG_SECONDS = 10.0
# Steps in a row without a finite loss after which a run gives up.
_LOST = 20

Batches = Callable[[int], Iterable[Any]]
"""Number of the first batch -> batches from there on; in a team, those of this process."""
Validate = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Progress:
    """What a line of the log says."""

    step: int
    seconds: float
    loss: float
    learning_rate: float
    samples_per_second: float
    loading_share: float
    """Share of the time in which the step waited for data."""
    seconds_left: float
    numbers: dict[str, float]
    unreadable: int = 0
    """Pictures that could not be read since this session of the run began, as often as they were met."""


@dataclass(slots=True)
class Run:
    """A run in a folder: `checkpoint.pt`, `log.jsonl`, `config.json`. `module` is trained in place.

    `stop` is asked after each step; `done`, `seconds` (both over all sessions) and `unreadable` tell
    afterwards what was. A team shares the `optim.accumulate` batches of each step evenly; process 0 writes,
    measures, and has the time, and what it finds is told to the others.
    """

    config: TrainConfig
    module: nn.Module
    step: Step
    batches: Batches
    folder: Path
    validate: Validate | None = None
    on_progress: Callable[[Progress], None] | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    stop: Callable[[], bool] | None = None
    team: Team = field(default_factory=Team.alone)
    beside: Mapping[str, float] = field(default_factory=dict[str, float])
    """That of `optim.optimizer`."""
    scores: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])  # JSON
    mean: WeightMean = field(init=False)
    trainee: Trainee = field(init=False)
    board: Board | None = field(init=False, default=None)
    done: int = field(init=False, default=0)
    seconds: float = field(init=False, default=0.0)
    unreadable: int = field(init=False, default=0)
    left_out: int = field(init=False, default=0)
    """Steps whose loss or gradient was not finite, in this session."""

    def train(self) -> WeightMean:
        """Train to the end of the config's steps or minutes, and return the mean of the weights.

        Raises StoreError where a checkpoint cannot be written or the team fell apart, ModelError where the
        loss is lost for good, Cancelled, with the checkpoint saved, where it was stopped.
        """
        assert self.config.optim.accumulate % self.team.size == 0, "every process has as many batches"
        saved = self.team.told(saving.load(self.folder, self.config) if self.team.leads else None)
        optimizer = self._begin(saved)
        first, before = (saved.step, saved.seconds) if saved else (0, 0.0)
        if self.team.leads:
            self._open(first)
        try:
            self._loop(optimizer, first, before)
        finally:
            if self.board:
                self.board.close()
        self.mean.state = self.team.whole(self.mean.state)
        return self.mean

    def _begin(self, saved: saving.Saved | None) -> torch.optim.Optimizer:
        """Weights, their mean and the optimizer, as they were where the run goes on."""
        if saved:
            self.module.load_state_dict(saved.states["model"])
        config = self.config
        self.trainee = self.team.trainee(
            self.module, self.step, config.parallel, blocks=config.video_share == 0
        )
        optim = optimizer(self.trainee.module, config.optim, self.beside)
        self.mean = WeightMean(self.trainee.module, config.optim.ema)
        if saved:
            self.trainee.restore_optimizer(optim, saved.states["optimizer"])
            self.trainee.restore(self.mean.state, saved.states["mean"])
            self.mean.updates = saved.states.get("updates", saved.step)
            self.scores = saved.scores
            _log.info("resumed at step %d", saved.step)
        return optim

    def _open(self, first: int) -> None:
        """The folder, its config, and its log up to this step."""
        with explained_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(saving.as_json(self.config), indent=1)
        with explained_errors(self.folder / "config.json"):
            (self.folder / "config.json").write_text(text + "\n")
            _cut_log(self.folder / _LOG, first)
        self.board = Board(self.folder, first)

    def _loop(self, optimizer: torch.optim.Optimizer, first: int, before: float) -> None:
        config, accumulate = self.config, self.config.optim.accumulate
        clock = _Clock(before)
        source = iter(self.batches(first * accumulate))
        window: list[tuple[float, dict[str, float]]] = []
        lost = 0
        step = first
        stopped, rate = False, 0.0
        while step < config.steps and not clock.over(config.minutes) and not stopped:
            rate = learning_rate(config.optim, step, self._share_done(step, clock.now))
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("share", 1.0)
            loss, numbers, stopped = self._one(optimizer, source, step, clock)
            lost = 0 if math.isfinite(loss) else lost + 1
            if lost >= _LOST:
                raise ModelError(
                    "model.task", f"The loss was not finite for {_LOST} steps.", "Lower optim.lr."
                )
            step += 1
            window.append((loss, numbers))
            if clock.due("log", _LOG_SECONDS):
                self._report(step, clock, window, rate)
                window = []
            if clock.due("save", config.save_minutes * 60):
                self._save(optimizer, step, clock.now)
            if self.validate and clock.due("validate", config.validate_minutes * 60):
                self._score(step, clock)
        if window:
            self._report(step, clock, window, rate)
        is_new = not self.scores or self.scores[-1]["step"] != step
        if self.validate and is_new and not stopped:
            self._score(step, clock)
        self._save(optimizer, step, clock.now)
        self.done, self.seconds = step, clock.now
        if stopped:
            raise Cancelled(f"Stopped after step {step}; {saving.NAME} is saved.")

    def _one(
        self, optimizer: torch.optim.Optimizer, source: Iterator[Any], step: int, clock: _Clock
    ) -> tuple[float, dict[str, float], bool]:
        """One optimizer step; a loss that is not finite changes nothing. Also whether to stop after it."""
        self.trainee.module.train()
        optimizer.zero_grad(set_to_none=True)
        total, numbers, samples, unreadable = 0.0, {}, 0, 0
        parts = self.team.numbers(0, self.config.optim.accumulate)
        for part in parts:
            with clock.waiting():
                batch: ImageBatch | ClipBatch = next(source)
            samples, unreadable = samples + len(batch.pixels), unreadable + batch.unreadable
            seed = hash((self.config.seed, step, part)) % 2**31
            generator = torch.Generator()
            generator.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
            torch.random.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]  torch again; for drop path
            is_last = part == parts[-1]
            result = self.trainee.learn(batch.to(self.device), generator, 1 / len(parts), is_last=is_last)
            total += float(result.loss) / self.config.optim.accumulate
            numbers = result.numbers
        norm = self.trainee.gradient_norm(self.config.optim.clip)
        stopped = self.stop is not None and self.stop()
        now = clock.seconds if self.team.leads else 0.0
        total, samples, unreadable, stops, clock.now = self.team.sums(
            [total, samples, unreadable, stopped, now]
        )
        clock.samples += int(samples)
        self.unreadable += int(unreadable)
        if math.isfinite(total) and math.isfinite(norm):
            optimizer.step()
            self.mean.update(self.trainee.module)
        else:
            self.left_out += 1
        return total, numbers | {"gradient": norm}, stops > 0

    def _share_done(self, step: int, seconds: float) -> float:
        by_time = seconds / (60 * self.config.minutes) if self.config.minutes else 0.0
        return max(step / self.config.steps, by_time)

    def _report(
        self, step: int, clock: _Clock, window: list[tuple[float, dict[str, float]]], rate: float
    ) -> None:
        """Tell of the steps since the last time, of all processes."""
        window = [row for rows in self.team.all(window) for row in rows]
        if not self.team.leads:
            return
        names = sorted({name for _, numbers in window for name in numbers})
        means = {name: _mean([numbers[name] for _, numbers in window if name in numbers]) for name in names}
        done, seconds = self._share_done(step, clock.now), clock.now
        progress = Progress(
            step=step,
            seconds=seconds,
            loss=_mean([loss for loss, _ in window]),
            learning_rate=rate,
            samples_per_second=clock.samples / max(1e-9, seconds - clock.before),
            loading_share=clock.waited / max(1e-9, seconds - clock.before),
            seconds_left=seconds * (1 - done) / max(done, 1e-9),
            numbers=means,
            unreadable=self.unreadable,
        )
        assert self.board is not None
        self.board.add(step, means | {"loss": progress.loss, "lr": rate})
        self._write({"step": step, "seconds": round(seconds, 1), "loss": round(progress.loss, 5),
                     "lr": rate, "per_second": round(progress.samples_per_second, 3),
                     "loading": round(progress.loading_share, 4), "unreadable": self.unreadable,
                     "left_out": self.left_out}
                    | {name: round(value, 4) for name, value in means.items()})  # fmt: skip
        if self.on_progress:
            self.on_progress(progress)

    def _score(self, step: int, clock: _Clock) -> None:
        """Validate the mean of the weights. The time it takes is not training time."""
        assert self.validate is not None
        mean = self.team.whole(self.mean.state)
        self.scores.append({"step": step, "seconds": round(clock.now, 1)})
        if not self.team.leads:
            return
        assert self.board is not None
        with clock.paused():
            own = {name: value.clone() for name, value in self.module.state_dict().items()}
            self.module.load_state_dict(mean)
            self.module.eval()
            found = self.validate(self.module)
            self.module.load_state_dict(own)
        self.scores[-1] |= found
        self.board.add(step, {f"validation/{name}": value for name, value in found.items()})
        self._write({"validation": self.scores[-1]})

    def _save(self, optimizer: torch.optim.Optimizer, step: int, seconds: float) -> None:
        states = {
            "model": self.team.whole(self.trainee.module.state_dict()),
            "mean": self.team.whole(self.mean.state),
            "updates": self.mean.updates,
            "optimizer": self.team.whole(optimizer.state_dict()),
        }
        if self.team.leads:
            saving.save(
                self.folder, saving.Saved(step, seconds, states, saving.as_json(self.config), self.scores)
            )

    def _write(self, line: dict[str, Any]) -> None:  # JSON
        path = self.folder / _LOG
        with explained_errors(path), path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")


class _Clock:
    """Training time, over all sessions of a run, and what is due by it."""

    def __init__(self, before: float) -> None:
        self.before = before
        self.now = before
        """The time after the last step, which all processes of a team agree on."""
        self.samples = 0
        self.waited = 0.0
        self._start = time.perf_counter()
        self._last: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self._start

    def over(self, minutes: float) -> bool:
        return bool(minutes) and self.now >= 60 * minutes

    def due(self, what: str, every: float) -> bool:
        if self.now - self._last.setdefault(what, self.before) < every:
            return False
        self._last[what] = self.now
        return True

    def waiting(self) -> _Span:
        """A span that counts as waiting for data."""
        return _Span(self._add_wait)

    def paused(self) -> _Span:
        """A span that does not count at all."""
        return _Span(self._skip)

    def _add_wait(self, seconds: float) -> None:
        self.waited += seconds

    def _skip(self, seconds: float) -> None:
        self._start += seconds


class _Span:
    def __init__(self, done: Callable[[float], None]) -> None:
        self._done = done

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._done(time.perf_counter() - self._started)


def _cut_log(path: Path, step: int) -> None:
    """Leave out what a killed session said of steps that are done again. Raises OSError."""
    if not path.exists():
        return
    kept: list[str] = []
    for line in path.read_text().splitlines():
        try:
            row: dict[str, Any] = json.loads(line)  # JSON
        except ValueError:  # cut off by a kill
            continue
        if row.get("validation", row).get("step", 0) <= step:
            kept.append(line + "\n")
    path.write_text("".join(kept))


def _mean(values: list[float]) -> float:
    return sum(values) / max(1, len(values))
