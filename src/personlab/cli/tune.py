"""`personlab bench tune`: options of a decoder against AP and time, without running the network again."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from personlab.cli.decode import Rules, make_decoder
from personlab.cli.options import (
    KINDS,
    add_data_options,
    make_parser,
    print_scores,
    progress_bar,
    shown_ap,
    write_result,
)
from personlab.data.coco import annotation_path, read_annotations
from personlab.data.coco_tables import read_tables
from personlab.data.dataset import CocoDataset
from personlab.data.warp import check_sides
from personlab.decoding import Decoder
from personlab.errors import InputError
from personlab.evaluation.field_cache import FieldCache
from personlab.evaluation.oracle import annotated_batches
from personlab.evaluation.tuning import score_decoder, trials
from personlab.experiments.provenance import git_state, provenance, versions
from personlab.files import sha256
from personlab.network import PersonLab
from personlab.weights.network_file import decoder_of, load_network, weights_path

logger = logging.getLogger("personlab")


def run(words: list[str]) -> int:
    """Run `personlab bench tune`."""
    parser = make_parser(
        "bench tune",
        "Keep a network's fields of a data set once, then decode and score them with other options, as in "
        "--vary hough_grid_px=2,4,8 --vary nms_radius_px=5,10,20.",
    )
    add_data_options(parser)
    parser.add_argument("--weights", type=str, default="embedded", help="network: a .safetensors, or embedded")
    parser.add_argument("--stride", type=int | None, default=None, help="output stride; default: the network's")
    parser.add_argument("--size", type=int | None, default=None, help="longer side of the input; default: as it is")
    parser.add_argument("--rules", type=Rules, default="paper", help="whose rules to decode by")
    parser.add_argument(
        "--vary", action="append", required=True, metavar="OPTION=VALUE,...", help="an option and its values; repeat it"
    )
    parser.add_argument("--grid", type=bool, default=False, help="all combinations, not one option at a time")
    parser.add_argument("--masks", type=bool, default=True, help="score masks too, which takes longer")
    parser.add_argument("--only_with_keypoints", type=bool, default=False, help="leave out masks without keypoints")
    parser.add_argument("--cache", type=str, default="runs/fields", help="folder that fields are cached in")
    options = parser.parse_args(words)
    varied: dict[str, list[Any]] = {}
    for name, values in map(_parse, options.vary):
        varied.setdefault(name, []).extend(values)
    for name in ("max_images", "size", "stride"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise InputError(f"bench tune: --{name} must be at least 1, got {value}")
    check_sides([options.size], "bench tune: --size")
    path = weights_path(options.weights)
    network, metadata = load_network(path)
    if options.stride is not None:
        network.set_output_stride(options.stride)
    if options.rules == "paper":
        decoder: Decoder = decoder_of(metadata, path).with_options(masks=options.masks)
    else:
        decoder = make_decoder(options.rules, masks=options.masks, skeleton=network.skeleton)
        network.set_refinements(0)  # released decoders refine offsets themselves, as they go
    settings = trials(varied, decoder.options, options.grid)
    decoders = [decoder.with_options(**setting) for setting in settings]  # a wrong value is told before minutes of work
    cache = _cached_fields(options, network, path)
    tables = read_tables(annotation_path(options.data.root, options.split, options.data.annotations))
    rows: list[dict[str, Any]] = []
    for setting, trial in zip(settings, decoders, strict=True):
        scored = score_decoder(
            trial,
            cache.images(),
            tables,
            with_masks=trial.options.get("masks", False),
            only_with_keypoints=options.only_with_keypoints,
        )
        rows.append({"default": not rows, "options": setting, **scored})
        logger.info("%s: keypoint AP %s", _changed(rows[-1], rows[0]), shown_ap(rows[-1], "keypoints"))
    print_scores(
        "options of the decoder; the first line is the default",
        [(_changed(row, rows[0]), *(shown_ap(row, kind) for kind in KINDS), f"{row['decode_ms']:.2f}") for row in rows],
        "options",
        "ms an image",
    )
    about: dict[str, Any] = {
        "weights": options.weights,
        "split": options.split,
        "stride": network.output_stride,
        "size": options.size,
    }
    about = provenance(shlex.join(["personlab", "bench", "tune", *words])) | about
    write_result(about | {"rules": options.rules, "rows": rows}, options.json)
    return 0


def _cached_fields(options: Any, network: PersonLab, weights: Path) -> FieldCache:
    """The network's fields, read from disk where they were made before."""
    people = read_annotations(
        annotation_path(options.data.root, options.split, options.data.annotations), network.skeleton
    )
    data_hash = CocoDataset(people, Path(options.data.root) / options.split).content_hash()
    key = {"weights": sha256(weights), "data": data_hash, "stride": network.output_stride, "size": options.size}
    key["refinements"] = [network.mid_refinements, network.long_refinements, network.long_short_refinements]
    # Other code may give other fields; changes that are not committed are not seen.
    code = {"commit": git_state().get("commit"), "versions": versions()}
    cache = FieldCache(options.cache, key | {"images": options.max_images, **code})
    if cache.complete:
        logger.info("fields: from %s", cache.folder)
        return cache
    logger.info("fields: running the network, cached in %s", cache.folder)
    batches = annotated_batches(
        options.data.root,
        options.split,
        network.backbone.size_multiple,
        size=options.size,
        annotations=options.data.annotations,
        max_images=options.max_images,
        skeleton=network.skeleton,
        progress=progress_bar("running the network"),
        with_pixels=True,
    )
    cache.fill(network, batches)
    return cache


def _parse(text: str) -> tuple[str, list[Any]]:
    """`name=1,2,null` as a name and values."""
    name, _, values = text.partition("=")
    try:
        found = OmegaConf.to_container(OmegaConf.create(f"[{values}]"))
    except Exception:  # every YAML library error has its own class
        found = None
    if not isinstance(found, list) or not found:
        raise InputError(f"bench tune: --vary {text}: expected OPTION=VALUE,VALUE, such as hough_grid_px=2,4")
    return name.strip(), found


def _changed(row: dict[str, Any], default: dict[str, Any]) -> str:
    """What a trial does otherwise than the default."""
    options = row["options"] if row is default else dict(row["options"].items() - default["options"].items())
    told = ", ".join(f"{name} {value}" for name, value in options.items())
    return f"default: {told}" if row is default else told
