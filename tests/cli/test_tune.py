"""`personlab bench tune`: fields are kept once, decoders with other options are scored on them."""

from __future__ import annotations

import json

import pytest

from personlab.cli.main import main
from personlab.decoding import RULES
from personlab.evaluation.field_cache import FieldCache
from personlab.evaluation.tuning import trials


@pytest.fixture
def tune(tmp_path, synthetic):
    def run(*words: str) -> list[dict]:
        target = tmp_path / "tune.json"
        command = ["bench", "tune", "--data.root", str(synthetic), "--cache", str(tmp_path / "fields")]
        assert main([*command, "--json", str(target), *words]) == 0
        return json.loads(target.read_text())["rows"]

    return run


def test_options_are_scored_against_the_default_without_the_network(tune, monkeypatch, capsys) -> None:
    rows = tune("--vary", "max_people=1,2", "--vary", "cell_read=nearest", "--max_images", "3")
    assert [row["default"] for row in rows] == [True, False, False, False]
    default = rows[0]["options"]
    assert [row["options"] for row in rows[1:3]] == [default | {"max_people": n} for n in (1, 2)]
    assert rows[3]["options"] == default | {"cell_read": "nearest"}
    assert rows[1]["people"] == 3 < rows[2]["people"]
    assert all(row["decode_ms"] > 0 and row["images"] == 3 and "AP" in row["segmentation"] for row in rows)
    monkeypatch.setattr(FieldCache, "fill", lambda *_: pytest.fail("the network ran again"))
    again = tune("--vary", "max_people=1", "--max_images", "3", "--masks", "false")
    assert again[1]["keypoints"] == rows[1]["keypoints"]
    assert again[1]["segmentation"] == {}
    assert "max_people 1" in capsys.readouterr().err


def test_kept_fields_score_as_those_of_the_network_do(tune, synthetic, tmp_path) -> None:
    from personlab.data.datamodule import CocoDataModule
    from personlab.evaluation.coco_ap import CocoAP
    from personlab.weights.network_file import decoder_of, embedded_path, load_network

    rows = tune("--vary", "max_people=20", "--only_with_keypoints", "true", "--size", "257")
    network, metadata = load_network(embedded_path())
    decoder = decoder_of(metadata, embedded_path())
    data = CocoDataModule(str(synthetic), eval_size=257, workers=0)
    data.setup("validate")
    metric = CocoAP(data.annotation_path("val2017"), only_with_keypoints=True)
    for batch in data.val_dataloader():
        metric.update(decoder(network(batch.images), batch.image_to_crop, batch.image_sizes), batch.image_ids.tolist())
    figures = metric.compute()
    assert rows[0]["keypoints"]["AP"] == pytest.approx(figures["keypoints/AP"], abs=2e-3)
    assert rows[0]["segmentation"]["AP"] == pytest.approx(figures["segmentation/AP"], abs=2e-3)


def test_values_of_an_option_named_twice_are_all_tried(tune) -> None:
    rows = tune("--vary", "max_people=1", "--vary", "max_people=2", "--max_images", "1", "--masks", "false")
    assert [row["options"]["max_people"] for row in rows[1:]] == [1, 2]


def test_other_fields_are_kept_elsewhere(tune, tmp_path) -> None:
    for words in (["--max_images", "1"], ["--max_images", "1", "--size", "193"], ["--max_images", "2"]):
        tune("--vary", "max_people=1", *words)
    assert len(list((tmp_path / "fields").iterdir())) == 3


@pytest.mark.parametrize("rules", [name for name in RULES if name != "paper"])
def test_other_rules_can_be_tuned(tune, rules) -> None:
    rows = tune("--rules", rules, "--vary", "max_people=1", "--max_images", "2")
    assert rows[1]["people"] <= 2
    assert bool(rows[0]["segmentation"]) == (rules != "tfjs")


@pytest.mark.parametrize("rules", [name for name in RULES if name != "paper"])
def test_released_rules_decode_raw_offsets_as_evaluate_does(tune, tmp_path, synthetic, rules) -> None:
    """They refine offsets themselves, also where fields for the paper's rules were kept before."""
    words = ["--vary", "score_threshold=0.1", "--vary", "max_people=20", "--grid", "true", "--size", "257"]
    refined = tune("--vary", "max_people=20", "--size", "257")
    found = tune("--rules", rules, *words)[-1]
    scores = tmp_path / "scores.json"
    command = ["evaluate", "--data.root", str(synthetic), "--rules", rules, "--size", "257", "--json", str(scores)]
    assert main(command) == 0
    wanted = json.loads(scores.read_text())
    assert found["people"] == wanted["people"]
    for kind in ("keypoints", "segmentation"):
        assert found[kind] == pytest.approx(wanted[kind], abs=2e-3)
    assert tune("--vary", "max_people=20", "--size", "257")[0]["keypoints"] == refined[0]["keypoints"]


def test_a_grid_is_every_combination_and_none_twice() -> None:
    defaults = {"a": 1, "b": 1, "c": 1}
    assert trials({"a": [1, 2], "b": [3]}, defaults) == [{"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 3}]
    assert trials({"a": [1, 2], "b": [1, 3]}, defaults, every_combination=True) == [
        {"a": 1, "b": 1}, {"a": 1, "b": 3}, {"a": 2, "b": 1}, {"a": 2, "b": 3},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--vary", "hough=2"], "no option 'hough'; it has"),
        (["--vary", "hough_grid_px"], "expected OPTION=VALUE"),
        (["--vary", "hough_grid_px=[2"], "expected OPTION=VALUE"),
        (["--vary", "hough_grid_px=-2"], "must be positive"),
        (["--vary", "hough_grid_px=two"], "hough_grid_px='two' is no number"),
        (["--vary", "expected_oks=maybe"], "expected_oks='maybe' is no true or false"),
        (["--vary", "max_people=2.5"], "max_people=2.5 is no whole number"),
        (["--vary", "score_threshold=.inf"], "score_threshold=inf is no number"),
        (["--vary", "cell_read=far"], "choice of bilinear"),
        (["--vary", "max_people=1", "--size", "0"], "--size must be at least 1"),
        (["--vary", "max_people=1", "--size", "100000"], "--size: a side has 16384 pixels at most, got 100000"),
        (["--vary", "max_people=1", "--stride", "16"], "output_stride 16"),
    ],
)
def test_bad_options_are_told_before_the_network_runs(synthetic, tmp_path, capsys, words, message) -> None:
    command = ["bench", "tune", "--data.root", str(synthetic), "--cache", str(tmp_path), *words]
    assert main(command) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_fields_cut_short_are_told(tune, tmp_path, synthetic, capsys) -> None:
    tune("--vary", "max_people=1", "--max_images", "1")
    (kept,) = (tmp_path / "fields").glob("*/*.npz")
    kept.write_bytes(kept.read_bytes()[:1000])
    command = ["bench", "tune", "--data.root", str(synthetic), "--cache", str(tmp_path / "fields"), "--max_images", "1"]
    assert main([*command, "--vary", "max_people=1"]) == 2
    assert kept.name in capsys.readouterr().err
