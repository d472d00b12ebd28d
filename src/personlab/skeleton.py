"""What a person is made of: keypoint names, the kinematic tree, left/right pairs and OKS sigmas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from personlab.errors import InputError


@dataclass(frozen=True)
class Skeleton:
    """A keypoint set with its kinematic tree.

    Attributes:
        name: Name of the skeleton.
        keypoint_names: One name a keypoint. A left/right pair is two names that differ in `left` and `right` only.
        edges: `(parent, child)` keypoint indices of the kinematic tree, one edge fewer than keypoints.
        sigmas: OKS sigma of each keypoint (COCO's constants); kappa of the paper's eq. 3 is twice this.

    Raises:
        InputError: If the edges are not a tree over all keypoints, or names and sigmas do not match.

    Source: PersonLab, section 3.1 (tree); COCO keypoint evaluation (sigmas).
    """

    name: str
    keypoint_names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that names, sigmas and tree agree."""
        k = len(self.keypoint_names)
        if len(set(self.keypoint_names)) != k:
            raise InputError(f"skeleton {self.name}: keypoint names are not unique")
        # Written so that NaN, which compares with nothing, is refused.
        if len(self.sigmas) != k or not self.sigmas or not all(0 < sigma < math.inf for sigma in self.sigmas):
            raise InputError(f"skeleton {self.name}: needs {k} positive sigmas, one a keypoint, got {len(self.sigmas)}")
        reached = {0}
        for _ in self.edges:
            for parent, child in self.edges:
                if parent in reached or child in reached:
                    reached |= {parent, child}
        if len(self.edges) != k - 1 or reached != set(range(k)):
            raise InputError(f"skeleton {self.name}: the {len(self.edges)} edges are not a tree over {k} keypoints")
        self.flip_permutation  # noqa: B018  checks that every left has a right

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints, K."""
        return len(self.keypoint_names)

    @property
    def num_edges(self) -> int:
        """Number of undirected edges, K - 1."""
        return len(self.edges)

    @cached_property
    def directed_edges(self) -> NDArray[np.int64]:
        """`(2(K-1), 2)` array of (source, target): every edge parent -> child, then every edge child -> parent."""
        forward = np.array(self.edges, dtype=np.int64).reshape(-1, 2)
        return np.concatenate([forward, forward[:, ::-1]])

    @cached_property
    def flip_permutation(self) -> NDArray[np.int64]:
        """`(K,)`: after a horizontal flip, keypoint k is what was keypoint `flip_permutation[k]`."""
        index = {name: i for i, name in enumerate(self.keypoint_names)}
        swapped = []
        for name in self.keypoint_names:
            other = name.replace("left", "right") if "left" in name else name.replace("right", "left")
            if other not in index:
                raise InputError(f"skeleton {self.name}: keypoint {name!r} has no partner {other!r}")
            swapped.append(index[other])
        return np.array(swapped, dtype=np.int64)

    @cached_property
    def edge_flip_permutation(self) -> NDArray[np.int64]:
        """`(2(K-1),)`: after a horizontal flip, directed edge e is what was edge `edge_flip_permutation[e]`."""
        pairs = [(int(a), int(b)) for a, b in self.directed_edges]
        flip = self.flip_permutation
        try:
            return np.array([pairs.index((int(flip[a]), int(flip[b]))) for a, b in pairs], dtype=np.int64)
        except ValueError:
            raise InputError(f"skeleton {self.name}: the tree is not symmetric between left and right") from None

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """For each keypoint, the keypoints that share an edge with it."""
        near: list[list[int]] = [[] for _ in self.keypoint_names]
        for a, b in self.edges:
            near[a].append(b)
            near[b].append(a)
        return tuple(tuple(n) for n in near)

    def walk(self, start: int) -> NDArray[np.int64]:
        """Order in which the tree is walked from one keypoint, breadth first.

        Args:
            start: Keypoint index to start from.

        Returns:
            `(K-1, 3)` array of (directed edge, source keypoint, target keypoint); every source is `start` or an
            earlier target.
        """
        directed = {(int(a), int(b)): e for e, (a, b) in enumerate(self.directed_edges)}
        order: list[tuple[int, int, int]] = []
        seen, queue = {start}, [start]
        while queue:
            source = queue.pop(0)
            for target in self.neighbours[source]:
                if target not in seen:
                    seen.add(target)
                    queue.append(target)
                    order.append((directed[source, target], source, target))
        return np.array(order, dtype=np.int64).reshape(-1, 3)

    @classmethod
    def from_file(cls, path: str | Path) -> Skeleton:
        """Read a skeleton from YAML with `name`, `keypoints`, `edges` (pairs of names) and `sigmas`.

        Raises:
            InputError: If the file cannot be read, lacks a key or does not describe a tree.
        """
        try:
            raw = OmegaConf.to_container(OmegaConf.load(path))
            if not isinstance(raw, dict):
                raise TypeError("the top level is no mapping")
            # A text would pass for the list of its characters.
            for key in ("keypoints", "edges", "sigmas"):
                if not isinstance(raw[key], list):
                    raise TypeError(f"{key} is no list")
            if not all(isinstance(edge, list) and len(edge) == 2 for edge in raw["edges"]):
                raise TypeError("an edge is no list of two keypoints")
            names = tuple(str(n) for n in raw["keypoints"])
            index = {name: i for i, name in enumerate(names)}
            edges = tuple((index[str(a)], index[str(b)]) for a, b in raw["edges"])
            sigmas = tuple(float(s) for s in raw["sigmas"])
            return cls(str(raw["name"]), names, edges, sigmas)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except KeyError as error:
            raise InputError(f"{path}: not a skeleton file: it has no key or keypoint {error}") from error
        except Exception as error:  # every YAML library error has its own class
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: not a skeleton file (name, keypoints, edges, sigmas): {reason}") from error


_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
_EDGES = (
    (0, 1), (1, 3), (0, 2), (2, 4), (0, 5), (5, 7), (7, 9), (5, 11),
    (11, 13), (13, 15), (0, 6), (6, 8), (8, 10), (6, 12), (12, 14), (14, 16),
)  # fmt: skip
_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
    0.089,
)  # fmt: skip

COCO = Skeleton("coco", _NAMES, _EDGES, _SIGMAS)
"""The 17 COCO keypoints, in COCO's order, with the tree of the released decoders."""
