"""`personlab bench encode`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from personlab.cli import encode_bench
from personlab.cli.main import main
from personlab.encoding import Encoder


def run(folder: Path, *words: str) -> dict[str, Any]:
    result = folder / "encode.json"
    assert main(["bench", "encode", "--runs", "1", "--json", str(result), *words]) == 0
    return json.loads(result.read_text())


def test_every_crowd_batch_and_thread_count_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, int, int]] = []
    encode = Encoder.__call__

    def watched(self: Encoder, batch: Any, stride: int) -> Any:
        labelled = int((batch.keypoints[..., 2] > 0).any(dim=2).sum())
        seen.append((labelled, len(batch), stride, torch.get_num_threads()))
        return encode(self, batch, stride)

    monkeypatch.setattr(Encoder, "__call__", watched)
    before = torch.get_num_threads()
    result = run(tmp_path, "--people", "[1, 3]", "--batch", "[1, 2]", "--threads", "[1, 2]")
    expected = [(people, batch, threads) for threads in (1, 2) for batch in (1, 2) for people in (1, 3)]
    assert [(row["people"], row["batch"], row["threads"]) for row in result["rows"]] == expected
    # Once to warm up and once to be timed.
    assert seen == [(people * batch, batch, 8, threads) for people, batch, threads in expected for _ in range(2)]
    assert all(row["encode_ms"] >= row["fastest_ms"] > 0 for row in result["rows"])
    assert torch.get_num_threads() == before
    assert {"command", "commit", "cpu", "versions"} < set(result)


def test_times_are_of_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode_bench, "times_ms", lambda *_: [30.0, 10.0, 20.0])
    (row,) = run(tmp_path, "--people", "10", "--batch", "4", "--threads", "1")["rows"]
    assert (row["encode_ms"], row["fastest_ms"]) == (5.0, 2.5)
    assert (row["quoted_ms"], row["times_quoted"]) == (135.0, 27.0)


@pytest.mark.parametrize("words", [["--people", "3"], ["--stride", "16"], ["--size", "[401, 417]"]])
def test_only_what_was_quoted_is_compared(words: list[str], tmp_path: Path) -> None:
    rows = run(tmp_path, "--batch", "1", "--threads", "1", "--people", "1", *words)["rows"]
    assert all(row["quoted_ms"] is None and row["times_quoted"] is None for row in rows)


@pytest.mark.parametrize(("words", "told"), [
    (["--people", "[0, 1]"], "--people must be at least 1, got 0"), (["--people", "[]"], "got nothing"),
    (["--people", "255"], "--people must be 254 or fewer"), (["--batch", "0"], "--batch must be at least 1"),
    (["--runs", "0"], "--runs must be at least 1"), (["--threads", "0"], "--threads must be at least 1"),
    (["--size", "[400, 401]"], "must be n * 8 + 1, such as 401"), (["--size", "[401]"], "give [height, width]"),
    (["--stride", "0"], "--stride must be at least 1"), (["--size", "[9, 9]"], "at least 65"),
    (["--size", "[65, 100001]"], "a side has 16384 pixels at most"),
    (["--device", "abacus"], "device abacus cannot be used"),
])  # fmt: skip
def test_bad_usage_is_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "encode", *words]) == 2
    assert told in capsys.readouterr().err
