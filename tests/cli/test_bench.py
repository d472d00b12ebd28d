"""`personlab bench decode`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from personlab.cli import bench
from personlab.cli.main import main
from personlab.decoding.rules.layout import write_fields
from personlab.weights.network_file import embedded_path
from tests.decoding.scenes import paint, standing

CROWD = ["--people", "3", "--stride", "8", "--size", "[161, 209]"]


def run(folder: Path, *words: str) -> dict[str, Any]:
    """The result of the command, with a single run of everything."""
    result = folder / "times.json"
    assert main(["bench", "decode", "--runs", "1", "--json", str(result), *words]) == 0
    return json.loads(result.read_text())


def test_every_rule_is_timed_on_every_scene(tmp_path: Path) -> None:
    for name in ("n01_s08_a", "n02_s08_b"):
        write_fields(tmp_path / f"{name}.npz", paint(standing((70, 80), (180, 90))[: int(name[1:3])], 24, 32))
    words = ["--scenes", str(tmp_path), "--threads", "1", "--batch", "2", "--weights", "none"]
    rows = run(tmp_path, *words, "--rules", "[paper, tfjs, bodypix, coral]")["rows"]
    assert [(row["people"], row["rules"]) for row in rows] == [
        (people, rules) for people in (1, 2) for rules in ("paper", "tfjs", "bodypix", "coral")
    ]
    assert all(row["found"] == row["people"] and row["poses_ms"] > 0 for row in rows)
    assert all((row["masks_ms"] is None) == (row["rules"] == "tfjs") for row in rows)
    assert all((row["size"], row["engine"], row["batch"]) == ([185, 249], "numba", 2) for row in rows)
    assert all(row["network_ms"] is None for row in rows)


def test_crowds_are_made_up_when_no_scenes_are_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "PEOPLE", (3,))
    rows = run(tmp_path, "--engine", "torch", "--threads", "1")["rows"]
    assert [(row["scene"], row["stride"], row["size"], row["found"]) for row in rows] == [
        ("crowd03_s08", 8, [481, 641], 3), ("crowd03_s16", 16, [481, 641], 3),
    ]  # fmt: skip
    # The network that comes with the package knows stride 8 alone.
    assert rows[0]["network_ms"] > 0
    assert rows[1]["network_ms"] is None


def test_crowds_have_the_people_strides_and_size_asked_for(tmp_path: Path) -> None:
    words = ["--people", "[2, 4]", "--stride", "[8, 16]", "--size", "[321, 401]", "--weights", "none"]
    rows = run(tmp_path, *words, "--threads", "1")["rows"]
    assert [(row["people"], row["stride"], row["size"]) for row in rows] == [
        (people, stride, [321, 401]) for stride in (8, 16) for people in (2, 4)
    ]
    assert [row["found"] for row in rows] == [2, 4, 2, 4]


def test_one_and_two_threads_and_both_engines_in_one_call(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    words = ["--engine", "[auto, numba, torch]", "--weights", str(embedded_path())]
    result = run(tmp_path, *CROWD, *words)
    assert [(row["threads"], row["batch"], row["engine"]) for row in result["rows"]] == [
        (threads, threads, engine) for threads in (1, 2) for engine in ("numba", "torch")
    ]
    assert all(row["network_ms"] > 0 for row in result["rows"])
    assert torch.get_num_threads() == before


def test_the_threads_asked_for_are_those_that_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[int] = []
    make = bench.make_decoder

    def watched(*words: Any, **options: Any) -> Any:
        seen.append(torch.get_num_threads())
        return make(*words, **options)

    monkeypatch.setattr(bench, "make_decoder", watched)
    rows = run(tmp_path, *CROWD, "--threads", "[2, 1]", "--batch", "3", "--weights", "none")["rows"]
    assert seen == [2, 2, 1, 1]
    assert [(row["threads"], row["batch"]) for row in rows] == [(2, 3), (1, 3)]


def test_the_result_tells_where_it_comes_from(tmp_path: Path) -> None:
    result = run(tmp_path, *CROWD, "--weights", "none")
    assert result["command"].startswith("personlab bench decode --runs 1 --json ")
    assert result["command"].endswith("--people 3 --stride 8 --size '[161, 209]' --weights none")
    assert {"date", "commit", "dirty", "cpu", "cores", "gpu", "versions"} < set(result)
    assert (result["device"], result["runs"], result["gpu"]) == ("cpu", 1, None)


@pytest.mark.gpu
def test_a_gpu_tells_its_memory(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    result = run(tmp_path, *CROWD, "--device", "cuda", "--batch", "4")
    assert result["gpu"] == torch.cuda.get_device_name()
    assert [(row["engine"], row["threads"], row["batch"]) for row in result["rows"]] == [("torch", 1, 4)]
    assert all(row["memory_peak_mib"] > 0 and row["network_ms"] > 0 for row in result["rows"])


@pytest.mark.parametrize(("words", "told"), [
    (["--runs", "0"], "--runs must be at least 1"), (["--scenes", "nowhere"], "nowhere: holds no .npz"),
    (["--rules", "[mine]"], "mine"), (["--threads", "[1, 0]"], "--threads must be at least 1, got 0"),
    (["--threads", "[]"], "--threads must be at least 1, got nothing"),
    (["--batch", "0"], "--batch must be at least 1"), (["--people", "[1, 101]"], "numbers from 1 to 100"),
    (["--people", "[]"], "numbers from 1 to 100"), (["--people", "many"], "many"),
    (["--stride", "0"], "--stride [0]: give numbers from 1 on"), (["--size", "[481]"], "give [height, width]"),
    (["--size", "[480, 641]", "--stride", "8"], "n * 8 + 1 at stride 8, such as 481x641"),
    (["--size", "[33, 33]"], "at least 65"), (["--size", "[65, 10000001]"], "a side has 16384 pixels at most"),
    (["--scenes", "nowhere", "--people", "3"], "leave out --people, --stride, --size"),
    (["--rules", "[]"], "--rules is an empty list"), (["--engine", "[]"], "--engine is an empty list"),
    (["--device", "abacus"], "device abacus cannot be used"),
    ([*CROWD, "--weights", "nowhere.safetensors"], "nowhere.safetensors"),
])  # fmt: skip
def test_bad_usage_is_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "decode", *words]) == 2
    assert told in capsys.readouterr().err
