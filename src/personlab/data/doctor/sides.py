"""Left and right mixed up: told by statistics over a file, since no single person proves it.

People turn towards the camera, away from it, and sideways, but as a whole: where one's left shoulder is right of the
right one in the image (seen from the front), so is the left hip, and the left eye. So each pair votes on which way a
person faces, and a pair that disagrees with the majority of the others in most people is swapped. In a sample of COCO
the pairs agree with the others in 83 % (ankles, legs cross) to 99 % (ears) of the people, and a swapped pair in
1 to 17 %, while the others stay above 79 %: the threshold of one half is far from both. No constant of the body enters.

If all pairs are swapped they agree. Eyes tell: both are seen from the front only, where the left eye, the right eye and
the nose go round in one direction, however the head is tilted. In that sample none of 945 faces goes the other way.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from personlab.data.doctor.findings import Findings
from personlab.data.doctor.tables import Tables
from personlab.skeleton import Skeleton

_SURE = 3.0
"""Standard errors by which a share must differ from the threshold."""
_MIRRORED_SHARE = 0.1
"""More mirrored faces than these are no slips."""
_CLEAR = 0.3
"""The nose lies clearly below the eyes: 0 is between them, 0.5 a right angle below."""
_FEWEST = 8


def check_sides(tables: Tables, keypoints: NDArray[np.float64], skeleton: Skeleton, findings: Findings) -> None:
    """Tell pairs that are swapped in a file, and faces that are mirrored.

    Args:
        tables: The rows; crowd regions are left out.
        keypoints: `(annotation, keypoint, 3)`.
        skeleton: Its names tell which keypoints are pairs.
        findings: Gets what is found.
    """
    people = np.flatnonzero([not row.get("iscrowd") for row in tables.people])
    chosen = keypoints[people]
    for name, share, count in pair_agreement(chosen, skeleton):
        if count >= _FEWEST and share + _SURE * math.sqrt(0.25 / count) < 0.5:
            what = f"left and right {name} agree with the other pairs in {share:.0%} of {count} people"
            findings.add("sides-swapped", what)
    mirrored, faces = mirrored_faces(chosen, skeleton)
    if not faces.any():
        return
    share, count = mirrored[faces].mean(), int(faces.sum())
    # The standard error if the share were just bearable.
    if (
        count >= _FEWEST
        and share - _SURE * math.sqrt(_MIRRORED_SHARE * (1 - _MIRRORED_SHARE) / count) > _MIRRORED_SHARE
    ):
        findings.add("faces-mirrored", f"{share:.0%} of {count} faces")
        return
    for i in people[mirrored]:
        findings.add("face-mirrored", "left and right eye", **tables.place(i))


def pair_agreement(keypoints: NDArray[np.float64], skeleton: Skeleton) -> list[tuple[str, float, int]]:
    """How often each pair agrees with the majority of the others on which way a person faces.

    Args:
        keypoints: `(person, keypoint, 3)`.
        skeleton: Its names tell which keypoints are pairs.

    Returns:
        Name without side, share of the people who agree, and how many could be asked, for each pair.
    """
    left = [k for k, name in enumerate(skeleton.keypoint_names) if "left" in name]
    right = skeleton.flip_permutation[left]
    both = (keypoints[:, left, 2] > 0) & (keypoints[:, right, 2] > 0)
    votes = np.sign(keypoints[:, left, 0] - keypoints[:, right, 0]) * both
    shares = []
    for p, k in enumerate(left):
        others = votes.sum(axis=1) - votes[:, p]
        asked = (votes[:, p] != 0) & (others != 0)
        agree = votes[asked, p] == np.sign(others[asked])
        name = skeleton.keypoint_names[k].replace("left", "").strip("_ ")
        shares.append((name, float(agree.mean()) if asked.any() else math.nan, int(asked.sum())))
    return shares


def mirrored_faces(keypoints: NDArray[np.float64], skeleton: Skeleton) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Faces whose eyes and nose are visible, and which of them go round the wrong way.

    Asked are faces whose nose lies clearly below the eyes: seen from far below, it is between them or above.

    Returns:
        `(person,)` mirrored, and `(person,)` can be asked.
    """
    index = {name: k for k, name in enumerate(skeleton.keypoint_names)}
    if not {"nose", "left_eye", "right_eye"} <= index.keys():
        return np.zeros(len(keypoints), bool), np.zeros(len(keypoints), bool)
    nose, left, right = (keypoints[:, index[name]] for name in ("nose", "left_eye", "right_eye"))
    faces = (nose[:, 2] == 2) & (left[:, 2] == 2) & (right[:, 2] == 2)  # hidden ones may be seen from behind
    a, b = left[:, :2] - nose[:, :2], right[:, :2] - nose[:, :2]
    turn = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    size = (a**2).sum(axis=1) + (b**2).sum(axis=1)
    clear = faces & (np.abs(turn) > _CLEAR * size)
    # y points down: seen from the front, nose -> left eye -> right eye turns this way.
    return clear & (turn > 0), clear
