"""A network by torch beside onnxruntime, at a size that takes no time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import onnx, zoo_tables
from personlab.weights.network_file import load_network, weights_path


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_times_of_both_are_told(
    real: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Torch beside itself, since the export takes ten seconds and has its own tests; slow: the real thing."""
    if not real:
        monkeypatch.setattr(onnx, "export", lambda *_, **__: {"equal": True, "bytes": 5_000_000, "differences": {}})
        monkeypatch.setattr(onnx, "OnnxNetwork", lambda _: load_network(weights_path("embedded"))[0])
    monkeypatch.setattr(onnx, "SIZES", ((65, 97),))
    monkeypatch.setenv("GOMP_SPINCOUNT", "10000")
    file = tmp_path / "onnx.json"
    onnx.main(["--threads", "1", "--turns", "2", "--json", str(file)])
    result = json.loads(file.read_text())
    (row,) = result["rows"]
    low, high = row["quartiles"]["torch"]
    assert low <= row["torch_ms"] <= high
    assert row["ratio"] == pytest.approx(row["torch_ms"] / row["onnxruntime_ms"])
    assert (row["size"], row["threads"], result["runs"]) == ([65, 97], 1, 6)
    assert result["command"] == (
        "GOMP_SPINCOUNT=10000 python -m benchmarks.onnx --threads 1 --turns 2 --json onnx.json"
    )
    assert "| 97×65 | 1 | " in zoo_tables.onnx_table(result)
    assert "| 97×65 | 1 | " in capsys.readouterr().out


def test_no_turns_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        onnx.main(["--turns", "0"])
    assert "--turns and --threads must be at least 1" in capsys.readouterr().err
