"""`personlab ablate` on the command line: decoder-only studies, real trainings, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from personlab.cli.main import main
from personlab.cli.resolve import resolve_fit
from personlab.evaluation.field_cache import FieldCache
from personlab.evaluation.results import read_results
from personlab.experiments.lock import RunLock

ROOT = Path(__file__).resolve().parents[2]
DECODES: dict[str, Any] = {
    "name": "rules", "fields": "cached", "weights": "embedded", "size": 257, "max_images": 3,
    "factors": [
        {"name": "people", "levels": [{"name": "one", "decoder": {"max_people": 1}}]},
        {"name": "refinement", "levels": [{"name": "none", "refinements": 0}]},
        {"name": "rules", "levels": [{"name": "tfjs", "rules": "tfjs"}]},
    ],
}  # fmt: skip


@pytest.fixture
def ablate(tmp_path, synthetic):
    def run(study: dict[str, Any], *words: str, code: int = 0) -> dict[str, Any]:
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
        target = tmp_path / "out.json"
        target.unlink(missing_ok=True)
        command = ["ablate", str(tmp_path / "study.yaml"), "--runs_root", str(tmp_path / "runs"), "--json", str(target)]
        assert main([*command, "--data.root", str(synthetic), *words]) == code
        found: dict[str, Any] = json.loads(target.read_text()) if target.exists() else {}
        return found

    return run


def test_levels_of_a_decoder_share_fields_and_are_kept(ablate, tmp_path, monkeypatch, capsys) -> None:
    first = ablate(DECODES, "--markdown", str(tmp_path / "table.md"))
    assert "the network runs on 3 images in 1 views" in capsys.readouterr().err
    levels = ["baseline", "people: one", "refinement: none", "rules: tfjs"]
    assert [row["level"] for row in first["rows"]] == levels
    baseline, one, none, tfjs = first["rows"]
    assert one["runs"][0]["people"] == 3
    assert baseline["keypoints"]["ap"] > none["keypoints"]["ap"]
    lost = none["keypoints"]["ap"] - baseline["keypoints"]["ap"]
    assert none["keypoints"]["by_image"]["value"] == pytest.approx(lost)
    assert "segmentation" in baseline
    assert "segmentation" not in tfjs, "they make no masks"
    assert tfjs["runs"][0]["setting"]["refinements"] == [0, 0, 0], "they refine as they go"
    folder = tmp_path / "runs" / "ablations" / "rules"
    table = (tmp_path / "table.md").read_text()
    assert table == (folder / "table.md").read_text()
    assert len(table.splitlines()) == 6
    assert len(list((tmp_path / "runs" / "fields").iterdir())) == 1

    monkeypatch.setattr(FieldCache, "images", lambda *_: pytest.fail("decoded again"))
    assert ablate(DECODES)["rows"] == first["rows"]
    next((folder / "predictions").glob("*.images.json")).unlink()  # as if it had been stopped before
    monkeypatch.undo()
    monkeypatch.setattr(FieldCache, "fill", lambda *_: pytest.fail("the network ran again"))
    again = ablate(DECODES)
    assert [row["keypoints"] for row in again["rows"]] == [row["keypoints"] for row in first["rows"]]


def test_a_level_is_what_evaluate_finds(ablate, tmp_path, synthetic) -> None:
    """The network's own refinement and that of kept raw fields, views merged in the same order."""
    views = {"flip": True, "scales": [193]}
    study = DECODES | {"factors": [{"name": "views", "levels": [{"name": "more", **views}]}], "max_images": 2}
    rows = ablate(study)["rows"]
    command = ["evaluate", "--data.root", str(synthetic), "--max_images", "2", "--size", "257"]
    for row, words in zip(rows, ([], ["--tta", "flip", "--scales", "193"]), strict=True):
        target = tmp_path / "evaluate.json"
        assert main([*command, *words, "--json", str(target), "--results", str(tmp_path / "found.json")]) == 0
        report = json.loads(target.read_text())
        for kind in ("keypoints", "segmentation"):
            assert row[kind]["ap"] == pytest.approx(report[kind]["AP"], abs=1e-4)
        assert row["runs"][0]["people"] == len(read_results(tmp_path / "found.json"))


