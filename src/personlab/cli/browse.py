"""`personlab data browse`: the very samples that a training sees, in one picture."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from personlab.cli.configs import expand_configs
from personlab.cli.options import make_parser, numbers, write_result
from personlab.cli.skeletons import share_skeleton
from personlab.data.coco import annotation_path, read_annotations
from personlab.data.datamodule import CocoDataModule
from personlab.data.dataset import CocoDataset
from personlab.data.sampler import DeterministicSampler, Ticket
from personlab.errors import InputError
from personlab.structures import Sample
from personlab.visualization import write_image
from personlab.visualization.samples import draw_sample, sample_sheet

logger = logging.getLogger("personlab")
_VIEW = {"class_path": "personlab.augmentation.TrainingView"}


def browse(words: list[str]) -> int:
    """Run `personlab data browse`."""
    parser = _parser()
    options = parser.parse_args(_with_data_of_configs(words))
    for name, least in (("count", 1), ("columns", 1), ("tile_px", 32), ("epoch", 0)):
        if getattr(options, name) < least:
            raise InputError(f"data browse: --{name} must be at least {least}, got {getattr(options, name)}")
    ids = numbers(options.image_ids, "--image_ids", int, 0) if options.image_ids else None
    share_skeleton(options)
    data: CocoDataModule = parser.instantiate(options).data
    split = options.split or data.train_split
    dataset = _dataset(data, split, ids)
    tickets = _tickets(dataset, data.seed, options.epoch, options.count, shuffled=ids is None)
    samples = [dataset[ticket] for ticket in tickets]
    tiles = [draw_sample(sample, data.skeleton) for sample in samples]
    sheet = sample_sheet(tiles, [_title(s) for s in samples], options.columns, options.tile_px)
    write_image(Path(options.output), sheet)
    logger.info("%d samples of %s, epoch %d: %s", len(samples), split, options.epoch, options.output)
    rows = [_row(s, dataset, t) for s, t in zip(samples, tickets, strict=True)]
    write_result({"split": split, "seed": data.seed, "epoch": options.epoch, "samples": rows}, options.json)
    return 0


def _parser() -> Any:
    parser = make_parser(
        "data browse",
        "Draw samples as a training sees them, after the random view: the first of an epoch, in its order. Takes the "
        "data options and the configs of personlab fit.",
    )
    # The parser reads text that is no path as the config itself.
    parser.add_argument("--config", action="config", help="configs of personlab fit; their data section is taken")
    parser.add_class_arguments(CocoDataModule, "data")
    parser.set_defaults({"data.view": _VIEW})
    parser.add_output("-o", "--output", type=str, required=True, help="picture to write (.png, .jpg)")
    parser.add_argument("--split", type=str | None, default=None, help="split to look at; data.train_split by default")
    parser.add_argument("--count", type=int, default=12, help="samples")
    parser.add_argument("--epoch", type=int, default=0, help="epoch whose first samples are drawn")
    parser.add_argument("--image_ids", type=str | None, default=None, help="these images, in this order: 36,49")
    parser.add_argument("--columns", type=int, default=4, help="samples in a row")
    parser.add_argument("--tile_px", type=int, default=320, help="side of a sample in the picture")
    return parser


def _with_data_of_configs(words: list[str]) -> list[str]:
    """Each `--config FILE` with the data section of the file in its place; the other sections are for a training."""
    out: list[str] = []
    words = expand_configs(words)
    for before, word in zip(["", *words], words, strict=False):
        if before != "--config":
            out.append(word)
            continue
        content: Any = OmegaConf.to_container(OmegaConf.load(word), resolve=False)
        taken = {"data": content["data"]} if content.get("data") else {}
        if "seed_everything" in content:
            taken.setdefault("data", {}).setdefault("seed", content["seed_everything"])  # as fit links them
        out.append(OmegaConf.to_yaml(taken) if taken else "{}")
    return out


def _dataset(data: CocoDataModule, split: str, ids: list[int] | None) -> CocoDataset:
    """The images of a split as training takes them, or those that were asked for."""
    training = split == data.train_split
    path = annotation_path(data.root, split, data.train_annotations if training else data.annotations)
    annotations = read_annotations(path, data.skeleton, require_keypoints=False, imputed=data.imputed)
    images = np.arange(len(annotations))
    if ids is not None:
        place = {int(number): i for i, number in enumerate(annotations.image_ids)}
        if unknown := [number for number in ids if number not in place]:
            raise InputError(f"{path}: has no image {unknown[0]}; check --image_ids")
        images = np.array([place[number] for number in ids])
    elif training:
        if data.train_only_with_people:
            images = annotations.images_with_keypoints()
        images = images[: data.train_images]
    if not len(images):
        raise InputError(f"{path}: no image has a labelled keypoint; give --data.train_only_with_people false")
    return CocoDataset(annotations, data.root / split, images=images, view=data.view, seed=data.seed)


def _tickets(dataset: CocoDataset, seed: int, epoch: int, count: int, shuffled: bool) -> list[Ticket]:
    """The first places of an epoch: what `fit` trains on first, with the same seed."""
    sampler = DeterministicSampler(len(dataset), seed, shuffle=shuffled, start_epoch=epoch)
    return [ticket for ticket, _ in zip(sampler, range(count), strict=False)]


def _title(sample: Sample) -> str:
    labelled = (sample.keypoints[..., 2] > 0).any(axis=1).sum()
    scale = float(np.sqrt(abs(np.linalg.det(sample.image_to_crop[:, :2]))))
    mirrored = " mirrored" if np.linalg.det(sample.image_to_crop[:, :2]) < 0 else ""
    return f"{sample.image_id}: {labelled} of {len(sample.keypoints)} people, x{scale:.2f}{mirrored}"


def _row(sample: Sample, dataset: CocoDataset, ticket: Ticket) -> dict[str, Any]:
    return {
        "image_id": sample.image_id,
        "file": str(dataset.image_path(ticket.sample)),
        "position": ticket.position,
        "people": len(sample.keypoints),
        "people_in_crop": int((sample.keypoints[..., 2] > 0).any(axis=1).sum()),
        "keypoints_in_crop": int((sample.keypoints[..., 2] > 0).sum()),
        "ignored": float((sample.label_map[..., 2] > 0).mean()),
        "image_to_crop": sample.image_to_crop.tolist(),
    }
