"""The oracle ladder: each rung decodes the fields it says it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from personlab.errors import InputError
from personlab.evaluation import ladder
from personlab.evaluation.ladder import FIELDS, Rung, run_ladder, rungs
from personlab.network import PersonLab
from personlab.structures import People
from personlab.weights.network_file import decoder_of, embedded_path, load_network

ATTRIBUTES = {"heatmaps": "heatmap_logits", "segmentation": "segmentation_logits"}


@pytest.fixture(scope="module")
def network() -> PersonLab:
    return load_network(embedded_path())[0]


class Recorder:
    """A decoder that finds nobody and keeps what it was given."""

    def __init__(self) -> None:
        self.fields: list = []

    def __call__(self, fields, image_to_crop, image_sizes) -> list[People]:
        self.fields.append(fields)
        return [People(np.zeros((0, 17, 3), np.float32), np.zeros(0, np.float32), [])]


def test_the_rungs_go_from_the_bound_to_the_network() -> None:
    found = rungs(["heatmaps", "mid_offsets"], with_network=True)
    assert [r.name for r in found] == [
        "true fields, decoder for true fields",
        "true fields",
        "true, network's heatmaps",
        "true, network's mid offsets",
        "true, network's heatmaps, mid offsets",
        "network, true heatmaps",
        "network, true mid offsets",
        "network, true heatmaps, mid offsets",
        "network",
    ]
    # All five together would be the other source.
    assert len(rungs(FIELDS, with_network=True)) == 2 + 5 + 5 + 1


def test_offsets_get_noise_in_pixels_and_maps_in_logits() -> None:
    found = rungs(["heatmaps", "mid_offsets"], with_network=False, noise_px=[2, 4], noise_logits=[1])
    assert [r.name for r in found[2:]] == [
        "true, heatmaps + noise of 1 logits",
        "true, mid offsets + noise of 2 px",
        "true, mid offsets + noise of 4 px",
    ]


@pytest.mark.parametrize(("names", "message"), [(["head"], "no field 'head'"), (["heatmaps"] * 2, "twice")])
def test_wrong_fields_are_told(names, message) -> None:
    with pytest.raises(InputError, match=message):
        rungs(names, with_network=True)


def test_every_rung_gets_its_fields(synthetic, network, monkeypatch) -> None:
    decoder, for_bound = Recorder(), Recorder()
    monkeypatch.setattr(ladder, "true_fields_decoder", lambda skeleton: for_bound)
    steps = [*rungs(FIELDS, with_network=True), Rung("true", ("mid_offsets",), noise=3.0)]
    rows = run_ladder(synthetic, "val2017", steps, 8, decoder, network=network, max_images=1)
    assert [row["fields"] for row in rows] == [rung.name for rung in steps]
    assert all(row["keypoints"]["AP"] == 0 and row["images"] == 1 for row in rows)
    given = dict(zip((r.name for r in steps[1:]), decoder.fields, strict=True))
    true, predicted = given["true fields"], given["network"]
    assert len(for_bound.fields) == 1
    assert true.disk_radius_px == predicted.disk_radius_px == network.disk_radius_px
    for name in FIELDS:
        attribute = ATTRIBUTES.get(name, name)
        assert not torch.equal(getattr(true, attribute), getattr(predicted, attribute))
        words = name.replace("_", " ")
        titles = (f"true, network's {words}", true, predicted), (f"network, true {words}", predicted, true)
        for title, own, other in titles:
            for checked in (ATTRIBUTES.get(n, n) for n in FIELDS):
                source = other if checked == attribute else own
                assert torch.equal(getattr(given[title], checked), getattr(source, checked))
    noisy = given["true, mid offsets + noise of 3 px"]
    assert (noisy.mid_offsets - true.mid_offsets).std().item() == pytest.approx(3, rel=0.1)


def test_true_fields_are_better_than_the_networks(synthetic, network) -> None:
    decoder = decoder_of(load_network(embedded_path())[1], embedded_path())
    rows = run_ladder(synthetic, "val2017", rungs(["mid_offsets"], True), 8, decoder, network=network, max_images=5)
    scores = {row["fields"]: row["keypoints"]["AP"] for row in rows}
    assert scores["network"] > 0.3
    assert scores["network, true mid offsets"] > scores["network"]
    assert scores["true fields"] > scores["true, network's mid offsets"]


def test_a_network_is_needed_to_take_its_fields(synthetic) -> None:
    with pytest.raises(InputError, match="there is none"):
        run_ladder(synthetic, "val2017", [Rung("true", ("heatmaps",))], 8, Recorder())