def training(**changed: Any) -> dict[str, Any]:
    level = {"name": 0, "overlay": str(ROOT / "configs/ablation/refinement_0.yaml")}
    return {
        "name": "quick", "base": str(ROOT / "configs/experiment/demo.yaml"), "seeds": [0],
        "set": {
            "model.initial_weights": "embedded", "trainer.max_steps": 1, "trainer.val_check_interval": 1,
            "trainer.accelerator": "cpu", "data.batch_size": 2, "data.workers": 0, "data.val_images": 2,
            "run.wandb": "off", "contact_sheet.images": 1, "data.view.init_args.crop_size": 65,
        },
        "factors": [{"name": "steps", "levels": [level]}],
    } | changed  # fmt: skip


def test_a_run_by_hand_is_taken_and_the_rest_is_trained(ablate, tmp_path, synthetic, capsys) -> None:
    words = [f"--{name}={value}" for name, value in training()["set"].items()]
    place = [f"--data.root={synthetic}", f"--run.root={tmp_path / 'runs'}", "--run.name=mine"]
    assert main(["fit", "--config", training()["base"], *words, *place]) == 0
    assert [trial["finished"] for trial in ablate(training(), "--dry_run")["trials"]] == [True, False]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mine"], "a plan writes nothing"
    assert "min each, judged by 1 runs" in capsys.readouterr().err
    baseline, without = ablate(training())["rows"]
    assert baseline["runs"][0]["run"].startswith("runs/mine/")
    assert without["runs"][0]["run"].startswith("runs/quick-steps_0-seed0/")
    assert without["keypoints"]["by_seed"] is None
    assert "segmentation" in without


def test_a_config_is_resolved_without_a_run() -> None:
    words = ["--config", str(ROOT / "configs/experiment/demo.yaml"), "--data.root", "x"]
    resolved = resolve_fit(words)
    assert resolved.config["model"]["network"]["init_args"]["mid_refinements"] == 2
    assert resolved.config["data"]["root"] == "x"


@pytest.mark.parametrize(
    ("study", "words", "told"),
    [
        (DECODES, ["--workers", "2"], "only decodes"),
        (training(), ["--weights", "embedded"], "trains, so --weights"),
        (training(), ["--workers", "0"], "--workers must be at least 1"),
        (DECODES | {"rules": "none"}, [], "no rules 'none'"),
        (DECODES | {"decoder": {"hough": 1}}, [], "no option 'hough'"),
        (DECODES | {"refinements": -1}, [], "refinements is -1"),
        (DECODES | {"refinements": {"short": 1}}, [], "refinements is {'short': 1}"),
        (DECODES | {"size": "large"}, [], "size large"),
        (DECODES | {"scales": [257]}, [], "must differ"),
        (DECODES | {"flip": 1}, [], "flip is 1"),
        (DECODES | {"stride": 3}, [], "stride 3"),
        (DECODES | {"stride": "16"}, [], "stride 16: give whole numbers"),
        (DECODES | {"size": 0}, [], "size 0"),
        (DECODES | {"data": {"val_split": "train2017"}}, [], "has no 'val_split'"),
        (DECODES | {"factors": [{"name": "x", "levels": [{"name": 1, "size": 257}]}]}, [], "is the same as 'baseline'"),
        (training(set={"model.nothing": 1}), [], "model.nothing"),
        (
            training(factors=[{"name": "x", "levels": [{"name": "b", "set": {"data.batch_size": "many"}}]}]), [],
            "study.yaml: x: b: data.batch_size: expected int, got many (personlab fit --help lists the options)",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_anything_runs(ablate, tmp_path, capsys, study, words, told) -> None:
    ablate(study, *words, code=2)
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert not (tmp_path / "runs").exists()


def test_a_second_start_of_a_study_is_refused_in_its_own_words(ablate, tmp_path, capsys) -> None:
    folder = tmp_path / "runs" / "ablations" / DECODES["name"]
    folder.mkdir(parents=True)
    lock = RunLock(folder)
    lock.acquire()
    ablate(DECODES, code=2)
    told = capsys.readouterr().err
    assert f"{folder}: another personlab ablate works on this study (process " in told
    assert told.rstrip().endswith("; wait for it")
    lock.release()
