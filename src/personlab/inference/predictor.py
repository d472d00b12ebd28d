"""A network and a decoder that work together: images in, people out."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from personlab.data.collate import collate
from personlab.data.images import read_image
from personlab.data.warp import Resize, check_sides
from personlab.decoding import RULES, Decoder
from personlab.devices import check_device
from personlab.errors import InputError
from personlab.inference.arguments import (
    batch_of,
    check_names,
    checked_image,
    file_path,
    number,
    switch,
    whole_number,
    whole_numbers,
)
from personlab.inference.stopwatch import Stopwatch
from personlab.inference.tta import flip_fields, merge_fields
from personlab.skeleton import Skeleton
from personlab.structures import Batch, Fields, People, Sample
from personlab.visualization import SCORE_THRESHOLD, draw_people, write_image
from personlab.weights.network_file import decoder_of, heads_of, load_network, weights_path
from personlab.weights.onnx_file import ONNX_SUFFIX

Image = NDArray[np.uint8]
EVERYBODY = {"score_threshold": 0.1, "max_people": 20}
"""Options of the released rules here. Their own defaults suit a single picture on a screen and leave out whom a score
counts; scores want everybody, and pictures are drawn from a score on."""


class FieldNetwork(Protocol):
    """Whatever makes fields of images: a `PersonLab`, or an `OnnxNetwork`."""

    @property
    def skeleton(self) -> Skeleton:
        """Keypoints and tree of the fields."""

    @property
    def size_multiple(self) -> int:
        """Images must be `n * size_multiple + 1` pixels high and wide."""

    @property
    def device(self) -> torch.device:
        """Where images must be, and where fields will be."""

    def set_refinements(self, steps: int) -> None:
        """How often offsets are refined from now on; 0 leaves them raw. Raises InputError if that is impossible."""

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Fields:
        """The fields of RGB images."""


@dataclass(frozen=True)
class Prediction:
    """The people of one image, and how long each stage took.

    Attributes:
        image: `(height, width, 3)` uint8, RGB.
        people: Places in pixels of the image, best person first.
        seconds: Of `network` and `decode`.
        skeleton: Keypoints and tree of the people.
    """

    image: Image
    people: People
    seconds: dict[str, float]
    skeleton: Skeleton

    def draw(self, path: str | Path | None = None, score_threshold: float = SCORE_THRESHOLD) -> Image:
        """The image with masks, skeletons and scores; written as well if a path is given.

        Args:
            path: Where to write it: a `.jpg` or `.png`.
            score_threshold: People with a lower score are left out of the picture; `people` has them all.

        Raises:
            InputError: If the threshold is no number, the path is none, or the file cannot be written.
        """
        target = None if path is None else file_path(path, "path")
        drawn = draw_people(self.image, self.people, self.skeleton, number(score_threshold, "score_threshold"))
        if target is not None:
            write_image(target, drawn)
        return drawn


class Predictor:
    """Finds people in images of any size.

    Args:
        network: On the device to work on; a `PersonLab` in evaluation mode.
        decoder: Fields -> people.
        size: Longer side that images are resized to, in pixels; None keeps their size.
        scales: Further longer sides whose fields are averaged with those of `size`; needs `size`, and all differ.
        flip: Also look at the mirrored image, at every size.

    Raises:
        InputError: If sizes are no whole numbers or make no sense.

    Source: PersonLab, section 4 (one scale, several scales, flipping).
    """

    def __init__(
        self,
        network: FieldNetwork,
        decoder: Decoder,
        size: int | None = 801,
        scales: Sequence[int] = (),
        flip: bool = False,
    ) -> None:
        """See the class."""
        size = None if size is None else whole_number(size, "size")
        scales = whole_numbers(scales, "scales")
        if scales and size is None:
            raise InputError("several scales need a size that the first of them has: give --size")
        if any(side is not None and side < 2 for side in (size, *scales)):
            raise InputError(f"sizes {[size, *scales]}: an image needs 2 pixels at least")
        check_sides((size, *scales), "sizes")
        sides = (size, *scales)
        if twice := [side for side in scales if sides.count(side) > 1]:
            raise InputError(
                f"--scales {' '.join(map(str, scales))}, --size {size}: {twice[0]} would be looked at twice; --scales "
                "are further longer sides, so leave out that of --size and name each once"
            )
        self.network = network
        self.decoder = decoder
        self.size = size
        self.scales = scales
        self.flip = switch(flip, "flip")

    @property
    def device(self) -> torch.device:
        """Where the fields are made and decoded."""
        return self.network.device

    @property
    def makes_masks(self) -> bool:
        """Whether the decoder makes instance masks."""
        return bool(self.decoder.options.get("masks", False))

    def __call__(self, image: Image | str | Path) -> Prediction:
        """The people of one image.

        Args:
            image: `(height, width, 3)` uint8, RGB, or a file.

        Raises:
            InputError: If the file cannot be read, or the array is no such image.
        """
        return self.predict_batch([image])[0]

    def predict_batch(self, images: Sequence[Image | str | Path]) -> list[Prediction]:
        """The people of each image; those of one size in pixels go through the network faster.

        Args:
            images: Images or files, as for one; for none of them the result is empty.

        Raises:
            InputError: If it is no list, a file cannot be read, or an array is no such image.
        """
        pixels = _pixels(images)
        return self._predict(pixels) if pixels else []

    def _predict(self, images: list[Image]) -> list[Prediction]:
        watch = Stopwatch()
        with watch.stage("network"):
            fields, matrices = self.fields(images)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        with watch.stage("decode"):
            people = self.decoder(fields, matrices, [image.shape[:2] for image in images])
        share = {stage: value / len(images) for stage, value in watch.seconds.items()}
        return [
            Prediction(image, found, share, self.network.skeleton) for image, found in zip(images, people, strict=True)
        ]

    @torch.inference_mode()
    def fields(self, images: Sequence[Image | str | Path]) -> tuple[Fields, NDArray[np.float64]]:
        """The network's fields of a batch, with all augmentation merged, and the matrices that lead to their frame.

        Args:
            images: At least one, as for `predict_batch`.

        Returns:
            Fields in the frame of the first size, and `(image, 2, 3)` matrices, `image_xy` -> that frame.

        Raises:
            InputError: If there is no image, or one is bad.
        """
        pixels_of_each = _pixels(images)
        if not pixels_of_each:
            raise InputError("there is no image to make fields of; give one at least")
        batches = [self._batch(pixels_of_each, side) for side in (self.size, *self.scales)]
        views, scales = [], []
        for side, batch in zip((self.size, *self.scales), batches, strict=True):
            pixels = batch.images.to(self.device)
            scale = 1.0 if side == self.size else (side - 1) / (self.size - 1)  # type: ignore[operator]
            views.append(self.network(pixels))
            if self.flip:
                flipped = flip_fields(self.network(pixels.flip(-1)), self.network.skeleton)
                views[-1] = merge_fields([views[-1], flipped], [1.0, 1.0])
            scales.append(scale)
        return merge_fields(views, scales), batches[0].image_to_crop.numpy()

    def _batch(self, images: Sequence[Image], side: int | None) -> Batch:
        view = Resize(longer_side=side) if side is not None else None
        samples = [Sample.of_image(image, self.network.skeleton.num_keypoints) for image in images]
        if view is not None:
            samples = [view(sample) for sample in samples]
        return collate(samples, multiple=self.network.size_multiple)


def load(
    weights: str | Path = "embedded",
    rules: str | None = None,
    size: int | None = 801,
    scales: Sequence[int] = (),
    flip: bool = False,
    stride: int | None = None,
    device: str | torch.device = "cpu",
    **options: object,
) -> Predictor:
    """A predictor from a file of weights.

    Args:
        weights: A network's `.safetensors` or `.onnx`, or `embedded` for the small one of the package.
        rules: Whose rules to decode by, released ones with the options of `EVERYBODY`; None for the decoder that the
            file names.
        size: See `Predictor`.
        scales: See `Predictor`.
        flip: See `Predictor`.
        stride: Output stride; None for that of the file, which is the only one an `.onnx` has.
        device: Where to work, as torch names it; onnxruntime knows `cpu` and, where it was built for that, `cuda`.
        **options: Options of the decoder that differ from those of the file or of the rules.

    Raises:
        InputError: If the file, the rules, the device, an argument or an option is bad.
    """
    path = weights_path(str(weights))
    if rules is not None and rules not in tuple(RULES):
        raise InputError(f"no rules {rules!r}; there are {', '.join(RULES)}")
    network, metadata = _open(path, None if stride is None else whole_number(stride, "stride"), str(device))
    decoder: Decoder = decoder_of(metadata, path)
    if rules not in (None, "paper"):
        kind: Any = RULES[str(rules)]
        decoder = kind(skeleton=network.skeleton, **EVERYBODY)
        network.set_refinements(0)  # released decoders refine offsets themselves, as they go
    if "masks" in decoder.options and not {"segmentation", "long_offsets"} <= set(heads_of(metadata, path)):
        decoder = decoder.with_options(masks=False)
    check_names(options, inspect.signature(load).parameters, decoder.options)
    return Predictor(network, decoder.with_options(**options), size, scales, flip)


def _open(path: Path, stride: int | None, device: str) -> tuple[FieldNetwork, dict[str, str]]:
    """The network of a file at a stride, on a device, and the file's metadata."""
    if path.suffix == ONNX_SUFFIX:
        from personlab.inference.onnx_network import OnnxNetwork  # onnxruntime is an extra

        exported = OnnxNetwork(path, device)
        if stride not in (None, exported.output_stride):
            raise InputError(
                f"{path}: an ONNX file has one output stride, this one {exported.output_stride}; for {stride}, make "
                f"another with `personlab export --stride {stride}`"
            )
        return exported, exported.metadata
    check_device(device)
    network, metadata = load_network(path)
    if stride is not None:
        network.set_output_stride(stride)
    return network.to(device), metadata


def _pixels(images: Sequence[Image | str | Path]) -> list[Image]:
    """Images in memory, read or checked."""
    return [
        read_image(image, upright=True) if isinstance(image, str | Path) else checked_image(image, f"images[{i}]")
        for i, image in enumerate(batch_of(images))
    ]
