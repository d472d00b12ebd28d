"""Skeleton files whose values only look right: texts in place of lists, sigmas that are no numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from personlab.errors import InputError
from personlab.skeleton import Skeleton

FILE = "name: s\nkeypoints: [a, b]\nedges: [[a, b]]\nsigmas: [0.1, 0.1]\n"


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("keypoints: [a, b]", "keypoints: ab", "keypoints is no list"),
        ("edges: [[a, b]]", "edges: [ab]", "an edge is no list of two keypoints"),
        ("edges: [[a, b]]", "edges: [[a, b, a]]", "an edge is no list of two keypoints"),
        ("edges: [[a, b]]", "edges: {ab: 1}", "edges is no list"),
        ("sigmas: [0.1, 0.1]", "sigmas: '12'", "sigmas is no list"),
        ("sigmas: [0.1, 0.1]", "sigmas: [.nan, 0.1]", "2 positive sigmas"),
        ("sigmas: [0.1, 0.1]", "sigmas: [0.1, .nan]", "2 positive sigmas"),
        ("sigmas: [0.1, 0.1]", "sigmas: [0.1, .inf]", "2 positive sigmas"),
    ],
)
def test_values_that_only_look_right_are_refused(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(FILE.replace(right, wrong))
    with pytest.raises(InputError, match=r"bad\.yaml: ") as error:
        Skeleton.from_file(path)
    assert told in str(error.value)
