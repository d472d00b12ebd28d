"""What the predictions of a run's last evaluation say, image by image, so that runs can be compared in pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from personlab.data.coco import annotation_path, read_annotations
from personlab.data.coco_tables import sizes_of_images
from personlab.errors import InputError
from personlab.evaluation.bootstrap import average_precision, draws, resampled_precisions
from personlab.evaluation.coco_ap import CocoAP, Kind
from personlab.evaluation.image_scores import keypoint_scores, mask_scores
from personlab.evaluation.image_sets import read_image_set
from personlab.evaluation.keypoint_errors import keypoint_errors
from personlab.evaluation.mask_errors import mask_errors
from personlab.evaluation.results import Result, read_results
from personlab.experiments.catalogue import Run
from personlab.network import PersonLab
from personlab.skeleton import Skeleton
from personlab.visualization.people import SCORE_THRESHOLD
from personlab.weights.network_file import build_network

KINDS: tuple[Kind, ...] = ("keypoints", "segmentation")


@dataclass(frozen=True, eq=False)
class Evidence:
    """One run. Arrays of several runs are paired: the n-th resample has the same images in all of them.

    Attributes:
        image_ids: `(image,)` ascending.
        precisions: By kind that the run has scores of, and size (`all` and COCO's), average precision of the images.
        resampled: The same of images drawn with replacement, `(resample,)`.
        recalls: `(keypoint,)` keypoint recall, see `ImageScores.recall`; NaN without scores of keypoints.
        resampled_recalls: `(resample, keypoint)`.
        closeness: By kind, `(image,)`, see `ImageScores.closeness`; of people with scores at which pictures show them.
        errors: By kind, the breakdown of errors as JSON.
    """

    image_ids: NDArray[np.int64]
    precisions: dict[Kind, dict[str, float]]
    resampled: dict[Kind, dict[str, NDArray[np.float64]]]
    recalls: NDArray[np.float64]
    resampled_recalls: NDArray[np.float64]
    closeness: dict[Kind, NDArray[np.float64]]
    errors: dict[Kind, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Judge:
    """The annotations that runs were evaluated with, and how often to resample their images.

    Attributes:
        tables: Content of the annotation file.
        images: Folder of the images.
        image_ids: Images that were evaluated: those that the file beside the predictions lists, or, where there is
            none, as many as were evaluated from the start of the split.
        skeleton: Of the keypoints.
        resamples: How often images are drawn.
        seed: Of the draws.
    """

    tables: Mapping[str, Any]
    images: Path
    image_ids: tuple[int, ...]
    skeleton: Skeleton
    resamples: int
    seed: int = 0

    @classmethod
    def of(cls, run: Run, root: str | None, resamples: int) -> Judge:
        """The annotations that a run was evaluated with.

        Args:
            run: One of those to compare; they have the same data.
            root: Folder of the data set; None for the one that the run names.
            resamples: How often images are drawn.

        Raises:
            InputError: If the annotations are missing or cannot be read.
        """
        data, stage = run.config.get("data") or {}, stage_of(run)
        if missing := [name for name in ("root", "val_split", "annotations") if not isinstance(data.get(name), str)]:
            raise InputError(f"{run.path / 'config.yaml'}: has no data.{missing[0]}; is it a run of `personlab fit`?")
        split = data["val_split"] if stage == "val" else data.get("test_split") or data["val_split"]
        own = run.place(data["root"])
        # Where it was started there may be nothing any more: the same folders may lie below the working directory.
        folder = Path(root) if root else own if own.is_dir() else Path(data["root"])
        path = annotation_path(folder, split, data["annotations"])
        skeleton = network_of(run).skeleton
        annotations = read_annotations(path, skeleton, require_keypoints=False)
        predictions = predictions_of(run)
        told = read_image_set(predictions, read_results(predictions)) if predictions else None
        number = (run.evaluation or {}).get("images")
        most = data.get("val_images")
        if most is not None and (not isinstance(most, int) or isinstance(most, bool)):
            raise InputError(f"{run.path / 'config.yaml'}: data.val_images is {most!r}, not a number; mend it")
        first = tuple(annotations.image_ids[:most][:number].tolist())
        return cls(
            json.loads(path.read_text(encoding="utf-8")),
            folder / split,
            first if told is None else told.image_ids,
            skeleton,
            resamples,
        )

    def hear(self, run: Run) -> Evidence | None:
        """What a run's predictions say; None if it kept none, or has no scores.

        Raises:
            InputError: If they are of other images, or these annotations do not give the run's own scores.
        """
        path = predictions_of(run)
        if path is None:
            return None
        try:
            results = read_results(path, self.skeleton.num_keypoints, sizes_of_images(self.tables["images"]))
        except InputError as error:
            raise InputError(f"{error}; or leave the run out, or remove the file to go by its scores alone") from None
        images, known = read_image_set(path, results), set(self.image_ids)
        of_others = {r["image_id"] for r in results} - known if images is None else known ^ set(images.image_ids)
        if of_others:
            raise InputError(
                f"{path}: is of other images than the baseline's ({len(of_others)} differ, such as {min(of_others)}); "
                "compare runs that were evaluated on the same images"
            )
        told = run.evaluation or {}
        # Not what its results have: a run may have found nobody, and a network tells keypoints that no label has.
        kinds = [kind for kind in KINDS if run.ap(kind) is not None]
        if not kinds:
            return None
        evidence = self._weigh(results, kinds, bool(told.get("only_with_keypoints")), str(path))
        for kind, sizes in evidence.precisions.items():
            value = told.get(kind, {}).get("AP")
            if value is not None and not abs(value - sizes["all"]) < 1e-6:
                raise InputError(
                    f"{path}: {kind} AP is {sizes['all']:.4f} by these annotations, {value:.4f} by the run's own "
                    "evaluation; give the data that it was evaluated with by --data.root"
                )
        return evidence

    def _weigh(self, results: list[Result], kinds: list[Kind], only_with_keypoints: bool, source: str) -> Evidence:
        metric = CocoAP(self.tables, kinds, self.skeleton, only_with_keypoints=only_with_keypoints)
        metric.update_results(results, self.image_ids)
        matches = {kind: metric.matches_by_size(kind) for kind in kinds}
        closeness, errors = dict[Kind, NDArray[np.float64]](), dict[Kind, dict[str, Any]]()
        recalls = np.full((1 + self.resamples, self.skeleton.num_keypoints), np.nan)  # of all images, of each resample
        if "keypoints" in kinds:
            of_keypoints = (self.tables, results, self.skeleton, self.image_ids)
            scores = keypoint_scores(*of_keypoints, source, SCORE_THRESHOLD)
            recalls[0] = scores.recall()
            for n, weights in enumerate(draws(len(self.image_ids), self.resamples, self.seed)):
                recalls[1 + n] = scores.recall(weights)
            closeness["keypoints"] = scores.closeness
            errors["keypoints"] = keypoint_errors(*of_keypoints, source=source).to_json()
        if "segmentation" in kinds:
            of_masks = (self.tables, results, self.skeleton, self.image_ids, only_with_keypoints, source)
            closeness["segmentation"] = mask_scores(*of_masks, SCORE_THRESHOLD).closeness
            errors["segmentation"] = mask_errors(*of_masks).to_json()
        return Evidence(
            image_ids=np.array(sorted(self.image_ids), np.int64),
            precisions={
                kind: {size: average_precision(m.sorted()) for size, m in sizes.items()}
                for kind, sizes in matches.items()
            },
            resampled={
                kind: {size: resampled_precisions(m, self.resamples, self.seed) for size, m in sizes.items()}
                for kind, sizes in matches.items()
            },
            recalls=recalls[0],
            resampled_recalls=recalls[1:],
            closeness=closeness,
            errors=errors,
        )


def stage_of(run: Run) -> str:
    """Whether a run's evaluation is a validation (`val`) or a test (`test`), by what data it read."""
    hashes = run.card.get("data_hash") or {}
    return "test" if "test" in hashes and "val" not in hashes else "val"


def predictions_of(run: Run) -> Path | None:
    """File of the predictions that a run's `evaluation.json` scores; None if they were not kept."""
    step = (run.evaluation or {}).get("step")
    path = run.path / "predictions" / f"{stage_of(run)}-step{step}.json"
    return path if path.is_file() else None


def network_of(run: Run) -> PersonLab:
    """The network of a run without its weights: their shapes alone, which take no memory.

    Raises:
        InputError: If the config does not describe one.
    """
    described = run.config.get("model", {}).get("network")
    if not isinstance(described, dict):
        raise InputError(f"{run.path / 'config.yaml'}: has no model.network; is it a run of `personlab fit`?")
    try:
        return _network(json.dumps(described, sort_keys=True))
    except InputError as error:
        raise InputError(f"{run.path}: {error}") from None


@lru_cache(maxsize=64)
def _network(described: str) -> PersonLab:
    """Runs of a sweep mostly have the same network, and it takes longer to make than to compare."""
    with torch.device("meta"):
        return build_network(json.loads(described), "config.yaml")
