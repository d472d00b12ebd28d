"""Where the synthetic people stand in their image."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from personlab.data.synthetic.canvas import Points
from personlab.data.synthetic.pose import Figure

_CUT_SHARE, _OVERLAP_SHARE = 0.16, 0.5


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """As many halvings as doublings."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def place(
    rng: Generator,
    image_size: tuple[int, int],
    figure: Figure,
    height_px: float,
    horizon: int,
    boxes: list[NDArray[np.float64]],
) -> Points:
    """Choose where the pelvis stands: beside somebody so that they overlap, or by itself.

    Args:
        rng: Source of chance.
        image_size: `(height, width)` of the image.
        figure: The posed person.
        height_px: Its standing height.
        horizon: Row of the horizon: the larger a person, the farther below that are the feet.
        boxes: Low and high corners `(2, 2)` of the people who are placed already.

    Returns:
        A place in `image_xy`.
    """
    height, width = image_size
    size = np.array([width, height])
    low = figure.points[:, :2].min(0) * height_px - 0.05 * height_px
    high = figure.points[:, :2].max(0) * height_px + 0.05 * height_px
    extent = high - low
    if boxes and rng.random() < _OVERLAP_SHARE:
        box = boxes[rng.integers(len(boxes))]
        reach = rng.uniform(0.45, 1.0) * (extent[0] + box[1, 0] - box[0, 0]) / 2
        x = box[:, 0].mean() + rng.choice([-1.0, 1.0]) * reach
        feet = box[1, 1] + 0.25 * (extent[1] - box[1, 1] + box[0, 1]) + rng.normal(0, 0.03) * height
    else:
        tries = rng.uniform(0.08, 0.92, 6) * width
        clear = [min((abs(t - box[:, 0].mean()) for box in boxes), default=0.0) for t in tries]
        x = tries[int(np.argmax(clear))]
        feet = horizon + (height - horizon) * np.clip(height_px / height + rng.normal(0, 0.15), 0.15, 1.05)
    centre = np.array([x, feet - extent[1] / 2])
    if rng.random() < _CUT_SHARE:  # the border may cut
        centre = np.clip(centre + rng.normal(0, 0.15, 2) * size, 0.06 * size, 0.94 * size)
    else:
        centre = np.where(extent < size, np.clip(centre, extent / 2, np.maximum(size - extent / 2, extent / 2)), centre)
    if extent[1] > height:  # a close-up shows the head
        centre[1] = extent[1] / 2 + rng.uniform(0, 0.06) * height
    return np.clip(centre, 0.03 * size, [0.97 * width, np.inf]) - (low + high) / 2
