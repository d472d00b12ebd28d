"""ONNX files of networks: what they take and give, and what their metadata say."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personlab.errors import InputError
from personlab.skeleton import Skeleton

ONNX_SUFFIX = ".onnx"
INPUT_NAME = "images"
FIELD_NAMES = ("heatmap_logits", "short_offsets", "mid_offsets", "segmentation_logits", "long_offsets")
"""Outputs, named as in `Fields`."""
RAW_NAMES = {"mid_offsets": "raw_mid_offsets", "long_offsets": "raw_long_offsets"}
"""Outputs beside them: the same offsets before any refinement, as the released decoders want them."""


@dataclass(frozen=True)
class OnnxInterface:
    """What one has to know to use the graph of an ONNX file; kept in its metadata.

    Attributes:
        skeleton: Keypoints and tree, which give the channels their meaning.
        output_stride: Pixels of network input a cell of the fields.
        size_multiple: Images must be `n * size_multiple + 1` pixels high and wide.
        disk_radius_px: Radius of the disks the network was trained with.
        refinements: Steps of refinement in the graph, by kind: `mid`, `long`, `long_short`.
    """

    skeleton: Skeleton
    output_stride: int
    size_multiple: int
    disk_radius_px: float
    refinements: dict[str, int]

    def as_metadata(self) -> dict[str, str]:
        """Text by name, as an ONNX file keeps it: numbers, and JSON for what has parts."""
        return {name: json.dumps(value) for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: str | Path) -> OnnxInterface:
        """Read what `as_metadata` has written.

        Args:
            metadata: Of the file, as text by name.
            path: The file, for errors.

        Raises:
            InputError: If something is missing or makes no sense.
        """
        try:
            told = {field.name: json.loads(metadata[field.name]) for field in dataclasses.fields(cls)}
            skeleton = told["skeleton"]
            found = cls(
                skeleton=Skeleton(
                    str(skeleton["name"]),
                    tuple(map(str, skeleton["keypoint_names"])),
                    tuple((int(parent), int(child)) for parent, child in skeleton["edges"]),
                    tuple(map(float, skeleton["sigmas"])),
                ),
                output_stride=int(told["output_stride"]),
                size_multiple=int(told["size_multiple"]),
                disk_radius_px=float(told["disk_radius_px"]),
                refinements={str(kind): int(steps) for kind, steps in told["refinements"].items()},
            )
            if min(found.output_stride, found.size_multiple, found.disk_radius_px) <= 0:
                raise ValueError("stride, size multiple and disk radius must be positive")
        except KeyError as error:
            raise InputError(
                f"{path}: an ONNX file, but not of a PersonLab: its metadata tell no {error.args[0]}; "
                "make it with `personlab export`"
            ) from None
        except (InputError, AttributeError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: its metadata make no sense ({error}); make it again with `personlab export`"
            ) from None
        return found


def require(package: str) -> Any:
    """A package of the extra `onnx`, imported only where it is needed.

    Raises:
        InputError: If it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"ONNX files need the package {package}: pip install 'personlab[onnx]' ({error})") from None


def check_file(path: Path) -> None:
    """Check that there is a file at all: the libraries' own messages are long.

    Raises:
        InputError: If there is none.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weight file, check the path")


def damaged(path: str | Path, error: Exception) -> InputError:
    """What to tell when a library cannot read a file."""
    reason = " ".join(str(error).split())[:200]
    return InputError(f"{path}: not a whole ONNX file, fetch it or `personlab export` it again: {reason}")


def read_onnx(path: str | Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Metadata of an ONNX file, and what its graph holds, without running it.

    Returns:
        Metadata as text by name; `tensors`, `parameters` (numbers in all of them) and `dtypes` (tensors by type).

    Raises:
        InputError: If the file is missing or damaged, or the package `onnx` is.
    """
    onnx = require("onnx")
    check_file(Path(path))
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have classes of their own
        raise damaged(path, error) from None
    tensors = model.graph.initializer
    types = Counter(onnx.TensorProto.DataType.Name(tensor.data_type).lower() for tensor in tensors)
    return (
        {entry.key: entry.value for entry in model.metadata_props},
        {"tensors": len(tensors), "parameters": sum(math.prod(t.dims) for t in tensors), "dtypes": dict(types)},
    )
