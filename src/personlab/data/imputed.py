"""People whose keypoints a network made up, not a human: how annotation files mark them, and what training does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Row = dict[str, Any]
MARK, DETAILS = "imputed", "imputation"
"""Fields of an imputed annotation: true, and how good its pose is held to be. Other readers of COCO pass them over."""

Imputed = Literal["use", "offsets", "ignore", "mask"]
"""What imputed keypoints are to the targets; the other fields of the person stay, and so do the images trained on.

* `use`: labels like any others, for heatmaps and for short, mid and long offsets.
* `offsets`: labels for short, mid and long offsets. To the heatmaps, their disks and the person's mask are left out:
  neither positive nor negative, except where a disk of a true label lies over one of theirs.
* `ignore`: not there. The person is what a person without keypoints is: the mask is left out of the heatmaps, there
  are no offsets, and the segmentation learns it.
* `mask`: the person is a crowd region: nothing is learnt inside the mask, neither heatmaps nor segmentation nor long
  offsets; to the short and mid offsets of others it is no obstacle.
"""


def is_imputed(row: Mapping[str, Any]) -> bool:
    """Whether an annotation's keypoints were imputed."""
    return bool(row.get(MARK, False))


def without_imputed(row: Row) -> Row:
    """An annotation as COCO has people without keypoints, if its keypoints were imputed; otherwise the same object."""
    if not is_imputed(row):
        return row
    rest = {key: value for key, value in row.items() if key not in (MARK, DETAILS)}
    return rest | {"keypoints": [0] * len(row.get("keypoints") or ()), "num_keypoints": 0}
