"""The pictures of `inspect`: a figure, a report, or both."""

from __future__ import annotations

import logging

from paramgen.cli.output import check_new_file, write_file
from paramgen.cli.progress import show_progress
from paramgen.messages import show_path
from paramgen.units import human_bytes, pluralize


def write_pictures(path: str, pattern: str | None, *, plot: str | None, report: str | None, force: bool) -> None:
    """Draw the tensors of weights whose names match a glob, or all. Their data is read once."""
    from paramgen.analysis.file_report import select_tensors
    from paramgen.pictures.figure import choose_patterns, draw_figure, require_matplotlib
    from paramgen.pictures.measurement import measure
    from paramgen.pictures.report import make_report
    from paramgen.storage.checkpoint import Checkpoint

    outputs = [output for output in (plot, report) if output is not None]
    for output in outputs:
        check_new_file(output, force)
    if plot is not None:
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it reports that it looks for fonts
        require_matplotlib()
    with Checkpoint(path) as checkpoint:
        tensors = select_tensors(checkpoint, pattern)
        entries = [stored.entry for stored in tensors]
        pooled = choose_patterns(entries) if plot is not None else ()
        with show_progress() as progress:
            measurement = measure(checkpoint, tensors, pooled=pooled, progress=progress)
        for output in outputs:
            if output == plot:
                data = draw_figure(checkpoint.name, measurement, output.lower().rpartition(".")[2])
            else:
                data = make_report(checkpoint, measurement)
            write_file(output, data, force)
            print(f"{show_path(output)}: {pluralize(len(entries), 'tensor')}, {human_bytes(len(data))}")
