"""`personlab oracle`: the AP that perfect fields would reach, and the ladder down to a network's."""

from __future__ import annotations

import itertools
import logging
import shlex
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from personlab.cli.options import (
    KINDS,
    add_data_options,
    make_parser,
    numbers,
    print_scores,
    progress_bar,
    shown_ap,
    words_of,
    write_result,
)
from personlab.data.warp import check_sides
from personlab.decoding import PaperDecoder
from personlab.errors import InputError
from personlab.evaluation.ladder import FIELDS, run_ladder, rungs
from personlab.evaluation.oracle import Decoder, run_oracle, true_fields_decoder
from personlab.experiments.provenance import provenance
from personlab.network import PersonLab
from personlab.skeleton import COCO, Skeleton
from personlab.visualization.ladder import draw_ladder
from personlab.weights.network_file import decoder_of, load_network, weights_path

logger = logging.getLogger("personlab")
DECODERS = {"true-fields": true_fields_decoder, "paper": PaperDecoder}
"""What true fields can be decoded with, by the word for it."""


def _parser() -> ArgumentParser:
    parser = make_parser(
        "oracle",
        "Ground truth -> targets -> decoder -> AP: what encoding and decoding alone can reach, without a network. "
        "With --weights or noise it becomes a ladder: fields are exchanged one by one to see where AP is lost.",
    )
    add_data_options(parser)
    parser.add_argument("--data.skeleton", type=str | None, default=None, help="skeleton file, if not COCO's keypoints")
    parser.add_argument("--stride", type=str, default="8", help="output stride of the fields; several: 8,16")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the network input, relative to the image")
    parser.add_argument("--size", type=str | None, default=None, help="or its longer side in pixels; several: 401,801")
    parser.add_argument(
        "--decoder",
        choices=list(DECODERS),
        default=None,
        help="true-fields: settings that suit exact fields (the default without --weights); paper: those of the paper, "
        "for fields of networks; default with --weights: the decoder that the file names",
    )
    ladder = parser.add_argument_group("the ladder")
    ladder.add_argument(
        "--weights", type=str | None, default=None, help="network whose fields to exchange: a .safetensors, or embedded"
    )
    ladder.add_argument(
        "--replace", type=str | None, default=None, help=f"fields to exchange, one by one: {','.join(FIELDS)} (all)"
    )
    ladder.add_argument(
        "--refinements", type=str | None, default=None,
        help="refinement steps of the network's mid and long offsets; several: 0,1,2; default: the network's own",
    )  # fmt: skip
    ladder.add_argument("--noise_px", type=str, default="", help="noise on true offsets, pixels; several: 2,4,8")
    ladder.add_argument("--noise_logits", type=str, default="", help="noise on true heatmaps and segmentation")
    ladder.add_argument("--noise_correlation_px", type=float, default=32.0, help="correlation length of the noise")
    parser.add_output(
        "--draw", group=ladder, type=str | None, default=None, help="draw the ladder to this picture (.png, .svg)"
    )
    return parser


def run(words: list[str]) -> int:
    """Run `personlab oracle`."""
    options = _parser().parse_args(words[1:])
    strides = numbers(options.stride, "oracle: --stride", int, least=1)
    sizes: list[int | None] = [None]
    if options.size is not None:
        sizes = list(numbers(options.size, "oracle: --size", int, least=2))
        check_sides(sizes, "oracle: --size")
    other_fields = bool(options.weights or options.noise_px or options.noise_logits)
    if options.replace is not None and not other_fields:
        raise InputError("oracle: --replace needs fields to take instead: give --weights, --noise_px or --noise_logits")
    if options.refinements is not None and not options.weights:
        raise InputError("oracle: --refinements are those of a network: give --weights")
    if options.draw and Path(options.draw).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"oracle: --draw {options.draw}: give a name that ends in .png, .svg or .pdf")
    if other_fields or options.draw or len(strides) * len(sizes) > 1:
        return _ladder(words, options, strides, sizes)
    skeleton = _skeleton(options)
    report = run_oracle(
        options.data.root,
        options.split,
        strides[0],
        scale=options.scale,
        size=sizes[0],
        annotations=options.data.annotations,
        max_images=options.max_images,
        decoder=DECODERS[options.decoder or "true-fields"](skeleton),
        skeleton=skeleton,
        progress=progress_bar("decoding true fields"),
    )
    logger.info("%d images: keypoint AP %s, mask AP %s", report["images"], *(shown_ap(report, k, 4) for k in KINDS))
    write_result(report, options.json)
    return 0


def _ladder(words: list[str], options: Any, strides: list[int], sizes: list[int | None]) -> int:
    """Every rung at every stride, input size and number of refinement steps."""
    skeleton = _skeleton(options)
    network, decoder, decoder_name = _network_and_decoder(options, skeleton)
    steps: list[int | None] = [None]
    if options.refinements is not None:
        steps = list(numbers(options.refinements, "oracle: --refinements", int, least=0))
    if options.noise_correlation_px <= 0:
        raise InputError(f"oracle: --noise_correlation_px must be positive, got {options.noise_correlation_px}")
    replaced = FIELDS if options.replace is None else words_of(options.replace)
    found = rungs(
        replaced,
        network is not None,
        numbers(options.noise_px, "oracle: --noise_px", float, least=0, required=False),
        numbers(options.noise_logits, "oracle: --noise_logits", float, least=0, required=False),
    )
    if options.replace is not None and not all(any(name in rung.exchanged for rung in found) for name in replaced):
        raise InputError(
            "oracle: noise for a field of --replace is missing: --noise_px is of offsets, --noise_logits of maps"
        )
    if network is not None:
        for stride in strides:  # one that the network cannot do is told before another takes minutes
            network.set_output_stride(stride)
    rows = []
    for stride, size, step in itertools.product(strides, sizes, steps):
        if network is not None and step is not None:
            network.set_refinements(step)
        setting = {"stride": stride, "size": size, "scale": options.scale, "refinement_steps": step}
        setting["decoder"] = decoder_name
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in setting.items() if value is not None)
        scored = run_ladder(
            options.data.root,
            options.split,
            found,
            stride,
            decoder,
            scale=options.scale,
            size=size,
            network=network,
            correlation_px=options.noise_correlation_px,
            annotations=options.data.annotations,
            max_images=options.max_images,
            skeleton=skeleton,
            progress=progress_bar(told),
        )
        print_scores(told, [(row["fields"], *(shown_ap(row, kind) for kind in KINDS)) for row in scored], "fields")
        rows += [row | setting for row in scored]
    origin = provenance(shlex.join(["personlab", *words]))
    about = {"weights": options.weights, "split": options.split, "noise_correlation_px": options.noise_correlation_px}
    write_result(origin | about | {"rows": rows}, options.json)
    if options.draw:
        draw_ladder(rows, Path(options.draw))
    return 0


def _network_and_decoder(options: Any, skeleton: Skeleton) -> tuple[PersonLab | None, Decoder, str]:
    network, decoder = None, None
    if options.weights:
        path = weights_path(options.weights)
        network, metadata = load_network(path)
        if network.skeleton != skeleton:
            raise InputError(
                f"{path}: its skeleton {network.skeleton.name} is not {skeleton.name} of the annotations; "
                "give --data.skeleton"
            )
        decoder = decoder_of(metadata, path)
    if options.decoder is None and decoder is not None:
        return network, decoder, "of the weights"
    name = options.decoder or "true-fields"
    return network, DECODERS[name](skeleton), name


def _skeleton(options: Any) -> Skeleton:
    return Skeleton.from_file(options.data.skeleton) if options.data.skeleton else COCO
