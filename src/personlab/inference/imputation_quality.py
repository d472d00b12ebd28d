"""How good imputed keypoints are, measured on people whose keypoints are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.inference.imputation import Imputation
from personlab.skeleton import Skeleton

Keypoints = NDArray[np.float32]
WAYS = ("as_they_are", "as_small_as_imputed")


class Checked:
    """People who have keypoints, and what was found as though they had none.

    Attributes:
        skeleton: What the keypoints are.
        people: True keypoints, area in pixels of the image, and what was found, for each of `WAYS`.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        """Nobody yet."""
        self.skeleton = skeleton
        self.people: list[tuple[Keypoints, int, tuple[Imputation | None, Imputation | None]]] = []

    def add(self, truth: Keypoints, area_px: int, found: tuple[Imputation | None, Imputation | None]) -> None:
        """One more person, and what was found in each of `WAYS`."""
        self.people.append((truth, area_px, found))


def similarity(found: Keypoints, truth: Keypoints, area_px: float, skeleton: Skeleton) -> NDArray[np.float64]:
    """Similarity of each keypoint to the true one, 0 to 1; the mean over labelled ones is COCO's OKS.

    Args:
        found: `(keypoint, 3)` x, y and visibility; what is not labelled is similar to nothing.
        truth: The same.
        area_px: Area of the person.
        skeleton: Its sigmas are used.

    Returns:
        `(keypoint,)`, 0 where one of both is not labelled.

    Source: COCO keypoint evaluation.
    """
    distance = ((found[:, :2].astype(np.float64) - truth[:, :2]) ** 2).sum(axis=1)
    similar = np.exp(-distance / (2 * area_px * (2 * np.array(skeleton.sigmas)) ** 2))
    return np.asarray(np.where((found[:, 2] > 0) & (truth[:, 2] > 0), similar, 0.0))


def imputation_quality(checked: Checked) -> dict[str, Any]:
    """How near imputed keypoints come to those that humans labelled.

    People with keypoints are larger than those without: COCO's annotators labelled hardly anybody below 32 x 32 pixels.
    So everybody is imputed twice: as they are, and from a crop that is shrunk until the person is as large
    as somebody who is to be imputed, drawn by chance. The second is what to expect of the imputed file.

    Args:
        checked: People, and what was found.

    Returns:
        For each of `WAYS`: `people`, how many of them were `imputed` (the others were refused); over these, `mean_oks`
        (COCO's OKS with the true keypoints; those without an imputed one count 0) and `share_above_50` (of people with
        an OKS above .5); `mean_similarity`, over keypoints that have both labels; and `labelled`, the share of true
        keypoints that have an imputed one. None where there is nothing to average.
    """
    report: dict[str, Any] = {}
    for i, way in enumerate(WAYS):
        oks, similar = [], []
        for truth, area_px, found in checked.people:
            imputation = found[i]
            if imputation is None:
                continue
            known = truth[:, 2] > 0
            each = similarity(imputation.keypoints, truth, area_px, checked.skeleton)[known]
            oks.append(float(each.mean()))
            similar.append((each, imputation.keypoints[known, 2] > 0))
        both = np.concatenate([labelled for _, labelled in similar]) if similar else np.zeros(0, bool)
        each = np.concatenate([value for value, _ in similar]) if similar else np.zeros(0)
        report[way] = {
            "people": len(checked.people),
            "imputed": len(oks),
            "mean_oks": _mean(np.array(oks)),
            "share_above_50": _mean(np.array(oks) > 0.5),
            "mean_similarity": _mean(each[both]),
            "labelled": _mean(both),
        }
    return report


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None
