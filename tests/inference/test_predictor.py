"""The predictor: settings that follow the network and the rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from personlab.decoding import RULES
from personlab.inference import load
from personlab.weights.network_file import build_network, save_network

ARCHITECTURE = {
    "class_path": "personlab.network.PersonLab",
    "init_args": {
        "backbone": {
            "class_path": "personlab.network.ResNet",
            "init_args": {"blocks": [1, 1, 1], "width": 8, "stem": "small", "output_stride": 8},
        },
        "skeleton": {
            "class_path": "personlab.skeleton.Skeleton",
            "init_args": {
                "name": "pair", "keypoint_names": ["top", "bottom"], "edges": [[0, 1]], "sigmas": [0.1, 0.1],
            },
        },
    },
}  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A network of two keypoints."""
    path = tmp_path / "pair.safetensors"
    network = build_network(ARCHITECTURE, "test")
    decoder = {
        "class_path": "personlab.decoding.PaperDecoder",
        "init_args": {"skeleton": ARCHITECTURE["init_args"]["skeleton"]},
    }
    save_network(path, ARCHITECTURE, network.state_dict(), {}, decoder=decoder)
    return path


@pytest.mark.parametrize("rules", [None, *RULES])
def test_every_set_of_rules_decodes_the_skeleton_of_the_network(pair: Path, rules: str | None) -> None:
    predictor = load(pair, rules=rules, size=None)
    assert predictor.decoder.skeleton.num_keypoints == 2
    # Released rules refine offsets themselves.
    assert predictor.network.mid_refinements == (2 if rules in (None, "paper") else 0)
    people = predictor(np.zeros((65, 65, 3), np.uint8)).people
    assert people.keypoints.shape[1:] == (2, 3)
    if rules not in (None, "paper"):  # those of the released decoders leave out too many to be scored
        assert (predictor.decoder.options["score_threshold"], predictor.decoder.options["max_people"]) == (0.1, 20)
        assert load(pair, rules=rules, max_people=3).decoder.options["max_people"] == 3
