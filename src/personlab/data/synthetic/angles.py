"""What the synthetic people do: joint angles of standing, walking, running, sitting, bending, lying people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from personlab.data.synthetic.pose import LEFT, RIGHT, Angles


def _swing(rng: Generator, a: Angles, stride: float, knee: float, elbow: float) -> None:
    """Legs and arms in opposite phase, as in walking and running."""
    phase = rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.0)
    a.hip[:] = stride * phase + 6, -stride * phase + 6
    back = RIGHT if phase > 0 else LEFT
    a.knee[back], a.knee[1 - back] = knee * rng.uniform(0.5, 1.2), knee * rng.uniform(0.1, 0.5)
    a.arm[:] = -stride * phase * 0.9, stride * phase * 0.9
    a.elbow[:] = elbow + rng.normal(0, 10, 2)


def _stand(rng: Generator, a: Angles) -> None:
    a.hip_out[:] = rng.uniform(1, 14) + rng.normal(0, 2, 2)
    if rng.random() < 0.3:  # weight on one leg
        side = rng.integers(2)
        a.hip[side], a.knee[side] = rng.uniform(8, 35), rng.uniform(10, 50)


def _walk(rng: Generator, a: Angles) -> None:
    _swing(rng, a, rng.uniform(14, 30), 40, 20)
    a.lean = rng.uniform(0, 8)


def _run(rng: Generator, a: Angles) -> None:
    _swing(rng, a, rng.uniform(30, 55), 95, 85)
    a.lean = rng.uniform(5, 20)


def _sit(rng: Generator, a: Angles) -> None:
    a.hip[:] = rng.uniform(72, 92) + rng.normal(0, 4, 2)
    a.knee[:] = a.hip + rng.normal(0, 14, 2)
    a.hip_out[:] = rng.uniform(2, 22) + rng.normal(0, 3, 2)
    a.lean = rng.uniform(-12, 18)
    if rng.random() < 0.5:  # hands on the knees
        a.arm[:], a.elbow[:] = rng.uniform(15, 40, 2), rng.uniform(30, 70, 2)


def _bend(rng: Generator, a: Angles) -> None:
    a.lean = rng.uniform(35, 85)
    a.hip[:], a.knee[:] = rng.normal(0, 8, 2), rng.uniform(4, 35, 2)
    a.hip_out[:] = rng.uniform(3, 14, 2)
    a.arm[:] = a.lean + rng.normal(10, 15, 2)
    a.elbow[:] = rng.uniform(5, 50, 2)


def _crouch(rng: Generator, a: Angles) -> None:
    bend = rng.uniform(50, 115)
    a.hip[:] = bend * 0.9 + rng.normal(0, 8, 2)
    a.knee[:] = bend * 1.5 + rng.normal(0, 10, 2)
    a.hip_out[:] = rng.uniform(5, 28, 2)
    a.lean = rng.uniform(10, 40)
    a.arm[:] = rng.uniform(20, 60, 2)
    a.elbow[:] = rng.uniform(20, 90, 2)


def _lunge(rng: Generator, a: Angles) -> None:
    """One leg far out, to the side or to the front: sports."""
    side = rng.integers(2)
    if rng.random() < 0.5:
        a.hip_out[side], a.hip_out[1 - side] = rng.uniform(25, 65), rng.uniform(5, 25)
        a.lean_side = rng.uniform(-18, 18)
    else:
        a.hip[side], a.knee[side] = rng.uniform(40, 95), rng.uniform(5, 95)
        a.hip[1 - side], a.knee[1 - side] = rng.uniform(-30, 5), rng.uniform(5, 40)
    a.arm_out[:] = rng.uniform(10, 95, 2)
    a.elbow[:] = rng.uniform(5, 80, 2)


def _lie(rng: Generator, a: Angles) -> None:
    a.roll = rng.choice([-90.0, 90.0]) + rng.normal(0, 10)
    a.hip[:], a.knee[:] = rng.uniform(-5, 40, 2), rng.uniform(5, 60, 2)
    a.arm[:] = rng.uniform(-10, 60, 2)


_BODIES: tuple[tuple[float, Callable[[Generator, Angles], None]], ...] = (
    (0.33, _stand), (0.19, _walk), (0.12, _run), (0.13, _sit), (0.06, _bend), (0.05, _crouch), (0.09, _lunge),
    (0.03, _lie),
)  # fmt: skip


def _gesture(rng: Generator, a: Angles, side: int) -> None:
    """Give one arm something to do, other than what the body asks of it."""
    kind = rng.choice(7, p=[0.22, 0.14, 0.2, 0.13, 0.11, 0.1, 0.1])
    flex, out, elbow, way = {
        0: (rng.normal(5, 12), rng.uniform(6, 25), rng.uniform(5, 35), (-0.3, 0, -1)),  # hangs
        1: (rng.uniform(-25, -5), rng.uniform(35, 55), rng.uniform(80, 110), (-1, 0, -0.3)),  # hand on the hip
        2: (rng.uniform(-10, 20), rng.uniform(120, 172), rng.uniform(5, 60), (-1, -0.6, -0.2)),  # raised
        3: (rng.uniform(-10, 20), rng.uniform(65, 105), rng.uniform(5, 100), (-0.2, -1, -0.6)),  # to the side
        4: (rng.uniform(60, 105), rng.uniform(0, 25), rng.uniform(5, 60), (-0.4, -1, 0)),  # to the front
        5: (rng.uniform(10, 35), rng.uniform(0, 20), rng.uniform(85, 115), (-1, 0, -0.7)),  # across the chest
        6: (rng.uniform(20, 50), rng.uniform(15, 45), rng.uniform(120, 145), (-0.4, -1, -0.2)),  # at the head
    }[int(kind)]
    a.arm[side], a.arm_out[side], a.elbow[side], a.elbow_way[side] = flex, out, elbow, way


def _sample_yaw(rng: Generator) -> float:
    kind = rng.choice(4, p=[0.45, 0.24, 0.15, 0.16])
    profile = rng.choice([-90.0, 90.0])
    return (rng.normal(0, 22), 180 + rng.normal(0, 22), profile + rng.normal(0, 14), rng.uniform(0, 360))[kind]


def sample_angles(rng: Generator, upright: bool = False) -> Angles:
    """Draw a pose.

    Args:
        rng: Source of chance.
        upright: Only standing and walking people, for the tiny ones of a crowd.
    """
    a = Angles(yaw=_sample_yaw(rng), roll=rng.normal(0, 5), camera_pitch=rng.uniform(-3, 20))
    bodies = _BODIES[:2] if upright else _BODIES
    weights = np.array([w for w, _ in bodies])
    bodies[rng.choice(len(bodies), p=weights / weights.sum())][1](rng, a)
    a.lean += rng.normal(0, 2)
    a.lean_side += rng.normal(0, 4)
    a.twist = rng.normal(0, 8)
    a.arm_out = a.arm_out + rng.normal(0, 4, 2)
    a.arm = a.arm + rng.normal(0, 6, 2)
    both = rng.random()
    for side in (LEFT, RIGHT):
        if both < 0.2 or rng.random() < 0.38:
            _gesture(rng, a, side)
    if both < 0.1:  # both arms do the same
        a.arm[1], a.arm_out[1], a.elbow[1], a.elbow_way[1] = a.arm[0], a.arm_out[0], a.elbow[0], a.elbow_way[0]
    a.head_yaw = float(np.clip(rng.normal(0, 22), -60, 60))
    a.head_pitch, a.head_roll = rng.normal(6, 10), rng.normal(0, 7)
    return a
