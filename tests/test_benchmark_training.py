"""The benchmarks of annotations and of several processes, and their tables."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import annotations, data_tables, doctor, processes, report, sizes, speed_tables
from personlab.data import coco
from personlab.data.coco import read_annotations
from personlab.data.sampler import Ticket


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("annotations") / "a.json"
    assert annotations.generate(path, 200) == len(json.loads(path.read_text())["annotations"])
    return path


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PERSONLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(coco, "CACHED_FROM_BYTES", 1)


def test_the_made_up_file_is_like_coco(file: Path) -> None:
    people = read_annotations(file)
    assert len(people) == 200
    assert 1.8 < len(people.annotation_ids) / len(people) < 3.2
    assert 0.4 < people.has_keypoints.mean() < 0.75
    assert 30 < np.diff(people.segmentations.ring_start).mean() < 110
    assert 0 < people.is_crowd.mean() < 0.05


def test_opening_tells_whether_it_was_read_or_mapped(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = annotations.open_once(file)
    monkeypatch.setattr(coco, "_parse", None)
    again = annotations.open_once(file)
    assert first["mapped"]
    assert again["mapped"]
    assert first["arrays_mib"] == again["arrays_mib"] > 0.1
    assert again["seconds"] > 0
    assert again["memory"]["rss_mib"] >= again["memory"]["private_mib"] > 0


def test_workers_read_every_image_in_every_epoch(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = annotations.read_with_workers(file, 2)
    assert [(row["workers"], row["epoch"], len(row["each"])) for row in rows] == [(2, 1, 2), (2, 2, 2)]
    assert all(memory["private_mib"] > 0 for row in rows for memory in row["each"])
    data = annotations.Annotations(read_annotations(file))
    drawn: list[int] = []
    monkeypatch.setattr("personlab.data.label_maps.rasterise", lambda _, image: drawn.append(image) or np.ones(1))
    totals = [data[Ticket(0, 0, image)][1] for image in range(len(data))]
    assert min(totals) > 0
    assert drawn == list(range(0, 200, 20))


def test_images_a_second_are_those_after_the_warm_up() -> None:
    ledger = [
        {"step": i, "wall_s": 10.0 if i < 4 else 10.0 + 2 * (i - 3), "samples_seen": 8 * (i + 1)} for i in range(9)
    ]
    lines: list[dict[str, Any]] = [{**line, "train/loss/total": 1.0} for line in ledger]
    lines.append({"step": 8, "wall_s": 99.0, "samples_seen": 72, "val/keypoints/AP": 0.1})
    assert processes.images_per_s(lines) == pytest.approx(4.0)


def test_the_command_of_a_training(tmp_path: Path) -> None:
    words = processes.command(2, 4, 1, 24, "COCO", "recipe.yaml", tmp_path, "--x=1")
    told = dict(itertools.pairwise(words))
    assert (told["--nproc_per_node"], told["--trainer.devices"], told["--data.batch_size"]) == ("2", "2", "4")
    assert (words[-1], told["--data.workers"]) == ("--x=1", "1")
    assert (told["--trainer.max_steps"], told["--config"], told["--run.root"]) == ("24", "recipe.yaml", str(tmp_path))


def memory(private: float) -> dict[str, float]:
    return {"rss_mib": 500.0, "pss_mib": private + 100, "private_mib": private}


RESULTS: dict[str, Any] = {
    "loader": {
        "images": 900, "batch_size": 8, "limit": "view takes most",
        "stages_ms": {"read": 2.0, "labels": 1.0, "view": 6.0, "collate": 1.0},
        "rows": [
            {"workers": 0, "epoch": 1, "images_per_s": 99.6, "main": memory(300.4), "each": []},
            {"workers": 2, "epoch": 1, "images_per_s": 199.6, "main": memory(20), "each": [memory(9), memory(11.25)]},
            {"workers": 2, "epoch": 2, "images_per_s": 201.0, "main": None, "each": [None, None]},
        ],
    },
    "encode": {"rows": [
        {"people": people, "batch": 8, "threads": 1, "encode_ms": 2.0, "fastest_ms": 1.5, "quoted_ms": quoted,
         "times_quoted": ratio} for people, quoted, ratio in ((10, 135.0, 67.5), (3, None, None))
    ]},
    "train": {
        "images_per_s": 3.21, "batch": 8, "device": "cpu", "threads": 1, "workers": 2, "encode_share": 0.004,
        "wait_share": 0.021, "step_ms": 2000.0,
        "parts_ms": {"wait": 40.0, "forward": 600.0, "encode": 8.0, "losses": 2.0, "backward": 1300.0,
                     "optimizer": 20.0, "other": 30.0},
    },
    "annotations": {
        "images": 100_000, "people": 243_669, "json_mib": 240.8,
        "opened": {
            "first": {"seconds": 16.4, "arrays_mib": 194.2}, "without the cache": {"seconds": 20.0},
            "again": [{"seconds": 0.2}, {"seconds": 0.3}, {"seconds": 0.1}],
        },
        "rows": [{"mapped": True, "workers": 1, "epoch": 1, "main": memory(17), "each": [memory(12)]}],
    },
    "processes": {"rows": [
        {"processes": n, "images_per_s": speed, "images": 96, "cpu_s": cpu_s, "seconds": 30.0, "load": 2.0}
        for turn in ((4.0, 6.4), (2.0, 3.0), (3.0, 6.0))
        for n, speed, cpu_s in zip((1, 2), turn, (24.0, 54.0), strict=True)
    ]},
    "sizes": {"rows": [
        {"batch": batch, "workers": 0, "processes": 1, "images_per_s": speed}
        for turn in (1.0, 2.0, 6.0) for batch, speed in ((1, turn), (4, 2 * turn))
    ]},
    "gpu_train": {
        "depth": 101, "crop": 801, "batch": 8, "gpu": "a GPU", "cpu": "a CPU", "flops_per_image": 7.5e11,
        "matrix_flops_per_s": 7.1e14, "failed": [], "on_images": None,
        "step_has": ["the network"], "step_lacks": ["a log"],
        "rows": [{"compiled": True, "channels_last": False, "images_per_s": 300.0, "share_of_rate": 0.35,
                  "peak_bytes": 2**33}],
        "kernels": [{"kernel": "conv<float>", "calls": 3, "ms": 1.5, "share": 0.25}],
    },
}  # fmt: skip


def test_tables_of_the_loader() -> None:
    stages = speed_tables.stages_table(RESULTS["loader"]).splitlines()
    assert stages[4] == "| crop and colours | 6.00 | 60% |"
    rows = speed_tables.loader_table(RESULTS["loader"]).splitlines()[2:]
    assert rows == [
        "| 0 | 1 | 100 | 300 | – | – | 400 |", "| 2 | 1 | 200 | 20 | 11.2 | 500 | 340 |",
        "| 2 | 2 | 201 | – | – | – | – |",
    ]  # fmt: skip


def test_tables_of_targets_and_steps() -> None:
    rows = speed_tables.encode_table(RESULTS["encode"]).splitlines()[2:]
    assert rows == ["| 10 | 8 | 1 | 2.00 | 1.50 | 135 | 67 |", "| 3 | 8 | 1 | 2.00 | 1.50 | – | – |"]
    assert speed_tables.train_summary(RESULTS["train"]) == (
        "3.2 images/s in batches of 8 on cpu (1 thread, loader workers: 2). Targets take 0.4% of a step's work, and "
        "2.1% of the time is spent waiting for data."
    )
    assert "| targets | 8.0 | 0.4% |" in speed_tables.train_table(RESULTS["train"])


def test_tables_of_annotations_and_processes() -> None:
    assert "100000 images with 243669 people" in speed_tables.annotations_summary(RESULTS["annotations"])
    assert "| mapped, every time after | 0.20 |" in speed_tables.opened_table(RESULTS["annotations"])
    assert "| mapped | 1 | 1 | 17 | 12.0 | 500 | 229 |" in speed_tables.workers_table(RESULTS["annotations"])
    assert speed_tables.processes_table(RESULTS["processes"]).splitlines()[2:] == [
        "| 1 | 3.00 | 1.00 | 0.80 | 4.00 | 2.0 |", "| 2 | 6.00 | 1.60 | 1.80 | 1.78 | 2.0 |"
    ]  # fmt: skip


def test_the_table_of_sizes_has_medians_of_the_turns() -> None:
    assert speed_tables.sizes_table(RESULTS["sizes"]).splitlines()[2:] == [
        "| 1 | 0 | 1 | 2.00 | 500 | 1.00 to 6.00 |", "| 4 | 0 | 1 | 4.00 | 250 | 2.00 to 12.00 |"
    ]  # fmt: skip


def test_every_way_is_measured_in_every_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, ran = tmp_path / "sizes.json", []

    def train(processes: int, batch: int, workers: int, steps: int, *_: Any) -> dict[str, Any]:
        ran.append((batch, workers, processes))
        assert len(ran) == 1 or len(json.loads(path.read_text())["rows"]) == len(ran) - 1, "kept as it goes"
        return {"batch": batch, "workers": workers, "processes": processes, "images_per_s": 1.0, "steps": steps}

    monkeypatch.setattr(sizes, "train", train)
    monkeypatch.setattr("sys.argv", ["sizes", "--data-root", "COCO", "--turns", "2", "--json", str(path)])
    sizes.main()
    assert ran == sizes.WAYS * 2
    rows = json.loads(path.read_text())["rows"]
    assert {(row["steps"] - processes.WARM_UP) * row["batch"] * row["processes"] for row in rows} == {48}


def test_the_doctor_is_timed(synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "doctor.json"
    words = ["doctor", "--data-root", str(synthetic), "--runs", "1", "--json", str(path)]
    monkeypatch.setattr("sys.argv", words)
    doctor.main()
    result = json.loads(path.read_text())
    (row,) = result["rows"]
    images = [file for split in ("train2017", "val2017") for file in (synthetic / split).iterdir()]
    assert (row["images"], row["errors"]) == (len(images), 0)
    assert 0 < row["seconds"] < 600
    result["rows"] = [{**row, "images": 7, "seconds": seconds, "warnings": 0, "infos": 3} for seconds in (4, 1, 2)]
    assert data_tables.doctor_time(result) == (
        "7 images of COCO, every one decoded, take 2.0 s, start of the program included (median of 3 runs, 1.0 to "
        "4.0); the doctor finds 0 errors, 0 warnings and 3 remarks there."
    )


def test_tables_of_a_gpu() -> None:
    assert speed_tables.gpu_table(RESULTS["gpu_train"]).splitlines()[2:] == ["| yes | no | 300.0 | 35% | 1024 |"]
    assert speed_tables.kernels_table(RESULTS["gpu_train"]).splitlines()[2:] == ["| `conv<float>` | 3 | 1.50 | 25.0% |"]


def test_every_part_of_the_page_is_filled() -> None:
    text = (report.ROOT / "docs" / "training-speed.md").read_text(encoding="utf-8")
    filled = report.fill(text, report.parts(RESULTS), "docs/training-speed.md")
    assert "No results yet" not in filled
    for name in RESULTS:
        assert f"<!-- generated: {name.replace('_', '-')} -->" in filled
