"""The predictor: settings that follow the network and the rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from personlab.decoding import RULES
from personlab.errors import InputError
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
    image = np.zeros((65, 65, 3), np.uint8)
    assert predictor._batch([image], None).keypoints.shape == (1, 0, 2, 3)
    people = predictor(image).people
    assert people.keypoints.shape[1:] == (2, 3)
    if rules not in (None, "paper"):  # those of the released decoders leave out too many to be scored
        assert (predictor.decoder.options["score_threshold"], predictor.decoder.options["max_people"]) == (0.1, 20)
        assert load(pair, rules=rules, max_people=3).decoder.options["max_people"] == 3


@pytest.mark.parametrize(("size", "scales", "twice"), [(801, [801], 801), (801, [961, 801], 801), (65, [97, 97], 97)])
def test_a_side_given_twice_is_refused(pair: Path, size: int, scales: list[int], twice: int) -> None:
    with pytest.raises(InputError, match=f"--size {size}: {twice} would be looked at twice.*leave out"):
        load(pair, size=size, scales=scales)


def test_fields_of_all_sides_are_merged(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(pair, size=65, scales=[97, 33])
    seen: list[int] = []
    network = predictor.network.forward
    monkeypatch.setattr(
        predictor.network, "forward", lambda images: (seen.append(images.shape[-1]), network(images))[1]
    )
    predictor(np.zeros((65, 65, 3), np.uint8))
    assert seen == [65, 97, 33]


@pytest.mark.parametrize("sizes", [{"size": 100_000_000}, {"size": 65, "scales": (97, 16_385)}])
def test_sizes_beyond_all_measure_are_refused_before_any_image(sizes) -> None:
    with pytest.raises(InputError, match=r"sizes: a side has 16384 pixels at most, got \d+; give a smaller one"):
        load(**sizes)
