"""Annotations to targets: what a perfect network would predict, made batched on the device of the batch."""

from __future__ import annotations

from typing import Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from personlab.encoding.completion import complete_tree
from personlab.encoding.nearest import Disks, make_disks, nearest_wins, write
from personlab.errors import InputError
from personlab.geometry.cells import cell_centres
from personlab.skeleton import COCO, Skeleton
from personlab.structures import CROWD, FIRST, IGNORE, OFFSETS_ONLY, SECOND, UNANNOTATED, UNMASKED, Batch, Targets


@final
class Encoder:
    """Makes the five targets of PersonLab, and the maps of where each is defined.

    * Heatmaps: 1 within the radius of a labelled keypoint (v = 1 or 2) of anybody. Left out of `heatmap_valid`: cells
      inside crowd regions and inside people who have a mask but no keypoints, positive ones too, since the paper
      leaves out the regions as a whole; and disks of keypoints with `OFFSETS_ONLY`, where no other makes them positive.
    * Short offsets: to the nearest keypoint of the type, inside its disk.
    * Mid offsets: in the disk of the edge's source, to the target of the same person, if that is labelled too.
    * Long offsets: to each labelled keypoint of the person whose mask covers the cell; cells that several people cover,
      and crowd cells, are left out.
    * Segmentation: share of the cell that anybody covers, people without keypoints included; cells in crowd regions and
      in the boxes of people without a mask are left out.

    Samples whose `sample_valid` is False have nothing valid.

    Args:
        skeleton: Keypoints and tree.
        disk_radius_px: R, in pixels of the network input; never scaled with the person.
        unlabelled: What an unlabelled keypoint (v = 0) of an annotated person is to the heatmap: `negative`, or
            `ignore`: its type's heatmap is left out in a disk around the place where the tree suggests it, except where
            a labelled keypoint of that type makes the cell positive. Keypoints outside the frame are unlabelled too,
            even those whose disk reaches into it.
        complete_tree: Give unlabelled keypoints offsets of all three kinds as if they were labelled, but no heatmap, at
            the cell nearest to their inferred place. Without, offsets there are left to the network, and where it has
            not learnt a sensible answer from others the tree breaks: true fields alone lose a seventh of their AP.
            Meant for the upper bound by true fields and for overfitting a few images.
        area_segmentation: Average the masks over a window of the stride's size (odd, so that a flip changes nothing);
            otherwise read them at the cell's pixel.

    Raises:
        InputError: If the radius is not positive or `unlabelled` is unknown.

    Source: PersonLab, sections 3.1 and 3.2. Departure: the paper does not say what to do about unlabelled keypoints;
    keypoints that a crop left outside have no disk (see `personlab.data.warp.warp`); the averaging of masks is ours, it
    carries sub-cell borders.
    """

    def __init__(
        self,
        skeleton: Skeleton = COCO,
        disk_radius_px: float = 32.0,
        unlabelled: Literal["negative", "ignore"] = "negative",
        complete_tree: bool = False,
        area_segmentation: bool = True,
    ) -> None:
        """See the class."""
        if not disk_radius_px > 0:
            raise InputError(f"disk_radius_px: {disk_radius_px} is no radius, give a positive number of pixels")
        if unlabelled not in ("negative", "ignore"):
            raise InputError(f"unlabelled: {unlabelled!r} is unknown, give negative or ignore")
        self.skeleton = skeleton
        self.disk_radius_px = disk_radius_px
        self.unlabelled = unlabelled
        self.complete_tree = complete_tree
        self.area_segmentation = area_segmentation

    @torch.no_grad()
    def __call__(self, batch: Batch, stride: int) -> Targets:
        """Targets of a batch.

        Args:
            batch: Keypoints and label maps in `crop_xy`, on any device.
            stride: Output stride; cell (i, j) stands at pixel (x = j * stride, y = i * stride).

        Returns:
            Targets on the batch's device, offsets in pixels of the network input.

        Raises:
            InputError: If the batch has another number of keypoints than the skeleton, or the stride is below 1.
        """
        if stride < 1:
            raise InputError(f"stride: {stride} is no output stride, give 1 or more")
        if batch.keypoints.shape[2] != self.skeleton.num_keypoints:
            raise InputError(
                f"keypoints: the batch has {batch.keypoints.shape[2]} a person, skeleton {self.skeleton.name} has "
                f"{self.skeleton.num_keypoints}; give both the same skeleton"
            )
        labels = batch.label_maps[..., ::stride, ::stride].contiguous()  # read often, and far apart otherwise
        sample_valid = batch.sample_valid[:, None, None, None]
        labelled = (batch.keypoints[..., 2] > 0) & sample_valid[..., 0]
        place_xy, inferred = batch.keypoints[..., :2].float(), torch.zeros_like(labelled)
        if self.complete_tree or self.unlabelled == "ignore":
            place_xy, inferred = complete_tree(place_xy, labelled, self.skeleton)
        known = labelled
        if self.complete_tree:
            known = labelled | inferred
            # On a cell, since nobody can be nearer to it: what is read there is always about this person.
            place_xy = torch.where(inferred[..., None], (place_xy / stride + 0.5).floor() * stride, place_xy)

        height, width = labels.shape[-2:]
        disks = make_disks(place_xy, labelled | inferred, self.disk_radius_px, stride, height, width)
        offsets_only = labelled & (batch.keypoints[..., 2] == OFFSETS_ONLY)
        left_out = offsets_only | inferred if self.unlabelled == "ignore" else offsets_only
        heatmaps, heatmap_valid = self._heatmaps(disks, labelled & ~offsets_only, left_out, labels)
        short_offsets, short_valid, mid_offsets, mid_valid = self._disk_offsets(disks, place_xy, known, height, width)
        segmentation, segmentation_valid = self._segmentation(batch.label_maps, labels, stride)
        long_offsets, long_valid = long_targets(place_xy, known, labels, stride)
        return Targets(
            heatmaps=heatmaps,
            heatmap_valid=heatmap_valid & sample_valid,
            short_offsets=short_offsets,
            short_valid=short_valid,
            mid_offsets=mid_offsets,
            mid_valid=mid_valid,
            segmentation=segmentation,
            segmentation_valid=segmentation_valid & sample_valid,
            long_offsets=long_offsets,
            long_valid=long_valid,
            stride=stride,
            disk_radius_px=self.disk_radius_px,
        )

    def _heatmaps(
        self,
        disks: Disks,
        labelled: Bool[Tensor, "batch person keypoint"],
        left_out: Bool[Tensor, "batch person keypoint"],
        labels: UInt8[Tensor, "batch 3 height width"],
    ) -> tuple[Float[Tensor, "batch keypoint height width"], Bool[Tensor, "batch keypoint height width"]]:
        """Disks of labelled keypoints, and what the ignore regions and the disks left out leave valid."""
        size, _, k = labelled.shape
        height, width = labels.shape[-2:]
        place = (disks.batch, disks.person, disks.keypoint)
        map_index = disks.batch * k + disks.keypoint

        def union(inside: Bool[Tensor, "disk window"]) -> Bool[Tensor, "batch keypoint height width"]:
            return write([inside], inside, map_index, disks.cell, size * k, height * width).view(size, k, height, width)

        positive = union(disks.inside & labelled[place][:, None])
        valid = ((labels[:, IGNORE] & (CROWD | UNANNOTATED)) == 0)[:, None].expand_as(positive)
        if left_out.any():
            valid = valid & (positive | ~union(disks.inside & left_out[place][:, None]))
        return positive.float(), valid

    def _disk_offsets(
        self,
        disks: Disks,
        place_xy: Float[Tensor, "batch person keypoint 2"],
        known: Bool[Tensor, "batch person keypoint"],
        height: int,
        width: int,
    ) -> tuple[
        Float[Tensor, "batch keypoint 2 height width"],
        Bool[Tensor, "batch keypoint height width"],
        Float[Tensor, "batch edge 2 height width"],
        Bool[Tensor, "batch edge height width"],
    ]:
        """Short and mid offsets and where they are valid; both belong to the nearest person of the (source) type."""
        size, _, k = known.shape
        place = (disks.batch, disks.person, disks.keypoint)
        wins = nearest_wins(disks, known[place], size, k, height * width)
        to_keypoint = place_xy[place][:, None] - disks.cell_xy_px

        def maps(to: Tensor, where: Tensor, index: Tensor, cell: Tensor, channels: int) -> tuple[Tensor, Tensor]:
            extent = (size * channels, height * width)
            offsets = write(to.unbind(-1), where, index, cell, *extent).view(size, channels, 2, height, width)
            return offsets, write([where], where, index, cell, *extent).view(size, channels, height, width)

        short = maps(to_keypoint, wins, disks.batch * k + disks.keypoint, disks.cell, k)
        source, target = torch.as_tensor(self.skeleton.directed_edges, device=known.device).unbind(1)
        batch, person, edge = (known[..., source] & known[..., target]).nonzero(as_tuple=True)
        disk = torch.zeros_like(known, dtype=torch.int64)
        disk[place] = torch.arange(len(wins), device=known.device)
        disk = disk[batch, person, source[edge]]
        to_target = place_xy[batch, person, target[edge]][:, None] - disks.cell_xy_px[disk]
        mid = maps(to_target, wins[disk], batch * len(source) + edge, disks.cell[disk], len(source))
        return *short, *mid

    def _segmentation(
        self,
        label_maps: UInt8[Tensor, "batch 3 rows columns"],
        labels: UInt8[Tensor, "batch 3 height width"],
        stride: int,
    ) -> tuple[Float[Tensor, "batch 1 height width"], Bool[Tensor, "batch 1 height width"]]:
        """Share of each cell that anybody covers, and whether all masks are annotated there."""
        if self.area_segmentation:
            half = stride // 2
            # Image by image: what is as large as the input takes the same memory again and again.
            first = label_maps[:, FIRST : FIRST + 1]
            covered = ((first[i : i + 1] > 0).float() for i in range(len(first)))
            share = torch.cat(
                [F.avg_pool2d(part, 2 * half + 1, stride, half, count_include_pad=False) for part in covered]
            )
        else:
            share = (labels[:, FIRST : FIRST + 1] > 0).float()
        return share, (labels[:, IGNORE : IGNORE + 1] & (CROWD | UNMASKED)) == 0


