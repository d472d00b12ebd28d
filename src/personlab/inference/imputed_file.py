"""An annotation file with the keypoints of people who have none, and a measure of how good they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from personlab.data.coco import CocoAnnotations, read_annotations
from personlab.data.images import UnreadableImage, read_image
from personlab.data.imputed import DETAILS, MARK, Row, without_imputed
from personlab.errors import InputError
from personlab.inference.imputation import Imputation, Imputer
from personlab.inference.imputation_quality import Checked, imputation_quality
from personlab.inference.stopwatch import Stopwatch
from personlab.skeleton import Skeleton

Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass
class _Plan:
    """Whom to look at in which image.

    Attributes:
        impute: Annotations of people to impute, by image.
        check: Annotations of people to check with, and their scales, by image.
        counts: People without keypoints, and why some are passed over.
    """

    impute: dict[int, list[int]] = field(default_factory=dict)
    check: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def images(self) -> list[int]:
        """Images that must be read, each once."""
        return sorted(self.impute.keys() | self.check.keys())


def impute_people(
    path: Path,
    folder: Path,
    imputer: Imputer,
    skeleton: Skeleton,
    *,
    min_size_px: int = 16,
    max_images: int | None = None,
    check: int = 0,
    note: dict[str, Any] | None = None,
    progress: Progress = iter,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Impute the people of an annotation file who have a mask and no keypoints.

    People who were imputed before are people without keypoints again. Every image is read at most once.

    Args:
        path: The annotation file.
        folder: Folder of its images.
        imputer: Finds the keypoints of a person.
        skeleton: What the keypoints are.
        min_size_px: Longer side of the mask's box below which nothing is tried: however far it is enlarged, a person
            of a dozen pixels has limbs of one.
        max_images: Only people in the first so many images.
        check: Also impute so many people who have keypoints, and compare, see `imputation_quality`.
        note: Kept in the file's `info`, to tell readers what was imputed and by what.
        progress: Shows how far it is.

    Returns:
        The content of the new file, in which only imputed annotations (keypoints, `num_keypoints`, `imputed`,
        `imputation`) and `info.imputation` differ from the old one; and a summary: counts of people, unreadable images,
        seconds, and `check`.

    Raises:
        InputError: If the annotation file is bad.
    """
    annotations = read_annotations(path, skeleton)
    content: dict[str, Any] = json.loads(path.read_bytes())
    content["annotations"] = [without_imputed(row) for row in content["annotations"]]
    rows = _rows(annotations, content["annotations"])
    plan = _plan(annotations, min_size_px, max_images, check)
    watch, checked, unreadable = Stopwatch(), Checked(skeleton), []
    counts = plan.counts | {"imputed": 0, "refused": 0, "unread": 0}
    chosen = plan.images()
    for place in progress(range(len(chosen))):
        image = chosen[place]
        file, people = folder / annotations.file_name(image), plan.impute.get(image, [])
        try:
            with watch.stage("read"):
                pixels = read_image(file, annotations.size(image))
        except UnreadableImage as error:
            unreadable.append({"file": str(file), "problem": str(error)})
            counts["unread"] += len(people)
            continue
        for annotation in people:
            found = imputer(pixels, _mask(annotations, annotation, image))
            counts["imputed" if found else "refused"] += 1
            if found:
                _write(rows[annotation], found)
        for annotation, scale in plan.check.get(image, []):
            mask = _mask(annotations, annotation, image)
            both = imputer(pixels, mask), imputer(pixels, mask, scale)
            checked.add(annotations.keypoints[annotation], int(mask.sum()), both)
    if note is not None:
        info = content.get("info")
        content["info"] = {**(info if isinstance(info, dict) else {}), "imputation": {**note, **counts}}
    seconds = watch.seconds | imputer.watch.seconds
    summary = {"images": len(chosen) - len(unreadable), **counts, "unreadable": unreadable, "seconds": seconds}
    return content, summary | {"check": imputation_quality(checked) if check else None}


def _rows(annotations: CocoAnnotations, rows: list[Row]) -> list[Row]:
    """The file's own entries in the order of the annotations that were read."""
    index = {int(image_id): i for i, image_id in enumerate(annotations.image_ids)}
    people = [row for row in rows if row["category_id"] == annotations.category_id]
    return sorted(people, key=lambda row: index[row["image_id"]])


def _write(row: Row, found: Imputation) -> None:
    """Put keypoints into an entry, marked as imputed; hundredths of a pixel are kept."""
    keypoints = found.keypoints.tolist()
    row["keypoints"] = [n for x, y, v in keypoints for n in (round(x, 2), round(y, 2), int(v))]
    row["num_keypoints"] = sum(v > 0 for _, _, v in keypoints)
    row[MARK] = True
    row[DETAILS] = {"score": round(found.score, 4), "fit": round(found.fit, 4)}


def _plan(annotations: CocoAnnotations, min_size_px: int, max_images: int | None, check: int) -> _Plan:
    """Sort people by what can be done with them; the choice of whom to check with is the same every time."""
    owner = np.repeat(np.arange(len(annotations)), np.diff(annotations.first_annotation))
    used = ~annotations.is_crowd & (owner < (max_images or len(annotations)))
    plan, sizes = _Plan(), []
    lacking = np.flatnonzero(used & ~annotations.has_keypoints)
    counts = dict.fromkeys(("without_mask", "too_small"), 0)
    for annotation in lacking.tolist():
        size = _size_px(annotations, annotation, int(owner[annotation]))
        if size is None:
            counts["without_mask"] += 1
        elif size < min_size_px:
            counts["too_small"] += 1
        else:
            sizes.append(size)
            plan.impute.setdefault(int(owner[annotation]), []).append(annotation)
    plan.counts = {"without_keypoints": len(lacking), **counts}
    generator = np.random.default_rng(0)
    left = check
    for annotation in generator.permutation(np.flatnonzero(used & annotations.has_keypoints)).tolist():
        if not left:
            break
        size = _size_px(annotations, annotation, int(owner[annotation]))
        if size is not None and size >= min_size_px:
            scale = min(float(generator.choice(sizes)) / size, 1.0) if sizes else 1.0
            plan.check.setdefault(int(owner[annotation]), []).append((annotation, scale))
            left -= 1
    return plan


def _size_px(annotations: CocoAnnotations, annotation: int, image: int) -> float | None:
    """Longer side of the box of a mask; None without a mask."""
    rle = annotations.segmentations.rle(annotation, *annotations.size(image))
    return None if rle is None else float(coco_mask.toBbox(rle)[2:].max())


def _mask(annotations: CocoAnnotations, annotation: int, image: int) -> NDArray[np.bool_]:
    """A person's mask in the image."""
    try:
        return np.asarray(coco_mask.decode(annotations.segmentations.rle(annotation, *annotations.size(image))), bool)
    except ValueError as error:
        number = annotations.annotation_ids[annotation]
        raise InputError(f"{annotations.path}: annotation {number}: {error}; its counts are corrupt") from None
