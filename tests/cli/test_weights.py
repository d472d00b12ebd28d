"""`personlab weights extract`: what stands in the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from personlab.cli.main import main
from personlab.weights.network_file import decoder_of, load_network
from tests.weights.test_network_file import ARCHITECTURE, DECODER, small_network


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A checkpoint in a run directory."""
    run = tmp_path / "runs" / "made" / "20260101-000000-abcdef"
    (run / "checkpoints").mkdir(parents=True)
    OmegaConf.save({"model": {"network": ARCHITECTURE, "decoder": DECODER}}, run / "config.yaml")
    (run / "run.json").write_text(json.dumps({"git": {"commit": "c0ffee"}, "config_hash": "12", "seed": 3}))
    path = run / "checkpoints" / "last.ckpt"
    torch.save({"state_dict": {f"network.{k}": v for k, v in small_network().state_dict().items()}}, path)
    return path


def test_the_file_has_the_network_its_decoder_and_where_it_comes_from(checkpoint, tmp_path, capsys) -> None:
    output = tmp_path / "made.safetensors"
    assert main(["weights", "extract", str(checkpoint), "-o", str(output), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == output.stat().st_size
    network, metadata = load_network(output)
    for name, tensor in small_network().state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
    assert decoder_of(metadata, output).nms_radius_px == 4.0
    wanted = {"run_id": "20260101-000000-abcdef", "commit": "c0ffee", "config_hash": "12", "seed": "3"}
    assert metadata.items() >= wanted.items()


@pytest.mark.parametrize(("step", "is_its"), [(7, True), (8, False)])
def test_scores_of_another_step_are_left_out(checkpoint, tmp_path, step, is_its) -> None:
    state = torch.load(checkpoint, weights_only=True)
    torch.save(state | {"global_step": 7}, checkpoint)
    scores = json.dumps({"step": step, "keypoints": {"AP": 0.5}})
    (checkpoint.parent.parent / "evaluation.json").write_text(scores)
    output = tmp_path / "made.safetensors"
    assert main(["weights", "extract", str(checkpoint), "-o", str(output)]) == 0
    assert load_network(output)[1]["evaluation"] == (scores if is_its else "")


def test_a_checkpoint_outside_a_run_is_told(tmp_path, capsys) -> None:
    torch.save({"state_dict": {}}, tmp_path / "lone.ckpt")
    assert main(["weights", "extract", str(tmp_path / "lone.ckpt"), "-o", str(tmp_path / "x.safetensors")]) == 2
    assert "lies in no run directory" in capsys.readouterr().err
