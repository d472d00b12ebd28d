"""`personlab compare`: what it writes, and what it says to bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from personlab.cli.main import main
from tests.experiments.fake_runs import make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, synthetic: Path) -> Path:
    root = tmp_path_factory.mktemp("runs")
    make_run(root, synthetic, "a_base", skill=0.5)
    make_run(root, synthetic, "b_good", skill=1.0, settings={"trainer.max_steps": 9})
    make_run(root, synthetic, "c_dead", status="failed", scored=False)
    return root


def test_a_folder_of_runs_becomes_a_report_and_tables(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = {name: str(tmp_path / f"out.{name}") for name in ("html", "md", "tex", "json")}
    words = ["compare", str(runs), "--resamples", "100", "--images", "2", "-o", outputs["html"], "--title", "A <b>"]
    words += ["--markdown", outputs["md"], "--latex", outputs["tex"], "--json", outputs["json"]]
    assert main(words) == 0
    told = json.loads(Path(outputs["json"]).read_text())
    assert told["baseline"] == "a_base"
    assert [run["label"] for run in told["runs"]] == ["a_base", "b_good"]
    assert told["runs"][1]["deltas"]["keypoints"]["all"]["value"] > 0
    assert [Path(run["path"]).parent.name for run in told["unscored"]] == ["c_dead"]
    page = Path(outputs["html"]).read_text()
    assert "<h1>A &lt;b&gt;</h1>" in page
    assert 0 < page.count("data:image/jpeg") <= 6
    assert Path(outputs["md"]).read_text().startswith("| run |")
    assert r"\begin{tabular}" in Path(outputs["tex"]).read_text()
    errors = capsys.readouterr().err
    assert "Without scores: c_dead/1 (failed)." in errors
    assert "report: " in errors


@pytest.mark.parametrize("name", ["b_good", "b_good/1", "path"])
def test_the_baseline_is_a_name_or_a_directory(runs: Path, tmp_path: Path, name: str) -> None:
    baseline = str(runs / "b_good" / "1") if name == "path" else name
    others = [str(runs / "a_base")] if name == "path" else [str(runs / "a_base"), str(runs)]
    words = ["compare", *others, "--baseline", baseline, "--resamples", "0", "--json", str(tmp_path / "r.json")]
    assert main(words) == 0
    told = json.loads((tmp_path / "r.json").read_text())
    assert [run["label"] for run in told["runs"]] == ["b_good", "a_base"]
    assert told["runs"][1]["deltas"] == {}


def test_a_baseline_without_predictions_takes_nothing_from_the_others(
    runs: Path, synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [make_run(tmp_path / "runs", synthetic, f"r{n}", skill=0.4 + n / 4) for n in range(3)]
    shutil.rmtree(paths[0] / "predictions")
    out = tmp_path / "r.html"
    assert main(["compare", *map(str, paths), "-o", str(out), "--resamples", "100", "--images", "0"]) == 0
    assert "No predictions kept, so no intervals over images: r0." in capsys.readouterr().err
    assert 'id="errors"' in out.read_text()


@pytest.mark.parametrize("name", ["b_good", "b_good/1", "path"])
def test_the_images_are_of_a_name_or_a_directory(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(runs)  # a relative directory
    words = ["compare", str(runs), "-o", str(tmp_path / "r.html"), "--resamples", "100", "--images", "1"]
    assert main([*words, "--images_of", str(Path("b_good") / "1") if name == "path" else name]) == 0
    assert "data:image/jpeg" in (tmp_path / "r.html").read_text()


def test_without_the_data_set_scores_are_compared_alone(
    runs: Path, synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    paths = [make_run(tmp_path / "runs", synthetic, name, settings={"data.root": str(gone)}) for name in "ab"]
    assert main(["compare", *map(str, paths), "-o", str(tmp_path / "report.html")]) == 0
    assert "No intervals over images" in capsys.readouterr().err
    page = (tmp_path / "report.html").read_text()
    assert "No predictions were looked at" in page
    assert "bootstrap of" not in page
    assert main(["compare", *map(str, paths), "--data.root", str(gone)]) == 2
    assert main(["compare", *map(str, paths), "--data.root", str(synthetic), "--resamples", "100"]) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{root}/c_dead"], "neither it nor another"),
        (["{empty}"], "holds no run"),
        (["{root}", "--baseline", "nobody"], "nobody"),
        (["{root}", "--resamples", "-1"], "--resamples -1: give 100 or more, or 0"),
        (["{root}", "--resamples", "2"], "--resamples 2: give 100 or more, or 0"),
        (["{root}", "--images", "41"], "--images 41: give a number from 0 to 40"),
        (["{root}", "--images_of", "a_base"], "--images_of is for a report; give -o FILE.html"),
        (["{root}", "--title", "A"], "--title is for a report; give -o FILE.html"),
        (["{root}", "--images", "3"], "--images is for a report; give -o FILE.html"),
        (["{root}", "--data.root", "{empty}", "--resamples", "0"], "--data.root needs the predictions"),
        (["{root}", "--images", "3", "--resamples", "0", "-o", "{empty}/r.html"], "--images needs the predictions"),
        (["{root}", "--images_of", "a_base", "-o", "{empty}/r.html", "--resamples", "100"], "--images_of a_base"),
    ],
)
def test_bad_input_is_told_in_one_line(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["compare", *(word.format(root=runs, empty=empty) for word in words)]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("personlab: error: ")
    assert told in line
