"""The two kinds of loss PersonLab uses, masked by validity maps and always in fp32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def logistic_loss(
    logits: Float[Tensor, "batch channel height width"],
    targets: Float[Tensor, "batch channel height width"],
    valid: Bool[Tensor, "batch channel height width"],
) -> Float[Tensor, ""]:
    """Mean logistic loss over the valid entries; 0 with zero gradients if there are none.

    Args:
        logits: Predicted log-odds.
        targets: Probabilities in 0..1.
        valid: Entries that count. What stands elsewhere is ignored, NaN included.

    Source: PersonLab, section 3.1 (heatmaps) and 3.2 (segmentation): average of the logistic losses over the image.
    Departure: all valid entries of the batch are averaged at once, so that an image of which little is valid does not
    weigh these few entries more; in several processes each averages over its own batch. With nothing left out, both
    means are the same.
    """
    with torch.autocast(logits.device.type, enabled=False):
        # Select before computing: a masked product would turn NaN outside the valid region into NaN in the sum.
        chosen = torch.where(valid, logits.float(), 0.0)
        wanted = torch.where(valid, targets.float(), 0.0)
        loss = F.binary_cross_entropy_with_logits(chosen, wanted, reduction="none")
        return torch.where(valid, loss, 0.0).sum() / valid.sum().clamp(min=1)


def offset_loss(
    offsets: Float[Tensor, "batch channel 2 height width"],
    targets: Float[Tensor, "batch channel 2 height width"],
    valid: Bool[Tensor, "batch channel height width"],
    disk_radius_px: float,
) -> Float[Tensor, ""]:
    """Mean of (|dx| + |dy|) / R over the valid (cell, keypoint or edge) pairs; 0 with zero gradients if there are none.

    Args:
        offsets: Predicted displacements, pixels.
        targets: True displacements, pixels.
        valid: Pairs that count. What stands elsewhere is ignored, NaN included.
        disk_radius_px: R.

    Source: PersonLab, section 3.1: L1 error, normalised by the disk radius. Departure: the paper does not say what is
    averaged; here every valid pair of the batch counts the same, so images with more people count more.
    """
    with torch.autocast(offsets.device.type, enabled=False):
        both = valid.unsqueeze(2)
        error = torch.where(both, offsets.float(), 0.0) - torch.where(both, targets.float(), 0.0)
        return error.abs().sum() / (disk_radius_px * valid.sum().clamp(min=1))
