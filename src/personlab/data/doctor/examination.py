"""The whole examination: annotation files, image files, and splits against each other."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from personlab.data.coco import ANNOTATIONS, annotation_path, read_annotations
from personlab.data.doctor.duplicates import check_duplicates
from personlab.data.doctor.findings import LEVELS, Findings
from personlab.data.doctor.keypoints import check_against_boxes, check_category, check_keypoints
from personlab.data.doctor.masks import check_masks
from personlab.data.doctor.pictures import Picture, Progress, check_files
from personlab.data.doctor.sides import check_sides
from personlab.data.doctor.tables import Tables, read_tables
from personlab.errors import InputError
from personlab.skeleton import COCO, Skeleton
from personlab.structures import MAX_PEOPLE


def examine(
    root: str | Path,
    splits: Sequence[str],
    annotations: str = ANNOTATIONS,
    skeleton: Skeleton | None = COCO,
    images: bool = True,
    progress: Progress = iter,
) -> tuple[Findings, dict[str, dict[str, int]]]:
    """Check a data set.

    Args:
        root: Folder in COCO's layout.
        splits: Splits to check.
        annotations: Annotation file below the root; `{split}` stands for the split.
        skeleton: What the keypoints are; None leaves them unchecked.
        images: Decode every image, and look for images that are there twice.
        progress: Passes the images of a split on and shows how far they are.

    Returns:
        What was found, and how many images, people and files were looked at in each split.
    """
    findings = Findings()
    pictures: list[Picture] = []
    counts: dict[str, dict[str, int]] = {}
    for split in splits:
        path = annotation_path(root, split, annotations)
        found, tables = examine_annotations(path, skeleton, split)
        findings.extend(found)
        rows = tables.images if tables else []
        counts[split] = {"images": len(rows), "annotations": len(tables.people) if tables else 0, "decoded": 0}
        if tables is None:
            continue
        of_files = Findings(split, str(path))
        looked_at = check_files(Path(root) / split, rows, of_files, images, progress)
        counts[split]["decoded"] = len(looked_at)
        pictures += looked_at
        findings.extend(of_files)
    between = Findings()
    check_duplicates(pictures, between)
    findings.extend(between)
    return findings, counts


def examine_annotations(
    path: Path, skeleton: Skeleton | None = COCO, split: str | None = None, ask_the_reader: bool = True
) -> tuple[Findings, Tables | None]:
    """Check an annotation file, without any image.

    Args:
        path: The file.
        skeleton: What its keypoints are; None leaves them unchecked.
        split: Named in the findings.
        ask_the_reader: Read a file without errors, since the reader has the last word; not needed if it was read.

    Returns:
        What was found, and the sound rows, or None where there are none.
    """
    findings = Findings(split, str(path))
    with _collector_paused():
        tables = _check_tables(path, skeleton, findings)
    if ask_the_reader and skeleton is not None and not findings.errors():
        _ask_the_reader(path, skeleton, findings)
    return findings, tables


def _check_tables(path: Path, skeleton: Skeleton | None, findings: Findings) -> Tables | None:
    tables = read_tables(path, findings)
    if tables is not None:
        _check_crowding(tables, findings)
        boxes = check_masks(tables, findings)
        if skeleton is not None:
            check_category(tables.category, skeleton, findings)
            keypoints = check_keypoints(tables, skeleton, findings)
            if check_against_boxes(tables, keypoints, boxes, findings):
                check_sides(tables, keypoints, skeleton, findings)  # with x for y, everybody is mirrored
    return tables


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Python's collector off: it would look through millions of objects over and over, as long as reading takes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _ask_the_reader(path: Path, skeleton: Skeleton, findings: Findings) -> None:
    try:
        read_annotations(path, skeleton, require_keypoints=False)
    except InputError as error:
        findings.add("refused", str(error).removeprefix(f"{path}: "))


def _check_crowding(tables: Tables, findings: Findings) -> None:
    people = [0] * len(tables.images)
    for row, image in zip(tables.people, tables.owner.tolist(), strict=True):
        people[image] += not row.get("iscrowd")
    for image, count in zip(tables.images, people, strict=True):
        if count > MAX_PEOPLE:
            findings.add("too-many-people", f"{count} people", image=image["id"])


def as_json(findings: Findings, counts: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Everything that was found, as plain values."""
    levels = {f"{level}s": findings.count(level) for level in LEVELS}
    groups = [
        {"level": g.findings[0].level, "code": g.code, "split": g.split, "count": len(g.findings)}
        for g in findings.groups()
    ]
    return {**levels, "splits": counts, "groups": groups, "findings": [f.as_json() for f in findings]}
