"""Images that two runs see most differently: truth, one, the other."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from personlab.data.images import UnreadableImage, read_image
from personlab.data.segmentations import Segmentations
from personlab.evaluation.results import Result, read_results
from personlab.experiments.comparison import Comparison, Row
from personlab.experiments.evidence import KINDS, Judge, predictions_of
from personlab.skeleton import Skeleton
from personlab.structures import People
from personlab.visualization.people import draw_people

SIDE_PX = 384
"""Longer side of a picture."""
MOST = 40
"""Images that a gallery may have, so that a report stays small enough to be sent."""
_QUALITY = 72


@dataclass(frozen=True)
class Exhibit:
    """One image.

    Attributes:
        image_id: In the annotations.
        name: Its file.
        before: OKS or IoU of the people in it by the baseline, see `ImageScores.closeness`.
        after: The same by the other run.
        pictures: Truth, baseline, other run, as `data:` addresses.
    """

    image_id: int
    name: str
    before: float
    after: float
    pictures: tuple[str, str, str]

    @property
    def change(self) -> float:
        """How much better the other run is."""
        return self.after - self.before


@dataclass(frozen=True)
class Gallery:
    """Images sorted by change, the greatest gain first, with what was compared.

    Attributes:
        one: Label of the baseline.
        two: Label of the other run.
        measure: What is compared, `OKS` or `IoU`.
        exhibits: The images.
        better: Images on which the other run is better.
        worse: Images on which it is worse.
        equal: Images on which they are the same.
    """

    one: str
    two: str
    measure: str
    exhibits: tuple[Exhibit, ...]
    better: int
    worse: int
    equal: int


def make_gallery(comparison: Comparison, judge: Judge, other: Row, images: int) -> Gallery | None:
    """Pictures of the images on which a run differs most from the baseline.

    Args:
        comparison: With evidence of both.
        judge: Knows the annotations and where the images lie.
        other: The run.
        images: How many images, half of them gains, half losses.

    Returns:
        None if either run has no predictions, or nothing can be compared on any image.
    """
    base = comparison.rows[0]
    if not {base.label, other.label} <= comparison.evidence.keys():
        return None
    one, two = comparison.evidence[base.label], comparison.evidence[other.label]
    kind = next((kind for kind in KINDS if kind in one.closeness and kind in two.closeness), None)
    if kind is None:
        return None
    before, after = one.closeness[kind], two.closeness[kind]
    shown = most_changed(after - before, min(images, MOST))
    if not len(shown):
        return None
    found = [_by_image(row) for row in (base, other)]
    truth: dict[int, list[dict[str, Any]]] = {}
    for annotation in judge.tables["annotations"]:
        truth.setdefault(annotation["image_id"], []).append(annotation)
    tables = {image["id"]: image for image in judge.tables["images"]}
    exhibits = []
    for index in shown:
        image_id = int(one.image_ids[index])
        try:
            pixels = read_image(judge.images / tables[image_id]["file_name"])
        except UnreadableImage:
            continue
        people = [_truth(truth.get(image_id, []), pixels.shape[:2], judge.skeleton)]
        people += [_people(results.get(image_id, []), judge.skeleton) for results in found]
        pictures = [_picture(draw_people(pixels, p, judge.skeleton, scores=n > 0)) for n, p in enumerate(people)]
        exhibits.append(
            Exhibit(
                image_id, str(tables[image_id]["file_name"]), float(before[index]), float(after[index]),
                (pictures[0], pictures[1], pictures[2]),
            )
        )  # fmt: skip
    change = (after - before)[np.isfinite(after - before)]
    return Gallery(
        base.label, other.label, "OKS" if kind == "keypoints" else "IoU", tuple(exhibits),
        int((change > 0).sum()), int((change < 0).sum()), int((change == 0).sum()),
    )  # fmt: skip


def most_changed(change: NDArray[np.float64], images: int) -> NDArray[np.int64]:
    """Indices of the greatest gains and losses, half of each where there are as many, from gain to loss.

    Args:
        change: `(image,)`; NaN where there is none to speak of.
        images: How many.
    """
    order = np.argsort(-np.nan_to_num(change), kind="stable")
    gains = [int(i) for i in order if change[i] > 0]
    losses = [int(i) for i in order[::-1] if change[i] < 0]
    most = max(images // 2, images - len(losses))
    chosen = gains[:most]
    return np.array(chosen + losses[: images - len(chosen)][::-1], np.int64)


def _by_image(row: Row) -> dict[int, list[Result]]:
    path = predictions_of(row.run)
    found: dict[int, list[Result]] = {}
    for result in read_results(path) if path else []:
        found.setdefault(result["image_id"], []).append(result)
    return found


def _people(results: Sequence[Result], skeleton: Skeleton) -> People:
    ordered = sorted(results, key=lambda r: -r["score"])
    keypoints = np.array([r["keypoints"] for r in ordered], np.float32).reshape(-1, skeleton.num_keypoints, 3)
    scores = np.array([r["score"] for r in ordered], np.float32)
    masks = [_packed(r["segmentation"]) for r in ordered] if all("segmentation" in r for r in ordered) else None
    return People(keypoints, scores, masks)


def _packed(mask: Mapping[str, Any]) -> dict[str, Any]:
    counts = mask["counts"]
    return {"size": list(mask["size"]), "counts": counts.encode() if isinstance(counts, str) else counts}


def _truth(annotations: Sequence[Mapping[str, Any]], size: tuple[int, ...], skeleton: Skeleton) -> People:
    """People of the annotations, without crowds."""
    rows = [a for a in annotations if not a.get("iscrowd")]
    blank = [0] * (3 * skeleton.num_keypoints)
    keypoints = np.array([a.get("keypoints") or blank for a in rows], np.float32)
    frame = (int(size[0]), int(size[1]))
    packed = [Segmentations.pack([(a.get("segmentation"), frame)]).rle(0, *frame) for a in rows]
    empty = {"size": list(frame), "counts": b""}
    return People(
        keypoints.reshape(-1, skeleton.num_keypoints, 3), np.ones(len(rows), np.float32), [p or empty for p in packed]
    )


def _picture(image: NDArray[np.uint8]) -> str:
    """A small JPEG as a `data:` address."""
    scale = min(SIDE_PX / max(image.shape[:2]), 1.0)
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
