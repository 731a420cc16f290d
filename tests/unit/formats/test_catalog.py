from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from segma.errors import FormatError
from segma.formats import catalog
from segma.formats.loss import LossReport
from segma.samples import ImageSample


@pytest.mark.parametrize("name", catalog.FORMATS)
def test_every_row_reads_and_writes_as_it_says(name: str, sample: ImageSample, tmp_path: Path):
    entry = catalog.FORMATS[name]
    assert entry.help and "\n" not in entry.help
    path = tmp_path / f"out{entry.suffixes[0] if entry.suffixes else ''}"
    assert entry.write and catalog.writer(name)([sample], path).written == 7
    if entry.read:
        (found,) = catalog.reader(name)(path)
        assert [each.mask for each in found.objects] == [each.mask for each in sample.objects]
    else:
        with pytest.raises(FormatError, match="cannot be read"):
            catalog.reader(name)


def test_unknown_names_list_the_known():
    with pytest.raises(FormatError, match="Formats to write: coco, csv, png, sa1b") as caught:
        catalog.writer("xml")
    assert caught.value.code == "format.unknown"


def test_the_table_imports_nothing():
    code = (
        "import sys, segma.formats.catalog; sys.exit(any(m in sys.modules for m in ('numpy', 'cv2', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_report_is_one_line():
    assert str(LossReport(written=1)) == "wrote 1 object"
    assert str(LossReport(written=2, lost=("3 labels",))) == "wrote 2 objects; 3 labels"
