"""The oracle ladder: true fields exchanged for others one by one, to see where average precision is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from personlab.data.coco import ANNOTATIONS, annotation_path
from personlab.data.coco_tables import read_tables
from personlab.errors import InputError
from personlab.evaluation.coco_ap import CocoAP
from personlab.evaluation.noise import LOGITS, OFFSETS, add_noise
from personlab.evaluation.oracle import (
    DISK_RADIUS_PX,
    Decoder,
    Progress,
    annotated_batches,
    true_fields,
    true_fields_decoder,
)
from personlab.evaluation.results import score_report
from personlab.network import PersonLab
from personlab.skeleton import COCO, Skeleton
from personlab.structures import Fields

FIELDS = ("heatmaps", "short_offsets", "mid_offsets", "segmentation", "long_offsets")
"""The five fields, in the order of the method."""


@dataclass(frozen=True)
class Rung:
    """Fields to decode: those of one source, some of them of another.

    Attributes:
        base: `true` or `network`.
        exchanged: Fields that come from elsewhere: of true fields, from the network or noisy; of a network's, true.
        noise: Size of the noise where exchanged fields are noisy ones, see `add_noise`.
        bound: Whether it is decoded with the settings that suit true fields, whatever decoder the others get.
    """

    base: str
    exchanged: tuple[str, ...] = ()
    noise: float | None = None
    bound: bool = False

    @property
    def name(self) -> str:
        """What tables and plots call it."""
        if self.bound:
            return "true fields, decoder for true fields"
        if not self.exchanged:
            return f"{self.base} fields" if self.base == "true" else "network"
        words = ", ".join(name.replace("_", " ") for name in self.exchanged)
        if self.noise is not None:
            unit = "logits" if self.exchanged[0] in LOGITS else "px"
            return f"true, {words} + noise of {self.noise:g} {unit}"
        return f"true, network's {words}" if self.base == "true" else f"network, true {words}"


def rungs(
    exchanged: Sequence[str],
    with_network: bool,
    noise_px: Sequence[float] = (),
    noise_logits: Sequence[float] = (),
) -> list[Rung]:
    """The rungs of a ladder, from the bound down.

    Args:
        exchanged: Fields to exchange one by one, and all of them together where there are several.
        with_network: Whether there is a network to take fields from. True fields are exchanged for its (what does this
            head cost?) and its for true ones (what would be gained if this head were perfect?).
        noise_px: Sizes of noise for offset fields.
        noise_logits: Sizes of noise for heatmaps and segmentation.

    Raises:
        InputError: If a field is unknown or there is nothing to exchange it for.
    """
    unknown = [name for name in exchanged if name not in FIELDS]
    if unknown:
        raise InputError(f"oracle: no field {unknown[0]!r} to replace; there are {', '.join(FIELDS)}")
    if len(set(exchanged)) < len(exchanged):
        raise InputError(f"oracle: a field to replace is named twice in {', '.join(exchanged)}")
    one_by_one: list[tuple[str, ...]] = [(name,) for name in exchanged]
    together = [tuple(exchanged)] if 1 < len(exchanged) < len(FIELDS) else []
    found = [Rung("true", bound=True), Rung("true")]
    if with_network:
        found += [Rung("true", names) for names in one_by_one + together]
    for name in exchanged:
        sizes = noise_px if name in OFFSETS else noise_logits
        found += [Rung("true", (name,), noise=size) for size in sizes]
    if with_network:
        found += [Rung("network", names) for names in one_by_one + together]
        found.append(Rung("network"))
    return found


def run_ladder(
    root: str | Path,
    split: str,
    ladder: Sequence[Rung],
    stride: int,
    decoder: Decoder,
    scale: float = 1.0,
    size: int | None = None,
    network: PersonLab | None = None,
    correlation_px: float = 32.0,
    annotations: str = ANNOTATIONS,
    max_images: int | None = None,
    skeleton: Skeleton = COCO,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Decode and score every rung on the same images.

    A network's mid and long offsets are refined by its own short offsets before anything is exchanged.

    Args:
        root: Folder of the data set.
        split: Name of the split.
        ladder: What to decode.
        stride: Output stride of all fields; the network's is set to it.
        decoder: What every rung but the bound is decoded with.
        scale: How many times larger than the original the input of the network is.
        size: Or the longer side of the input in pixels.
        network: In evaluation mode, on the CPU; needed by rungs that take fields from it.
        correlation_px: See `add_noise`.
        annotations: Annotation file below the root.
        max_images: Only the first so many images.
        skeleton: Keypoints and tree of annotations, network and decoder.
        progress: Shows how far it is.

    Returns:
        A row a rung: its name as `fields`, `base`, `exchanged`, `noise`, `bound`, and scores in the shape of
        `score_report`.

    Raises:
        InputError: If the annotations or the options are bad, or a rung needs a network and there is none.

    Source: none in the paper.
    """
    if network is None and any(r.base == "network" or (r.exchanged and r.noise is None) for r in ladder):
        raise InputError("oracle: fields are to be replaced by those of a network, and there is none")
    multiple = stride
    if network is not None:
        network.set_output_stride(stride)
        multiple = network.backbone.size_multiple
    tables = read_tables(annotation_path(root, split, annotations))  # once for all rungs
    metrics = [CocoAP(tables, skeleton=skeleton, only_with_keypoints=True) for _ in ladder]
    for_true_fields = true_fields_decoder(skeleton)
    batches = annotated_batches(
        root, split, multiple, scale, size, annotations, max_images, skeleton, progress, with_pixels=network is not None
    )
    for batch in batches:
        sources = {"true": true_fields(batch, stride, skeleton, network.disk_radius_px if network else DISK_RADIUS_PX)}
        if network is not None:
            with torch.inference_mode():
                sources["network"] = network(batch.images)
        for rung, metric in zip(ladder, metrics, strict=True):
            # The same noise for every run and rung of an image, in proportion to its size.
            generator = torch.Generator().manual_seed(int(batch.image_ids[0]))
            decode = for_true_fields if rung.bound else decoder
            found = decode(_fields(rung, sources, correlation_px, generator), batch.image_to_crop, batch.image_sizes)
            metric.update(found, batch.image_ids.tolist())
    return [_row(rung, metric) for rung, metric in zip(ladder, metrics, strict=True)]


def _fields(rung: Rung, sources: Mapping[str, Fields], correlation_px: float, generator: torch.Generator) -> Fields:
    """The fields of a rung."""
    fields = sources[rung.base]
    if rung.noise is not None:
        for name in rung.exchanged:
            fields = add_noise(fields, name, rung.noise, correlation_px, generator)
        return fields
    attributes = [LOGITS.get(name, name) for name in rung.exchanged]
    if attributes:
        other = sources["network" if rung.base == "true" else "true"]
        fields = replace(fields, **{name: getattr(other, name) for name in attributes})
    return fields


def _row(rung: Rung, metric: CocoAP) -> dict[str, Any]:
    about = {
        "fields": rung.name, "base": rung.base, "exchanged": list(rung.exchanged), "noise": rung.noise,
        "bound": rung.bound,
    }  # fmt: skip
    return about | score_report(
        metric.compute(), len(metric.image_ids), len(metric.results), {}, metric.only_with_keypoints
    )
