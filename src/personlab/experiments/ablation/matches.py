"""What a level was found to do: results of its runs, matched once against the annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.data.coco_tables import read_tables, sizes_of_images
from personlab.errors import InputError
from personlab.evaluation.bootstrap import Matches, average_precision, resampled_precisions
from personlab.evaluation.coco_ap import CocoAP, Kind
from personlab.evaluation.image_sets import kinds_of, read_image_set
from personlab.evaluation.results import read_results
from personlab.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class CellMatches:
    """One run of one level.

    Attributes:
        matches: By kind; a decoder that makes no masks has keypoints alone.
        about: What else is worth keeping: run directory, seconds, commit.
    """

    matches: Mapping[Kind, Matches]
    about: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def precisions(self) -> dict[Kind, float]:
        """Average precision, by kind."""
        return {kind: average_precision(matches.sorted()) for kind, matches in self.matches.items()}

    @cached_property
    def resampled(self) -> dict[Kind, NDArray[np.float64]]:
        """`(resample,)` the same of images drawn with replacement, the same ones for all runs on the same images."""
        return {kind: resampled_precisions(matches) for kind, matches in self.matches.items()}


class Scorer:
    """Matches results against annotations, which are read once.

    Args:
        annotations: Their file.
        skeleton: Keypoints of the people.
        only_with_keypoints: Leave people without keypoints out of the ground truth of masks.
    """

    def __init__(self, annotations: Path, skeleton: Skeleton, only_with_keypoints: bool) -> None:
        """Read the annotations."""
        self._tables = read_tables(annotations)
        self._skeleton, self._alone = skeleton, only_with_keypoints

    def read(self, results: Path, about: Mapping[str, Any]) -> CellMatches:
        """Match a file of results.

        Args:
            results: COCO results with a companion that tells which images they are of.
            about: See `CellMatches`.

        Raises:
            InputError: If it cannot be read, or is of images that are not annotated.
        """
        rows = read_results(results, self._skeleton.num_keypoints, sizes_of_images(self._tables["images"]))
        images = read_image_set(results, rows)
        if images is None:
            raise InputError(f"{results}: nothing tells which images it is of; remove it and run it again")
        there = images.kinds or ("keypoints", *kinds_of(rows))
        kinds: tuple[Kind, ...] = ("keypoints",)
        if "segmentation" in there:
            kinds = ("keypoints", "segmentation")
        metric = CocoAP(self._tables, kinds, self._skeleton, only_with_keypoints=self._alone)
        metric.update_results(rows, images.image_ids)
        matches = {kind: found for kind in kinds if (found := metric.matches(kind)).truths.any()}
        if not matches:
            raise InputError(f"{results}: nobody counts on its images, so there is nothing to compare")
        return CellMatches(matches, about)
