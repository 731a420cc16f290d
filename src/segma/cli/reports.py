"""Where the reports of `segma eval` go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from segma.cli.console import Console

if TYPE_CHECKING:
    from segma.evaluation.protocols.papers import PaperReport
    from segma.evaluation.report import Report


def save_report(
    report: Report | PaperReport, output: Path | None, console: Console, *, overwrite: bool
) -> None:
    """The JSON file, if one was asked for. Raises InputError, StoreError."""
    from segma.media.files import write_text

    if output is not None:
        write_text(output, json.dumps(report.to_dict(), allow_nan=False), overwrite=overwrite)
        console.note(f"saved {output}")
