"""Writing a network as ONNX: images in, the five fields out, of any size."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from personlab import __version__
from personlab.inference.onnx_network import OnnxNetwork
from personlab.network import PersonLab
from personlab.network.refinement import refine
from personlab.structures import Fields
from personlab.weights.onnx_file import FIELD_NAMES, INPUT_NAME, RAW_NAMES, OnnxInterface, require

TOLERANCES = {
    "heatmap_logits": 1e-3, "short_offsets": 0.05, "mid_offsets": 0.05, "segmentation_logits": 1e-3,
    "long_offsets": 0.05,
}  # fmt: skip
"""By how much fields may differ from torch's: logits, and offsets in pixels. What differs is the order of sums;
refinement, which reads where offsets point, makes it larger."""
_CHECKED = ((2, 9, 6), (1, 4, 11))
"""Batch and size of the images that fields are compared on, the size in the network's multiples."""


class _Graph(nn.Module):
    """What is exported: the fields as a tuple, and the raw offsets, which cost nothing, beside them."""

    def __init__(self, network: PersonLab) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        self.steps = (network.mid_refinements, network.long_refinements, network.long_short_refinements)
        self.network.set_refinements(0)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        raw = self.network(images)
        refined = refine(raw, self.network.edge_targets, *self.steps)
        return (
            *(getattr(refined, name) for name in FIELD_NAMES),
            # Copies: without refinement both would be one tensor, which can have one name only.
            *(getattr(raw, name).clone() for name in RAW_NAMES),
        )


def export_onnx(network: PersonLab, metadata: Mapping[str, str]) -> bytes:
    """A network as an ONNX file that tells by itself how it is to be used.

    The graph takes `images`, uint8 RGB of `(batch, 3, height, width)` with `n * size_multiple + 1` pixels down and
    across, and gives the five `Fields` under their names, and `raw_mid_offsets` and `raw_long_offsets`, those before
    refinement. Batch, height and width are free.

    Args:
        network: At the output stride to export; it is not changed.
        metadata: What the file should tell beside its `OnnxInterface`, such as decoder, heads and licence.

    Returns:
        What to write into the file.

    Raises:
        InputError: If a package of the extra `onnx` is missing.
    """
    for package in ("onnx", "onnxscript"):
        require(package)
    multiple = network.size_multiple
    # Sizes unlike each other, and a batch of 2: torch takes a length of 1 for one that never changes.
    example = torch.zeros(2, 3, 3 * multiple + 1, 5 * multiple + 1, dtype=torch.uint8, device=network.device)
    with _quiet():
        program = torch.onnx.export(
            _Graph(network),
            (example,),
            dynamo=True,
            input_names=[INPUT_NAME],
            output_names=[*FIELD_NAMES, *RAW_NAMES.values()],
            dynamic_shapes={"images": {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _tidy(model)
    interface = OnnxInterface(
        network.skeleton,
        network.output_stride,
        multiple,
        network.disk_radius_px,
        {
            "mid": network.mid_refinements,
            "long": network.long_refinements,
            "long_short": network.long_short_refinements,
        },
    )
    told = {**metadata, **interface.as_metadata(), "personlab_version": __version__}
    require("onnx").helper.set_model_props(model, told)
    return bytes(model.SerializeToString())


def largest_differences(network: PersonLab, exported: OnnxNetwork, seed: int = 0) -> dict[str, float]:
    """How far an exported network's fields are from those of the network itself, on noise of two sizes.

    Returns:
        The largest absolute difference by field, in the units of `TOLERANCES`, which tells what is too much.
    """
    differences = dict.fromkeys(FIELD_NAMES, 0.0)
    generator = torch.Generator().manual_seed(seed)
    for batch, rows, columns in _CHECKED:
        size = (rows * network.size_multiple + 1, columns * network.size_multiple + 1)
        images = torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8, generator=generator)
        with torch.inference_mode():
            wanted: Fields = network(images.to(network.device))
        found = exported(images)
        for name in FIELD_NAMES:
            difference = (getattr(found, name) - getattr(wanted, name).cpu()).abs().max()
            differences[name] = max(differences[name], float(difference))
    return differences


def _tidy(model: Any) -> None:
    """Call axes by telling names, and leave out what tells of the machine: traces of the source, line by line."""
    graph = model.graph
    del graph.value_info[:]
    for node in graph.node:
        del node.metadata_props[:]
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
    del graph.metadata_props[:]
    for entries, names in ((graph.input, ("height", "width")), (graph.output, ("rows", "columns"))):
        for entry in entries:
            del entry.metadata_props[:]
            axes = entry.type.tensor_type.shape.dim
            for axis, name in zip((axes[0], *axes[-2:]), ("batch", *names), strict=True):
                axis.dim_param = name


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of the exporter: they tell its own authors about parts that are not used here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
