"""The bound that targets and decoder set: true fields in, scores out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from personlab.data.coco import ANNOTATIONS, CocoAnnotations, annotation_path, read_annotations
from personlab.data.collate import collate
from personlab.data.dataset import CocoDataset
from personlab.data.label_maps import rasterise
from personlab.data.warp import Resize
from personlab.decoding import PaperDecoder
from personlab.encoding import Encoder
from personlab.errors import InputError
from personlab.evaluation.coco_ap import CocoAP
from personlab.evaluation.results import score_report
from personlab.geometry import affine
from personlab.geometry.cells import cell_centres
from personlab.skeleton import COCO, Skeleton
from personlab.structures import CROWD, FIRST, IGNORE, SECOND, Batch, Fields, People, Sample

DISK_RADIUS_PX = 32.0
"""The paper's R."""

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Passes image indices on and shows on the way how far they are."""


class Decoder(Protocol):
    """Fields -> people."""

    def __call__(self, fields: Fields, image_to_crop: Tensor, image_sizes: Tensor, /) -> list[People]:
        """People of each image in `image_xy`."""
        ...


def true_fields_decoder(skeleton: Skeleton = COCO) -> PaperDecoder:
    """The paper's decoder with the settings that suit true fields.

    True fields jump where disks of two people meet, so offsets are not interpolated across (`consistent`); and they are
    exact, so that keypoints nearer to each other than the paper's 10 px are still told apart.
    """
    return PaperDecoder(skeleton=skeleton, hough_grid_px=2.0, nms_radius_px=5.0, cell_read="consistent", max_people=100)


def true_fields(batch: Batch, stride: int, skeleton: Skeleton = COCO, disk_radius_px: float = DISK_RADIUS_PX) -> Fields:
    """What a perfect network would predict for a batch on the CPU.

    Where annotations leave a network free, it is given the answer that serves the decoder: the tree is completed
    through unlabelled keypoints (see `Encoder`), and cells without long offsets of their own, in overlaps and in the
    background, point to the keypoints of the nearest person, so that nothing is interpolated against zeros at the rim
    of a mask.

    Args:
        batch: Annotations.
        stride: Output stride.
        skeleton: Keypoints and tree.
        disk_radius_px: Radius R of the disks, in pixels of the network input.

    Returns:
        Fields at this stride; probabilities of labelled keypoints and masks only, as the annotations have them.
    """
    targets = Encoder(skeleton, disk_radius_px, complete_tree=True)(batch, stride)
    labels = batch.label_maps[..., ::stride, ::stride].numpy()
    height, width = labels.shape[-2:]
    centres_xy = cell_centres(height, width, stride).flatten(1)
    for sample_labels, long_offsets in zip(labels, targets.long_offsets, strict=True):
        source = torch.from_numpy(_nearest_single(sample_labels)).flatten()
        target_xy = long_offsets.flatten(2) + centres_xy
        long_offsets.copy_((target_xy[..., source] - centres_xy).view_as(long_offsets))
    return Fields.from_targets(targets)


def run_oracle(
    root: str | Path,
    split: str,
    stride: int,
    scale: float = 1.0,
    size: int | None = None,
    annotations: str = ANNOTATIONS,
    max_images: int | None = None,
    decoder: Decoder | None = None,
    skeleton: Skeleton = COCO,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Encode the ground truth of a split, decode it and score what comes back.

    No image is opened: sizes are those of the annotation file. Everybody with a labelled keypoint is expected back; the
    masks of people without any are not, since a decoder that goes by keypoints cannot know them.

    Args:
        root: Folder of the data set.
        split: Name of the split, such as `val2017`.
        stride: Output stride of the fields.
        scale: How many times larger than the original the input of the network is.
        size: Or the longer side of the input in pixels, for all images.
        annotations: Annotation file below the root; `{split}` stands for the split.
        max_images: Only the first so many images.
        decoder: What to decode with; `true_fields_decoder` by default.
        skeleton: Keypoints and tree of the annotations.
        progress: Shows how far it is.

    Returns:
        Scores in the shape of `score_report`; `read` are the seconds for drawing masks, `network` those for encoding.

    Raises:
        InputError: If the annotations or the options are bad.

    Source: none in the paper; the bound explains how much of an error is the network's.
    """
    metric = CocoAP(annotation_path(root, split, annotations), skeleton=skeleton, only_with_keypoints=True)
    decode = decoder or true_fields_decoder(skeleton)
    seconds: Counter[str] = Counter()
    times = [time.perf_counter()]
    for batch in annotated_batches(root, split, stride, scale, size, annotations, max_images, skeleton, progress):
        times.append(time.perf_counter())
        fields = true_fields(batch, stride, skeleton)
        times.append(time.perf_counter())
        found = decode(fields, batch.image_to_crop, batch.image_sizes)
        times.append(time.perf_counter())
        metric.update(found, batch.image_ids.tolist())
        seconds.update(dict(zip(("read", "network", "decode"), np.diff(times).tolist(), strict=True)))
        times = [time.perf_counter()]
    return score_report(
        metric.compute(), len(metric.image_ids), len(metric.results), seconds, metric.only_with_keypoints
    )


