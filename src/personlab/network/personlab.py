"""The whole network: images in, PersonLab's fields out."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from personlab.errors import InputError
from personlab.geometry.cells import valid_size
from personlab.network.backbone import Backbone
from personlab.network.heads import Heads
from personlab.network.refinement import refine
from personlab.skeleton import COCO, Skeleton
from personlab.structures import Fields

IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Mean and standard deviation of ImageNet's RGB values, 0 to 255."""


class PersonLab(nn.Module):
    """A backbone, the heads and the recurrent refinement.

    Args:
        backbone: Feature extractor.
        skeleton: Keypoints and tree, which set the number of channels.
        mid_supervision: Whether a second set of heads reads the backbone's mid map, for more supervision in training.
        mid_refinements: How often mid offsets are refined by the short offsets.
        long_refinements: How often long offsets are refined by themselves.
        long_short_refinements: How often long offsets are refined by the short offsets, afterwards.
        disk_radius_px: R, the radius of the disks that the network is trained with; also what an offset head's output
            of 1 stands for. Never scaled with the person.
        mean: RGB value, 0 to 255, subtracted from the image.
        std: RGB value, 0 to 255, that the image is then divided by.

    Raises:
        InputError: If a number of refinements is negative, or `std` or `disk_radius_px` not positive.

    Source: PersonLab, sections 3 and 4, fig. 1. Departure: the number of refinement steps can be chosen.
    """

    mean: Tensor
    std: Tensor
    edge_targets: Tensor

    def __init__(
        self,
        backbone: Backbone,
        skeleton: Skeleton = COCO,
        mid_supervision: bool = False,
        mid_refinements: int = 2,
        long_refinements: int = 2,
        long_short_refinements: int = 2,
        disk_radius_px: float = 32.0,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        """Put the parts together; see the class for the arguments."""
        super().__init__()
        if min(mid_refinements, long_refinements, long_short_refinements) < 0:
            raise InputError(
                "PersonLab: mid_refinements, long_refinements and long_short_refinements must be 0 or more"
            )
        if disk_radius_px <= 0 or min(std) <= 0:
            raise InputError(f"PersonLab: disk_radius_px {disk_radius_px} and std {tuple(std)} must be positive")
        self.skeleton = skeleton
        self.disk_radius_px = disk_radius_px
        self.mid_refinements = mid_refinements
        self.long_refinements = long_refinements
        self.long_short_refinements = long_short_refinements
        self.backbone = backbone

        def heads(channels: int) -> Heads:
            return Heads(channels, skeleton.num_keypoints, 2 * skeleton.num_edges, disk_radius_px)

        self.heads = heads(backbone.out_channels)
        self.mid_heads = heads(backbone.mid_channels) if mid_supervision else None
        # Settings, not weights: they follow the device but stay out of weight files.
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.register_buffer("edge_targets", torch.from_numpy(skeleton.directed_edges[:, 1].copy()), persistent=False)
        # Convolutions are a fifth faster with channels last, on CPUs and on GPUs with tensor cores.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def output_stride(self) -> int:
        """Pixels of network input a cell of the fields."""
        return self.backbone.output_stride

    @property
    def size_multiple(self) -> int:
        """Images must be `n * size_multiple + 1` pixels high and wide."""
        return self.backbone.size_multiple

    @property
    def device(self) -> torch.device:
        """Where the weights are, and where images must be."""
        return self.mean.device

    def set_output_stride(self, stride: int) -> None:
        """Change the output stride in place, with the same weights; see `Backbone.set_output_stride`."""
        self.backbone.set_output_stride(stride)

    def set_refinements(self, steps: int) -> None:
        """Change how often offsets are refined, in place: mid and long ones, by themselves and by the short ones.

        Args:
            steps: For all three kinds; 0 leaves the heads' offsets raw, as the released decoders want them.

        Raises:
            InputError: If it is negative.
        """
        if steps < 0:
            raise InputError(f"PersonLab: {steps} refinements: must be 0 or more")
        self.mid_refinements = self.long_refinements = self.long_short_refinements = steps

    def forward(self, images: Shaped[Tensor, "batch 3 height width"]) -> Fields:
        """The refined fields.

        Args:
            images: RGB, uint8 or floating point, 0 to 255; `n * output_stride + 1` pixels high and wide.

        Returns:
            Fields of `n + 1` cells down and across, in float32 (float64 for a network in double precision).

        Raises:
            InputError: If the images have another size.
        """
        _, final = self.backbone(self._normalised(images))
        return self._fields(self.heads, final, self.output_stride)

    def forward_supervised(self, images: Shaped[Tensor, "batch 3 height width"]) -> list[Fields]:
        """The fields that a loss applies to: the final ones, then those of the mid map if there are such heads.

        Args:
            images: As in `forward`.

        Returns:
            One or two `Fields`. The mid map's may be of a smaller stride; each carries its own.

        Raises:
            InputError: If the images have another size.
        """
        mid, final = self.backbone(self._normalised(images))
        fields = [self._fields(self.heads, final, self.output_stride)]
        if self.mid_heads is not None:
            fields.append(self._fields(self.mid_heads, mid, self.backbone.mid_stride))
        return fields

    def compile_supervised(self) -> None:
        """Have `torch.compile` make `forward_supervised` faster, in place: weights and their names stay as they are.

        It is compiled when it is first called. `forward` stays as it is: images of evaluation come in many sizes, and
        each would be compiled anew.
        """
        compiled: Any = torch.compile(self.forward_supervised)
        self.forward_supervised = compiled  # type: ignore[method-assign]

    def _fields(self, heads: Heads, features: Tensor, stride: int) -> Fields:
        return refine(
            heads(features, stride),
            self.edge_targets,
            self.mid_refinements,
            self.long_refinements,
            self.long_short_refinements,
        )

    def _normalised(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        stride = self.output_stride
        if (height - 1) % stride or (width - 1) % stride:
            raise InputError(
                f"image of {height}x{width} pixels: height and width must be n * {stride} + 1 (the output stride), "
                f"pad it to {valid_size(height, stride)}x{valid_size(width, stride)}"
            )
        return (images.to(self.mean.dtype) - self.mean) / self.std
