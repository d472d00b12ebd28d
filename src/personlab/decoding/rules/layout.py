"""Fields on disk, in the layout of the released models: `.npz` with channels last and vectors (dy, dx)."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from personlab.errors import InputError
from personlab.structures import Fields

MAX_SIDE_PX = 2**15
"""Longest side of an image that fields may be of: more is a wrong stride."""
ARRAYS = ("heatmap", "short", "fwd", "bwd", "seg_logit", "long")
"""What a file must have; all are `(height, width, channels)`, the segmentation without channels."""


def read_fields(path: str | Path, stride: int | None = None, disk_radius_px: float = 32.0) -> Fields:
    """Read the fields of one image.

    Args:
        path: `.npz` file with `heatmap` (probabilities), `short`, `fwd` and `bwd` (mid offsets), `long`, `seg_logit`.
        stride: Output stride; by default what the file says in `stride`, else what the size of its label map
            `instances` tells, else the number after `_s` in its name.
        disk_radius_px: Radius R of the disks, unless the file says otherwise in `disk_radius_px`.

    Returns:
        Fields of a batch of one, offsets (dx, dy).

    Raises:
        InputError: If the file cannot be read, lacks an array, an array has a wrong shape, the stride is unknown, or
            stride or radius make no sense.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give an .npz of fields") from error
    except (OSError, ValueError, TypeError, zipfile.BadZipFile, AttributeError, EOFError) as error:
        raise InputError(f"{path}: is no readable .npz of plain arrays; give a file of fields") from error
    _check(path, arrays)
    _check_probabilities(path, arrays["heatmap"])
    heatmaps = np.ascontiguousarray(arrays["heatmap"].astype(np.float32).transpose(2, 0, 1))
    return Fields(
        heatmap_logits=torch.logit(torch.from_numpy(heatmaps))[None],
        short_offsets=_vectors(arrays["short"])[None],
        mid_offsets=torch.cat([_vectors(arrays["fwd"]), _vectors(arrays["bwd"])])[None],
        segmentation_logits=torch.from_numpy(arrays["seg_logit"].astype(np.float32))[None, None],
        long_offsets=_vectors(arrays["long"])[None],
        stride=_checked_stride(path, arrays, stride),
        disk_radius_px=_radius_px(path, arrays, disk_radius_px),
    )


def write_fields(path: str | Path, fields: Fields, exact: bool = False) -> None:
    """Write the fields of a batch of one so that `read_fields` gives them back.

    Args:
        path: `.npz` file.
        fields: What to write.
        exact: Keep full precision, uncompressed; otherwise offsets get half precision, in a far smaller file.

    Raises:
        InputError: If the file cannot be written.
    """
    fields = fields.detach().to("cpu", torch.float32)
    save, kept = (np.savez, torch.float32) if exact else (np.savez_compressed, torch.float16)
    edges = fields.mid_offsets.shape[1] // 2
    offsets = {"short": fields.short_offsets[0], "fwd": fields.mid_offsets[0, :edges],
               "bwd": fields.mid_offsets[0, edges:], "long": fields.long_offsets[0]}  # fmt: skip
    arrays = {name: torch.cat([v[:, 1], v[:, 0]]).permute(1, 2, 0).to(kept).numpy() for name, v in offsets.items()}
    try:
        save(
            path,
            heatmap=fields.heatmaps[0].permute(1, 2, 0).numpy(),
            seg_logit=fields.segmentation_logits[0, 0].to(kept).numpy(),
            stride=np.array(fields.stride),
            disk_radius_px=np.array(fields.disk_radius_px),
            **arrays,  # type: ignore[arg-type]
        )
    except OSError as error:
        raise InputError(f"{path}: cannot write the fields ({error.strerror})") from error


def _vectors(values: NDArray[np.floating]) -> torch.Tensor:
    """`(height, width, 2n)`, all dy before all dx -> `(n, 2, height, width)`, (dx, dy)."""
    y, x = np.split(values.astype(np.float32).transpose(2, 0, 1), 2)
    return torch.from_numpy(np.ascontiguousarray(np.stack([x, y], axis=1)))


def _check(path: str | Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise InputError(f"{path}: no array {', '.join(missing)}; a file of fields has {', '.join(ARRAYS)}")
    heatmap = arrays["heatmap"].shape
    if len(heatmap) != 3 or 0 in heatmap:
        raise InputError(f"{path}: heatmap is {heatmap}, not (height, width, keypoint)")
    keypoints = heatmap[2]
    channels = {"short": 2 * keypoints, "fwd": 2 * (keypoints - 1), "bwd": 2 * (keypoints - 1), "long": 2 * keypoints}
    wanted = {"seg_logit": heatmap[:2], **{name: (*heatmap[:2], n) for name, n in channels.items()}}
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise InputError(f"{path}: {name} is {arrays[name].shape}, but beside a heatmap of {heatmap} it is {shape}")
    for name in ARRAYS:
        if not np.issubdtype(arrays[name].dtype, np.floating):
            raise InputError(f"{path}: {name} holds {arrays[name].dtype}, not floating-point numbers")


def _check_probabilities(path: str | Path, heatmap: NDArray[np.float32]) -> None:
    if ((heatmap < 0) | (heatmap > 1)).any():
        raise InputError(f"{path}: heatmap has values outside 0..1; it holds probabilities, after the sigmoid")


def _checked_stride(path: str | Path, arrays: dict[str, NDArray[np.generic]], given: int | None) -> int:
    stride = _stride(path, arrays) if given is None else given
    longer = max(arrays["heatmap"].shape[:2])
    if stride < 1 or stride * longer > MAX_SIDE_PX:
        raise InputError(
            f"{path}: {longer} cells of stride {stride} are no image (1 to {MAX_SIDE_PX} pixels); give --stride"
        )
    return stride


def _stride(path: str | Path, arrays: dict[str, NDArray[np.generic]]) -> int:
    if "stride" in arrays:
        stride = _number(arrays["stride"])
        if stride is None or stride != int(stride):
            raise InputError(f"{path}: stride is {arrays['stride']}, not one whole number; give --stride")
        return int(stride)
    rows = arrays["heatmap"].shape[0]
    if "instances" in arrays and arrays["instances"].ndim == 2 and rows > 1:
        return (arrays["instances"].shape[0] - 1) // (rows - 1)
    named = re.search(r"_s(\d+)", Path(path).stem)
    if named:
        return int(named[1])
    raise InputError(f"{path}: says nothing about its output stride; give --stride")


def _radius_px(path: str | Path, arrays: dict[str, NDArray[np.generic]], given: float) -> float:
    told = _number(arrays["disk_radius_px"]) if "disk_radius_px" in arrays else given
    if told is None or not 0 < told < np.inf:
        raise InputError(f"{path}: the radius of the disks, {told} pixels, is no positive number; give --disk-radius")
    return told


def _number(value: NDArray[np.generic]) -> float | None:
    """The only entry of an array as a finite number, or None."""
    if value.size != 1 or not np.issubdtype(value.dtype, np.number) or not np.isfinite(value).all():
        return None
    return float(value.item())
