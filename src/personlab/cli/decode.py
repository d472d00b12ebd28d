"""`personlab decode`: saved fields -> people, by any of the four sets of rules."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np

from personlab.cli.options import make_parser, write_result
from personlab.decoding import RULES, Decoder
from personlab.decoding.rules.layout import read_fields
from personlab.errors import InputError
from personlab.geometry import affine
from personlab.structures import Fields, People
from personlab.visualization import draw_heatmaps, draw_people, write_image

logger = logging.getLogger("personlab")

Rules = Literal["paper", "tfjs", "bodypix", "coral"]


def run(words: list[str]) -> int:
    """Run `personlab decode`."""
    parser = make_parser("decode", "Decode the fields of one image, saved in the layout of the released models (.npz).")
    parser.add_argument("fields", type=str, help="file with heatmap, short, fwd, bwd, long and seg_logit")
    parser.add_argument("--rules", type=Rules, default="paper", help="whose rules to decode by")
    parser.add_argument("--max-detections", type=int | None, default=None, help="most people; default: the rules'")
    parser.add_argument(
        "--score-threshold", type=float | None, default=None, help="of people (paper, coral) or seeds (tfjs, bodypix)"
    )
    parser.add_argument("--nms-radius", type=float | None, default=None, help="in pixels; default: the rules'")
    parser.add_argument("--stride", type=int | None, default=None, help="output stride, if the file does not tell")
    parser.add_argument("--disk-radius", type=float, default=32.0, help="radius of the disks in pixels (paper)")
    parser.add_argument("--masks", type=bool, default=False, help="add instance masks (COCO RLE) to the result")
    parser.add_output("--draw", type=str | None, default=None, help="draw heatmaps, people and masks to this picture")
    options = parser.parse_args(words[1:])
    for name, value in {"stride": options.stride, "max-detections": options.max_detections}.items():
        if value is not None and value < 1:
            raise InputError(f"decode: --{name} must be at least 1, got {value}")
    decoder = make_decoder(
        options.rules,
        masks=options.masks or options.draw is not None,
        max_people=options.max_detections,
        score_threshold=options.score_threshold,
        nms_radius_px=options.nms_radius,
    )
    fields = read_fields(options.fields, options.stride, options.disk_radius)
    people = decoder(fields, affine.identity()[None], [input_size(fields)])[0]
    logger.info("%s: %d people by the rules `%s`", options.fields, len(people), options.rules)
    if options.draw:
        canvas = np.full((*input_size(fields), 3), 255, dtype=np.uint8)
        write_image(Path(options.draw), draw_people(draw_heatmaps(canvas, fields), people))
    write_result(people_as_json(people, with_masks=options.masks), options.json)
    return 0


def make_decoder(rules: str, masks: bool, **options: Any) -> Decoder:
    """A decoder by the name of its rules; options that are None keep the rules' own default.

    Raises:
        InputError: If the rules know no masks, or an option is out of range.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if rules != "tfjs":  # it knows poses only
        given["masks"] = masks
    return RULES[rules](**given)


def input_size(fields: Fields) -> tuple[int, int]:
    """(height, width) of the network input that the fields belong to, in pixels."""
    height, width = ((n - 1) * fields.stride + 1 for n in fields.heatmap_logits.shape[-2:])
    return height, width


def people_as_json(people: People, with_masks: bool) -> dict[str, Any]:
    """People in decode order, places in pixels of the image; masks as COCO RLE with text counts."""
    rows: list[dict[str, Any]] = []
    for n, keypoints in enumerate(people.keypoints):
        row: dict[str, Any] = {"score": float(people.scores[n]), "keypoints": keypoints.astype(float).tolist()}
        if with_masks and people.masks is not None:
            row["segmentation"] = {**people.masks[n], "counts": people.masks[n]["counts"].decode("ascii")}
        rows.append(row)
    return {"people": rows}
