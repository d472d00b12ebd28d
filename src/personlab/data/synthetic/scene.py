"""Synthetic images with people who overlap, are cut by the border or hidden, and what an annotator says of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from personlab.data.synthetic.angles import sample_angles
from personlab.data.synthetic.background import background, finish, occluder, seat, shadow
from personlab.data.synthetic.canvas import Points
from personlab.data.synthetic.figure import Layer, draw_figure
from personlab.data.synthetic.look import sample_look
from personlab.data.synthetic.placement import log_uniform, place
from personlab.data.synthetic.pose import Figure, pose

PERSON, SMALL, CROWD, OBJECT = range(4)
"""Kinds of layers: with keypoints; with a mask only; part of a crowd; a thing that hides people."""
_EMPTY_SHARE, _SMALL_SHARE, _CROWD_SHARE, _OBJECT_SHARE = 0.02, 0.07, 0.055, 0.16
_CLOSE_UP_SHARE, _HIDDEN_LEFT_OUT = 0.05, 0.68
_MIN_VISIBLE_SHARE, _MIN_VISIBLE_PX, _MIN_VISIBLE_JOINTS = 0.28, 40, 4


@dataclass
class Annotation:
    """What is said of one person or crowd.

    Attributes:
        mask: `(height, width)` bool, the visible pixels.
        keypoints: `(17, 3)` x, y in `image_xy` and COCO's visibility; zeros where nothing is labelled.
        crowd: Whether this is a region of many people.
    """

    mask: NDArray[np.bool_]
    keypoints: NDArray[np.float64]
    crowd: bool = False


@dataclass
class Scene:
    """An RGB image and its annotations."""

    image: NDArray[np.uint8]
    annotations: list[Annotation]


@dataclass(eq=False)
class _Item:
    kind: int
    layer: Layer
    figure: Figure | None = None
    height_px: float = 0.0
    visible: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), bool))

    @property
    def silhouette(self) -> NDArray[np.bool_]:
        return self.layer.alpha >= 0.5

    @property
    def box(self) -> NDArray[np.float64]:
        """Low and high corner of the keypoints, `(2, 2)`."""
        return np.stack([self.layer.keypoints.min(0), self.layer.keypoints.max(0)])


class SceneBuilder:
    """Builds one image: `SceneBuilder(rng, height, width, people).build()`.

    Args:
        rng: The only source of chance.
        height: Of the image, pixels.
        width: Of the image, pixels.
        people: Least and largest number of annotated people, before those are left out who would be hidden.
    """

    def __init__(self, rng: Generator, height: int, width: int, people: tuple[int, int]) -> None:
        """Start with an empty stage."""
        self.rng, self.height, self.width, self.people = rng, height, width, people
        turn = rng.uniform(0, 2 * np.pi)
        self.light = np.array([np.cos(turn), -0.6 - 0.5 * abs(np.sin(turn))])
        self.items: list[_Item] = []

    def build(self) -> Scene:
        """Place, sort, drop who cannot be seen, paint, annotate."""
        rng = self.rng
        image, horizon = background(rng, self.height, self.width)
        if rng.random() >= _EMPTY_SHARE:
            if rng.random() < _CROWD_SHARE:
                self._add_crowd(horizon)
            if rng.random() < _SMALL_SHARE:
                self._add_small(horizon)
            self._add_people(horizon)
        if rng.random() < _OBJECT_SHARE:
            people = [i for i, item in enumerate(self.items) if item.kind == PERSON]
            at = int(rng.choice(people)) + 1 if people else len(self.items)
            self.items.insert(at, _Item(OBJECT, occluder(rng, (self.height, self.width))))
        self._drop_hidden()
        self._furnish(image)
        for item in self.items:
            window = item.layer.window
            image[window] = image[window] * (1 - item.layer.alpha[..., None]) + item.layer.colour
        return Scene(finish(rng, image), self._annotate())

    def _draw(self, kind: int, figure: Figure, root_xy: Points, height_px: float) -> _Item | None:
        look = sample_look(self.rng, kit=True)
        layer = draw_figure(figure, look, root_xy, height_px, (self.height, self.width), self.light)
        return None if layer is None else _Item(kind, layer, figure, height_px)

    def _add_crowd(self, horizon: int) -> None:
        """Many tiny people in one region, the farthest first."""
        rng, low = self.rng, float(log_uniform(self.rng, 0.085, 0.14)) * self.height
        middle = np.array([rng.uniform(0.15, 0.85) * self.width, np.clip(horizon, 0.3 * self.height, None)])
        spread = np.array([rng.uniform(0.06, 0.13) * self.width, 0.035 * self.height])
        roots = middle + rng.standard_normal((rng.integers(8, 19), 2)) * spread
        for root in roots[np.argsort(roots[:, 1])]:
            figure = pose(sample_angles(rng, upright=True), rng)
            item = self._draw(CROWD, figure, root, low * rng.uniform(0.9, 1.25))
            if item is not None:
                self.items.append(item)

    def _add_small(self, horizon: int) -> None:
        """One or two people far away, too small for keypoints."""
        rng = self.rng
        for _ in range(rng.integers(1, 3)):
            height_px = rng.uniform(0.1, 0.19) * self.height
            root = np.array([rng.uniform(0.05, 0.95) * self.width, horizon + rng.uniform(-0.1, 0.25) * self.height])
            item = self._draw(SMALL, pose(sample_angles(rng, upright=True), rng), root, height_px)
            if item is not None:
                self.items.append(item)

    def _add_people(self, horizon: int) -> None:
        rng, placed = self.rng, list[_Item]()
        base = log_uniform(rng, 0.45, 1.0) * self.height
        if rng.random() < _CLOSE_UP_SHARE:
            base = rng.uniform(1.1, 1.5) * self.height
        for i in range(rng.integers(self.people[0], self.people[1] + 1)):
            height_px = base * (log_uniform(rng, 0.7, 1.35) if i else 1.0)
            if i and rng.random() < 0.25:
                height_px = log_uniform(rng, 0.35, 0.95) * self.height
            height_px = max(height_px, 0.33 * self.height)
            child = rng.random() < 0.15
            height_px *= 0.8 if child else 1.0
            figure = pose(sample_angles(rng), rng, child)
            root = place(rng, (self.height, self.width), figure, height_px, horizon, [item.box for item in placed])
            item = self._draw(PERSON, figure, root, height_px)
            if item is not None:
                placed.append(item)
        # Whoever stands lower is nearer.
        placed.sort(key=lambda item: float(item.box[1, 1]) + rng.normal(0, 0.04) * self.height)
        self.items += placed

    def _look_through(self) -> None:
        """Which pixels of each layer nothing later covers."""
        taken = np.zeros((self.height, self.width), bool)
        for item in reversed(self.items):
            window, silhouette = item.layer.window, item.silhouette
            item.visible = silhouette & ~taken[window]
            taken[window] |= silhouette

    def _drop_hidden(self) -> None:
        """Remove people of whom too little is seen, one after the other, and whatever hides them before them.

        So nobody is in the image without being annotated.
        """
        while True:
            self._look_through()
            poor = next((item for item in self.items if not self._seen_enough(item)), None)
            if poor is None:
                return
            blocking = [item for item in self.items if item.kind == OBJECT and poor.kind == PERSON]
            self.items.remove(blocking[0] if blocking else poor)

    def _seen_enough(self, item: _Item) -> bool:
        if item.kind == OBJECT:
            return True
        area, whole = int(item.visible.sum()), int(item.silhouette.sum())
        if item.kind == CROWD:
            return area > 0
        joints = sum(self._is_seen(item, k) for k in range(17)) if item.kind == PERSON else _MIN_VISIBLE_JOINTS
        return bool(area >= _MIN_VISIBLE_PX and area >= _MIN_VISIBLE_SHARE * whole and joints >= _MIN_VISIBLE_JOINTS)

    def _inside(self, item: _Item, k: int) -> bool:
        x, y = item.layer.keypoints[k]
        return bool(0 <= x <= self.width - 1 and 0 <= y <= self.height - 1)

    def _is_seen(self, item: _Item, k: int) -> bool:
        """Whether a keypoint is in the image and neither the own body nor another layer covers it."""
        if item.layer.hidden[k] or not self._inside(item, k):
            return False
        x, y = np.round(item.layer.keypoints[k]).astype(int) - item.layer.corner
        if item.silhouette[y, x]:
            return bool(item.visible[y, x])
        return bool(item.visible[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].any())

    def _furnish(self, image: NDArray[np.float32]) -> None:
        """Seats and shadows lie behind all people."""
        for item in self.items:
            if item.figure is None or item.kind == CROWD:
                continue
            joints, unit = item.layer.keypoints, item.height_px
            feet = joints[[15, 16]].mean(0) + np.array([0, 0.03 * unit])
            if item.figure.seated and self.rng.random() < 0.8:
                low = np.array([joints[11:13, 0].min() - 0.1 * unit, joints[11:13, 1].max() + 0.02 * unit])
                high = np.array([joints[11:13, 0].max() + 0.1 * unit, max(feet[1], low[1] + 0.1 * unit)])
                seat(self.rng, image, low, high)
            if self.rng.random() < 0.6:
                shadow(image, feet, 0.16 * unit)

    def _annotate(self) -> list[Annotation]:
        annotations, crowd = [], np.zeros((self.height, self.width), bool)
        others = np.zeros((self.height, self.width), bool)
        for item in self.items:
            mask = np.zeros((self.height, self.width), bool)
            mask[item.layer.window] = item.visible
            if item.kind == CROWD:
                crowd |= mask
                continue
            others |= mask
            if item.kind == OBJECT:
                continue
            keypoints = self._label(item) if item.kind == PERSON else np.zeros((17, 3))
            annotations.append(Annotation(mask, keypoints))
        if crowd.any():
            # Crowds are outlined roughly.
            rough = cv2.dilate(crowd.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~others
            annotations.append(Annotation(rough, np.zeros((17, 3)), crowd=True))
        return annotations

    def _label(self, item: _Item) -> NDArray[np.float64]:
        """Keypoints as COCO's annotators give them: of those labelled one in ten is hidden."""
        rng, result = self.rng, np.zeros((17, 3))
        guesses_faces = rng.random() < 0.6
        for k in range(17):
            place = np.round(item.layer.keypoints[k], 1)
            left_out = rng.random() < _HIDDEN_LEFT_OUT
            if not self._inside(item, k):
                continue
            if self._is_seen(item, k):
                result[k] = *place, 2
            elif not left_out and (k >= 5 or guesses_faces):
                result[k] = *place, 1
        return result
