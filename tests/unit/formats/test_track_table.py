from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segma.errors import FormatError
from segma.formats import table, track_table
from segma.samples import VideoSample


def test_a_row_for_each_object_and_frame(video: VideoSample, tmp_path: Path):
    report = track_table.write([video], tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()))
    assert tuple(rows[0]) == table.COLUMNS
    assert [(row["frame"], row["object"]) for row in rows] == [
        ("0", "3"),
        ("0", "12"),
        ("4", "3"),
        ("4", "12"),
        ("4", "7"),
        ("5", "3"),
        ("8", "3"),
        ("8", "12"),
    ]
    y, x = np.nonzero(video.objects[0].masklet.dense(4))
    assert rows[2] == {
        "file": "zoo_1",
        "frame": "4",
        "time_seconds": "0.166667",
        "object": "3",
        "label": "Bär, «ö»",
        "area_pixels": str(len(x)),
        "box_x0": str(x.min()),
        "box_y0": str(y.min()),
        "box_x1": str(x.max()),
        "box_y1": str(y.max()),
        "centroid_x": str(round(float(x.mean()), 3)),
        "centroid_y": str(round(float(y.mean()), 3)),
        "predicted_iou": "0.75",
        "presence": "present",
        "source": "model",
    }
    assert [row["source"] for row in rows] == ["person", "", "model", "", "", "", "person", ""]
    assert (rows[1]["presence"], rows[1]["area_pixels"], rows[1]["box_x0"]) == ("absent", "0", "")
    assert report.lost == ("8 masks, of which a table holds area and box", "1 objects' attributes")


def test_times_are_the_frames_own(video: VideoSample, tmp_path: Path):
    track_table.write([replace(video, times=tuple(number / 7 for number in range(10)))], tmp_path / "a.csv")
    track_table.write([replace(video, fps=None)], tmp_path / "b.csv")
    assert ",4,0.571429,3," in (tmp_path / "a.csv").read_text(encoding="utf-8")
    assert ",4,,3," in (tmp_path / "b.csv").read_text(encoding="utf-8")


def test_nothing_is_left_of_a_table_that_could_not_be_finished(video: VideoSample, tmp_path: Path):
    with pytest.raises(FormatError, match="there is a mask on frame 8"):
        track_table.write([video, replace(video, num_frames=5)], tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []
