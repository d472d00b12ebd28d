"""Reading COCO annotation files into flat arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from personlab.data.array_cache import ArrayCache, Arrays, Entry, open_entry
from personlab.data.coco_rows import check_keypoint_names, keypoint_rows, number_rows, packed_segmentations, size_of
from personlab.data.coco_tables import (
    ids_of_images,
    image_of_each,
    read_content,
    select_category,
    tables_of,
    text,
)
from personlab.data.imputed import Imputed, is_imputed, without_imputed
from personlab.data.segmentations import Segmentations
from personlab.errors import InputError
from personlab.files import sha256
from personlab.skeleton import COCO, Skeleton
from personlab.structures import MAX_PEOPLE, OFFSETS_ONLY

CACHED_FROM_BYTES = 4_000_000
"""Annotation files from this size on are kept as arrays; smaller ones are read as fast as these would be."""
_READER = ("coco", "coco_rows", "coco_tables", "imputed", "segmentations", "array_cache", "../structures")
"""Source files that decide what the arrays hold."""


@dataclass(frozen=True, eq=False)
class CocoAnnotations:
    """The people of a COCO annotation file, annotations sorted by image (and by the file's order inside an image).

    Attributes:
        path: The file.
        sha256: Its content, in hexadecimal digits.
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
        cached_in: Folder of the files that the arrays are mapped from; None if they lie in memory. Mapped ones are read
            only, all processes share them, and what is pickled, for a process that is started anew, is the folder.
    """

    path: Path
    sha256: str
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
    cached_in: Path | None = field(default=None, init=False)

    @classmethod
    def mapped(cls, path: Path, entry: Entry) -> Self:
        """The annotations of a file as a cache holds them."""
        packed = {f.name: entry.arrays[f.name] for f in fields(Segmentations)}
        plain: dict[str, Any] = {name: array for name, array in entry.arrays.items() if name not in packed}
        annotations = cls(path=path, segmentations=Segmentations(**packed), **entry.about, **plain)
        object.__setattr__(annotations, "cached_in", entry.folder)
        return annotations

    def arrays(self) -> Arrays:
        """All arrays by name, those of the segmentations too."""
        return {k: v for part in (self, self.segmentations) for k, v in vars(part).items() if isinstance(v, np.ndarray)}

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Mapped arrays travel as the name of their folder, others by value."""
        if self.cached_in is None:
            return super().__reduce_ex__(protocol)
        return _reopen, (self.path, self.cached_in)

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

    Of large files the arrays are kept in the user's cache folder (see `personlab.data.array_cache`) and mapped into
    memory the next time. What counts is the file's content, which is compared each time, and not its date: a changed
    file is read anew, and so is every file once what reads them has changed.

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
    options: dict[str, Any] = {
        "require_keypoints": require_keypoints, "require_annotations": require_annotations, "imputed": imputed
    }  # fmt: skip
    digest = _digest_of_large(path)
    if digest is None:
        return _parse(path, read_content(path), skeleton, **options)
    found = _cache(digest, skeleton, options).load()
    if found is None:
        content = read_content(path)
        annotations = _parse(path, content, skeleton, **options)
        del content
        # Its own hash, not that from above: the file may have been replaced meanwhile.
        cache_of_this = _cache(annotations.sha256, skeleton, options)
        about = {"sha256": annotations.sha256, "category_id": annotations.category_id}
        found = cache_of_this.store(about, annotations.arrays())
        if found is None:
            return annotations
    return CocoAnnotations.mapped(path, found)


def _digest_of_large(path: Path) -> str | None:
    """SHA-256 of a file that is worth a cache; None of others, and of what cannot be read: reading it tells why."""
    try:
        return sha256(path) if path.stat().st_size >= CACHED_FROM_BYTES else None
    except OSError:
        return None


def _cache(digest: str, skeleton: Skeleton, options: Mapping[str, Any]) -> ArrayCache:
    key = {"file": digest, "keypoints": list(skeleton.keypoint_names), "reader": _reader(), **options}
    return ArrayCache("annotations", key)


@cache
def _reader() -> str:
    """Hash of the code that makes the arrays."""
    digest = hashlib.sha256(version("pycocotools").encode())
    for name in _READER:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return digest.hexdigest()


def _reopen(path: Path, folder: Path) -> CocoAnnotations:
    """Map a cache again, in another process.

    Raises:
        InputError: If somebody removed it meanwhile.
    """
    try:
        return CocoAnnotations.mapped(path, open_entry(folder))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: the cache of {path} is gone or damaged ({error}); start again") from error


def _parse(
    path: Path,
    content: bytes,
    skeleton: Skeleton,
    *,
    require_keypoints: bool,
    require_annotations: bool,
    imputed: Imputed,
) -> CocoAnnotations:
    """Annotations from the bytes of their file."""
    tables = tables_of(path, content, require_annotations)
    images = tables["images"]
    category, people = select_category(path, tables, "person")
    check_keypoint_names(path, category, skeleton)
    if require_keypoints and people and "keypoints" not in category and all("keypoints" not in a for a in people):
        raise InputError(f"{path}: has no keypoints (a detection file?); use person_keypoints_*.json")
    ids = ids_of_images(path, images)
    names = np.array([text(f"{path}: images[{i}]", image, "file_name").encode() for i, image in enumerate(images)])
    sizes = np.array([size_of(f"{path}: images[{i}]", image) for i, image in enumerate(images)], dtype=np.int64)
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
    keypoints = keypoint_rows(path, people, skeleton)
    if imputed == "offsets":
        visibility = keypoints[..., 2]
        visibility[imputed_here[:, None] & (visibility > 0)] = OFFSETS_ONLY
    return CocoAnnotations(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        category_id=int(category["id"]),
        image_ids=ids,
        file_names=names,
        image_sizes=sizes,
        first_annotation=np.searchsorted(owner, np.arange(len(ids) + 1)),
        annotation_ids=np.array([a.get("id", -1) for a in people], dtype=np.int64),
        keypoints=keypoints,
        boxes=number_rows(path, people, "bbox", 4),
        is_crowd=is_crowd,
        is_imputed=imputed_here,
        has_keypoints=np.asarray(np.isin(keypoints[..., 2], (1, 2)).any(axis=1)),
        segmentations=packed_segmentations(path, people, sizes[owner]),
    )
