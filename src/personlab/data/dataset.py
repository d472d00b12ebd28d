"""COCO images with their people, one `Sample` at a time."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from personlab.data.coco import CocoAnnotations
from personlab.data.images import UnreadableImage, read_image
from personlab.data.label_maps import rasterise
from personlab.data.sampler import Ticket, sample_generator
from personlab.geometry import affine
from personlab.structures import Sample

View = Callable[[Sample, np.random.Generator], Sample]
"""Turns a sample into another: a resize, a random crop. All its chance comes from the generator."""

_MID_GREY = 127

logger = logging.getLogger("personlab")


class CocoDataset(Dataset[Sample]):
    """The images of an annotation file.

    Args:
        annotations: The annotation file.
        image_folder: Folder of the images.
        images: Indices of the images to use, in this order; None for all.
        view: Applied to every sample.
        seed: Seed of the views' chance.
        skip_broken: In a training, and its validations: an image that cannot be read becomes a grey sample without
            people and with `valid=False`, so that one bad file does not end a long run. Else it raises.
    """

    def __init__(
        self,
        annotations: CocoAnnotations,
        image_folder: str | Path,
        *,
        images: NDArray[np.int64] | None = None,
        view: View | None = None,
        seed: int = 0,
        skip_broken: bool = False,
    ) -> None:
        """Keep what is given; files are read one by one."""
        self.annotations = annotations
        self.image_folder = Path(image_folder)
        self.images = np.arange(len(annotations)) if images is None else np.asarray(images, dtype=np.int64)
        self.view = view
        self.seed = seed
        self.skip_broken = skip_broken
        self._told: set[int] = set()

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def image_ids(self) -> NDArray[np.int64]:
        """`(image,)` ids of the images in use, in order."""
        return self.annotations.image_ids[self.images]

    def image_path(self, index: int) -> Path:
        """File of an image in use."""
        return self.image_folder / self.annotations.file_name(int(self.images[index]))

    def content_hash(self) -> str:
        """Sixteen hexadecimal digits that change with the annotations, and with name or size of any image in use.

        The pixels themselves are not read, which would take minutes for COCO; an image that is missing has no size.
        """
        digest = hashlib.sha256(self.annotations.sha256.encode())
        folder = str(self.image_folder)
        for image in self.images.tolist():
            name = self.annotations.file_name(image)
            try:
                size: int | None = os.stat(os.path.join(folder, name)).st_size  # pathlib takes thrice the time
            except OSError:
                size = None
            digest.update(f"{name}\0{size}\n".encode())
        return digest.hexdigest()[:16]

    def __getitem__(self, ticket: Ticket | int) -> Sample:
        """One sample.

        Args:
            ticket: From the sampler, or a bare index, which stands for (epoch 0, position index, index).

        Raises:
            UnreadableImage: If the image cannot be read and `skip_broken` is False.
        """
        epoch, position, index = ticket if isinstance(ticket, Ticket) else (0, ticket, ticket)
        sample = self.load(index)
        if self.view is not None:
            sample = self.view(sample, sample_generator(self.seed, epoch, position))
        if not sample.valid:
            # After the view, whose colour changes must not tell the stand-in from another.
            sample = replace(sample, image=np.full_like(sample.image, _MID_GREY))
        return sample

    def load(self, index: int) -> Sample:
        """A sample as it lies on disk, before any view."""
        image = int(self.images[index])
        size = self.annotations.size(image)
        people = self.annotations.people(image)
        valid = True
        try:
            pixels = read_image(self.image_path(index), size)
            keypoints, label_map = self.annotations.keypoints[people].copy(), rasterise(self.annotations, image)
        except UnreadableImage as error:
            if not self.skip_broken:
                raise
            if image not in self._told:  # once in each worker, not once an epoch
                self._told.add(image)
                logger.warning("%s; a stand-in that counts in no loss takes its place", error)
            valid = False
            pixels, label_map = np.full((*size, 3), _MID_GREY, np.uint8), np.zeros((*size, 3), np.uint8)
            keypoints = self.annotations.keypoints[:0].copy()
        return Sample(
            image_id=int(self.annotations.image_ids[image]),
            image=pixels,
            keypoints=keypoints,
            label_map=label_map,
            image_size=size,
            image_to_crop=affine.identity(),
            valid=valid,
        )
