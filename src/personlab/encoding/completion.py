"""Where unlabelled keypoints of an annotated person probably are: between their neighbours in the kinematic tree."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from personlab.skeleton import Skeleton


def complete_tree(
    place_xy: Float[Tensor, "batch person keypoint 2"],
    labelled: Bool[Tensor, "batch person keypoint"],
    skeleton: Skeleton,
) -> tuple[Float[Tensor, "batch person keypoint 2"], Bool[Tensor, "batch person keypoint"]]:
    """Place every unlabelled keypoint at the mean of its known neighbours, outwards from the labelled ones.

    In each round all keypoints with a known neighbour become known at once, so the result does not depend on an order.

    Args:
        place_xy: Places of the keypoints; those not labelled are not read.
        labelled: Which places are known.
        skeleton: The kinematic tree.

    Returns:
        Places, the labelled ones unchanged, and which were inferred: the unlabelled keypoints of every person with at
        least one labelled keypoint. Places of people without any are 0.

    Source: none in the paper, which is silent about unlabelled keypoints.
    """
    absent = skeleton.num_keypoints  # a last keypoint that is never known fills the table of neighbours
    most = max(len(near) for near in skeleton.neighbours)
    table = [[*near, *[absent] * (most - len(near))] for near in skeleton.neighbours]
    neighbours = torch.tensor([*table, [absent] * most], device=labelled.device)

    known = torch.nn.functional.pad(labelled, (0, 1))
    place_xy = torch.nn.functional.pad(place_xy, (0, 0, 0, 1)) * known[..., None]
    for _ in range(_longest_path(skeleton)):
        # A sum over a table rather than a matrix product, which may run in TF32 and move places by half a pixel.
        near_known = known[..., neighbours]
        count = near_known.sum(-1)
        mean_xy = place_xy[..., neighbours, :].sum(-2) / count.clamp(min=1)[..., None]
        new = ~known & (count > 0)
        new[..., absent] = False
        place_xy = torch.where(new[..., None], mean_xy, place_xy)
        known = known | new
    return place_xy[..., :absent, :], known[..., :absent] & ~labelled


def _longest_path(skeleton: Skeleton) -> int:
    """Edges on the longest path of the tree: after so many rounds everything that can be known is known."""
    longest = 0
    for start in range(skeleton.num_keypoints):
        depth = {start: 0}
        for _, source, target in skeleton.walk(start):
            depth[int(target)] = depth[int(source)] + 1
        longest = max(longest, *depth.values())
    return longest
