"""Poses of the synthetic people: joint angles of a kinematic model, turned into places in three dimensions.

Frame: x to the right of the screen, y down, z away from the camera; unit: the standing height of the person. A body has
its own axes, x to the person's left, y to the feet, z to the back: at yaw 0 it faces the camera, its left hand at the
right of the screen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from personlab.skeleton import COCO

Vector = NDArray[np.float64]
LEFT, RIGHT = 0, 1
NECK, HEAD, LEFT_HAND, RIGHT_HAND, LEFT_TOE, RIGHT_TOE, PELVIS = range(COCO.num_keypoints, COCO.num_keypoints + 7)
"""Rows of `Figure.points` after the keypoints."""
NUM_POINTS = PELVIS + 1
HEAD_AXES = np.array([0.060, 0.079, 0.071])
"""Half the width, height and depth of a head of scale 1."""
FEATURES = np.array(
    [[0, 0.20, -1.16], [0.40, -0.06, -0.91], [-0.40, -0.06, -0.91], [1.02, 0.08, 0.05], [-1.02, 0.08, 0.05]]
)
"""Nose, eyes and ears (COCO's first five keypoints) in half axes of the head."""


@dataclass
class Angles:
    """Joint angles in degrees. Pairs are (left, right); flexion is forward, `out` is away from the body."""

    yaw: float = 0.0
    roll: float = 0.0
    camera_pitch: float = 8.0
    lean: float = 0.0
    lean_side: float = 0.0
    twist: float = 0.0
    head_yaw: float = 0.0
    head_pitch: float = 0.0
    head_roll: float = 0.0
    hip: Vector = field(default_factory=lambda: np.zeros(2))
    hip_out: Vector = field(default_factory=lambda: np.full(2, 4.0))
    knee: Vector = field(default_factory=lambda: np.full(2, 4.0))
    arm: Vector = field(default_factory=lambda: np.zeros(2))
    arm_out: Vector = field(default_factory=lambda: np.full(2, 12.0))
    elbow: Vector = field(default_factory=lambda: np.full(2, 12.0))
    elbow_way: Vector = field(default_factory=lambda: np.tile([-0.3, 0.0, -1.0], (2, 1)))
    """Where the forearm bends to, `(2, 3)` in body axes with x counted away from the body."""


@dataclass(frozen=True)
class Figure:
    """A posed person.

    Attributes:
        points: `(24, 3)` places: the COCO keypoints, then `NECK` ... `PELVIS`.
        torso: `(3, 3)` rotation, columns are the axes of the torso.
        head: `(3, 3)` rotation, columns are the axes of the head.
        head_scale: Size of the head, 1 for an adult.
        seated: Whether the person sits on something.
    """

    points: Vector
    torso: Vector
    head: Vector
    head_scale: float
    seated: bool


def rotation(axis: int, degrees: float) -> Vector:
    """Rotation about axis 0 (x), 1 (y) or 2 (z); a positive turn about x leans forward."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.eye(3)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix[a, a] = matrix[b, b] = c
    matrix[a, b], matrix[b, a] = -s, s
    return matrix


def _direction(flexion: float, out: float, side: int) -> Vector:
    """Unit vector of a limb that hangs down at 0, in body axes."""
    f, o = np.deg2rad(flexion), np.deg2rad(out)
    return np.array([np.sin(o) * (1 - 2 * side), np.cos(o) * np.cos(f), -np.cos(o) * np.sin(f)])


def pose(a: Angles, rng: Generator, child: bool = False) -> Figure:
    """Place a body with these joint angles and slightly varied proportions.

    Args:
        a: The joint angles.
        rng: Source of the proportions.
        child: A larger head and shorter limbs.
    """
    legs, arms, wide = rng.normal(1, 0.03) * (0.93 if child else 1), rng.normal(1, 0.03), rng.normal(1, 0.07)
    head_scale = rng.normal(1.04, 0.04) * (1.35 if child else 1)
    root = rotation(2, a.roll) @ rotation(0, a.camera_pitch) @ rotation(1, a.yaw)
    torso = root @ rotation(0, a.lean) @ rotation(2, a.lean_side) @ rotation(1, a.twist)
    hips = root @ rotation(0, 0.4 * a.lean) @ rotation(2, 0.3 * a.lean_side)
    # A bent back lifts the head again: people look where they go.
    neck_turn = torso @ rotation(0, 0.4 * (a.head_pitch - 0.6 * a.lean))
    head = torso @ rotation(0, a.head_pitch - 0.6 * a.lean) @ rotation(1, a.head_yaw) @ rotation(2, a.head_roll)
    p = np.zeros((NUM_POINTS, 3))
    p[NECK] = torso @ [0, -0.295, 0]
    p[HEAD] = p[NECK] + neck_turn @ [0, -0.038 - HEAD_AXES[1] * head_scale, -0.012]
    p[:5] = p[HEAD] + (FEATURES * HEAD_AXES * head_scale) @ head.T
    for side, sign in ((LEFT, 1), (RIGHT, -1)):
        shoulder, elbow, wrist, hip, knee, ankle = range(5 + side, 17, 2)
        lift = 0.025 * np.clip((max(a.arm_out[side], a.arm[side]) - 70) / 80, 0, 1)
        p[shoulder] = torso @ [sign * 0.106 * wide, -0.283 - lift, 0.004]
        upper = _direction(a.arm[side], a.arm_out[side], side)
        way = a.elbow_way[side] * [sign, 1, 1]
        way = way - (way @ upper) * upper
        bend = np.deg2rad(a.elbow[side])
        lower = np.cos(bend) * upper + np.sin(bend) * way / max(float(np.linalg.norm(way)), 1e-6)
        p[elbow] = p[shoulder] + torso @ upper * 0.165 * arms
        p[wrist] = p[elbow] + torso @ lower * 0.145 * arms
        p[LEFT_HAND + side] = p[wrist] + torso @ lower * 0.050
        p[hip] = hips @ [sign * 0.058 * wide, 0, 0]
        p[knee] = p[hip] + root @ _direction(a.hip[side], a.hip_out[side], side) * 0.235 * legs
        shank = a.hip[side] - max(a.knee[side], 0)
        p[ankle] = p[knee] + root @ _direction(shank, 0.7 * a.hip_out[side], side) * 0.225 * legs
        p[LEFT_TOE + side] = p[ankle] + root @ _direction(shank + 74, 12, side) * 0.085
    return Figure(p, torso, head, head_scale, seated=bool(a.hip.min() > 65 and abs(a.roll) < 40 and a.knee.min() < 110))
