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
from personlab.evaluation.image_sets import ImageSet, assume_complete, kinds_of, read_image_set, without_results
from personlab.evaluation.results import Result, read_results

logger = logging.getLogger("personlab")


@dataclass(frozen=True)
class Earlier:
    """What another evaluation found.

    Attributes:
        file: Its results.
        without_results: Images that are evaluated and have no result there.
        images_known: Whether something tells that they were looked at all the same.
        matches: What they matched on the images that are evaluated, by kind that can be compared.
    """

    file: str
    without_results: int
    images_known: bool
    matches: dict[Kind, Matches]

    def compare(self, metric: CocoAP) -> dict[str, Any]:
        """Differences of average precision to this evaluation, with intervals over the images.

        Args:
            metric: With what was found now.

        Returns:
            By kind that both have, see `Difference.to_json`; `file`, `images_known` and `without_results`.
        """
        found: dict[str, Any] = {
            "file": self.file, "images_known": self.images_known, "without_results": self.without_results
        }  # fmt: skip
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
    told = read_image_set(file, every)
    _check_images(file, every, told, ids, annotations.sha256)
    results = [r for r in every if r["category_id"] == annotations.category_id]
    if every and not results:
        raise InputError(
            f"{file}: has no result of category {annotations.category_id}, which is `person` in {annotations.path}; "
            "give results of people"
        )
    there = told.kinds if told else ()
    kinds = _common(file, there or kinds_of(results), metric.kinds)
    metric.update_results(results, ids)
    matches = {kind: found for kind in kinds if (found := metric.matches(kind)).truths.any()}
    metric.reset()
    if not matches:
        raise InputError(f"{annotations.path}: nobody counts on the images evaluated; evaluate more to compare them")
    if told is None:
        first = next(iter(matches.values()))
        assumed = assume_complete(file, results, ids, set(first.image_ids[first.truths > 0].tolist()))
        if assumed:
            logger.warning(assumed)
    return Earlier(file, without_results(results, ids), told is not None, matches)


def _check_images(file: str, results: list[Result], told: ImageSet | None, ids: list[int], annotations: str) -> None:
    """Refuse results of other images than those that are evaluated, as far as one can know."""
    mend = "compare the same images: give both evaluations the same --split and --max_images"
    if told is not None:
        missing, more = set(ids) - set(told.image_ids), set(told.image_ids) - set(ids)
        if missing or more:
            raise InputError(
                f"{file}: is of {len(told.image_ids)} images: {len(missing)} of the {len(ids)} to be evaluated are "
                f"missing there, and {len(more)} there are not to be evaluated; {mend}"
            )
        if told.annotations_sha256 not in (None, annotations):
            logger.warning(
                "%s: was evaluated with other annotations (%s); make sure that images of the same number are the same",
                file, told.annotations,
            )  # fmt: skip
    elif not results:
        assume_complete(file, results, ids, ())  # refuses them
    elif other := {r["image_id"] for r in results} - set(ids):
        raise InputError(f"{file}: has results of image {min(other)}, which is not evaluated here; {mend}")


def _common(file: str, there: Sequence[str], here: Sequence[Kind]) -> tuple[Kind, ...]:
    """The kinds that both have."""
    common = tuple(kind for kind in here if kind in there)
    if not common:
        raise InputError(
            f"{file}: nothing to compare: has {' and '.join(there) or 'neither keypoints nor segmentation'}, evaluated "
            f"are {' and '.join(here)}; give results of the same kind"
        )
    return common
