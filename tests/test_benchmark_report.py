"""README and docs say what the results of the benchmarks say."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report, tables
from benchmarks.error_tables import LABELS
from personlab.decoding import RULES
from personlab.evaluation.bootstrap import Difference

HEADER = {
    "command": "make it", "date": "2026-01-02T03:04:05+0000", "commit": "0123456789abcdef", "dirty": True,
    "cpu": "Fast", "cores": 4, "gpu": None, "versions": {"python": "3.11.1", "torch": "2.13.0", "numba": "0.68.1"},
    "runs": 100,
}  # fmt: skip


def peer_row(people: int, stride: int, poses: float, masks: float) -> dict[str, Any]:
    times = {"poses_ms": poses, "peer_poses_ms": 12 * poses, "masks_ms": masks, "peer_masks_ms": 99.97 * masks}
    return {"people": people, "stride": stride, "size": [481, 641]} | times


def peers() -> dict[str, Any]:
    rows = [peer_row(n, stride, 0.1 * n**0.5, 0.2 * n) for stride in (8, 16) for n in (1, 10, 50)]
    return HEADER | {"peers": {"node": "v20"}, "rows": rows}


def decode_row(people: int, threads: int, poses: float) -> dict[str, Any]:
    about = {"people": people, "stride": 8, "size": [481, 641], "rules": "paper", "engine": "numba", "threads": threads}
    return about | {"batch": 8, "poses_ms": poses, "masks_ms": 12.34, "network_ms": None, "memory_peak_mib": 345.6}


def scored(**about: Any) -> dict[str, Any]:
    return about | {"keypoints": {"AP": 0.5}, "segmentation": {"AP": None}}


def trained(name: str) -> dict[str, Any]:
    figures = {"keypoints": {"AP": 0.6}, "segmentation": {"AP": 0.26}}
    about = {"run": f"runs/{name}/1", "name": name, "commit": "fedcba9876", "steps": 8, "seconds": 90.0, "images": 10}
    return {**about, "command": f"/x/personlab fit --run.name {name}", **figures}


def zoo_row(rules: str, keypoints: float, masks: float | None, **setting: Any) -> dict[str, Any]:
    figures = {"keypoints": {"AP": keypoints, "AP_medium": 0.1, "AP_large": 0.75}, "segmentation": {"AP": masks}}
    about = {"network": "bodypix_075", "split": "val2017", "images": 10, "command": f"personlab evaluate {rules}",
             "made": HEADER}  # fmt: skip
    return about | figures | {
        "setting": {"rules": rules, "size": 801, **setting}, "seconds": {"network": 2.0, "decode": 0.0123}
    }  # fmt: skip


def error_part(name: str, count: int, of: int, cost: float) -> dict[str, Any]:
    share = count / of if of else None
    return {"type": name, "count": count, "of": of, "unit": "keypoints", "share": share, "ap_cost": cost,
            "ap_alone": 0.5, "ap_after": 1.0}  # fmt: skip


def error_result(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"people": 4, "images": 2, "detections": 5, "ap": 0.75, "ap_ideal_scores": 0.8, "parts": parts}


RESULTS = {
    "peers": peers(),
    "decode": HEADER | {"rows": [decode_row(1, 1, 0.5), decode_row(1, 2, 0.3)]},
    "decode_gpu": HEADER | {"gpu": "Faster", "rows": [decode_row(30, 1, 1.5)]},
    "ladder": {"rows": [
        scored(fields=fields, stride=8, size=None, refinement_steps=2) for fields in ("true fields", "network")
    ]},
    "zoo": {
        "networks": {"bodypix_075": {
            "file": "b.safetensors", "sha256": "ab" * 32, "bytes": 5_094_208, "backbone": "MobileNetV1",
            "output_stride": 16, "parameters": 1_271_670, "licence": "not recorded",
        }},
        "rows": [zoo_row("tfjs", 0.25, None), zoo_row("paper", 0.5, 0.125, tta="flip", scales=[961])],
    },
    "finetune": HEADER | {
        "images": 10, "split": "val2017", "before": trained("base"),
        "rows": [trained("other") | {
            "learning_rate": 1e-4, "crop_size": 513, "planned_steps": 16, "overrides": {"averaging.decay": 0.97},
            "against": {
                "keypoints": Difference(0.5, 0.6, 0.1, 0.05, 0.15, 0.95, 2000).to_json(),
                "segmentation": Difference(0.25, 0.26, 0.01, -0.02, 0.03, 0.95, 2000).to_json(),
            },
        }],
    },
    "trainings": HEADER | {"rows": [trained("demo")]},
    "bounds": HEADER | {"rows": [scored(decoder="paper", stride=8, scale=2, images=10, command="personlab oracle")]},
    "imputation": HEADER | {"split": "val2017", "rows": [{
        "tta": "flip", "without_keypoints": 9, "imputed": 4, "refused": 3, "too_small": 2, "seconds": {"network": 1.1},
        "check": {way: {
            "people": 8, "imputed": 2, "mean_oks": 0.5, "share_above_50": None, "labelled": 0.875,
            "mean_similarity": 0.75,
        } for way in ("as_they_are", "as_small_as_imputed")},
    }]},
    "prediction": HEADER | {"rows": [
        {"source": "val2017", "images": 10, "milliseconds": {"read": 3.33, "network": 155.4}, "most_memory_mib": 512.3}
    ]},
    "onnx": HEADER | {
        "onnx_bytes": 5_110_000, "weights": {"bytes": 5_090_000},
        "rows": [{"size": [609, 801], "threads": 1, "torch_ms": 123.1, "onnxruntime_ms": 63.1, "ratio": 1.95}],
    },
    "errors": HEADER | {
        "split": "val2017",
        "keypoints": error_result([error_part("miss", 3, 12, 0.25)]) | {
            "keypoints": {f"{side}_hand": dict.fromkeys(LABELS, 1) | {"good": 4} for side in ("left", "right")},
            "sizes": {"small": dict.fromkeys((*LABELS, "false_negative", "people"), 0),
                      "large": dict.fromkeys(LABELS, 1) | {"people": 4, "false_negative": 1}},
        },
        "segmentation": error_result([error_part("wrong_person", 0, 0, -0.0125)]) | {"sizes": {
            size: {"people": 8, "missed": 2, "another": 1, "merged": 1} for size in ("small", "large")
        }},
    },
    "tune": {"rows": [
        scored(default=True, options={"hough_grid_px": 4.0, "cell_read": "bilinear"}, decode_ms=1.0),
        scored(default=False, options={"hough_grid_px": 2.0, "cell_read": "bilinear"}, decode_ms=234.5),
    ]},
}  # fmt: skip
TEXT = "before\n<!-- generated: {} -->\nold\n<!-- end -->\nafter\n"


def checkout(folder: Path, results: dict[str, Any]) -> Path:
    """The texts of this repository with other results."""
    (folder / "benchmarks" / "results").mkdir(parents=True)
    (folder / "docs").mkdir()
    for name in report.TEXTS:
        (folder / name).write_text((report.ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    for name, result in results.items():
        (folder / "benchmarks" / "results" / f"{name}.json").write_text(json.dumps(result))
    return folder


def test_the_texts_of_this_repository_match_its_results() -> None:
    assert report.main(["--check"]) == 0


def test_texts_and_pictures_follow_the_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = checkout(tmp_path, RESULTS)
    assert report.main(["--check"], root) == 1
    assert "README.md: does not match the results; run python -m benchmarks.report" in capsys.readouterr().err
    assert report.main([], root) == 0
    assert report.main(["--check"], root) == 0
    readme, page = ((root / name).read_text(encoding="utf-8") for name in ("README.md", "docs/decoder.md"))
    assert "| 10 | 641×481 | 0.32 | 3.79 | 12 | 2.00 | 200 | 99 |" in readme
    assert "No results yet" not in readme + page
    for path in report.FIGURES.values():
        assert (root / path).read_bytes()[:4] == b"\x89PNG"
        (root / path).unlink()
    assert report.main(["--check"], root) == 1
    assert capsys.readouterr().err.count(".png: does not match") == len(report.FIGURES)


def test_a_part_without_results_says_what_makes_them() -> None:
    parts = report.parts({})
    assert parts["peers"] == "No results yet: `make bench-peers` makes `benchmarks/results/peers.json`."
    assert all(
        name.startswith(("options-", "doctor-")) or text.startswith("No results yet") for name, text in parts.items()
    )


def test_what_stands_between_the_marks_is_replaced_and_nothing_else() -> None:
    text = TEXT.format("a") + TEXT.format("b")
    filled = report.fill(text, {"a": "new a", "b": "new b"}, "README.md")
    assert filled == text.replace("old", "new a", 1).replace("old", "new b", 1)
    assert report.fill(filled, {"a": "new a", "b": "new b"}, "README.md") == filled


@pytest.mark.parametrize(("text", "told"), [
    (TEXT.format("c"), "README.md: there is no part 'c'"),
    (TEXT.format("a").replace("<!-- end -->", ""), "README.md: not every <!-- generated: NAME --> has its"),
])  # fmt: skip
def test_marks_that_are_wrong_are_told(text: str, told: str) -> None:
    with pytest.raises(report.ReportError, match=told):
        report.fill(text, {"a": "new"}, "README.md")


@pytest.mark.parametrize(("content", "told"), [
    ("{", "peers.json: is no JSON"), ("{}", "lacks what the report needs (KeyError('rows'))"),
    ('{"rows": [{"people": 3}]}', "lacks what the report needs"),
])  # fmt: skip
def test_results_that_are_damaged_are_told(
    content: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = checkout(tmp_path, {})
    (root / "benchmarks" / "results" / "peers.json").write_text(content)
    assert report.main([], root) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert "make bench-peers" in error


def test_the_comparison_is_by_medians_and_never_rounded_up() -> None:
    result = peers()
    assert tables.peers_summary(result) == (
        "From 1 to 50 people, poses take at least 12 times less than PoseNet's decoder and masks at least 99 times "
        "less than BodyPix's. Poses of 50 people take 2.2 times as long as those of 10."
    )
    result["rows"] = [peer_row(1, 8, poses, 1.0) for poses in (1.0, 3.0, 2.0)]
    assert tables.peers_table(result, stride=8).splitlines()[2:] == [
        "| 1 | 641×481 | 2.00 | 24.0 | 12 | 1.00 | 100 | 99 |"
    ]
    assert "Poses of 50" not in tables.peers_summary(result)


def test_threads_stand_side_by_side_and_empty_columns_are_left_out() -> None:
    assert tables.decode_table(RESULTS["decode"]).splitlines() == [
        "| stride | people | image | poses, 1 thread | poses, 2 threads | masks, 1 thread | masks, 2 threads |",
        "|---|---|---|---|---|---|---|",
        "| 8 | 1 | 641×481 | 0.50 | 0.30 | 12.3 | 12.3 |",
    ]
    both = {"rows": [decode_row(1, 1, 0.5), decode_row(1, 1, 0.7) | {"engine": "torch"}]}
    assert [line.split(" | ")[0] for line in tables.decode_table(both).splitlines()[2:]] == ["| numba", "| torch"]


def test_ladder_and_tuning() -> None:
    assert tables.ladder_table(RESULTS["ladder"]).splitlines()[2:] == [
        "| true fields | 8 | 2 | .500 |", "| network | 8 | 2 | .500 |",
    ]  # fmt: skip
    assert tables.tune_table(RESULTS["tune"]).splitlines()[2:] == [
        "| default: `hough_grid_px` 4.0, `cell_read` bilinear | .500 | 1.00 |",
        "| `hough_grid_px` 2.0 | .500 | 234 |",
    ]


def test_figures_tell_where_they_come_from() -> None:
    assert tables.origin(RESULTS["decode_gpu"]) == (
        "Medians of 100 runs by `make it` (Faster, Fast with 4 cores, Python 3.11.1, PyTorch 2.13.0, numba 0.68.1, "
        "2026-01-02, commit 0123456789 with changes)."
    )
    assert tables.origin({"rows": []}) == ""


@pytest.mark.parametrize("rules", list(RULES))
def test_every_option_is_told_with_its_meaning(rules: str) -> None:
    rows = tables.options_table(rules).splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(inspect.signature(RULES[rules]).parameters)
    assert all(len(row.split(" | ")[2]) > 10 for row in rows)


def test_the_zoo_tells_scores_times_and_commands() -> None:
    written = report.parts(RESULTS)
    rows = written["zoo"].splitlines()
    assert rows[0] == "Scored on 10 images of val2017."
    scores = ".500 | .100 | .750 | .125 | 1.2 | `0123456` * |"
    assert rows[4] == f"| `bodypix_075` | paper | 16 | 801 | flip, 801 and 961 px | {scores}"
    assert rows[5] == "| `bodypix_075` | tfjs | 16 | 801 | none | .250 | .100 | .750 | – | 1.2 | `0123456` * |"
    assert written["zoo-readme"].splitlines()[2] == "| paper | flip, 801 and 961 px | .500 | .125 | 1.2 |"
    assert "1.27 M | 5.1 | not recorded | `abababababab` |" in written["zoo-networks"]
    assert "personlab evaluate tfjs  # bodypix_075" in written["zoo-commands"]
    row = "| other | 0.0001 | 513 | 8 of 16 | `averaging.decay` 0.97 | .600 | +0.100 [+0.050, +0.150] | .260 | "
    assert row + "+0.010 [-0.020, +0.030], inconclusive | `fedcba9` |" in written["finetune"]
    assert written["finetune-commands"].splitlines()[1] == "personlab fit --run.name base"
    assert "| 801×609 | 1 | 123 | 63 | 1.9 |" in written["onnx"]


def test_what_else_was_measured_is_told_with_its_command() -> None:
    written = report.parts(RESULTS)
    row = "| demo | 8 | 1.5 | 10 | .600 | .260 | `fedcba9` | `personlab fit --run.name demo` |"
    assert row in written["trainings"]
    assert "| paper | 8 | 10 | 2 times as large | .500 | `personlab oracle` |" in written["bounds"]
    assert "| as they are, `--tta flip` | 8 | 2 | .500 | 88% | .750 |" in written["imputation"]
    assert "4 were imputed, 3 refused, 2 too small. A crop took 48 milliseconds." in written["imputation"]
    assert "| val2017 | 10 | 3.3 | 155 | 512 |" in written["prediction"]
    assert all("Medians of 100 runs by `make it`" in written[name] for name in ("trainings", "bounds", "prediction"))


def test_errors_are_told_with_what_they_cost() -> None:
    written = report.parts(RESULTS)
    told, _, _, _, row = written["errors-keypoints"].splitlines()
    assert told.startswith("4 people in 2 images of val2017, 5 detections that count: AP .750, so .250 are missing;")
    assert row == "| miss | 3 | 12 keypoints | 25.0 % | .250 | .500 | 1 |"
    assert written["errors-masks"].splitlines()[-1] == "| wrong person | 0 | 0 keypoints | -.013 | .500 | 1 |"
    assert written["errors-labels"].splitlines()[-1] == "| hand | 16 | 50.0 % | 12.5 % | 12.5 % | 12.5 % | 12.5 % |"
    small, large = written["errors-sizes"].splitlines()[2:4]
    assert small == "| small | 0 | – | – | – | – | – | – | 8 | 25.0 % | 25.0 % |"
    assert large == "| large | 4 | 20.0 % | 20.0 % | 20.0 % | 20.0 % | 20.0 % | 25.0 % | 8 | 25.0 % | 25.0 % |"
