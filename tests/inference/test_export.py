"""`personlab export`: onnxruntime makes torch's fields of the file, and a file of which it does not is not written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from personlab.cli.main import main
from personlab.errors import InputError
from personlab.inference.export import TOLERANCES
from personlab.inference.onnx_network import OnnxNetwork
from personlab.network import PersonLab
from personlab.structures import Fields
from personlab.weights.network_file import build_network, load_network, save_network
from personlab.weights.onnx_file import FIELD_NAMES

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

ARCHITECTURE = {
    "class_path": "personlab.network.PersonLab",
    "init_args": {
        "backbone": {
            "class_path": "personlab.network.MobileNetV1",
            "init_args": {"depth_multiplier": 0.125, "output_stride": 16, "norm": "none"},
        },
        "mid_refinements": 0,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random network of stride 16 that refines long offsets only, exported at stride 8, beside its weights."""
    folder = tmp_path_factory.mktemp("mobilenet")
    torch.manual_seed(3)
    state = build_network(ARCHITECTURE, "test").state_dict()
    save_network(folder / "v1.safetensors", ARCHITECTURE, state, {"licence": "Apache-2.0"})
    words = [str(folder / "v1.safetensors"), "-o", str(folder / "v1.onnx"), "--stride", "8"]
    assert main(["export", *words, "--json", str(folder / "v1.json")]) == 0
    return folder / "v1.onnx"


def _network(exported: Path) -> PersonLab:
    network, _ = load_network(exported.with_suffix(".safetensors"))
    network.set_output_stride(8)
    return network


def _images(batch: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def _assert_equal(found: Fields, wanted: Fields) -> None:
    assert (found.stride, found.disk_radius_px) == (wanted.stride, wanted.disk_radius_px)
    for name in FIELD_NAMES:
        ours, torchs = getattr(found, name), getattr(wanted, name)
        assert ours.shape == torchs.shape
        assert (ours - torchs).abs().max() <= TOLERANCES[name], name


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 33, 33), (2, 25, 57), (3, 9, 17), (1, 1, 25), (2, 1, 1)])
@torch.inference_mode()
def test_fields_of_any_size_are_those_of_torch(mobilenet, batch, height, width) -> None:
    images = _images(batch, height, width)
    _assert_equal(OnnxNetwork(mobilenet)(images), _network(mobilenet)(images))


@torch.inference_mode()
def test_raw_offsets_are_those_of_a_network_that_refines_nothing(mobilenet) -> None:
    images = _images(1, 65, 97)
    network, exported = _network(mobilenet), OnnxNetwork(mobilenet)
    refined = network(images)
    network.set_refinements(0)
    exported.set_refinements(0)
    raw = exported(images)
    _assert_equal(raw, network(images))
    assert (raw.long_offsets - refined.long_offsets).abs().max() > 10 * TOLERANCES["long_offsets"]
    with pytest.raises(InputError, match="3 refinements"):
        exported.set_refinements(3)


def test_the_file_says_all_that_the_weights_said(mobilenet, tmp_path) -> None:
    target = tmp_path / "told.json"
    assert main(["weights", "inspect", str(mobilenet), "--json", str(target)]) == 0
    told = json.loads(target.read_text())
    assert (told["backbone"], told["output_stride"], told["size_multiple"]) == ("MobileNetV1", 8, 8)
    assert told["licence"] == "Apache-2.0"
    assert told["notes"]["weights_file"] == "v1.safetensors"
    assert told["heads"]["mid_offsets"] == {"channels": 64, "trained": True}
    assert told["refinements"] == {"mid": 0, "long": 2, "long_short": 2}
    # Nothing of the machine it was made on.
    assert str(Path(__file__).resolve().parents[2]).encode() not in mobilenet.read_bytes()


def test_the_result_says_how_far_the_fields_differ(mobilenet) -> None:
    result = json.loads(mobilenet.with_suffix(".json").read_text())
    assert result["bytes"] == mobilenet.stat().st_size
    assert result["equal"] is True
    assert all(0 < value <= result["tolerances"][name] for name, value in result["differences"].items())


def test_an_export_that_differs_is_not_written(mobilenet, tmp_path, monkeypatch, capsys) -> None:
    model = onnx.load(str(mobilenet))
    bias = next(t for t in model.graph.initializer if t.name.endswith("heads.heatmaps.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.5, bias.name))
    monkeypatch.setattr("personlab.inference.export.export_onnx", lambda *_: model.SerializeToString())
    words = ["export", str(mobilenet.with_suffix(".safetensors")), "--stride", "8", "-o", str(tmp_path / "wrong.onnx")]
    assert main(words) == 1
    assert "not written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main([*words, "--check", "false"]) == 0
    assert (tmp_path / "wrong.onnx").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["embedded", "-o", "OUT.pt"], "name the file OUT.onnx"),
        (["none.safetensors", "-o", "OUT.onnx"], "none.safetensors: no such"),
        (["embedded", "-o", "OUT.onnx", "--stride", "16"], "output_stride 16"),
    ],
)
def test_bad_words_of_export_are_told(tmp_path, monkeypatch, capsys, words, told) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_told_with_the_mend(tmp_path, monkeypatch, capsys, package) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["export", "embedded", "-o", str(tmp_path / "a.onnx")]) == 2
    assert "pip install 'personlab[onnx]'" in capsys.readouterr().err
