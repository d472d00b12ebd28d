"""`personlab evaluate`: any weights on any split, without a Trainer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from personlab.cli.against import read_earlier
from personlab.cli.decode import Rules
from personlab.cli.options import (
    KINDS,
    add_data_options,
    check_output,
    make_parser,
    progress_bar,
    shown_ap,
    write_result,
)
from personlab.data.coco import annotation_path, read_annotations
from personlab.data.dataset import CocoDataset
from personlab.errors import InputError
from personlab.evaluation.coco_ap import CocoAP, Kind
from personlab.evaluation.image_sets import ImageSet, companion, write_results_of
from personlab.evaluation.results import Result, people_to_results, score_report
from personlab.inference import Predictor, Stopwatch, load

logger = logging.getLogger("personlab")


def run(words: list[str]) -> int:
    """Run `personlab evaluate`."""
    parser = make_parser("evaluate", "Score a network on a split of a data set, or write its results without scores.")
    add_data_options(parser)
    parser.add_argument("--data.images", type=str, default="{split}", help="folder of the images, below the root")
    add_network_options(parser)
    parser.add_argument("--only_with_keypoints", type=bool, default=False, help="leave out masks without keypoints")
    parser.add_output(
        "--results",
        type=str | None,
        default=None,
        help="write COCO results, one object a person, here, and into NAME.images.json which images they are of",
    )
    parser.add_argument(
        "--against",
        type=str | None,
        default=None,
        help="results of another evaluation of the same images: differences with intervals",
    )
    options = parser.parse_args(words[1:])
    if options.max_images is not None and options.max_images < 1:
        raise InputError(f"evaluate: --max_images must be at least 1, got {options.max_images}")
    _check_places(options)
    report, results, images = evaluate(predictor_of(options), options)
    try:
        if options.results:
            write_results_of(options.results, results, images)
    finally:  # each is worth having without the other
        write_result(report, options.json)
    return 0


def _check_places(options: Any) -> None:
    """Refuse to write over the annotations, or twice into one place, and to compare with nothing."""
    if options.against == "":
        raise InputError("--against is empty; give it a file of results, or leave it out")
    annotations = annotation_path(options.data.root, options.split, options.data.annotations)
    outputs = {name: path for name in ("results", "json") if (path := getattr(options, name)) not in (None, "-")}
    if options.results:
        check_output(str(companion(options.results)), "--results")
    for name, path in outputs.items():
        if Path(path).resolve() == annotations.resolve():
            raise InputError(f"{path}: is the file of the annotations; give another --{name}")
    if len(outputs) == 2 and companion(options.results).resolve() == Path(options.json).resolve():
        raise InputError(f"{options.json}: tells the images of --results; give another --json")


def add_network_options(parser: Any) -> None:
    """Options that say what people are found with, for every command that finds some."""
    parser.add_argument("--weights", type=str, default="embedded", help="network: a .safetensors or .onnx, or embedded")
    parser.add_argument(
        "--rules", type=Rules | None, default=None,
        help="whose rules; paper, the default, takes the decoder options in the weights' file where it names some",
    )  # fmt: skip
    parser.add_argument(
        "--decoder", type=dict[str, Any], default={}, help="options of the decoder: --decoder.NAME VALUE"
    )
    parser.add_argument("--stride", type=int | None, default=None, help="output stride; default: the network's")
    parser.add_argument("--size", type=int | None, default=801, help="longer side of the input; null keeps the image's")
    parser.add_argument("--scales", type=int, nargs="+", default=[], help="further longer sides to average over, too")
    parser.add_argument("--tta", choices=["none", "flip"], default="none", help="flip: the mirrored image, too")
    parser.add_argument("--device", type=str, default="cpu", help="where the network works")


def predictor_of(options: Any) -> Predictor:
    """The predictor that a command's options describe."""
    return load(
        options.weights, options.rules, options.size, options.scales, options.tta == "flip", options.stride,
        options.device, **options.decoder,
    )  # fmt: skip


def evaluate(predictor: Predictor, options: Any) -> tuple[dict[str, Any], list[Result], ImageSet]:
    """Find the people of all images of a split, and score them where there is something to score against.

    Returns:
        The report, which is told as well, the COCO results, and what they are of.
    """
    path = annotation_path(options.data.root, options.split, options.data.annotations)
    skeleton = predictor.network.skeleton
    annotations = read_annotations(path, skeleton, require_annotations=False)
    folder = Path(options.data.root) / options.data.images.replace("{split}", options.split)
    dataset = CocoDataset(annotations, folder)
    known = bool(len(annotations.keypoints))
    kinds: tuple[Kind, ...] = ("keypoints", "segmentation") if predictor.makes_masks else ("keypoints",)
    metric = CocoAP(path, kinds, skeleton, only_with_keypoints=options.only_with_keypoints) if known else None
    images = range(len(dataset))[: options.max_images]
    earlier = None
    if options.against:
        if metric is None:
            raise InputError(f"{path}: has no annotations, so nothing can be compared; leave out --against")
        earlier = read_earlier(options.against, metric, annotations, images)
    predictor.decoder.warm_up()
    watch = Stopwatch()
    results: list[Result] = []
    for index in progress_bar("evaluating")(images):
        with watch.stage("read"):
            sample = dataset.load(index)
        prediction = predictor(sample.image)
        watch.add(prediction.seconds)
        results += people_to_results(prediction.people, sample.image_id, annotations.category_id)
    ids = dataset.image_ids[list(images)].tolist()
    figures: dict[str, float] = {}
    if metric is not None:
        metric.update_results(results, ids)
        figures = metric.compute()
    report = score_report(figures, len(ids), len(results), watch.seconds, options.only_with_keypoints)
    logger.info(
        "%d images, %d people; keypoint AP %s, mask AP %s", len(ids), len(results),
        *(shown_ap(report, kind, 4) for kind in KINDS),
    )  # fmt: skip
    times = ", ".join(f"{stage} {1e3 * spent / len(ids):.1f}" for stage, spent in report["seconds"].items())
    logger.info("milliseconds an image: %s", times)
    if metric is not None and earlier is not None:
        report["against"] = earlier.compare(metric)
    return report, results, ImageSet(tuple(ids), kinds, options.split, path.name, annotations.sha256)
