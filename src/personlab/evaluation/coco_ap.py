"""Average precision by COCO's own evaluation, for keypoints and for masks."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO as CocoIndex
from pycocotools.cocoeval import COCOeval
from torchmetrics import Metric

from personlab.data.coco_tables import check_tables, ids_of_images, image_of_each, read_tables, select_category
from personlab.data.imputed import without_imputed
from personlab.errors import InputError
from personlab.evaluation.bootstrap import Matches
from personlab.evaluation.results import Result, people_to_results
from personlab.skeleton import COCO, Skeleton
from personlab.structures import People

Kind = Literal["keypoints", "segmentation"]

FIGURES: dict[Kind, tuple[str, ...]] = {
    "keypoints": (
        "AP", "AP50", "AP75", "AP_medium", "AP_large", "AR", "AR50", "AR75", "AR_medium", "AR_large",
    ),
    "segmentation": (
        "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100", "AR_small", "AR_medium",
        "AR_large",
    ),
}  # fmt: skip
"""Names of the figures of each kind, in the order in which COCO's evaluation gives them."""


class CocoAP(Metric):
    """COCO's average precision and recall over exactly the images it was given.

    Results are kept as they come and evaluated together at the end, since average precision is no mean over images.
    Nothing is gathered between processes: each writes its `results` and one process takes them all by `update_results`.

    Imputed keypoints are no truth: their people count as people without keypoints, as before they were imputed.

    Args:
        annotations: Annotation file, or its content.
        kinds: What to evaluate. Annotations of people have both keypoints and masks.
        skeleton: Keypoints of the annotations; its sigmas are used.
        category: Name of the category to evaluate, None for all of them (masks only).
        only_with_keypoints: Leave people without any labelled keypoint out of the ground truth of masks. COCO's scores
            count them; what is found by way of keypoints alone is measured fairly without. Scores of keypoints stay
            COCO's, which neither reward nor punish who is found on such a person.

    Raises:
        InputError: If the annotations cannot be read, lack the category or do not fit the kinds or the skeleton.

    Source: COCO's evaluation code, which this calls (pycocotools).
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True

    def __init__(
        self,
        annotations: str | Path | Mapping[str, Any],
        kinds: Sequence[Kind] = ("keypoints", "segmentation"),
        skeleton: Skeleton = COCO,
        category: str | None = "person",
        only_with_keypoints: bool = False,
    ) -> None:
        """See the class."""
        super().__init__(sync_on_compute=False, compute_with_cache=False)
        unknown = [kind for kind in kinds if kind not in FIGURES]
        if unknown or not kinds:
            raise InputError(f"kinds: {', '.join(unknown) or 'nothing'} cannot be evaluated, give {', '.join(FIGURES)}")
        self.kinds = tuple(kinds)
        self.skeleton = skeleton
        self.only_with_keypoints = only_with_keypoints
        self.source = "annotations" if isinstance(annotations, Mapping) else str(annotations)
        if isinstance(annotations, Mapping):
            tables = check_tables(self.source, annotations)
        else:
            tables = read_tables(Path(annotations))
        ids = ids_of_images(self.source, tables["images"])
        self._images = dict(zip(ids.tolist(), tables["images"], strict=True))
        self._categories, self._annotations = tables["categories"], tables["annotations"]
        if category is not None:
            chosen, self._annotations = select_category(self.source, tables, category)
            self._categories = [chosen]
        image_of_each(self.source, self._annotations, ids)
        self._annotations = [without_imputed(a) for a in self._annotations]
        self._check("keypoints" in kinds or only_with_keypoints)
        self._seen: list[int] = []
        self._results: list[Result] = []

    @property
    def category_id(self) -> int:
        """Id of the (first) category evaluated."""
        return int(self._categories[0]["id"])

    @property
    def images(self) -> dict[int, dict[str, Any]]:
        """All images of the annotations by their ids, also those not seen, as the annotations have them."""
        return self._images

    @property
    def results(self) -> list[Result]:
        """What was found so far, as COCO results, one object with keypoints and mask a person."""
        return self._results

    @property
    def image_ids(self) -> list[int]:
        """Images seen so far, in the order they came."""
        return self._seen

    def update(self, people: Sequence[People], image_ids: Iterable[int]) -> None:
        """Add what was found on some images.

        Args:
            people: People of each image in `image_xy`.
            image_ids: The images' ids, also of images where nobody was found.

        Raises:
            InputError: If an image is not in the annotations or was added before.
        """
        ids = [int(i) for i in image_ids]
        self._add(
            [r for found, i in zip(people, ids, strict=True) for r in people_to_results(found, i, self.category_id)],
            ids,
        )

    def update_results(self, results: Iterable[Result], image_ids: Iterable[int]) -> None:
        """Add COCO results, of other processes or of a file.

        Args:
            results: COCO results of these images.
            image_ids: Ids of all images the results are of, also of those without any.

        Raises:
            InputError: If an image is not in the annotations or was added before, or a result is of another image.
        """
        self._update_count += 1  # tells Metric that there is something to compute
        self._add(list(results), [int(i) for i in image_ids])

    def compute(self) -> dict[str, float]:
        """Evaluate what was added.

        Returns:
            Figures by `kind/name`, such as `keypoints/AP` and `segmentation/AP_small`. A figure for which there is no
            ground truth (COCO's -1) is NaN.

        Raises:
            InputError: If no image was added.
        """
        if not self._seen:
            raise InputError(
                "evaluation: no image was evaluated, so there are no scores; check the image folder and limits"
            )
        figures: dict[str, float] = {}
        for kind in self.kinds:
            stats = self._evaluate(kind)
            figures |= {
                f"{kind}/{name}": float(value) if value > -1 else float("nan")
                for name, value in zip(FIGURES[kind], stats, strict=True)
            }
        return figures

    def truth(self, kind: Kind) -> list[dict[str, Any]]:
        """The ground truth that one kind is scored against, of the images seen: copies of the annotations.

        All of them have `iscrowd`, `keypoints` and `num_keypoints`; their ids count from 1.
        """
        seen = set(self._seen)
        truth = [dict(a) for a in self._annotations if a["image_id"] in seen]
        if self.only_with_keypoints and kind == "segmentation":
            truth = [a for a in truth if a.get("iscrowd") or any(a["keypoints"][2::3])]
        blank = [0] * (3 * self.skeleton.num_keypoints)
        for number, a in enumerate(truth, 1):
            a["id"] = number  # COCO's evaluation takes what matched id 0 for not matched
            a.setdefault("iscrowd", 0)
            a["keypoints"] = a.get("keypoints") or blank
            a["num_keypoints"] = sum(v > 0 for v in a["keypoints"][2::3])
        return truth

    def matches(self, kind: Kind) -> Matches:
        """What was matched on each image so far, for statistics over images; people of all sizes.

        Raises:
            InputError: If no image was added.
        """
        return self.matches_by_size(kind)["all"]

    def matches_by_size(self, kind: Kind) -> dict[str, Matches]:
        """What was matched on each image so far, of `all` people and of each size that COCO's evaluation has.

        Raises:
            InputError: If no image was added.
        """
        if not self._seen:
            raise InputError("evaluation: no image was evaluated, so nothing was matched")
        evaluation = self._matched(kind)
        count = len(evaluation.params.imgIds)
        # Rows are sorted by category, of which there is one or the first is taken, then by size, then by image.
        return {
            size: _matches(evaluation, evaluation.evalImgs[n * count : (n + 1) * count])
            for n, size in enumerate(evaluation.params.areaRngLbl)
        }

    def forward(self, *args: Any, **kwargs: Any) -> None:
        """Only add: scores of a single batch mean nothing."""
        self.update(*args, **kwargs)

    def reset(self) -> None:
        """Forget all images and results."""
        super().reset()
        self._seen, self._results = [], []

    def _add(self, results: list[Result], image_ids: list[int]) -> None:
        """Keep results after checking that each image is known and new."""
        seen = set(self._seen)
        for image_id in image_ids:
            if image_id not in self._images:
                raise InputError(
                    f"{self.source}: has no image {image_id}; evaluate with the annotations of these images"
                )
            if image_id in seen:
                raise InputError(f"evaluation: image {image_id} was evaluated twice; give every image once")
            seen.add(image_id)
        new = set(image_ids)
        for result in results:
            if result["image_id"] not in new:
                raise InputError(
                    f"evaluation: a result is of image {result['image_id']}, which is not in the image ids given"
                )
        self._seen += image_ids
        self._results += results

    def _check(self, with_keypoints: bool) -> None:
        """Refuse annotations that COCO's evaluation would choke on or score 0 without a word."""
        lacking = {"id", "image_id", "area", "bbox"} | ({"segmentation"} if "segmentation" in self.kinds else set())
        values = 3 * self.skeleton.num_keypoints
        for a in self._annotations:
            if not lacking <= a.keys():
                missing = ", ".join(sorted(lacking - a.keys()))
                raise InputError(
                    f"{self.source}: annotation {a.get('id')} has no {missing}; add it (see `data doctor`)"
                )
            if "segmentation" in lacking and not a["segmentation"]:
                raise InputError(f"{self.source}: annotation {a['id']} has an empty segmentation; give it one")
            if with_keypoints and len(a.get("keypoints", ())) != values and not a.get("iscrowd"):
                raise InputError(
                    f"{self.source}: annotation {a['id']} has {len(a.get('keypoints', ())) // 3} keypoints, skeleton "
                    f"{self.skeleton.name} has {self.skeleton.num_keypoints}; give annotations with keypoints"
                )

    def _evaluate(self, kind: Kind) -> Sequence[float]:
        """COCO's figures of one kind."""
        evaluation = self._matched(kind)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation.stats.tolist()

    def _matched(self, kind: Kind) -> COCOeval:
        """COCO's evaluation of one kind, with what was found matched to the ground truth."""
        truth = self.truth(kind)
        found = [_detection(r, kind) for r in self._results if kind in r]
        for number, annotation in enumerate(found, 1):
            annotation["id"] = number
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(self._index(truth), self._index(found), "segm" if kind == "segmentation" else kind)
            if kind == "keypoints":
                evaluation.params.kpt_oks_sigmas = np.array(self.skeleton.sigmas)
            evaluation.evaluate()
        return evaluation

    def _index(self, annotations: list[dict[str, Any]]) -> CocoIndex:
        """COCO's index of annotations of the images seen."""
        index = CocoIndex()
        images = [self._images[i] for i in sorted(self._seen)]
        index.dataset = {"images": images, "categories": self._categories, "annotations": annotations}
        index.createIndex()
        return index


def _detection(result: Result, kind: Kind) -> dict[str, Any]:
    """One kind of result with what COCO's evaluation wants to know; the area decides about medium and large."""
    detection = {key: result[key] for key in ("image_id", "category_id", "score", kind)} | {"iscrowd": 0}
    if kind == "keypoints":
        x, y = result["keypoints"][0::3], result["keypoints"][1::3]
        detection["area"] = (max(x) - min(x)) * (max(y) - min(y))
    else:
        detection["area"] = float(coco_mask.area(result["segmentation"]))
    return detection


def _matches(evaluation: COCOeval, rows: Sequence[dict[str, Any] | None]) -> Matches:
    """What was matched, from the rows of COCO's evaluation of one category and size: one an image."""
    limit = evaluation.params.maxDets[-1]
    found = [(i, row) for i, row in enumerate(rows) if row is not None]
    truths = np.zeros(len(rows), np.int64)
    for i, row in found:
        truths[i] = np.count_nonzero(np.asarray(row["gtIgnore"]) == 0)
    thresholds = len(evaluation.params.iouThrs)

    def joined(name: str) -> NDArray[np.bool_]:
        parts = [np.asarray(row[name], bool).reshape(thresholds, -1)[:, :limit] for _, row in found]
        return np.concatenate([np.zeros((thresholds, 0), bool), *parts], axis=1)

    return Matches(
        image_ids=np.asarray(evaluation.params.imgIds, np.int64),
        truths=truths,
        image=np.array([i for i, row in found for _ in row["dtScores"][:limit]], np.int64),
        scores=np.array([s for _, row in found for s in row["dtScores"][:limit]], np.float64),
        matched=joined("dtMatches"),
        ignored=joined("dtIgnore"),
    )
