"""The memories of a session as bytes: anchors and windows, so that a run goes on after the process has ended.

safetensors, with a description as JSON in its header. What is lost can be computed again from the log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as write_tensors
from torch import Tensor

from segma.tasks.track_motion import BoxMotion
from segma.tasks.track_state import Close, FrameMemory, ObjectTrack, Path

VERSION = 2
_HEADER_BYTES = 8  # safetensors: the length of the JSON header, little endian


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """What a checkpoint belongs to: the weights, and the run with the last frame that it has seen."""

    identity: str
    run_id: str
    frame: int | None


def dump(tracks: Iterable[ObjectTrack], saved: Saved) -> bytes:
    """All memories of all objects."""
    tensors: dict[str, Tensor] = {}
    objects: dict[str, Any] = {}  # JSON
    for track in tracks:
        key = str(track.object_id)
        objects[key] = {
            "anchors": _dump_memories(track.anchors, f"{key}/anchor", tensors),
            "paths": [
                {
                    "recent": _dump_memories(path.recent, f"{key}/{number}", tensors),
                    "score": path.score,
                    "absent_for": path.absent_for,
                    "motion": None if path.motion is None else path.motion.to_list(),
                }
                for number, path in enumerate(track.paths)
            ],
            "directions": track.directions,
            "outdated": sorted(track.outdated),
            "at": [track.at, track.at_reverse],
        }
    about = {
        "version": VERSION,
        "identity": saved.identity,
        "run": saved.run_id,
        "frame": saved.frame,
        "objects": objects,
    }
    return write_tensors(tensors or {"none": torch.zeros(1)}, {"segma_track": json.dumps(about)})


def load(data: bytes, identity: str, tracks: Mapping[int, ObjectTrack]) -> Saved | None:
    """Put the memories back into the objects; None, and nothing done, where they belong to other weights.

    Memories of prompts that were changed since are left out.
    """
    try:
        size = int.from_bytes(data[:_HEADER_BYTES], "little")
        header: Any = json.loads(data[_HEADER_BYTES : _HEADER_BYTES + size])  # JSON
        about: Any = json.loads(header["__metadata__"]["segma_track"])  # JSON
        tensors = read_tensors(data)
        if about["version"] != VERSION or about["identity"] != identity:
            return None
        for key, each in cast("dict[str, Any]", about["objects"]).items():  # JSON
            if int(key) in tracks:
                _load_object(tracks[int(key)], key, each, tensors)
        return Saved(identity=identity, run_id=str(about["run"]), frame=about["frame"])
    except (SafetensorError, KeyError, TypeError, ValueError, IndexError):
        return None  # a broken cache is no cache


def _load_object(
    track: ObjectTrack, key: str, about: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:

    anchors = _load_memories(about["anchors"], f"{key}/anchor", tensors)
    track.anchors = {frame: memory for frame, memory in anchors.items() if frame in track.prompts}
    track.paths = [
        Path(
            recent=_load_memories(each["recent"], f"{key}/{number}", tensors),
            score=float(each["score"]),
            absent_for=int(each["absent_for"]),
            motion=None if each["motion"] is None else BoxMotion.from_list(each["motion"]),
        )
        for number, each in enumerate(about["paths"])
    ]
    track.directions = [(int(a), int(b), bool(reverse)) for a, b, reverse in about["directions"]]
    track.outdated = {(int(frame), bool(way)) for frame, way in about["outdated"]}
    at, reverse = about["at"]
    track.at, track.at_reverse = None if at is None else int(at), bool(reverse)


def _dump_memories(
    memories: Mapping[int, FrameMemory], prefix: str, tensors: dict[str, Tensor]
) -> list[list[Any]]:  # JSON
    rows: list[list[Any]] = []  # JSON
    for frame, memory in memories.items():
        parts = {"logits": memory.low_res_logits, "pointer": memory.pointer, "spatial": memory.spatial}
        parts["close"] = None if memory.close is None else memory.close.logits
        for name, tensor in parts.items():
            if tensor is not None:
                tensors[f"{prefix}/{frame}/{name}"] = tensor.detach().cpu().contiguous().clone()
        rows.append(
            [
                frame,
                memory.predicted_iou,
                memory.object_score,
                memory.is_reliable,
                memory.has_distractor,
                memory.window,
            ]
        )
    return rows


def _load_memories(
    rows: Iterable[list[Any]],
    prefix: str,
    tensors: Mapping[str, Tensor],  # JSON
) -> dict[int, FrameMemory]:
    found: dict[int, FrameMemory] = {}
    for frame, predicted_iou, object_score, is_reliable, has_distractor, window in rows:
        at = f"{prefix}/{frame}"
        found[int(frame)] = FrameMemory(
            tensors[f"{at}/logits"],
            float(predicted_iou),
            float(object_score),
            tensors[f"{at}/pointer"],
            tensors.get(f"{at}/spatial"),
            bool(is_reliable),
            bool(has_distractor),
            None if window is None else _close(window, tensors[f"{at}/close"]),
        )
    return found


def _close(window: Iterable[Any], logits: Tensor) -> Close:  # JSON
    x0, y0, x1, y1 = (int(edge) for edge in window)
    return Close((x0, y0, x1, y1), logits)
