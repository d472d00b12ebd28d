"""`personlab evaluate --against`: the difference to what another evaluation of the same images found."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from personlab.data.coco import CocoAnnotations
from personlab.errors import InputError
from personlab.evaluation.bootstrap import Matches, paired_bootstrap
from personlab.evaluation.coco_ap import CocoAP, Kind
from personlab.evaluation.results import read_results

logger = logging.getLogger("personlab")


@dataclass(frozen=True)
class Earlier:
    """What another evaluation found.

    Attributes:
        file: Its results.
        matches: What they matched on the images that are evaluated, by kind that can be compared.
    """

    file: str
    matches: dict[Kind, Matches]

    def compare(self, metric: CocoAP) -> dict[str, Any]:
        """Differences of average precision to this evaluation, with intervals over the images.

        Args:
            metric: With what was found now.

        Returns:
            By kind that both have, see `Difference.to_json`; and `file`.
        """
        found: dict[str, Any] = {"file": self.file}
        for kind, before in self.matches.items():
            difference = paired_bootstrap(before, metric.matches(kind))
            logger.info("%s AP %.4f, was %.4f: %s", kind, difference.second, difference.first, difference)
            found[kind] = difference.to_json()
        return found


def read_earlier(file: str, metric: CocoAP, annotations: CocoAnnotations, images: Sequence[int]) -> Earlier:
    """Read the results of another evaluation, and refuse those that cannot be compared before any image is run.

    Args:
        file: COCO results. Those of other categories are left out, as COCO's evaluation does.
        metric: Without any images yet.
        annotations: What is evaluated.
        images: Indices of the images that are evaluated.

    Raises:
        InputError: If they are no results, are of other images, or of nothing that is evaluated.
    """
    ids = annotations.image_ids[list(images)].tolist()
    sizes = map(tuple, annotations.image_sizes[list(images)].tolist())
    every = read_results(file, metric.skeleton.num_keypoints, dict(zip(ids, sizes, strict=True)))
    known = set(ids)
    other = next((r["image_id"] for r in every if r["image_id"] not in known), None)
    if other is not None:
        raise InputError(f"{file}: has results of image {other}, which is not evaluated here; compare the same images")
    results = [r for r in every if r["category_id"] == annotations.category_id]
    if every and not results:
        raise InputError(
            f"{file}: has no result of category {annotations.category_id}, which is `person` in {annotations.path}; "
            "give results of people"
        )
    there = [kind for kind in ("keypoints", "segmentation") if any(kind in r for r in results)]
    kinds = _common(file, there, metric.kinds)
    metric.update_results(results, ids)
    matches = {kind: found for kind in kinds if (found := metric.matches(kind)).truths.any()}
    metric.reset()
    if not matches:
        raise InputError(f"{annotations.path}: nobody counts on the images evaluated; evaluate more to compare them")
    return Earlier(file, matches)


def _common(file: str, there: Sequence[str], here: Sequence[Kind]) -> tuple[Kind, ...]:
    """The kinds that both have."""
    common = tuple(kind for kind in here if kind in there)
    if not common:
        raise InputError(
            f"{file}: nothing to compare: has {' and '.join(there) or 'neither keypoints nor segmentation'}, evaluated "
            f"are {' and '.join(here)}; give results of the same kind"
        )
    return common
