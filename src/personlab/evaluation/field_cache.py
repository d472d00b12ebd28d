"""A network's fields of a data set on disk, so that decoders can be compared without running it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from personlab.decoding.rules.layout import read_fields, write_fields
from personlab.errors import InputError
from personlab.files import write_json
from personlab.geometry.affine import Affine
from personlab.network import PersonLab
from personlab.structures import Batch, Fields

_CARD = "fields.json"


class CachedImage(NamedTuple):
    """One image as decoders get it.

    Attributes:
        image_id: Its id in the data set.
        fields: Fields of a batch of one.
        image_to_crop: `image_xy` -> `crop_xy`.
        size: (height, width) of the original image.
    """

    image_id: int
    fields: Fields
    image_to_crop: Affine
    size: tuple[int, int]


class FieldCache:
    """Fields in a folder of their own below `root`, named after what they depend on.

    Each image is a file in the layout of `personlab decode`, in full precision; a card beside them, written last, tells
    that all are there.

    Args:
        root: Folder of all caches.
        key: What the fields depend on: weights, data, size, stride. Plain JSON values.
    """

    def __init__(self, root: str | Path, key: Mapping[str, Any]) -> None:
        """Find the folder; nothing is written yet."""
        self.key = dict(key)
        digest = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = Path(root) / digest

    @property
    def complete(self) -> bool:
        """Whether all fields are there."""
        return (self.folder / _CARD).is_file()

    def fill(self, network: PersonLab, batches: Iterable[Batch]) -> None:
        """Run a network on batches of one image and keep its fields.

        Args:
            network: In evaluation mode, on the CPU.
            batches: The images.

        Raises:
            InputError: If the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: cannot be made ({error.strerror}); give another --cache") from error
        images = []
        for batch in batches:
            image_id = int(batch.image_ids[0])
            with torch.inference_mode():
                write_fields(self.folder / f"{image_id}.npz", network(batch.images), exact=True)
            matrix, size = batch.image_to_crop[0].tolist(), batch.image_sizes[0].tolist()
            images.append({"id": image_id, "image_to_crop": matrix, "size": size})
        write_json(self.folder / _CARD, {"key": self.key, "images": images})

    def images(self) -> Iterator[CachedImage]:
        """What was kept, in its order.

        Raises:
            InputError: If the cache is not complete or a file is damaged.
        """
        try:
            card = json.loads((self.folder / _CARD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise InputError(
                f"{self.folder}: holds no complete fields; remove the folder and cache them again"
            ) from None
        for image in card["images"]:
            fields = read_fields(self.folder / f"{image['id']}.npz")
            height, width = image["size"]
            yield CachedImage(image["id"], fields, np.array(image["image_to_crop"]), (height, width))
