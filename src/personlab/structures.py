"""What flows through the project: Sample -> Batch -> Targets, and Fields -> People.

Axes: `batch person keypoint edge xy height width`. `keypoint` has K entries in the skeleton's order; `edge` has 2(K-1)
entries, parent -> child first, then child -> parent; `xy` is (x, y), always in this order. `height` and `width` count
pixels for images and cells for maps.

Frames: `image_xy` is pixels of the file on disk, `crop_xy` pixels of the network input, `cell_xy` cells of a map. Pixel
and cell centres have integer coordinates. A `_offset` is a displacement in pixels of the network input, a `_xy` is a
place. Boolean maps named `*_valid` are True where a value counts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor

FIRST, SECOND, IGNORE = 0, 1, 2
"""Channels of a label map: first person that covers a pixel, second person that covers it, bits of `CROWD` ...

A person is stored as its index + 1, 0 is nobody. A third person on one pixel is not stored: targets only ask whether a
pixel has no, one or several people."""
CROWD, UNANNOTATED, UNMASKED = 1, 2, 4
"""Bits of the `IGNORE` channel: inside a crowd region; inside a person who has no keypoints; inside the box of a person
who has no mask, where nobody knows which pixels are a person's."""
OFFSETS_ONLY = 3
"""Visibility of an imputed keypoint that has offsets but no heatmap, beside COCO's 0, 1 and 2."""
MAX_PEOPLE = 254
"""People an image may have: what an 8-bit label map can tell apart."""


@dataclass
class Sample:
    """One image with its people, before it is put into a batch.

    Attributes:
        image_id: Id of the image in its data set.
        image: `(height, width, 3)` uint8, RGB.
        keypoints: `(person, keypoint, 3)` float32: x, y in `crop_xy` (`image_xy` before any augmentation) and COCO's
            visibility: 0 not labelled or out of the frame, 1 labelled but hidden, 2 visible; or `OFFSETS_ONLY`. Never
            shortened.
        label_map: `(height, width, 3)` uint8, see `FIRST`, `SECOND`, `IGNORE`.
        image_size: `(height, width)` of the file on disk.
        image_to_crop: `(2, 3)` float64 affine matrix, `image_xy` -> `crop_xy`.
        valid: False for the stand-in of an image that could not be read; it must not count in any loss.
    """

    image_id: int
    image: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    label_map: NDArray[np.uint8]
    image_size: tuple[int, int]
    image_to_crop: NDArray[np.float64]
    valid: bool = True

    @classmethod
    def of_image(cls, image: NDArray[np.uint8], num_keypoints: int) -> Self:
        """An image alone, in its own frame: nobody is in it, and its id is 0.

        Args:
            image: `(height, width, 3)` uint8, RGB.
            num_keypoints: Of the skeleton; the sample has no people, but its keypoints have this axis.
        """
        height, width = image.shape[:2]
        return cls(
            image_id=0,
            image=image,
            keypoints=np.zeros((0, num_keypoints, 3), np.float32),
            label_map=np.zeros((height, width, 3), np.uint8),
            image_size=(height, width),
            image_to_crop=np.eye(2, 3),
        )