def long_targets(
    place_xy: Float[Tensor, "batch person keypoint 2"],
    known: Bool[Tensor, "batch person keypoint"],
    labels: UInt8[Tensor, "batch 3 height width"],
    stride: int,
) -> tuple[Float[Tensor, "batch keypoint 2 height width"], Bool[Tensor, "batch keypoint height width"]]:
    """Long offsets and where they are valid.

    Args:
        place_xy: Places of keypoints in `crop_xy` pixels.
        known: Keypoints that get offsets.
        labels: Label map read at the cells; cells with exactly one person, outside crowd regions, get offsets.
        stride: Pixels a cell.

    Returns:
        Offsets from the cells to the keypoints of the person who covers them, and where there are any.

    Source: PersonLab, section 3.2.
    """
    size, _, k, _ = place_xy.shape
    height, width = labels.shape[-2:]
    single = (labels[:, FIRST] > 0) & (labels[:, SECOND] == 0) & ((labels[:, IGNORE] & CROWD) == 0)
    # Label 0 is nobody: a first row without any known keypoint lets labels serve as indices.
    person = (labels[:, FIRST].long() * single).flatten(1)[:, None]
    place_xy = F.pad(place_xy, (0, 0, 0, 0, 1, 0)).flatten(2).transpose(1, 2)
    known = F.pad(known, (0, 0, 1, 0)).transpose(1, 2)
    valid = known.gather(2, person.expand(-1, k, -1)).view(size, k, height, width)
    keypoint_xy = place_xy.gather(2, person.expand(-1, 2 * k, -1)).view(size, k, 2, height, width)
    # In place: on a CPU, fresh memory costs more than the arithmetic.
    offsets = keypoint_xy.sub_(cell_centres(height, width, stride, place_xy.device))
    return offsets.mul_(valid[:, :, None]), valid
