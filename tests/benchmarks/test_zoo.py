"""The zoo: which rows are kept, which are scored, and what tells them apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import zoo, zoo_tables
from personlab.cli.evaluate import add_network_options
from personlab.cli.options import add_data_options, make_parser
from personlab.inference.predictor import EVERYBODY
from personlab.weights.network_file import weights_path


class Score:
    """Stands in for `personlab evaluate`; keeps the commands."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, words: Sequence[str]) -> dict[str, Any]:
        self.commands.append(list(words))
        images = int(words[words.index("--max_images") + 1]) if "--max_images" in words else 5
        figures = {"AP": images / 10, "AP_medium": 0.1, "AP_large": None}
        seconds = {"read": 0.1, "network": 1.0, "decode": 0.02}
        return {"keypoints": figures, "segmentation": {"AP": None}, "images": images, "people": 9, "seconds": seconds}


@pytest.fixture
def score(monkeypatch: pytest.MonkeyPatch) -> Score:
    stand_in = Score()
    monkeypatch.setattr(zoo, "score", stand_in)
    monkeypatch.setattr(zoo, "provenance", about_commit("a" * 40))
    monkeypatch.setattr(
        zoo, "described", lambda path: {"sha256": path.read_text(), "output_stride": 16, "file": path.name}
    )
    return stand_in


def about_commit(commit: str, cpu: str = "Fast") -> Any:
    return lambda command: {"command": command, "commit": commit, "dirty": False, "cpu": cpu, "cores": 2, "date": "20"}


class Zoo:
    """A zoo of one network in a folder."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.file, self.weights, self.root = folder / "zoo.json", folder / "net.safetensors", root
        self.weights.write_text("first")

    def __call__(self, *words: str, rows: str = "paper") -> dict[str, Any]:
        words = ("--data-root", str(self.root), "--results", str(self.file), *words)
        zoo.main([f"net={self.weights}:{rows}", *words])
        result: dict[str, Any] = json.loads(self.file.read_text())
        return result


@pytest.fixture
def made(tmp_path: Path, synthetic: Path) -> Zoo:
    return Zoo(tmp_path, synthetic)


def test_a_row_is_scored_once(made: Zoo, score: Score) -> None:
    first = made()
    assert len(score.commands) == len(first["rows"]) == 2
    assert made() == first
    assert len(made(rows="plain")["rows"]) == 2
    assert len(score.commands) == 2
    made("--again", rows="plain")
    assert len(score.commands) == 3


def test_a_trial_never_passes_for_the_whole(made: Zoo, score: Score) -> None:
    trial = made("--max-images", "3", rows="plain")
    assert trial["rows"][0]["max_images"] == 3
    both = made(rows="plain")
    assert [row["images"] for row in both["rows"]] == [3, 5]
    table = zoo_tables.scores_table(both).splitlines()
    assert [line.split(" | ")[-2] for line in (table[0], *table[2:])] == ["images", "3", "5"]
    assert zoo_tables.images(both) == "Scored on 3 images of val2017 and 5 images of val2017."


def test_other_weights_or_data_are_scored_anew(made: Zoo, score: Score, tmp_path: Path) -> None:
    made()
    made.weights.write_text("second")
    assert {row["sha256"] for row in made(rows="plain")["rows"]} == {"second"}
    assert len(score.commands) == 3
    made.root = shutil.copytree(made.root, tmp_path / "other")
    file = made.root / "annotations" / "person_keypoints_val2017.json"
    file.write_text(file.read_text() + " ")
    assert len(made(rows="plain")["rows"]) == 1
    assert len(score.commands) == 4


def test_every_row_tells_the_commit_that_made_it(made: Zoo, score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    one = made(rows="plain")
    assert zoo_tables.origins(one) == (
        "Made by `python -m benchmarks.zoo net=net.safetensors:plain --data-root coco --results zoo.json` "
        "(Fast with 2 cores, 20, commit aaaaaaaaaa)."
    )
    monkeypatch.setattr(zoo, "provenance", about_commit("b" * 40, "Slow"))
    two = made()
    assert [row["made"]["commit"][0] for row in two["rows"]] == ["a", "b"]
    table = zoo_tables.scores_table(two).splitlines()[2:]
    assert [line.split(" | ")[-1] for line in table] == ["`aaaaaaa` |", "`bbbbbbb` |"]
    lines = zoo_tables.origins(two).splitlines()
    assert lines[0].startswith("* 1 row: Made by `python -m benchmarks.zoo net=net.safetensors:plain")
    assert "(Slow with 2 cores, 20, commit bbbbbbbbbb)" in lines[1]
    assert "commit" not in two  # nothing stands for the rows of other commits


def test_recorded_commands_name_no_place(made: Zoo, score: Score) -> None:
    text = json.dumps(made("--max-images", "3"))
    assert str(made.root) not in text
    assert str(made.file.parent) not in text
    assert made()["rows"][-1]["command"] == (
        "personlab evaluate --weights net.safetensors --data.root coco --split val2017 --rules paper --size 801 "
        "--tta flip"
    )


def test_the_default_place_of_results_is_not_told(made: Zoo, score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "RESULTS", made.file)
    assert "--results" not in made(rows="plain")["rows"][0]["made"]["command"]


def test_rules_sizes_and_flipping_are_crossed() -> None:
    crossed = {(row["rules"], row["size"], row.get("tta")) for row in zoo.CROSSED}
    assert len(crossed) == len(zoo.CROSSED) == 4 * 3 * 2
    assert len({json.dumps(row) for row in zoo.SETTINGS["all"]}) == len(zoo.SETTINGS["all"])
    assert {row["rules"] for row in zoo.SETTINGS["all"] if row.get("stride") == 8} == set(zoo.RULES)
    assert {f"decoder.{name}": value for name, value in EVERYBODY.items()} == zoo.POSENET


@pytest.mark.parametrize("setting", zoo.SETTINGS["all"], ids=str)
def test_evaluate_takes_every_command(setting: dict[str, Any]) -> None:
    parser = make_parser("evaluate", "")
    add_data_options(parser)
    add_network_options(parser)
    options = parser.parse_args(zoo.words_of("w.safetensors", setting, "coco", "val2017", 3)[1:])
    assert (options.rules.value if hasattr(options.rules, "value") else options.rules) == setting["rules"]
    assert (options.size, options.stride, options.scales) == (
        setting["size"], setting.get("stride"), setting.get("scales", []),
    )  # fmt: skip
    assert options.decoder.get("max_people") == setting.get("decoder.max_people")


@pytest.mark.parametrize("words", [["net"], ["net=a.safetensors:some"]])
def test_a_network_without_file_or_rows_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        zoo.main([*words, "--data-root", "x"])
    assert "must be NAME=FILE or NAME=FILE:ROWS" in capsys.readouterr().err


def test_a_real_row(synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded network on three synthetic images, by the commands that users give."""
    monkeypatch.setitem(zoo.SETTINGS, "tiny", [zoo.setting("paper", 257)])
    file = tmp_path / "zoo.json"
    words = [f"embedded={weights_path('embedded')}:tiny", "--data-root", str(synthetic), "--max-images", "3"]
    zoo.main([*words, "--results", str(file)])
    result = json.loads(file.read_text())
    (row,) = result["rows"]
    assert (row["images"], row["max_images"], row["data"]) == (3, 3, zoo.data_hash(str(synthetic), "val2017"))
    assert row["keypoints"]["AP"] > 0.3
    assert result["networks"]["embedded"]["backbone"] == "Pyramid"
    assert zoo_tables.scores_table(result).splitlines()[2].startswith("| `embedded` | paper | 8 | 257 | none | ")
