"""What every decoder does the same way: check the fields, take them to the CPU, decode its images in threads."""

from __future__ import annotations

import inspect
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Self, get_args, get_origin, get_type_hints

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from personlab.errors import InputError
from personlab.geometry.affine import Affine, apply, invert
from personlab.skeleton import Skeleton
from personlab.structures import Fields, People


def array(tensor: Tensor) -> NDArray[np.float32]:
    """The map of the only image, C-contiguous: the one array type that the kernels are compiled for."""
    return tensor[0].contiguous().numpy()


class Poses(NamedTuple):
    """People found in one image, before they leave the frame of the network input.

    Attributes:
        crop_xy: Places of the keypoints, pixels.
        probabilities: Heatmap probability at each.
        keypoint_scores: Score of each.
        scores: Score of each person.
    """

    crop_xy: Float64[np.ndarray, "person keypoint 2"]
    probabilities: Float64[np.ndarray, "person keypoint"]
    keypoint_scores: Float64[np.ndarray, "person keypoint"]
    scores: Float64[np.ndarray, " person"]


class Decoder(ABC):
    """Fields -> people, by the rules of a subclass.

    Attributes:
        skeleton: Keypoints and tree of the fields that it decodes.
    """

    skeleton: Skeleton

    @property
    def options(self) -> dict[str, Any]:
        """Settings by name, as the constructor takes them; a decoder keeps each under its own name."""
        names = [name for name in inspect.signature(type(self)).parameters if name != "skeleton"]
        return {name: getattr(self, name) for name in names}

    def with_options(self, **changed: Any) -> Self:
        """The same decoder with other settings.

        Args:
            **changed: Options by name; numbers may be of Python or NumPy.

        Raises:
            InputError: If there is no such option or its value is wrong.
        """
        unknown = [name for name in changed if name not in self.options]
        if unknown:
            raise InputError(f"decoder: has no option {unknown[0]!r}; it has {', '.join(self.options)}")
        types = get_type_hints(type(self).__init__)
        changed = {name: value.item() if isinstance(value, np.generic) else value for name, value in changed.items()}
        for name, value in changed.items():
            if not _fits(value, types[name]):
                raise InputError(f"decoder: {name}={value!r} is no {_told(types[name])}")
        return type(self)(**{"skeleton": self.skeleton} | self.options | changed)

    def __call__(
        self, fields: Fields, image_to_crop: Tensor | ArrayLike, image_sizes: Sequence[Sequence[int]] | Tensor
    ) -> list[People]:
        """Decode a batch, in as many threads as `torch.get_num_threads()` tells and there are images.

        Args:
            fields: Refined fields of the network input (`crop_xy`).
            image_to_crop: `(batch, 2, 3)` affine matrices, `image_xy` -> `crop_xy`.
            image_sizes: (height, width) of each original image.

        Returns:
            The people of each image in `image_xy`, in the order of the rules; masks are of the original image's size.

        Raises:
            InputError: If the fields are not those of the decoder's skeleton.
        """
        self.check(fields)
        fields = fields.detach().to("cpu", torch.float32)
        matrices = image_to_crop.cpu() if isinstance(image_to_crop, Tensor) else image_to_crop
        images = [
            (fields[n], matrix, (int(size[0]), int(size[1])))
            for n, (matrix, size) in enumerate(zip(np.asarray(matrices, dtype=np.float64), image_sizes, strict=True))
        ]
        threads = min(torch.get_num_threads(), len(images))
        if threads <= 1:
            return [self.decode_image(*image) for image in images]
        return list(_pool(threads, os.getpid()).map(lambda image: self.decode_image(*image), images))

    def warm_up(self) -> None:
        """Have numba compile or load all kernels, so that a clock started afterwards measures decoding alone.

        They work on fields that mean nothing but have people in them.
        """
        generator = torch.Generator().manual_seed(0)
        cells = {"heatmap_logits": (self.skeleton.num_keypoints,), "segmentation_logits": (1,)}
        offsets = {
            "short_offsets": self.skeleton.num_keypoints,
            "mid_offsets": 2 * self.skeleton.num_edges,
            "long_offsets": self.skeleton.num_keypoints,
        }
        shapes = cells | {name: (channels, 2) for name, channels in offsets.items()}
        maps = {name: 4 * torch.randn(1, *shape, 9, 9, generator=generator) for name, shape in shapes.items()}
        self(Fields(**maps, stride=8, disk_radius_px=16.0), np.eye(2, 3)[None], [(65, 65)])

    def check(self, fields: Fields) -> None:
        """Check that the fields are those of the decoder's skeleton.

        Raises:
            InputError: If they are not.
        """
        keypoints, edges = fields.heatmap_logits.shape[1], fields.mid_offsets.shape[1]
        if (keypoints, edges) != (self.skeleton.num_keypoints, 2 * self.skeleton.num_edges):
            raise InputError(
                f"decoder: fields of {keypoints} keypoints and {edges} directed edges do not fit the skeleton "
                f"{self.skeleton.name} ({self.skeleton.num_keypoints} and {2 * self.skeleton.num_edges})"
            )

    @abstractmethod
    def decode_image(self, fields: Fields, image_to_crop: Affine, image_size: tuple[int, int]) -> People:
        """Decode one image.

        Args:
            fields: Fields of a batch of one, float32 on the CPU.
            image_to_crop: `image_xy` -> `crop_xy`.
            image_size: (height, width) of the original image.

        Returns:
            Its people in `image_xy`.
        """


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that wait for images; their own for every process, since a forked one has none of its parent's."""
    return ThreadPoolExecutor(threads, thread_name_prefix="decode")


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value is of the type of an option: bool, int, float, words, or one of these or None."""
    if get_origin(wanted) is Literal:
        return value in get_args(wanted)
    if get_origin(wanted) is UnionType:
        return any(_fits(value, one) for one in get_args(wanted))
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, wanted)


def _told(wanted: Any) -> str:
    """The type of an option in words."""
    if get_origin(wanted) is Literal:
        return f"choice of {', '.join(get_args(wanted))}"
    names = {float: "number", int: "whole number", bool: "true or false", NoneType: "null"}
    parts = get_args(wanted) if get_origin(wanted) is UnionType else (wanted,)
    return " or ".join(names.get(part, str(part)) for part in parts)


def people_in_image(poses: Poses, masks: list[dict[str, Any]] | None, image_to_crop: Affine) -> People:
    """The same people in `image_xy`, in the same order."""
    image_xy = apply(invert(image_to_crop), poses.crop_xy)
    keypoints = np.concatenate([image_xy, poses.keypoint_scores[..., None]], axis=-1)
    return People(keypoints.astype(np.float32), poses.scores.astype(np.float32), masks)


def check_options(positive: dict[str, float | None], not_negative: dict[str, float]) -> None:
    """Check numeric options of a decoder.

    Args:
        positive: Options that must be larger than 0, or None for unset.
        not_negative: Options that must be at least 0.

    Raises:
        InputError: If an option is out of range or not a number.
    """
    for name, value in positive.items():
        if value is not None and not 0 < value < np.inf:
            raise InputError(f"decoder: {name} must be positive, got {value}")
    for name, value in not_negative.items():
        if not value >= 0:
            raise InputError(f"decoder: {name} must not be negative, got {value}")
