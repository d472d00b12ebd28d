"""Options of a decoder against average precision and time, on cached fields."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from personlab.decoding import Decoder
from personlab.errors import InputError
from personlab.evaluation.coco_ap import CocoAP
from personlab.evaluation.field_cache import CachedImage
from personlab.evaluation.results import score_report


def trials(
    varied: Mapping[str, Sequence[Any]], defaults: Mapping[str, Any], every_combination: bool = False
) -> list[dict[str, Any]]:
    """The settings to try; the first is that of the defaults.

    Args:
        varied: Values of each option.
        defaults: The decoder's settings of all its options.
        every_combination: Try all combinations; otherwise one option at a time, the others at their default.

    Returns:
        Options of each trial, none twice; every trial names every varied option.

    Raises:
        InputError: If the decoder has no such option.
    """
    for name in varied:
        if name not in defaults:
            raise InputError(f"decoder: has no option {name!r}; it has {', '.join(defaults)}")
    base = {name: defaults[name] for name in varied}
    found = [base]
    if every_combination:
        found += [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]
    else:
        found += [base | {name: value} for name, values in varied.items() for value in values]
    return [trial for n, trial in enumerate(found) if trial not in found[:n]]


def score_decoder(
    decoder: Decoder,
    images: Iterable[CachedImage],
    annotations: Path | Mapping[str, Any],
    with_masks: bool,
    only_with_keypoints: bool,
) -> dict[str, Any]:
    """Decode kept fields and score the people.

    Args:
        decoder: What to decode with.
        images: The fields.
        annotations: Annotation file of the images, or its content.
        with_masks: Whether masks are scored as well.
        only_with_keypoints: See `CocoAP`.

    Returns:
        Scores in the shape of `score_report`, and `decode_ms`, the mean time an image.

    Raises:
        InputError: If fields or annotations are bad.
    """
    metric = CocoAP(
        annotations,
        kinds=("keypoints", "segmentation") if with_masks else ("keypoints",),
        skeleton=decoder.skeleton,
        only_with_keypoints=only_with_keypoints,
    )
    decoder.warm_up()
    seconds = 0.0
    for image in images:
        started = time.perf_counter()
        people = decoder(image.fields, image.image_to_crop[None], [image.size])
        seconds += time.perf_counter() - started
        metric.update(people, [image.image_id])
    report = score_report(
        metric.compute(), len(metric.image_ids), len(metric.results), {"decode": seconds}, only_with_keypoints
    )
    return report | {"decode_ms": 1e3 * seconds / len(metric.image_ids)}
