"""Programs that are compared: each in a process of its own, so that its peak memory is its own, and all of
them in turn, so that a machine that slows down slows all.

A process is started fresh, builds its program, and then runs a task whenever it is told; while one runs, the
others wait.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from segma.evaluation.protocols.speed import Timing, peak_memory, reset_peak_memory


@dataclass(frozen=True, kw_only=True)
class Task:
    """`run` is timed; `summary` turns what it gave into something to compare, and is not."""

    run: Callable[[], Any]
    summary: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A name, and the module and function that build its tasks in the new process.

    They are imported there only, so that no program carries the other one's libraries.
    """

    name: str
    module: str
    function: str
    arguments: Mapping[str, Any]
    threads: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What is known of one task of one program: times, peak memory in bytes, its answer."""

    timing: Timing
    peak_bytes: int
    answer: Any


@dataclass
class Worker:
    """The process of one program; a context."""

    program: Program
    connection: Connection = field(init=False)
    process: Any = field(init=False)  # the start method decides its class

    def __enter__(self) -> Worker:
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there, self.program), daemon=True)
        self.process.start()
        there.close()
        self.connection.recv()  # it is ready
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.process.join()

    def ask(self, task: str, want: str) -> Any:
        """Run a task ("run": seconds and peak bytes), or what it gave last ("answer")."""
        self.connection.send((task, want))
        return self.connection.recv()


def compare(
    programs: Sequence[Program], tasks: Sequence[str], *, repeats: int, warm_up: int
) -> dict[str, dict[str, Measured]]:
    """Task -> program's name -> what was measured. The programs take turns at each task."""
    found: dict[str, dict[str, Measured]] = {}
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(program)) for program in programs]
        for task in tasks:
            runs: dict[str, list[tuple[float, int]]] = {program.name: [] for program in programs}
            for turn in range(warm_up + repeats):
                for worker in workers:
                    result = worker.ask(task, "run")
                    if turn >= warm_up:
                        runs[worker.program.name].append(result)
            found[task] = {
                worker.program.name: _measured(runs[worker.program.name], worker.ask(task, "answer"))
                for worker in workers
            }
    return found


def _measured(runs: Sequence[tuple[float, int]], answer: Any) -> Measured:
    seconds, peaks = zip(*runs, strict=True)
    return Measured(timing=Timing(seconds=seconds), peak_bytes=max(peaks), answer=answer)


def _serve(connection: Connection, program: Program) -> None:
    """The life of a process: build, then run until the other side hangs up."""
    import cv2
    import torch

    torch.set_num_threads(program.threads)
    cv2.setNumThreads(program.threads)  # OpenCV has threads of its own
    build: Callable[..., Mapping[str, Task]] = getattr(import_module(program.module), program.function)
    tasks = build(**program.arguments)
    given: dict[str, Any] = {}
    connection.send("ready")
    while True:
        try:
            name, want = connection.recv()
        except EOFError:
            return
        if want == "answer":
            connection.send(tasks[name].summary(given[name]))
            continue
        given.pop(name, None)  # what it gave before is not part of its memory now
        reset_peak_memory()
        start = time.perf_counter()
        given[name] = tasks[name].run()
        seconds = time.perf_counter() - start
        connection.send((seconds, peak_memory() or 0))
