"""Memory while a long video is tracked: with a project, as users have it, it must not grow with the frames.

A video file is decoded, six objects are followed, and their masks are kept in a project folder. Resident
memory is read as it goes, without any tidying up before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import cv2
import torch
from programs import lineup
from programs.lively import CONFIGS, TOY, discs, network_of, write_scene

from segma.evaluation.protocols.speed import resident_memory, text_table
from segma.media.source import open_source
from segma.tasks.track_config import TrackConfig
from segma.tracker import Tracker
from segma.tracker_projects import MadeBy, new_tracker

LIMIT_BYTES = 5_000_000
STATE_SECONDS = 1.0  # a network of full size also saves its memories every few frames


def main() -> int:
    options = arguments()
    height, width = options.size
    print(
        f"memory: {options.variant} with weights made up by rule, {options.objects} objects, "
        f"{options.frames} frames of {width}x{height}, {options.threads} threads\n{lineup.machine()}",
        flush=True,
    )
    if resident_memory() is None:
        print("This system does not say how much memory a process holds.")
        return 1
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    with tempfile.TemporaryDirectory(prefix="segma-") as name:
        video = Path(name) / "clip.mp4"
        write_scene(video, (height, width), options.frames)
        found = track(options, video)
    print(report(options, found))
    if options.save:
        print(f"saved {lineup.save('memory_line', options, 'made-up clip', {'memory': document(found)})}")
    return 0


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = lineup.plain_parser(__doc__ or "")
    parser.add_argument("--variant", choices=list(CONFIGS), default=TOY, help="which SAM 2")
    parser.add_argument("--objects", type=int, choices=range(1, 7), default=6, help="how many")
    parser.add_argument("--size", type=int, nargs=2, default=(180, 320), help="height and width of the video")
    parser.add_argument("--frames", type=int, default=3001, help="frames of the video")
    parser.add_argument("--settled", type=int, default=500, help="the frame from which memory may not grow")
    parser.add_argument("--every", type=int, default=250, help="frames between two lines of the table")
    return parser.parse_args()


def track(options: argparse.Namespace, video: Path) -> dict[int, tuple[int, float]]:
    """By frame the resident memory in bytes and the seconds since the first one."""
    network, runtime = network_of(options.variant, "fp32")
    made_by = MadeBy(
        network=network, runtime=runtime, name=options.variant, origin=options.variant, weights_hash=""
    )
    config = TrackConfig(state_seconds=STATE_SECONDS)
    source = open_source(video)
    found: dict[int, tuple[int, float]] = {}
    with new_tracker(
        source, made_by, config, project=video.with_name("clip.segma"), overwrite=False
    ) as tracker:
        for number, place in enumerate(discs(source.size, 0)[: options.objects]):
            tracker.add(f"disc {number + 1}", points=[place])
        start = time.perf_counter()
        for frame in tracker.run():
            if frame.index % options.every == 0 or frame.index in (options.settled, options.frames - 1):
                found[frame.index] = resident_memory() or 0, time.perf_counter() - start
        print(kept(tracker), flush=True)
    return found


def kept(tracker: Tracker) -> str:
    """What the project holds at the end."""
    files = [path for path in tracker.project.folder.rglob("*") if path.is_file()]
    present = sum(
        record.is_present
        for key in tracker.session.tracks
        for _, record in tracker.session.keeper.records(key, 0, None)
    )
    num_bytes = sum(path.stat().st_size for path in files)
    return f"the project holds {num_bytes / 1e6:.1f} MB; {present} masks are of objects that are there"


def report(options: argparse.Namespace, found: dict[int, tuple[int, float]]) -> str:
    """Memory by frame, and the line that counts."""
    settled, last = options.settled, options.frames - 1
    rows = [
        [
            str(frame),
            f"{held / 1e6:.1f}",
            f"{(held - found[settled][0]) / 1e6:+.1f}" if frame >= settled else "",
            f"{seconds:.0f}",
        ]
        for frame, (held, seconds) in found.items()
    ]
    growth = found[last][0] - found[settled][0]
    verdict = "less" if growth < LIMIT_BYTES else "NOT less"
    return (
        f"\n{text_table(['frame', 'resident MB', f'since frame {settled}', 'seconds'], rows)}\n\n"
        f"from frame {settled} to frame {last} resident memory grows by {growth / 1e6:.1f} MB, "
        f"{verdict} than {LIMIT_BYTES / 1e6:.0f} MB"
    )


def document(found: dict[int, tuple[int, float]]) -> dict[str, dict[str, float]]:
    """The numbers for the file."""
    return {str(frame): {"resident_bytes": held, "seconds": spent} for frame, (held, spent) in found.items()}


if __name__ == "__main__":
    sys.exit(main())
