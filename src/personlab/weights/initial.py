"""What a fresh training starts from, or an evaluation without a checkpoint scores."""

from __future__ import annotations

import io
import logging
from pathlib import Path

from rich.console import Console
from rich.table import Table

from personlab.network import PersonLab
from personlab.weights.files import LoadReport, load_weights, network_tensors
from personlab.weights.imagenet import load_imagenet, package_path
from personlab.weights.network_file import weights_path
from personlab.weights.warm_start import warm_start

logger = logging.getLogger("personlab")


def load_initial(network: PersonLab, source: str) -> LoadReport:
    """Load weights into a network, and say what was loaded.

    Args:
        network: Changed in place.
        source: `embedded` for the small network that comes with the package, `imagenet` for the backbone's ImageNet
            weights from an installed package, `imagenet:FILE` for those of a file with torchvision's names, otherwise
            the weights file of a PersonLab (`.safetensors`, `.pth`, `.ckpt`), whose heads, keypoints and disks may
            differ, see `warm_start`; `none` for nothing.

    Returns:
        What was loaded; `unfilled` are the tensors that keep random values.

    Raises:
        InputError: If there is no such file or package, or the file does not fit the network at all.
    """
    if source == "none":
        report = LoadReport(loaded=(), skipped={}, missing=tuple(network.state_dict()))
    elif source == "imagenet" or source.startswith("imagenet:"):
        report = load_imagenet(network.backbone, source.partition(":")[2] or "package")
    else:
        path = weights_path(source)
        state, metadata = load_weights(path)
        report = warm_start(network, network_tensors(state) or state, metadata, path)
    logger.info("initial weights from %s: %s", source, report.summary())
    if report.skipped or report.unfilled:
        logger.info("%s", _table(report))
    return report


def source_file(source: str) -> Path | None:
    """The file that `load_initial` reads; None for `none`.

    Raises:
        InputError: If it is that of a package which is not installed.
    """
    if source == "none":
        return None
    if source == "imagenet" or source.startswith("imagenet:"):
        given = source.partition(":")[2] or "package"
        return package_path() if given == "package" else Path(given)
    return weights_path(source)


def _table(report: LoadReport) -> str:
    """What was loaded, part by part, with a line for each."""
    table = Table("part", box=None, title="tensors of the initial weights", title_justify="left")
    for heading in ("loaded", "in part", "skipped", "missing"):
        table.add_column(heading, justify="right")
    table.add_column("why")
    for part, *counts, why in report.rows():
        table.add_row(part, *(str(count or "") for count in counts), why)
    console = Console(width=120, markup=False, emoji=False, file=io.StringIO(), record=True)
    console.print(table)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())