def annotated_batches(
    root: str | Path,
    split: str,
    multiple: int,
    scale: float = 1.0,
    size: int | None = None,
    annotations: str = ANNOTATIONS,
    max_images: int | None = None,
    skeleton: Skeleton = COCO,
    progress: Progress | None = None,
    with_pixels: bool = False,
) -> Iterator[Batch]:
    """The images of a split one by one, resized, as batches of one.

    Args:
        root: Folder of the data set.
        split: Name of the split.
        multiple: Batches are padded to n * multiple + 1 pixels.
        scale: How many times larger than the original the image gets.
        size: Or its longer side in pixels.
        annotations: Annotation file below the root; `{split}` stands for the split.
        max_images: Only the first so many images.
        skeleton: Keypoints of the annotations.
        progress: Shows how far it is.
        with_pixels: Whether image files are read; black images stand in otherwise.

    Raises:
        InputError: If the annotations or the options are bad, or an image cannot be read.
    """
    if size is not None and scale != 1.0:
        raise InputError(f"oracle: both scale {scale} and size {size} are given; give one of them")
    if max_images is not None and max_images < 1:
        raise InputError(f"oracle: max_images must be at least 1, got {max_images}")
    people = read_annotations(annotation_path(root, split, annotations), skeleton)
    dataset = CocoDataset(people, Path(root) / split)
    view = Resize(longer_side=size, factor=None if size else scale)
    for image in (progress or iter)(range(len(people))[:max_images]):
        sample = dataset.load(image) if with_pixels else _blank_sample(people, image)
        yield collate([view(sample)], multiple=multiple)


def _blank_sample(annotations: CocoAnnotations, image: int) -> Sample:
    """An image's annotations with black pixels instead of the image."""
    size = annotations.size(image)
    return Sample(
        image_id=int(annotations.image_ids[image]),
        image=np.zeros((*size, 3), np.uint8),
        keypoints=annotations.keypoints[annotations.people(image)].copy(),
        label_map=rasterise(annotations, image),
        image_size=size,
        image_to_crop=affine.identity(),
    )


def _nearest_single(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For every cell, the flat index of the nearest cell that is exactly one person's; its own if there is none."""
    single = (labels[FIRST] > 0) & (labels[SECOND] == 0) & (labels[IGNORE] & CROWD == 0)
    if not single.any():
        return np.arange(single.size).reshape(single.shape)
    _, label = cv2.distanceTransformWithLabels(
        (~single).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE, labelType=cv2.DIST_LABEL_PIXEL
    )
    index = np.zeros(int(label.max()) + 1, np.int64)
    index[label[single]] = np.flatnonzero(single)
    return index[label]
