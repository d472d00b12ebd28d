"""Skeletons: what is refused, what a flip and a walk do, and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from personlab.errors import InputError
from personlab.skeleton import COCO, Skeleton

ARMS = ("neck", "left_hand", "right_hand")


def make(names: tuple[str, ...] = ARMS, edges: Any = ((0, 1), (0, 2)), sigmas: Any = None) -> Skeleton:
    return Skeleton("made", names, edges, (0.1,) * len(names) if sigmas is None else sigmas)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"edges": ((0, 1),)}, "not a tree"),
        ({"edges": ((0, 1), (0, 2), (1, 2))}, "not a tree"),
        ({"edges": ((0, 1), (1, 0))}, "not a tree"),
        ({"edges": ((0, 1), (2, 2))}, "not a tree"),
        ({"edges": ((0, 1), (0, 3))}, "not a tree"),
        ({"names": ("neck", "left_hand", "hand")}, "'left_hand' has no partner 'right_hand'"),
        ({"names": ("neck", "hand", "right_hand")}, "'right_hand' has no partner 'left_hand'"),
        ({"names": ("neck", "neck", "hand")}, "not unique"),
        ({"sigmas": (0.1, 0.1)}, "3 positive sigmas"),
        ({"sigmas": (0.1, 0.1, 0.0)}, "3 positive sigmas"),
        ({"names": (), "edges": ()}, "sigmas"),
    ],
)
def test_what_is_no_skeleton_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=f"skeleton made: .*{told}"):
        make(**arguments)


def test_edges_may_come_in_any_order() -> None:
    names = ("a", "b", "c", "d", "e")
    assert make(names, ((3, 4), (2, 3), (1, 2), (0, 1))).num_edges == 4
    assert make(("only",), ()).walk(0).shape == (0, 3)


def test_a_flip_swaps_left_and_right_keypoints_and_their_edges() -> None:
    skeleton = make()
    assert skeleton.flip_permutation.tolist() == [0, 2, 1]
    assert skeleton.directed_edges.tolist() == [[0, 1], [0, 2], [1, 0], [2, 0]]
    assert skeleton.edge_flip_permutation.tolist() == [1, 0, 3, 2]
    for permutation in (COCO.flip_permutation, COCO.edge_flip_permutation):
        np.testing.assert_array_equal(permutation[permutation], np.arange(len(permutation)))
    for a, b in enumerate(COCO.flip_permutation):
        assert COCO.keypoint_names[a].split("_")[-1] == COCO.keypoint_names[b].split("_")[-1]


def test_a_tree_that_is_not_symmetric_has_no_flipped_edges() -> None:
    crooked = make(edges=((0, 1), (1, 2)))
    with pytest.raises(InputError, match="skeleton made: the tree is not symmetric"):
        crooked.edge_flip_permutation  # noqa: B018


def test_the_edges_of_coco_are_those_of_the_released_decoders() -> None:
    named = [(COCO.keypoint_names[a], COCO.keypoint_names[b]) for a, b in COCO.edges]
    assert named[:5] == [
        ("nose", "left_eye"),
        ("left_eye", "left_ear"),
        ("nose", "right_eye"),
        ("right_eye", "right_ear"),
        ("nose", "left_shoulder"),
    ]
    assert named[15] == ("right_knee", "right_ankle")
    assert COCO.neighbours[0] == (1, 2, 5, 6)


@pytest.mark.parametrize("start", range(17))
def test_a_walk_reaches_every_keypoint_once_by_edges_of_the_tree_level_by_level(start: int) -> None:
    depth = {start: 0}
    depths = []
    for edge, source, target in COCO.walk(start).tolist():
        assert COCO.directed_edges[edge].tolist() == [source, target]
        assert target not in depth
        depth[target] = depth[source] + 1  # a source that was not reached before has no depth
        depths.append(depth[target])
    assert depth.keys() == set(range(17))
    assert depths == sorted(depths)


CONTENT = {
    "name": "arms",
    "keypoints": list(ARMS),
    "edges": [["neck", "left_hand"], ["neck", "right_hand"]],
    "sigmas": [0.1, 0.2, 0.2],
}


def test_a_file_gives_the_skeleton_it_describes(tmp_path: Path) -> None:
    path = tmp_path / "arms.yaml"
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(CONTENT)))
    assert Skeleton.from_file(path) == Skeleton("arms", ARMS, ((0, 1), (0, 2)), (0.1, 0.2, 0.2))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("keypoints: [", "skeleton file"),
        ("- 1\n", "skeleton file"),
        ("\x00", "skeleton file"),
        ("name: x\n", "keypoints"),
        ({"edges": [["neck", "left_hand"], ["neck", "foot"]]}, "foot"),
        ({"edges": [["neck"]]}, "skeleton file"),
        ({"edges": 3}, "skeleton file"),
        ({"edges": [["neck", "left_hand"]]}, "not a tree"),
        ({"sigmas": ["much", 1, 1]}, "much"),
        ({"sigmas": [1]}, "sigmas"),
        (
            {"keypoints": ["neck", "left_hand", "hand"], "edges": [["neck", "left_hand"], ["neck", "hand"]]},
            "'left_hand' has no partner",
        ),
    ],
)
def test_a_bad_file_is_told_in_one_line_with_its_name(tmp_path: Path, text: str | dict[str, Any], told: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text if isinstance(text, str) else OmegaConf.to_yaml(OmegaConf.create({**CONTENT, **text})))
    with pytest.raises(InputError, match=r"bad\.yaml: ") as error:
        Skeleton.from_file(path)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: "):
        Skeleton.from_file(tmp_path / "none.yaml")