class _Tensors:
    """What dataclasses of tensors share: moving, and taking one entry of the batch axis."""

    def _map(self, function: Any) -> Self:
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return type(self)(**{k: function(v) if isinstance(v, Tensor) else v for k, v in values.items()})

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Every tensor by `Tensor.to`."""
        return self._map(lambda t: t.to(*args, **kwargs))

    def pin_memory(self) -> Self:
        """Every tensor in page-locked memory, so that copies to the device can overlap."""
        return self._map(lambda t: t.pin_memory())

    def detach(self) -> Self:
        """Every tensor without its gradient history."""
        return self._map(lambda t: t.detach())

    def __getitem__(self, index: int | slice) -> Self:
        """Entries of the batch axis; an integer keeps the axis, with length 1."""
        cut = slice(index, index + 1 or None) if isinstance(index, int) else index
        return self._map(lambda t: t[cut])


@dataclass
class Batch(_Tensors):
    """Samples side by side, padded right and below to one size of the form `n * stride + 1`.

    Attributes:
        images: `(batch, 3, height, width)` uint8, RGB.
        keypoints: `(batch, person, keypoint, 3)` float32 in `crop_xy`; samples with fewer people have rows of zeros.
        label_maps: `(batch, 3, height, width)` uint8.
        image_ids: `(batch,)` int64.
        image_sizes: `(batch, 2)` int64, (height, width) of the files on disk.
        image_to_crop: `(batch, 2, 3)` float64, `image_xy` -> `crop_xy`.
        sample_valid: `(batch,)` bool; False for the stand-in of an unreadable image.
    """

    images: UInt8[Tensor, "batch 3 height width"]
    keypoints: Float[Tensor, "batch person keypoint 3"]
    label_maps: UInt8[Tensor, "batch 3 height width"]
    image_ids: Int64[Tensor, batch]
    image_sizes: Int64[Tensor, "batch 2"]
    image_to_crop: Float[Tensor, "batch 2 3"]
    sample_valid: Bool[Tensor, batch]

    def __len__(self) -> int:
        """Number of samples."""
        return int(self.image_ids.shape[0])


@dataclass
class Targets(_Tensors):
    """What the network should predict at one output stride, and where that is defined.

    Offsets are in pixels of the network input and 0 where they are not valid.
    """

    heatmaps: Float[Tensor, "batch keypoint height width"]
    heatmap_valid: Bool[Tensor, "batch keypoint height width"]
    short_offsets: Float[Tensor, "batch keypoint 2 height width"]
    short_valid: Bool[Tensor, "batch keypoint height width"]
    mid_offsets: Float[Tensor, "batch edge 2 height width"]
    mid_valid: Bool[Tensor, "batch edge height width"]
    segmentation: Float[Tensor, "batch 1 height width"]
    segmentation_valid: Bool[Tensor, "batch 1 height width"]
    long_offsets: Float[Tensor, "batch keypoint 2 height width"]
    long_valid: Bool[Tensor, "batch keypoint height width"]
    stride: int
    disk_radius_px: float


@dataclass
class Fields(_Tensors):
    """The five fields of PersonLab at one output stride.

    Offsets are in pixels of the network input; mid and long offsets are refined already (section 3.1, eq. 2).
    Probabilities are kept as logits: losses need these, everything else reads `heatmaps` and `segmentation`. The fields
    mean nothing without their `stride` and the radius R of the disks they were trained with, so they carry both.
    """

    heatmap_logits: Float[Tensor, "batch keypoint height width"]
    short_offsets: Float[Tensor, "batch keypoint 2 height width"]
    mid_offsets: Float[Tensor, "batch edge 2 height width"]
    segmentation_logits: Float[Tensor, "batch 1 height width"]
    long_offsets: Float[Tensor, "batch keypoint 2 height width"]
    stride: int
    disk_radius_px: float

    @property
    def heatmaps(self) -> Float[Tensor, "batch keypoint height width"]:
        """Probability that a cell lies in the disk around a keypoint."""
        return torch.sigmoid(self.heatmap_logits)

    @property
    def segmentation(self) -> Float[Tensor, "batch 1 height width"]:
        """Probability that a cell belongs to any person."""
        return torch.sigmoid(self.segmentation_logits)

    @classmethod
    def from_targets(cls, targets: Targets) -> Fields:
        """The fields of a perfect network: logits of 0 and 1 are minus and plus infinity."""
        return cls(
            heatmap_logits=torch.logit(targets.heatmaps),
            short_offsets=targets.short_offsets,
            mid_offsets=targets.mid_offsets,
            segmentation_logits=torch.logit(targets.segmentation),
            long_offsets=targets.long_offsets,
            stride=targets.stride,
            disk_radius_px=targets.disk_radius_px,
        )


@dataclass
class People:
    """What the decoder found in one image, best first.

    Attributes:
        keypoints: `(person, keypoint, 3)` float32: x, y and score of the keypoint.
        scores: `(person,)` float32.
        masks: One COCO RLE (`{"size": [height, width], "counts": bytes}`) a person, or None if none were asked for.
    """

    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    masks: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        """Number of people."""
        return len(self.scores)
