"""What a training step minimises: five named terms and their weighted sum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from torch import Tensor

from personlab.errors import InputError
from personlab.losses.terms import logistic_loss, offset_loss
from personlab.structures import Fields, Targets


@final
class Objective:
    """The multi-task objective.

    Source: PersonLab, section 3; weights as in the released training code of the authors' group (heatmap 4,
    segmentation 2, short 1, mid 1/4, long 1/8).
    """

    def __init__(
        self,
        heatmap: float = 4.0,
        segmentation: float = 2.0,
        short: float = 1.0,
        mid: float = 0.25,
        long: float = 0.125,
        mid_supervision: float = 1.0,
    ) -> None:
        """Set the weights.

        Args:
            heatmap: Weight of the heatmaps' logistic loss.
            segmentation: Weight of the person segmentation's logistic loss.
            short: Weight of the short offsets' L1 loss.
            mid: Weight of the refined mid offsets' L1 loss.
            long: Weight of the refined long offsets' L1 loss.
            mid_supervision: Weight of all terms of the heads on the mid-network layer, where the network has them.

        Raises:
            InputError: If a weight is negative or not finite.
        """
        self.weights = {"heatmap": heatmap, "segmentation": segmentation, "short": short, "mid": mid, "long": long}
        self.mid_supervision = mid_supervision
        for name, weight in {**self.weights, "mid_supervision": mid_supervision}.items():
            if not 0 <= weight < math.inf:
                raise InputError(f"objective: {name} must be 0 or more and finite, got {weight}")

    def terms(self, fields: Fields, targets: Targets) -> dict[str, Tensor]:
        """The unweighted terms for one set of heads, by name."""
        radius = fields.disk_radius_px
        offset_terms = {
            "short": (fields.short_offsets, targets.short_offsets, targets.short_valid),
            "mid": (fields.mid_offsets, targets.mid_offsets, targets.mid_valid),
            "long": (fields.long_offsets, targets.long_offsets, targets.long_valid),
        }
        return {
            "heatmap": logistic_loss(fields.heatmap_logits, targets.heatmaps, targets.heatmap_valid),
            "segmentation": logistic_loss(fields.segmentation_logits, targets.segmentation, targets.segmentation_valid),
            **{name: offset_loss(*arguments, radius) for name, arguments in offset_terms.items()},
        }

    def __call__(self, predicted: Sequence[Fields], targets: Sequence[Targets]) -> dict[str, Tensor]:
        """All terms by name, and their weighted sum under `total`.

        Args:
            predicted: Fields of the final heads, then those of the mid-network heads if there are any.
            targets: Targets at the stride of each.

        Returns:
            Unweighted scalar terms: `heatmap`, `segmentation`, `short`, `mid`, `long`, the same with the prefix
            `mid_supervision_` for mid-network heads, and `total`, the only weighted one.
        """
        named: dict[str, Tensor] = {}
        parts: list[Tensor] = []
        for level, (fields, target) in enumerate(zip(predicted, targets, strict=True)):
            prefix, factor = ("mid_supervision_", self.mid_supervision) if level else ("", 1.0)
            for name, value in self.terms(fields, target).items():
                named[prefix + name] = value
                parts.append(factor * self.weights[name] * value)
        named["total"] = sum(parts[1:], parts[0])
        return named
