"""Reading COCO annotation files into flat arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.data.coco_tables import (
    found,
    ids_of_images,
    image_of_each,
    read_tables,
    select_category,
    text,
    whole_number,
)
from personlab.data.imputed import Imputed, Row, is_imputed, without_imputed
from personlab.data.segmentations import Segmentations
from personlab.errors import InputError
from personlab.skeleton import COCO, Skeleton
from personlab.structures import MAX_PEOPLE, OFFSETS_ONLY

MAX_PIXELS = 2**30
"""Largest image, as in OpenCV, which reads no larger ones: a size that is a slip would ask for all memory."""
_LARGEST = 1e12
"""No number of an annotation reaches this, whether place, length or area."""


@dataclass(frozen=True, eq=False)
class CocoAnnotations:
    """The people of a COCO annotation file, annotations sorted by image (and by the file's order inside an image).

    Attributes:
        path: The file.
        category_id: Id that the category `person` has in it.
        image_ids: `(image,)` int64, in the file's order.
        file_names: `(image,)` bytes, UTF-8; `file_name` gives a string.
        image_sizes: `(image, 2)` int64, (height, width) in pixels.
        first_annotation: `(image + 1,)`: annotations of image i are `first_annotation[i]:first_annotation[i + 1]`.
        annotation_ids: `(annotation,)` int64.
        keypoints: `(annotation, keypoint, 3)` float32, x, y in `image_xy` and COCO's visibility, or `OFFSETS_ONLY`;
            unlabelled ones are 0.
        boxes: `(annotation, 4)` float32: x, y, width, height in pixels.
        is_crowd: `(annotation,)` bool; imputed people too, if they were read as `mask`.
        is_imputed: `(annotation,)` bool: the file has keypoints that nobody labelled, whatever they were read as.
        has_keypoints: `(annotation,)` bool: at least one keypoint is labelled, or imputed and read as `use`.
        segmentations: Polygons and run-length codes.
    """

    path: Path
    category_id: int
    image_ids: NDArray[np.int64]
    file_names: NDArray[np.bytes_]
    image_sizes: NDArray[np.int64]
    first_annotation: NDArray[np.int64]
    annotation_ids: NDArray[np.int64]
    keypoints: NDArray[np.float32]
    boxes: NDArray[np.float32]
    is_crowd: NDArray[np.bool_]
    is_imputed: NDArray[np.bool_]
    has_keypoints: NDArray[np.bool_]
    segmentations: Segmentations

    def __len__(self) -> int:
        """Number of images."""
        return len(self.image_ids)

    def file_name(self, image: int) -> str:
        """Name of an image's file, inside the folder of its split."""
        return self.file_names[image].decode("utf-8")

    def size(self, image: int) -> tuple[int, int]:
        """(height, width) of an image, in pixels."""
        height, width = self.image_sizes[image]
        return int(height), int(width)

    def _of_image(self, image: int) -> NDArray[np.int64]:
        return np.arange(self.first_annotation[image], self.first_annotation[image + 1])

    def people(self, image: int) -> NDArray[np.int64]:
        """Annotations of an image that are single people; their order is the order of people everywhere else."""
        found = self._of_image(image)
        return found[~self.is_crowd[found]]

    def crowds(self, image: int) -> NDArray[np.int64]:
        """Annotations of an image that are crowd regions."""
        found = self._of_image(image)
        return found[self.is_crowd[found]]

    def images_with_keypoints(self) -> NDArray[np.int64]:
        """Images with at least one labelled keypoint of a single person, ascending.

        Imputed ones count however they were read, so that what is done with them changes targets and not the images.
        """
        owner = np.repeat(np.arange(len(self)), np.diff(self.first_annotation))
        return np.unique(owner[self.is_imputed | (self.has_keypoints & ~self.is_crowd)])


ANNOTATIONS = "annotations/person_keypoints_{split}.json"
"""Where COCO's layout has the annotations of people, below the root."""


def annotation_path(root: str | Path, split: str, annotations: str = ANNOTATIONS) -> Path:
    """Annotation file of a split.

    Args:
        root: Folder of the data set.
        split: Name of the split.
        annotations: File below the root; `{split}` stands for the split.
    """
    return Path(root) / annotations.replace("{split}", split)


def read_annotations(
    path: str | Path,
    skeleton: Skeleton = COCO,
    *,
    require_keypoints: bool = True,
    require_annotations: bool = True,
    imputed: Imputed = "ignore",
) -> CocoAnnotations:
    """Read a COCO annotation file; only annotations of the category `person` are kept.

    Args:
        path: A JSON file such as `person_keypoints_val2017.json`.
        skeleton: What the keypoints are.
        require_keypoints: Refuse files whose annotations have no keypoints at all (`instances_*.json`), which can be
            scored against but not trained on.
        require_annotations: Refuse files of images alone, such as `image_info_test-dev2017.json`.
        imputed: What imputed keypoints are taken for. What is not training ignores them: they are no truth.

    Returns:
        The annotations. Fields that COCO's own files always have but a conversion may lack (`iscrowd`, `bbox`,
        `segmentation`, `keypoints`) may be missing, and of others only the mark of imputed keypoints is read.

    Raises:
        InputError: If the file is missing, not JSON, not COCO, has no images or no category `person`, has no keypoints
            where they are required, keypoints that do not match the skeleton, annotations of unknown images, more than
            `MAX_PEOPLE` people in one image, or an entry with a field that is missing or no such thing.
    """
    path = Path(path)
    tables = read_tables(path, require_annotations)
    images = tables["images"]
    category, people = select_category(path, tables, "person")
    _check_keypoint_names(path, category, skeleton)
    if require_keypoints and people and "keypoints" not in category and all("keypoints" not in a for a in people):
        raise InputError(f"{path}: has no keypoints (a detection file?); use person_keypoints_*.json")
    ids = ids_of_images(path, images)
    names = np.array([text(f"{path}: images[{i}]", image, "file_name").encode() for i, image in enumerate(images)])
    sizes = np.array([_size(f"{path}: images[{i}]", image) for i, image in enumerate(images)], dtype=np.int64)
    owner = image_of_each(path, people, ids)
    order = np.argsort(owner, kind="stable")
    people = [people[i] for i in order]
    owner = owner[order]
    imputed_here = np.array([is_imputed(a) for a in people], dtype=bool)
    if imputed in ("ignore", "mask"):
        people = [without_imputed(a) for a in people]
    is_crowd = np.array([bool(a.get("iscrowd", 0)) for a in people], dtype=bool)
    if imputed == "mask":
        is_crowd |= imputed_here
    crowded = np.bincount(owner[~is_crowd], minlength=len(ids))
    if crowded.max() > MAX_PEOPLE:
        image = names[crowded.argmax()].decode()
        raise InputError(
            f"{path}: {image} has {crowded.max()} people, more than {MAX_PEOPLE}; make some of them a crowd"
        )
    keypoints = _keypoints(path, people, skeleton)
    if imputed == "offsets":
        visibility = keypoints[..., 2]
        visibility[imputed_here[:, None] & (visibility > 0)] = OFFSETS_ONLY
    return CocoAnnotations(
        path=path,
        category_id=int(category["id"]),
        image_ids=ids,
        file_names=names,
        image_sizes=sizes,
        first_annotation=np.searchsorted(owner, np.arange(len(ids) + 1)),
        annotation_ids=np.array([a.get("id", -1) for a in people], dtype=np.int64),
        keypoints=keypoints,
        boxes=_rows(path, people, "bbox", 4),
        is_crowd=is_crowd,
        is_imputed=imputed_here,
        has_keypoints=np.asarray(np.isin(keypoints[..., 2], (1, 2)).any(axis=1)),
        segmentations=_segmentations(path, people, sizes[owner]),
    )


def _size(where: str, image: Row) -> tuple[int, int]:
    height, width = (whole_number(where, image, key) for key in ("height", "width"))
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise InputError(
            f"{where}: height {height} and width {width} must be positive, with at most {MAX_PIXELS} pixels"
        )
    return height, width


def _check_keypoint_names(path: Path, category: dict[str, Any], skeleton: Skeleton) -> None:
    names = category.get("keypoints")
    if names is None:
        return
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"{path}: the keypoints of category 'person' must be a list of names, {found(category, 'keypoints')}"
        )
    k = skeleton.num_keypoints
    if len(names) != k:
        raise InputError(
            f"{path}: has {len(names)} keypoints, skeleton {skeleton.name} {k}; name a skeleton that matches"
        )
    plain = [name.lower().replace(" ", "_").replace("-", "_") for name in names]
    if set(plain) == set(skeleton.keypoint_names) and plain != list(skeleton.keypoint_names):
        raise InputError(f"{path}: its keypoints are not in the order of skeleton {skeleton.name}; reorder one of them")


