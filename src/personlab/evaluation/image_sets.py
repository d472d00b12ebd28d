"""Which images a file of results is of: COCO's format lists people, and no images where nobody was found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from personlab.errors import InputError
from personlab.evaluation.results import Result, write_results
from personlab.files import sha256, write_atomically

_AGAIN = "write the results again by evaluate --results, or remove it"
_LAST = 3
"""So many images with people and without results at the very end are more likely a file that ended before."""


@dataclass(frozen=True)
class ImageSet:
    """What results are of.

    Attributes:
        image_ids: Ids of all images, also of those where nobody was found.
        kinds: What was looked for, `keypoints` and `segmentation`; empty if that is not known.
        split: Name of the split; None if it is not known.
        annotations: Name of the annotation file; None if it is not known.
        annotations_sha256: Its content; None if it is not known.
    """

    image_ids: tuple[int, ...]
    kinds: tuple[str, ...] = ()
    split: str | None = None
    annotations: str | None = None
    annotations_sha256: str | None = None


def companion(results: str | Path) -> Path:
    """The file beside a file of results that tells which images they are of: `A.images.json` of `A.json`."""
    path = Path(results)
    return path.with_name(f"{path.stem}.images.json")


def write_results_of(path: str | Path, results: Sequence[Result], images: ImageSet) -> None:
    """Write COCO results, which stay what COCO's server takes, and their `companion`.

    The companion holds the hash of the results, so that it is never taken for that of others. What is no plain file,
    such as a pipe, gets none.

    Raises:
        InputError: If one of them cannot be written.
    """
    write_results(path, results)
    if Path(path).is_file():
        content = {"results_sha256": sha256(path), **asdict(images)}
        write_atomically(companion(path), (json.dumps(content) + "\n").encode())


def read_image_set(path: str | Path, results: Sequence[Result]) -> ImageSet | None:
    """What a file of results is of: by its `companion`, or by the `images.json` that `personlab predict` writes.

    A companion may be written by hand, too, for results from elsewhere: `{"image_ids": [...]}` is enough.

    Args:
        path: The file of results.
        results: Its content.

    Returns:
        None if nothing tells.

    Raises:
        InputError: If the companion is none, that of other results, or says that there are masks or keypoints where
            there are none: a comparison would take them for people who were not found.
    """
    beside = companion(path)
    if not beside.is_file():
        return _predicted(Path(path), results)
    content = _read(beside)
    ids = content.get("image_ids") if isinstance(content, dict) else None
    if not isinstance(ids, list) or not all(type(i) is int for i in ids) or len(set(ids)) < len(ids):
        raise InputError(f'{beside}: tells no images, expected {{"image_ids": [1, 2]}}, each once; {_AGAIN}')
    kinds = content.get("kinds") or []
    if not isinstance(kinds, list) or not set(map(str, kinds)) <= {"keypoints", "segmentation"}:
        raise InputError(f'{beside}: kinds must be a list of "keypoints" and "segmentation"; {_AGAIN}')
    of_others = not {r["image_id"] for r in results} <= set(ids)
    if of_others or content.get("results_sha256") not in (None, sha256(path)):
        raise InputError(f"{beside}: tells the images of other results than those in {path}; {_AGAIN}")
    lacking = [str(kind) for kind in kinds if kind not in kinds_of(results)] if results else []
    if lacking:
        raise InputError(
            f"{beside}: says that {' and '.join(lacking)} was looked for, and no result in {path} has any; {_AGAIN}"
        )
    told = {name: str(content[name]) for name in ("split", "annotations", "annotations_sha256") if content.get(name)}
    return ImageSet(tuple(ids), tuple(map(str, kinds)), **told)


def assume_complete(
    path: str | Path, results: Sequence[Result], image_ids: Sequence[int], people: Collection[int]
) -> str | None:
    """What is taken for granted where nothing tells which images a file of results is of: that it is of all of them.

    Args:
        path: The file of results.
        results: Its content.
        image_ids: The images evaluated, in order.
        people: Those of them that have people who count.

    Returns:
        One line to tell; None if all images have results.

    Raises:
        InputError: If the file is empty or covers too little, see `check_covered`.
    """
    if not results:
        raise InputError(
            f"{path}: is empty, and nothing tells which images it is of; write it by evaluate --results, or list them "
            f'in {companion(path).name} beside it: {{"image_ids": [1, 2]}}'
        )
    check_covered(path, results, image_ids, people)
    without = without_results(results, image_ids)
    if not without:
        return None
    return (
        f"{path}: nothing tells which images it is of; {without} of {len(image_ids)} have no result there and are "
        "taken for images where nobody was found"
    )


def without_results(results: Sequence[Result], image_ids: Sequence[int]) -> int:
    """How many images have no result."""
    return len(set(image_ids) - {r["image_id"] for r in results})


def check_covered(
    path: str | Path, results: Sequence[Result], image_ids: Sequence[int], people: Collection[int]
) -> None:
    """Refuse results that are probably of fewer images, where nothing tells which images they are of.

    Images without a result are taken for images where nobody was found. That is true of some in every complete file,
    but where it is not, a difference means nothing. Refused are a file that has no result for more than half of the
    images with people, and one that has none for the last three of these, as if it had ended before.

    Args:
        path: The file of results.
        results: Its content.
        image_ids: The images evaluated, in order.
        people: Those of them that have people who count.

    Raises:
        InputError: If it covers too little.
    """
    found = {r["image_id"] for r in results}
    covered = [i in found for i in image_ids if i in people]
    if covered.count(False) * 2 > len(covered) or (len(covered) >= _LAST and not any(covered[-_LAST:])):
        raise InputError(
            f"{path}: seems to be of fewer images: {covered.count(False)} of the {len(covered)} images with people "
            "have no result there; compare the same images, or, if it is of all of them, list them in "
            f'{companion(path).name} beside it: {{"image_ids": [1, 2]}}'
        )


def _predicted(path: Path, results: Sequence[Result]) -> ImageSet | None:
    """What `personlab predict` says of its results, if these are they."""
    listed = path.with_name("images.json")
    if path.name != "results.json" or not listed.is_file():
        return None
    rows = _read(listed)
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and all(type(row.get(name)) is int for name in ("id", "people")) for row in rows
    ):
        return None
    people = {row["id"]: row["people"] for row in rows if row["people"]}
    if people != Counter(r["image_id"] for r in results):
        return None
    return ImageSet(tuple(row["id"] for row in rows), tuple(sorted({"keypoints", *kinds_of(results)})))


def kinds_of(results: Sequence[Result]) -> list[str]:
    """What there is of people in results."""
    return [kind for kind in ("keypoints", "segmentation") if any(kind in r for r in results)]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: does not tell which images results are of: {error}; {_AGAIN}") from error
