"""`personlab weights`: what stands in the files that it writes, and what it tells of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from personlab.cli.main import main
from personlab.files import sha256
from personlab.network import MobileNetV2
from personlab.weights.imagenet import load_imagenet
from personlab.weights.network_file import decoder_of, embedded_path, load_network, save_network
from tests.weights.released import POSE_HEADS, mobilenet, write
from tests.weights.test_network_file import ARCHITECTURE, DECODER, small_network

DEMO = str(Path(__file__).resolve().parents[2] / "configs" / "experiment" / "demo.yaml")


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


def test_trained_weights_name_those_they_started_from(checkpoint, tmp_path) -> None:
    first, output = tmp_path / "first.safetensors", tmp_path / "made.safetensors"
    save_network(first, ARCHITECTURE, small_network().state_dict(), {"licence": "CC-BY-4.0"})
    config = checkpoint.parent.parent / "config.yaml"
    for initial, wanted in (
        (str(first), {"source_started_from": first.name, "source_started_from_sha256": sha256(first),
                      "licence": "CC-BY-4.0"}),
        (str(tmp_path / "gone.safetensors"), {"source_started_from": "gone.safetensors"}),
        ("none", {}),
    ):  # fmt: skip
        model = {"network": ARCHITECTURE, "decoder": DECODER, "initial_weights": initial}
        OmegaConf.save({"model": model}, config)
        assert main(["weights", "extract", str(checkpoint), "-o", str(output)]) == 0
        found = load_network(output)[1]
        assert {n: v for n, v in found.items() if n.startswith("source_") or n == "licence"} == wanted


def test_raw_weights_stand_beside_the_averages(checkpoint, tmp_path) -> None:
    state = torch.load(checkpoint, weights_only=True)
    raw = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in state["state_dict"].items()}
    torch.save(state | {"current_model_state": raw}, checkpoint)
    for which, wanted in (("ema", state["state_dict"]), ("raw", raw)):
        output = tmp_path / f"{which}.safetensors"
        assert main(["weights", "extract", str(checkpoint), "-o", str(output), "--weights", which]) == 0
        network, metadata = load_network(output)
        assert metadata["weights"] == which
        assert all(torch.equal(tensor, wanted[f"network.{name}"]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(("step", "weights", "is_its"), [(7, "ema", True), (8, "ema", False), (7, "raw", False)])
def test_scores_of_another_step_or_other_weights_are_left_out(checkpoint, tmp_path, step, weights, is_its) -> None:
    state = torch.load(checkpoint, weights_only=True)
    torch.save(state | {"global_step": 7}, checkpoint)
    scores = json.dumps({"step": step, "weights": weights, "keypoints": {"AP": 0.5}})
    (checkpoint.parent.parent / "evaluation.json").write_text(scores)
    output = tmp_path / "made.safetensors"
    assert main(["weights", "extract", str(checkpoint), "-o", str(output)]) == 0
    assert load_network(output)[1]["evaluation"] == (scores if is_its else "")


def test_a_checkpoint_outside_a_run_is_told(tmp_path, capsys) -> None:
    torch.save({"state_dict": {}}, tmp_path / "lone.ckpt")
    assert main(["weights", "extract", str(tmp_path / "lone.ckpt"), "-o", str(tmp_path / "x.safetensors")]) == 2
    assert "lies in no run directory" in capsys.readouterr().err


def told(words: list[str], capsys) -> dict:
    assert main([*words, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_an_imported_network_is_described(tmp_path, capsys) -> None:
    model, output = write(tmp_path, mobilenet(8), "uint16"), tmp_path / "made.safetensors"
    words = ["weights", "import", "tfjs", str(model), "-o", str(output)]
    made = told([*words, "--licence", "Apache-2.0", "--half", "true"], capsys)
    found = told(["weights", "inspect", str(output)], capsys)
    assert found == made
    assert found["holds"] == "network"
    assert found["backbone"] == "MobileNetV1"
    assert (found["output_stride"], found["output_strides"], found["missing"]) == (8, [2, 4, 8, 16, 32], 0)
    counts = {"heatmaps": 17, "short_offsets": 34, "mid_offsets": 64, "segmentation": 1, "long_offsets": 34}
    assert found["heads"] == {name: {"channels": n, "trained": True} for name, n in counts.items()}
    assert found["keypoints"][:2] == ["nose", "left_eye"]
    assert found["edges"][:2] == [["nose", "left_eye"], ["left_eye", "left_ear"]]
    assert found["dtypes"] == {"float16": 64}
    network, _ = load_network(output)
    assert found["parameters"] == sum(p.numel() for p in network.parameters())
    assert found["licence"] == "Apache-2.0"
    assert found["source"]["sha256"] == sha256(model)
    assert found["sha256"] == sha256(output)
    assert set(found["skipped_heads"]) == {"part_heatmap", "part_offset"}
    assert found["refinements"] == {"mid": 2, "long": 2, "long_short": 2}


def test_heads_that_are_not_there_are_told(tmp_path, capsys) -> None:
    model, output = write(tmp_path, mobilenet(heads=POSE_HEADS)), tmp_path / "made.safetensors"
    assert main(["weights", "import", "tfjs", str(model), "-o", str(output)]) == 0
    assert "no heads for masks" in capsys.readouterr().err
    assert main(["weights", "inspect", str(output)]) == 0
    text = capsys.readouterr().out
    assert "heatmaps: 17 channels\n" in text
    assert "segmentation: 1 channels, not in the released network: zero\n" in text
    assert "unknown; see where the file came from\n" in text
    assert "output strides  2, 4, 8, 16, 32 (what it can run at, by the same weights)\n" in text
    assert "missing         0 tensors of the network are not in the file\n" in text


def test_an_imagenet_file_becomes_a_backbone(tmp_path, capsys) -> None:
    torch.manual_seed(0)
    source = MobileNetV2(last_layer=True)
    classifier = {"classifier.1.weight": torch.ones(10, 4), "classifier.1.bias": torch.ones(10)}
    torch.save(source.state_dict() | classifier, tmp_path / "mobilenet_v2.pth")
    output = tmp_path / "made.safetensors"
    words = ["weights", "import", "torchvision", str(tmp_path / "mobilenet_v2.pth"), "-o", str(output)]
    assert main(words) == 2
    assert "give --architecture mobilenet_v2|resnet50" in capsys.readouterr().err
    found = told([*words, "--architecture", "mobilenet_v2"], capsys)
    assert (found["holds"], found["backbone"], found["missing"]) == ("backbone", "MobileNetV2", 0)
    assert found["source"]["format"] == "torchvision"
    assert "heads" not in found
    for last_layer in (True, False):
        target = MobileNetV2(norm="frozen", last_layer=last_layer)
        assert not load_imagenet(target, output).missing
        assert torch.equal(target.features[5].conv[0][0].weight, source.features[5].conv[0][0].weight)
    assert main(["weights", "inspect", str(output)]) == 0
    assert "MobileNetV2" in capsys.readouterr().out


def test_our_own_files_are_described(checkpoint, tmp_path, capsys) -> None:
    embedded = told(["weights", "inspect", str(embedded_path())], capsys)
    assert (embedded["backbone"], embedded["output_strides"], embedded["missing"]) == ("Pyramid", [8], 0)
    assert embedded["licence"] == "not recorded"
    assert embedded["notes"]["seed"] == "0"
    in_a_run = told(["weights", "inspect", str(checkpoint)], capsys)
    assert (in_a_run["holds"], in_a_run["backbone"], in_a_run["missing"]) == ("network", "ResNet", 0)
    # Away from its run, a checkpoint has no architecture.
    (tmp_path / "lone.ckpt").write_bytes(checkpoint.read_bytes())
    alone = told(["weights", "inspect", str(tmp_path / "lone.ckpt")], capsys)
    assert alone["holds"] == "tensors"
    assert alone["tensors"] == in_a_run["tensors"] == len(small_network().state_dict())
    assert "heads" not in alone


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inspect", "nowhere.safetensors"], "nowhere.safetensors: no such weight file"),
        (["inspect", "text.safetensors"], "text.safetensors: not a whole safetensors file"),
        (["inspect", "text.ckpt"], "text.ckpt: "),
        (["import", "tfjs", "nowhere.json", "-o", "x.safetensors"], "nowhere.json: cannot be read"),
        (["import", "tfjs", "text.json", "-o", "x.pth"], "text.json: not JSON"),
        (["import", "tfjs", "text.json", "-o", "x.safetensors", "--architecture", "resnet50"], "for torchvision files"),
        (["import", "keras", "text.json", "-o", "x.safetensors"], "no format 'keras'; there are tfjs, torchvision"),
        (["import", "torchvision", "text.pth", "-o", "x.safetensors", "--architecture", "vgg"], "this reads mobilenet"),
        (["import", "tfjs", "text.json"], "output"),
        (["export"], "has no command 'export'"),
    ],
)
def test_bad_input_is_told_in_one_line(words, message, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for suffix in ("safetensors", "ckpt", "json", "pth"):
        (tmp_path / f"text.{suffix}").write_text("hello")
    assert main(["weights", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["export", "net.onnx", "-o", "again.onnx"],
        ["oracle", "--weights", "net.onnx", "--data.root", "SYNTHETIC"],
        ["bench", "decode", "--weights", "net.onnx", "--people", "1", "--stride", "8"],
        ["bench", "tune", "--weights", "net.onnx", "--data.root", "SYNTHETIC", "--vary", "max_people=1,2"],
        ["fit", "--config", DEMO, "--model.initial_weights", "net.onnx", "--data.root", "SYNTHETIC"],
        ["fit", "--config", DEMO, "--model.initial_weights", "imagenet:net.onnx", "--data.root", "SYNTHETIC"],
        ["validate", "--config", DEMO, "--model.initial_weights", "net.onnx", "--data.root", "SYNTHETIC"],
        ["validate", "--config", DEMO, "--ckpt_path", "net.onnx", "--data.root", "SYNTHETIC"],
    ],
)
def test_where_tensors_are_needed_an_onnx_file_is_told(synthetic, words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").write_bytes(b"a graph")
    assert main([str(synthetic) if word == "SYNTHETIC" else word for word in words]) == 2
    told = capsys.readouterr().err
    assert "net.onnx: an ONNX file is for predict, evaluate and data impute only; here, give the .safet" in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"], "a run directory, or an output, for nothing"


def test_looking_at_weights_needs_no_trainer() -> None:
    code = "import personlab.cli.weights, sys; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
