"""A network in an ONNX file, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from personlab.errors import InputError
from personlab.geometry.cells import valid_size
from personlab.skeleton import Skeleton
from personlab.structures import Fields
from personlab.weights.onnx_file import FIELD_NAMES, INPUT_NAME, RAW_NAMES, OnnxInterface, check_file, damaged, require

_ERRORS_ONLY = 3  # of onnxruntime's levels of logging


class OnnxNetwork:
    """Makes fields of images by onnxruntime, in place of a `PersonLab`.

    It uses as many threads as torch does when it is made (`torch.get_num_threads`).

    Args:
        path: A file of `personlab export`.
        device: `cpu`, or `cuda` or `cuda:N` where onnxruntime can use it. Images and fields stay on the CPU.
        content: What the file holds, where it has not been written yet.

    Attributes:
        interface: Stride, skeleton and all else that goes with the graph.
        metadata: All metadata of the file, as text by name.

    Raises:
        InputError: If the file is missing, damaged or of something else, or the device cannot be used.
    """

    def __init__(self, path: str | Path, device: str = "cpu", content: bytes | None = None) -> None:
        """Read the file; see the class for the arguments."""
        self.path = Path(path)
        self._session = _open_session(self.path, device, content)
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.interface = OnnxInterface.from_metadata(self.metadata, path)
        outputs = {output.name for output in self._session.get_outputs()}
        missing = {*FIELD_NAMES, *RAW_NAMES.values()} - outputs
        if missing or [entry.name for entry in self._session.get_inputs()] != [INPUT_NAME]:
            raise InputError(
                f"{path}: takes no {INPUT_NAME} or gives no {', '.join(sorted(missing)) or 'fields'}; "
                "make it again with `personlab export`"
            )
        self._outputs: tuple[str, ...] = FIELD_NAMES

    @property
    def skeleton(self) -> Skeleton:
        """Keypoints and tree of the fields."""
        return self.interface.skeleton

    @property
    def output_stride(self) -> int:
        """Pixels of network input a cell of the fields."""
        return self.interface.output_stride

    @property
    def size_multiple(self) -> int:
        """Images must be `n * size_multiple + 1` pixels high and wide."""
        return self.interface.size_multiple

    @property
    def device(self) -> torch.device:
        """Where images and fields are: on the CPU, wherever onnxruntime works."""
        return torch.device("cpu")

    def set_refinements(self, steps: int) -> None:
        """Take the raw offsets from now on, as the released decoders want them.

        Args:
            steps: 0; the file has no other number than that it was exported with.

        Raises:
            InputError: If it is anything else.
        """
        if steps != 0:
            raise InputError(f"{self.path}: {steps} refinements: an ONNX file has its own number and 0, no other")
        self._outputs = tuple(RAW_NAMES.get(name, name) for name in FIELD_NAMES)

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Fields:
        """The fields of images.

        Args:
            images: RGB, uint8; `n * size_multiple + 1` pixels high and wide.

        Returns:
            Fields in float32, as the `PersonLab` that was exported makes them, apart from rounding.

        Raises:
            InputError: If the images have another size or type.
        """
        height, width = images.shape[-2:]
        multiple = self.size_multiple
        if images.dtype != torch.uint8 or (height - 1) % multiple or (width - 1) % multiple:
            raise InputError(
                f"{images.dtype} image of {height}x{width} pixels: must be uint8, height and width n * {multiple} + 1, "
                f"pad it to {valid_size(height, multiple)}x{valid_size(width, multiple)}"
            )
        arrays = self._session.run(self._outputs, {INPUT_NAME: np.ascontiguousarray(images.numpy())})
        maps = {name: torch.from_numpy(array) for name, array in zip(FIELD_NAMES, arrays, strict=True)}
        return Fields(**maps, stride=self.output_stride, disk_radius_px=self.interface.disk_radius_px)


def _open_session(path: Path, device: str, content: bytes | None) -> Any:
    runtime = require("onnxruntime")
    if content is None:
        check_file(path)
    kind, _, number = device.partition(":")
    provider = f"{kind.upper()}ExecutionProvider"
    known = runtime.get_available_providers()
    if kind not in ("cpu", "cuda") or provider not in known or not (number or "0").isdecimal():
        raise InputError(f"{path}: device {device}: the onnxruntime that is installed has {', '.join(known)}; give cpu")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that spin while they wait take the cores from decoding and from other work; see the program's environment.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    arguments = {"device_id": number or "0"} if kind == "cuda" else {}
    try:
        session = runtime.InferenceSession(content or str(path), options, providers=[(provider, arguments)])
    except Exception as error:  # onnxruntime has a class for each kind of failure
        raise damaged(path, error) from None
    if session.get_providers()[0] != provider:  # it falls back to the CPU without an error
        raise InputError(f"{path}: device {device}: onnxruntime cannot use it here; give cpu")
    return session
