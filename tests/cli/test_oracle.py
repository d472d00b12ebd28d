"""`personlab oracle` and its options."""

from __future__ import annotations

import json

import numpy as np

from personlab.cli.main import main
from tests.data.tiny_coco import document, person, write_json


def test_the_decoder_can_be_chosen(tmp_path) -> None:
    # Two people 9 px apart: further than true fields need to tell them apart, nearer than the paper's radius.
    places = np.random.default_rng(0).uniform(40, 200, (17, 2))
    people = [
        person(n, 10, (x, 30, 180, 180), keypoints=np.insert(np.add(places, [x, 0]), 2, 2, axis=1).ravel().tolist())
        for n, x in enumerate((20, 29), 1)
    ]
    write_json(tmp_path / "annotations/person_keypoints_val2017.json", document([(260, 300)], people))
    found = {}
    for words in ([], ["--decoder", "true-fields"], ["--decoder", "paper"]):
        target = tmp_path / "report.json"
        assert main(["oracle", "--data.root", str(tmp_path), "--json", str(target), *words]) == 0
        found[tuple(words)] = json.loads(target.read_text())["people"]
    assert list(found.values()) == [2, 2, 1]


def test_an_unknown_decoder_is_told_with_those_there_are(tmp_path, capsys) -> None:
    assert main(["oracle", "--data.root", str(tmp_path), "--decoder", "best"]) == 2
    assert "true-fields" in capsys.readouterr().err
