from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from segma.formats import table
from segma.samples import ImageSample


def test_rows(sample: ImageSample, tmp_path: Path):
    first = replace(sample.objects[0], label='cup, "blue"', attributes={"frame": 12, "presence": "present"})
    report = table.write([replace(sample, objects=(first, *sample.objects[1:]))], tmp_path / "a.csv")
    assert report.written == 7 and "masks" in report.lost[0]
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert tuple(rows[0]) == table.COLUMNS
    y, x = np.nonzero(first.mask.dense())
    assert rows[0] | {"centroid_x": "", "centroid_y": ""} == {
        "file": "photos/truck.jpg",
        "frame": "12",
        "time_seconds": "",
        "object": "1",
        "label": 'cup, "blue"',
        "area_pixels": str(len(x)),
        "box_x0": str(x.min()),
        "box_y0": str(y.min()),
        "box_x1": str(x.max()),
        "box_y1": str(y.max()),
        "centroid_x": "",
        "centroid_y": "",
        "predicted_iou": "0.89",
        "presence": "present",
        "source": "",
    }
    assert abs(float(rows[0]["centroid_x"]) - x.mean()) < 1e-3 > abs(float(rows[0]["centroid_y"]) - y.mean())


def test_an_empty_mask_has_no_place(sample: ImageSample, tmp_path: Path):
    table.write([sample], tmp_path / "a.csv")
    last = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))[-1]
    assert last["area_pixels"] == "0" and last["box_x0"] == last["centroid_y"] == ""


def test_no_objects_make_a_header(tmp_path: Path):
    report = table.write([], tmp_path / "a.csv")
    assert report.lost == () and (tmp_path / "a.csv").read_text() == ",".join(table.COLUMNS) + "\n"
