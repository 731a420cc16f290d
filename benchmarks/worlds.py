"""Made scenes: how long drawing and rendering take on one thread, by family; `--sheet` writes a picture."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import torch
from PIL import Image

from segma.worlds.families import FAMILIES, IMAGE_TRAINING, VIDEO_TRAINING, draw_scene
from segma.worlds.render import render
from segma.worlds.sheet import contact_sheet

SHEET = (*IMAGE_TRAINING, "silhouettes", "moving", "lookalikes", "cuts")
SEED = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="pixels along a side")
    parser.add_argument("--scenes", type=int, default=12, help="scenes of each family of images")
    parser.add_argument("--families", nargs="*", default=[*IMAGE_TRAINING, *VIDEO_TRAINING])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet there instead")
    options = parser.parse_args()
    if options.sheet is not None:
        picture = Image.fromarray(contact_sheet(SHEET, size=112, seed=SEED))
        palette = picture.quantize(256)
        picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(
            options.sheet, optimize=True
        )
        return 0
    torch.set_num_threads(1)
    render([draw_scene("plain", 0)], size=options.size, device=options.device)
    busy = os.getloadavg()[0]
    print(f"{options.size} px, {options.device}, one thread, load {busy:.1f}; times of this process")
    print("| family | objects | draw, ms a scene | render, ms a frame | frames/s |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for family in options.families:
        print(row(family, options), flush=True)
    return 0


def row(family: str, options: argparse.Namespace) -> str:
    count = max(1, options.scenes // (4 if FAMILIES[family].video else 1))
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    start = clock()
    scenes = [draw_scene(family, 1000 + seed) for seed in range(count)]
    drawn = clock()
    frames = sum(scene.num_frames for scene in scenes)
    render(scenes, size=options.size, device=options.device).owners.sum().item()
    done = clock()
    objects = sum(len(scene.objects) for scene in scenes) / count
    numbers = (1e3 * (drawn - start) / count, 1e3 * (done - drawn) / frames, frames / (done - start))
    return f"| {family} | {objects:.0f} | " + " | ".join(f"{number:.1f}" for number in numbers) + " |"


if __name__ == "__main__":
    sys.exit(main())
