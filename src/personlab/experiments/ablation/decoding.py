"""Decoder-only studies: a network's raw fields are kept once, and every level starts from them."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from personlab.data.coco import ANNOTATIONS, annotation_path, read_annotations
from personlab.data.dataset import CocoDataset
from personlab.evaluation.field_cache import CachedImage, FieldCache
from personlab.evaluation.image_sets import ImageSet, companion, write_results_of
from personlab.evaluation.oracle import annotated_batches
from personlab.evaluation.results import Result, people_to_results
from personlab.experiments.ablation.matches import CellMatches, Scorer
from personlab.experiments.ablation.settings import Setting, make_settings
from personlab.experiments.ablation.study import Study
from personlab.experiments.provenance import code_hash, versions
from personlab.files import sha256, write_json
from personlab.inference.tta import flip_fields, merge_fields
from personlab.network import PersonLab
from personlab.network.refinement import refine
from personlab.structures import Batch, Fields
from personlab.weights.network_file import decoder_of, load_network, weights_path

logger = logging.getLogger("personlab")
Progress = Callable[[Iterable[Any]], Iterable[Any]]
_OF_FIELDS = ("skeleton.py", "structures.py", "geometry", "data", "network", "weights", "evaluation/oracle.py")
_OF_PEOPLE = ("decoding", "inference/tta.py", "experiments/ablation/decoding.py", "experiments/ablation/settings.py")
"""Code that may change what is kept, so that it is made again when the code is another."""


class DecoderStudy:
    """Runs a decoder-only study.

    Args:
        study: With `weights`.
        root: Folder of the data set.
        folder: Of the study's results.
        cache: Folder that fields are cached in.

    Raises:
        InputError: If weights, data or settings are bad.
    """

    def __init__(self, study: Study, root: str, folder: Path, cache: str | Path) -> None:
        """Read the network and the annotations; nothing is run yet."""
        self.study, self.folder, self._root, self._cache_root = study, folder, root, Path(cache)
        self._weights = weights_path(str(study.weights))
        self._network, metadata = load_network(self._weights)
        self._annotations = str(study.data.get("annotations", ANNOTATIONS))
        self._file = annotation_path(root, study.split, self._annotations)
        people = read_annotations(self._file, self._network.skeleton)
        self._annotations_sha256, self._category = people.sha256, people.category_id
        self.images = len(people) if study.max_images is None else min(study.max_images, len(people))
        self._ids = tuple(people.image_ids[: self.images].tolist())
        data_hash = CocoDataset(people, Path(root) / study.split).content_hash()
        self.about = {"weights_sha256": sha256(self._weights), "data": data_hash, "images": study.max_images}
        self._network_code = {"code": code_hash(*_OF_FIELDS), "versions": versions()}
        self._decoder_code = {"code": code_hash(*_OF_FIELDS, *_OF_PEOPLE), "versions": versions()}
        self._settings = make_settings(study, self._network, decoder_of(metadata, self._weights))

    def missing_views(self) -> list[tuple[int, int | None, bool]]:
        """Views of the images that the network must still be run on, as of `Setting.views`."""
        views = dict.fromkeys(view for s in self._settings.values() if not self._is_kept(s) for view in s.views)
        return [view for view in views if not self._cache(view).complete]

    def levels_to_decode(self) -> list[str]:
        """Cells without results of these settings."""
        return [name for name, setting in self._settings.items() if not self._is_kept(setting)]

    def estimate_s(self) -> float:
        """Seconds that what is missing will take, by one run of the network on a blank image of each size."""
        seconds = 0.0
        for stride, size, _ in self.missing_views():
            multiple = self._at(stride).backbone.size_multiple
            side = -(-((size or 640) - 1) // multiple) * multiple + 1
            started = time.perf_counter()
            with torch.inference_mode():
                self._network(torch.zeros(1, 3, side * 3 // 4 // multiple * multiple + 1, side, dtype=torch.uint8))
            seconds += self.images * (time.perf_counter() - started)
        return seconds + 0.05 * self.images * len(self.levels_to_decode())

    def run(self, progress: Progress, done: Callable[[str], None]) -> dict[str, CellMatches]:
        """Run what is missing, and match all results.

        Args:
            progress: Shows how far the network is.
            done: Called with the name of each level that has results.

        Returns:
            What was matched, by cell.
        """
        skeleton = self._network.skeleton
        scorer = Scorer(self._file, skeleton, self.study.only_with_keypoints)
        found = {}
        for name, setting in self._settings.items():
            path = self._results(setting)
            if not self._is_kept(setting):
                self._fill(setting, progress)
                self._decode(setting)
            found[name] = scorer.read(path, _card(path))
            done(name)
        return found

    def _at(self, stride: int) -> PersonLab:
        if stride != self._network.output_stride:
            self._network.set_output_stride(stride)
        return self._network

    def _cache(self, view: tuple[int, int | None, bool]) -> FieldCache:
        stride, size, mirrored = view
        key = {
            **self.about,
            **self._network_code,
            "stride": stride,
            "size": size,
            "mirrored": mirrored,
            "refinements": 0,
        }
        return FieldCache(self._cache_root, key)

    def _fill(self, setting: Setting, progress: Progress) -> None:
        """Run the network on the views that nobody has kept."""
        for view in setting.views:
            cache = self._cache(view)
            if cache.complete:
                continue
            stride, size, mirrored = view
            shown = f"stride {stride}, size {size or 'as it is'}{', mirrored' * mirrored}"
            logger.info("fields: running the network (%s), cached in %s", shown, cache.folder)
            network = self._at(stride)
            kept = (network.mid_refinements, network.long_refinements, network.long_short_refinements)
            network.set_refinements(0)
            batches = annotated_batches(
                self._root, self.study.split, network.backbone.size_multiple, size=size, annotations=self._annotations,
                max_images=self.study.max_images, skeleton=network.skeleton, progress=progress, with_pixels=True,
            )  # fmt: skip
            try:
                cache.fill(network, _mirrored(batches) if mirrored else batches)
            finally:
                network.mid_refinements, network.long_refinements, network.long_short_refinements = kept

    def _decode(self, setting: Setting) -> None:
        """Decode kept fields, and write the results with their companion and their cost."""
        decoder = setting.decoder
        decoder.warm_up()
        results: list[Result] = []
        seconds = 0.0
        for images in zip(*(self._cache(view).images() for view in setting.views), strict=True):
            first = images[0]
            fields = self._merge(setting, images)
            started = time.perf_counter()
            people = decoder(fields, first.image_to_crop[None], [first.size])
            seconds += time.perf_counter() - started
            results += people_to_results(people[0], first.image_id, self._category)
        masks = bool(decoder.options.get("masks", False))
        kinds = ("keypoints", "segmentation") if masks else ("keypoints",)
        path = self._results(setting)
        about = {"decode_ms": 1e3 * seconds / self.images, "people": len(results), "setting": setting.told()}
        write_json(path.with_suffix(".card.json"), about)
        images_of = ImageSet(self._ids, kinds, self.study.split, self._file.name, self._annotations_sha256)
        write_results_of(path, results, images_of)

    def _merge(self, setting: Setting, images: Sequence[CachedImage]) -> Fields:
        """Refined fields of one image, averaged over its views as `Predictor` does."""
        sides = (setting.size, *setting.scales)
        refined = [refine(image.fields, self._network.edge_targets, *setting.refinements) for image in images]
        refined = [replace(fields, disk_radius_px=self._network.disk_radius_px) for fields in refined]
        if not setting.flip:
            views = refined
        else:
            views = [
                merge_fields([plain, flip_fields(flipped, self._network.skeleton)], [1.0, 1.0])
                for plain, flipped in zip(refined[::2], refined[1::2], strict=True)
            ]
        if len(sides) == 1:
            return views[0]
        return merge_fields(views, [(side - 1) / (sides[0] - 1) for side in sides])  # type: ignore[operator]

    def _results(self, setting: Setting) -> Path:
        key = {**self.about, **self._decoder_code, **setting.told()}
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        return self.folder / "predictions" / f"{digest}.json"

    def _is_kept(self, setting: Setting) -> bool:
        """Whether its results are there, with their companion, which is written last."""
        path = self._results(setting)
        return path.is_file() and companion(path).is_file() and bool(_card(path))


def _card(results: Path) -> dict[str, Any]:
    """What was noted beside kept results; empty if that is missing or damaged, so that they are made anew."""
    try:
        told = json.loads(results.with_suffix(".card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _mirrored(batches: Iterator[Batch]) -> Iterator[Batch]:
    for batch in batches:
        yield replace(batch, images=batch.images.flip(-1))
