"""Checks of keypoints: names, numbers, visibility, places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from personlab.data.doctor.findings import Findings
from personlab.data.doctor.numbers import numbers
from personlab.data.doctor.tables import Tables
from personlab.data.imputed import Row
from personlab.skeleton import Skeleton

_OUTSIDE_PX = 1.0
"""A keypoint may be so far beyond the outermost pixels: rounding, and files that count from 1."""
_FEWEST = 20
"""Statistics over a file need so many people."""


def check_category(category: Row, skeleton: Skeleton, findings: Findings) -> None:
    """Names, order, edges and sigmas of the category of people, held against the skeleton."""
    names = category.get("keypoints")
    k = skeleton.num_keypoints
    if names is None:
        findings.add("keypoint-names-missing", f"skeleton {skeleton.name} is taken for granted")
    elif not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        findings.add("field-wrong", f"the keypoints of category person must be a list of names, got {names!r:.40}")
    else:
        plain = [name.lower().replace(" ", "_").replace("-", "_") for name in names]
        unknown = [name for name, p in zip(names, plain, strict=True) if p not in skeleton.keypoint_names]
        if len(names) != k:
            findings.add("keypoint-names", f"{len(names)} keypoints, skeleton {skeleton.name} has {k}")
        elif unknown or len(set(plain)) != k:
            shown = ", ".join(repr(name) for name in unknown[:4]) or "a name twice"
            findings.add("keypoint-names", f"{shown}: not as in skeleton {skeleton.name}")
        elif plain != list(skeleton.keypoint_names):
            first = next(i for i in range(k) if plain[i] != skeleton.keypoint_names[i])
            what = f"keypoint {first} is {names[first]}, in skeleton {skeleton.name} {skeleton.keypoint_names[first]}"
            findings.add("keypoint-order", what)
    _check_edges(category.get("skeleton"), k, findings)
    _check_sigmas(category.get("sigmas"), skeleton, findings)


def _check_edges(edges: Any, k: int, findings: Findings) -> None:
    if not edges:
        return
    if not isinstance(edges, list):
        findings.add("category-edges", f"no list: {edges!r:.40}")
        return
    wrong = [
        e for e in edges
        if not (isinstance(e, list) and len(e) == 2 and all(type(n) is int and 1 <= n <= k for n in e) and e[0] != e[1])
    ]  # fmt: skip
    if wrong:
        findings.add(
            "category-edges", f"{len(wrong)} of {len(edges)} are no two of {k} keypoints, first {wrong[0]!r:.40}"
        )


def _check_sigmas(sigmas: Any, skeleton: Skeleton, findings: Findings) -> None:
    if sigmas is None:
        return
    if not isinstance(sigmas, list) or len(sigmas) != skeleton.num_keypoints:
        count = len(sigmas) if isinstance(sigmas, list) else "no list of"
        findings.add("category-sigmas", f"{count} sigmas for {skeleton.num_keypoints} keypoints")
    elif not all(type(s) in (int, float) and abs(s - t) < 1e-6 for s, t in zip(sigmas, skeleton.sigmas, strict=True)):
        findings.add("category-sigmas", f"not those of skeleton {skeleton.name}")


def check_keypoints(tables: Tables, skeleton: Skeleton, findings: Findings) -> NDArray[np.float64]:
    """Numbers, visibility and places of all keypoints.

    Returns:
        `(annotation, keypoint, 3)`: x, y in `image_xy` and visibility; 0 where there are none or they are unusable.
    """
    people = tables.people

    def tell(row: int, fault: str, what: str) -> None:
        findings.add("keypoint-count" if fault == "length" else "number-not-finite", what, **tables.place(row))

    flat, given = numbers(people, "keypoints", 3 * skeleton.num_keypoints, tell)
    keypoints = flat.reshape(len(people), skeleton.num_keypoints, 3)
    if people and "keypoints" not in tables.category and all("keypoints" not in row for row in people):
        findings.add("no-keypoints", "no annotation has keypoints")
    visibility = keypoints[..., 2]
    for i in np.flatnonzero((~np.isin(visibility, (0, 1, 2))).any(axis=1)):
        bad = next(v for v in visibility[i] if v not in (0, 1, 2))
        findings.add("visibility", f"visibility {bad:g}", **tables.place(i))
    labelled = visibility > 0
    _check_places(tables, keypoints, labelled, skeleton, findings)
    counts = labelled.sum(axis=1)
    for n, (row, count) in enumerate(zip(people, counts.tolist(), strict=True)):
        if "num_keypoints" in row and row["num_keypoints"] != count and (given[n] or not row.get("keypoints")):
            what = f"num_keypoints {row['num_keypoints']!r:.20}, labelled {count}"
            findings.add("num-keypoints", what, **tables.place(n))
        if row.get("iscrowd") and count:
            findings.add("crowd-keypoints", f"{count} keypoints", **tables.place(n))
    return keypoints


def _check_places(
    tables: Tables, keypoints: NDArray[np.float64], labelled: NDArray[np.bool_], skeleton: Skeleton, findings: Findings
) -> None:
    x, y = keypoints[..., 0], keypoints[..., 1]
    for i in np.flatnonzero((~labelled & ((x != 0) | (y != 0))).any(axis=1)):
        k = int(np.argmax(~labelled[i] & ((x[i] != 0) | (y[i] != 0))))
        what = f"{skeleton.keypoint_names[k]} has v 0 and lies at ({x[i, k]:g}, {y[i, k]:g})"
        findings.add("unlabelled-place", what, **tables.place(i))
    height, width = (tables.sizes[tables.owner, axis][:, None] for axis in (0, 1))
    low, high = -0.5 - _OUTSIDE_PX, _OUTSIDE_PX - 0.5
    outside = labelled & ~((x >= low) & (x <= width + high) & (y >= low) & (y <= height + high))
    for i in np.flatnonzero(outside.any(axis=1)):
        k = int(outside[i].argmax())
        what = (
            f"{skeleton.keypoint_names[k]} at ({x[i, k]:g}, {y[i, k]:g}) in {width[i, 0]} x {height[i, 0]} pixels, "
            f"{outside[i].sum()} such"
        )
        findings.add("keypoint-outside", what, **tables.place(i))
    if labelled.sum() >= _FEWEST and max(x[labelled].max(), y[labelled].max()) <= 1:
        findings.add("coordinates-normalised", f"the largest of {labelled.sum()} keypoints has no coordinate above 1")


def check_against_boxes(
    tables: Tables, keypoints: NDArray[np.float64], boxes: NDArray[np.float64], findings: Findings
) -> bool:
    """Keypoints that lie where their person's box is not.

    Args:
        tables: The rows.
        keypoints: `(annotation, keypoint, 3)`.
        boxes: `(annotation, 4)`: left, top, right, bottom of each person; NaN where unknown.
        findings: Gets what is found.

    Returns:
        Whether x and y are what they are said to be, and not each other.
    """
    labelled = keypoints[..., 2] > 0

    def inside(places_xy: NDArray[np.float64], margin: float) -> NDArray[np.bool_]:
        grow = margin * (boxes[:, 2:] - boxes[:, :2])
        low, high = (boxes[:, :2] - grow)[:, None], (boxes[:, 2:] + grow)[:, None]
        return ((places_xy >= low) & (places_xy <= high)).all(axis=2) & labelled

    known = np.isfinite(boxes).all(axis=1) & (labelled.sum(axis=1) >= 3)
    here = inside(keypoints[..., :2], 0.5).sum(axis=1)
    for i in np.flatnonzero(known & (here == 0)):
        findings.add("keypoints-elsewhere", f"none of {labelled[i].sum()} keypoints", **tables.place(i))
    straight, swapped = (inside(places, 0.1)[known].sum() for places in (keypoints[..., :2], keypoints[..., 1::-1]))
    total = labelled[known].sum()
    if known.sum() >= _FEWEST and swapped > 0.8 * total and straight < 0.5 * total:
        what = f"{straight / total:.0%} of the keypoints lie in their person's box, {swapped / total:.0%} with x for y"
        findings.add("coordinates-swapped", what)
        return False
    return True