def _keypoints(path: Path, people: list[dict[str, Any]], skeleton: Skeleton) -> NDArray[np.float32]:
    rows = _rows(path, people, "keypoints", 3 * skeleton.num_keypoints).reshape(len(people), skeleton.num_keypoints, 3)
    wrong = (~np.isin(rows[..., 2], (0, 1, 2))).any(axis=1)
    if wrong.any():
        raise InputError(f"{path}: annotation {people[int(wrong.argmax())].get('id')}: visibility must be 0, 1 or 2")
    rows[rows[..., 2] == 0] = 0
    return rows


def _rows(path: Path, people: list[dict[str, Any]], key: str, length: int) -> NDArray[np.float32]:
    """`(annotation, length)` numbers of an optional field; zeros where it is missing."""
    rows = np.zeros((len(people), length), dtype=np.float32)
    for i, annotation in enumerate(people):
        value = annotation.get(key)
        if not value:
            continue
        try:
            row = np.asarray(value).reshape(-1)
        except ValueError:  # lists of unlike lengths
            row = np.empty(0)
        if row.dtype.kind not in "iuf":  # numpy would take "3" for 3, COCO's evaluation does not
            row = np.empty(0)
        if len(row) != length or not (np.abs(row) < _LARGEST).all():
            wrong = f"got {len(row)}" if len(row) != length else "some are not finite, or beyond all images"
            raise InputError(f"{path}: annotation {annotation.get('id')}: {key} needs {length} numbers, {wrong}")
        rows[i] = row
    return rows


def _segmentations(path: Path, people: list[dict[str, Any]], sizes: NDArray[np.int64]) -> Segmentations:
    current: Any = None

    def values() -> Iterator[tuple[Any, tuple[int, int]]]:
        nonlocal current
        for annotation, (height, width) in zip(people, sizes.tolist(), strict=True):
            current = annotation.get("id")
            yield annotation.get("segmentation"), (height, width)

    try:
        return Segmentations.pack(values())
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(f"{path}: annotation {current}: {error}") from None
