"""What is in a data set, counted as training sees it: people, keypoints, sizes, overlaps, ignored pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from personlab.data.coco import CocoAnnotations
from personlab.data.label_maps import rasterise
from personlab.skeleton import Skeleton
from personlab.structures import CROWD, FIRST, IGNORE, SECOND, UNANNOTATED, UNMASKED

SCALE_EDGES_PX = (0, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Bounds of the bins of a person's scale, the square root of the mask's area; the last bin has no end."""
MOST_PEOPLE = 10
"""Images with so many people or more are counted together."""
OVERLAPS = (0.1, 0.3, 0.5)
"""Overlaps of two people's boxes (intersection over union) that are counted."""
_SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, float("inf"))}
"""COCO's sizes, by area in pixels."""
_IGNORED = {"crowd": CROWD, "unannotated": UNANNOTATED, "unmasked": UNMASKED}


@dataclass
class _Counts:
    """What is added up image by image."""

    pixels: int = 0
    of_people: int = 0
    shared: int = 0
    ignored: int = 0
    by_reason: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_IGNORED, 0))
    overlaps: list[float] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    area_has_keypoints: list[bool] = field(default_factory=list)


def data_statistics(
    annotations: CocoAnnotations,
    skeleton: Skeleton,
    images: NDArray[np.int64] | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:
    """Count what is in an annotation file.

    Args:
        annotations: The file.
        skeleton: Names its keypoints.
        images: Indices of the images to count; None for all.
        progress: Passes the images on and shows how far they are.

    Returns:
        Plain values: `images`, `people` and so on are numbers; `people_per_image`, `scales_px` and `sizes` histograms;
        `keypoints` tells for each name how often it is unlabelled, hidden and visible, among people with keypoints;
        `pixels` has shares of all pixels (people, ignored and why) and, of people's pixels, the share that several
        people cover; `overlaps` has, for each of `OVERLAPS`, the share of images in which two boxes overlap by more.
    """
    chosen = np.arange(len(annotations)) if images is None else np.asarray(images)
    people = [annotations.people(int(i)) for i in chosen]
    counts = _Counts()
    for image in progress(chosen.tolist()):
        _count_pixels(annotations, image, counts)
    everyone = np.concatenate([*people, np.zeros(0, np.int64)])
    with_keypoints = everyone[annotations.has_keypoints[everyone]]
    per_image = np.array([len(p) for p in people], dtype=np.int64)
    sizes = annotations.image_sizes[chosen]
    return {
        "images": len(chosen),
        "images_with_people": int((per_image > 0).sum()),
        "images_with_keypoints": sum(bool(annotations.has_keypoints[p].any()) for p in people),
        "people": len(everyone),
        "people_with_keypoints": len(with_keypoints),
        "people_imputed": int(annotations.is_imputed[everyone].sum()),
        "crowds": sum(len(annotations.crowds(int(i))) for i in chosen),
        "longer_side_px": _spread(sizes.max(axis=1)),
        "people_per_image": _per_image(per_image),
        "scales_px": _scales(counts),
        "sizes": _coco_sizes(counts),
        "keypoints": _visibility(annotations.keypoints[with_keypoints], skeleton),
        "pixels": _shares(counts),
        "overlaps": {
            f"{limit:g}": float(np.mean([o > limit for o in counts.overlaps])) if counts.overlaps else 0.0
            for limit in OVERLAPS
        },
    }


def _count_pixels(annotations: CocoAnnotations, image: int, counts: _Counts) -> None:
    height, width = annotations.size(image)
    label_map = rasterise(annotations, image)
    covered, ignored = label_map[..., FIRST] > 0, label_map[..., IGNORE]
    counts.pixels += height * width
    counts.of_people += int(covered.sum())
    counts.shared += int((label_map[..., SECOND] > 0).sum())
    counts.ignored += int((ignored > 0).sum())
    for reason, bit in _IGNORED.items():
        counts.by_reason[reason] += int((ignored & bit > 0).sum())
    people = annotations.people(image)
    for person in people:
        rle = annotations.segmentations.rle(int(person), height, width)
        if rle is not None:
            counts.areas.append(float(coco_mask.area(rle)))
            counts.area_has_keypoints.append(bool(annotations.has_keypoints[person]))
    boxes = annotations.boxes[people].astype(np.float64)
    boxes = boxes[(boxes[:, 2:] > 0).all(axis=1)]
    overlap = coco_mask.iou(boxes, boxes, [0] * len(boxes)) if len(boxes) else np.zeros((0, 0))
    counts.overlaps.append(float(np.triu(overlap, 1).max(initial=0.0)))


def _per_image(per_image: NDArray[np.int64]) -> dict[str, Any]:
    counted = np.bincount(np.minimum(per_image, MOST_PEOPLE), minlength=MOST_PEOPLE + 1).tolist()
    names = [str(n) for n in range(MOST_PEOPLE)] + [f"{MOST_PEOPLE}+"]
    return {
        "histogram": dict(zip(names, counted, strict=True)),
        "mean": float(per_image.mean()) if len(per_image) else 0.0,
        "most": int(per_image.max(initial=0)),
    }


def _scales(counts: _Counts) -> dict[str, Any]:
    scales, has = np.sqrt(counts.areas), np.array(counts.area_has_keypoints, dtype=bool)
    edges = np.array([*SCALE_EDGES_PX, np.inf])
    return {
        "edges": list(SCALE_EDGES_PX),
        "people": np.histogram(scales, edges)[0].tolist(),
        "with_keypoints": np.histogram(scales[has], edges)[0].tolist(),
        "spread": _spread(scales),
    }


def _coco_sizes(counts: _Counts) -> dict[str, int]:
    areas = np.array(counts.areas)
    return {name: int(((areas >= low) & (areas < high)).sum()) for name, (low, high) in _SIZES.items()}


def _visibility(keypoints: NDArray[np.float32], skeleton: Skeleton) -> dict[str, dict[str, int]]:
    visibility = keypoints[..., 2]
    return {
        name: {
            "unlabelled": int((visibility[:, k] == 0).sum()),
            "hidden": int((visibility[:, k] == 1).sum()),
            "visible": int((visibility[:, k] == 2).sum()),
        }
        for k, name in enumerate(skeleton.keypoint_names)
    }


def _shares(counts: _Counts) -> dict[str, float]:
    pixels = max(counts.pixels, 1)
    return {
        "people": counts.of_people / pixels,
        "ignored": counts.ignored / pixels,
        **{reason: number / pixels for reason, number in counts.by_reason.items()},
        "shared_of_people": counts.shared / max(counts.of_people, 1),
    }


def _spread(values: NDArray[Any]) -> dict[str, float]:
    """Smallest, quarter, median, three quarters, largest."""
    if not len(values):
        return {}
    names = ("min", "p25", "median", "p75", "max")
    return dict(zip(names, np.percentile(values, [0, 25, 50, 75, 100]).tolist(), strict=True))
