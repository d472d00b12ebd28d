"""`personlab oracle`: the AP that perfect fields would reach."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from rich.console import Console
from rich.progress import track

from personlab.cli.options import make_parser, write_result
from personlab.decoding import PaperDecoder
from personlab.evaluation.oracle import run_oracle, true_fields_decoder
from personlab.skeleton import COCO, Skeleton

logger = logging.getLogger("personlab")
DECODERS = {"true-fields": true_fields_decoder, "paper": PaperDecoder}
"""What true fields can be decoded with, by the word for it."""


def run(words: list[str]) -> int:
    """Run `personlab oracle`."""
    parser = make_parser(
        "oracle",
        "Ground truth -> targets -> decoder -> AP: what encoding and decoding alone can reach, without a network.",
    )
    parser.add_argument("--data.root", type=str, required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--data.annotations", type=str, default="annotations/person_keypoints_{split}.json")
    parser.add_argument("--data.skeleton", type=str | None, default=None, help="skeleton file, if not COCO's keypoints")
    parser.add_argument("--split", type=str, default="val2017")
    parser.add_argument("--stride", type=int, default=8, help="output stride of the fields")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the network input, relative to the image")
    parser.add_argument("--size", type=int | None, default=None, help="or its longer side in pixels")
    parser.add_argument(
        "--decoder",
        choices=list(DECODERS),
        default="true-fields",
        help="true-fields: settings that suit exact fields; paper: those of the paper, for fields of networks",
    )
    parser.add_argument("--max_images", type=int | None, default=None, help="only the first so many images")
    options = parser.parse_args(words[1:])
    console = Console(stderr=True)

    def progress(images: Iterable[int]) -> Iterable[int]:
        return track(images, "decoding true fields", console=console, disable=not console.is_terminal)

    skeleton = Skeleton.from_file(options.data.skeleton) if options.data.skeleton else COCO
    report = run_oracle(
        options.data.root,
        options.split,
        options.stride,
        scale=options.scale,
        size=options.size,
        annotations=options.data.annotations,
        max_images=options.max_images,
        decoder=DECODERS[options.decoder](skeleton),
        skeleton=skeleton,
        progress=progress,
    )
    logger.info(
        "%d images: keypoint AP %s, mask AP %s",
        report["images"],
        *(
            report[kind]["AP"] if report[kind]["AP"] is None else f"{report[kind]['AP']:.4f}"
            for kind in ("keypoints", "segmentation")
        ),
    )
    write_result(report, options.json)
    return 0
