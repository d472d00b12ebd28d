"""`personlab bench loader`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from personlab.cli import loader_bench
from personlab.cli.main import main
from personlab.data import dataset
from personlab.data.coco import read_annotations
from personlab.data.dataset import CocoDataset
from tests.data.tiny_coco import write_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path / "coco", count=9)


def run(folder: Path, *words: str) -> dict[str, Any]:
    result = folder / "loader.json"
    assert main(["bench", "loader", "--json", str(result), *words]) == 0
    return json.loads(result.read_text())


def test_epochs_of_every_worker_count_are_timed_and_weighed(root: Path, tmp_path: Path) -> None:
    result = run(tmp_path, "--data.root", str(root), "--data.batch_size", "2", "--workers", "[0, 2]", "--epochs", "2")
    rows = result["rows"]
    assert [(row["workers"], row["epoch"], row["images"]) for row in rows] == [
        (0, 1, 8),
        (0, 2, 8),
        (2, 1, 8),
        (2, 2, 8),
    ]
    assert [len(row["each"]) for row in rows] == [0, 0, 2, 2]
    assert all(row["images_per_s"] > 0 for row in rows)
    assert all(memory["rss_mib"] > memory["private_mib"] > 0 for row in rows[2:] for memory in row["each"])
    assert result["images"] == 8  # the ninth has no people
    assert set(result["stages_ms"]) == set(loader_bench.STAGES)
    assert "of an image" in result["limit"]


def test_a_recipe_gives_the_data_and_the_words_after_it_win(root: Path, tmp_path: Path) -> None:
    base, recipe = tmp_path / "base.yaml", tmp_path / "recipe.yaml"
    base.write_text(f"data: {{root: {root}, batch_size: 4}}\ntrainer: {{max_steps: 3}}\n")
    view = "{class_path: personlab.augmentation.TrainingView, init_args: {crop_size: 33}}"
    recipe.write_text(f"base: [base.yaml]\nrun: {{name: x}}\ndata: {{batch_size: 3, view: {view}}}\n")
    result = run(tmp_path, "--config", str(recipe), "--data.train_images", "7", "--workers", "0", "--epochs", "1")
    assert (result["batch_size"], result["images"]) == (3, 7)
    assert result["rows"][0]["images"] == 6


def test_each_stage_gets_its_own_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delays_s = {"read": 0.01, "labels": 0.02, "view": 0.03, "collate": 0.02}
    now = [0.0]  # a clock of its own: others may take their share of the processor
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def slowed(name: str, function: Any) -> Any:
        def slow(*words: Any, **options: Any) -> Any:
            now[0] += delays_s[name]
            return function(*words, **options)

        return slow

    monkeypatch.setattr(dataset, "read_image", slowed("read", dataset.read_image))
    for module in (dataset, loader_bench):
        monkeypatch.setattr(
            module, "rasterise", slowed("labels", dataset.rasterise if module is dataset else module.rasterise)
        )
    monkeypatch.setattr(loader_bench, "collate", slowed("collate", loader_bench.collate))
    people = read_annotations(root / "annotations/person_keypoints_train2017.json")
    data = CocoDataset(people, root / "train2017", view=slowed("view", lambda sample, _: sample))
    stages = loader_bench.profile(data, batch_size=2, multiple=32, seed=0)
    for name, delay in delays_s.items():
        expected = 1e3 * delay * (5 / 9 if name == "collate" else 1)  # nine images are five batches
        assert stages[name] == pytest.approx(expected), name


def test_what_limits_is_told() -> None:
    rows = [{"workers": n, "images_per_s": speed} for n, speed in ((0, 90.0), (1, 100.0), (2, 180.0))]
    told = loader_bench.limit({"read": 2.0, "labels": 1.0, "view": 6.0, "collate": 1.0}, rows)
    assert told == (
        "view takes 60% of the 10.0 ms of an image in one process; 2 workers were fastest, with 180 images/s"
    )


@pytest.mark.parametrize(("words", "told"), [
    (["--workers", "[-1]"], "--workers must be 0 or more"), (["--workers", "[]"], "--workers must be 0 or more"),
    (["--epochs", "0"], "--epochs 1 or more"), (["--data.batch_size", "99"], "do not fill one step"),
    (["--config", "nowhere.yaml"], "nowhere.yaml: cannot read the config"), (["--data.rot", "x"], "root"),
])  # fmt: skip
def test_bad_usage_is_told(words: list[str], told: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "loader", "--data.root", str(root), *words]) == 2
    assert told in capsys.readouterr().err


def test_a_root_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "loader"]) == 2
    assert "data.root" in capsys.readouterr().err
