"""Networks in ONNX files: the same people as by torch, and files that are no networks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from personlab.cli.main import main
from personlab.data.images import read_image
from personlab.errors import InputError
from personlab.inference import load
from personlab.inference.onnx_network import OnnxNetwork

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedded") / "tiny.onnx"
    assert main(["export", "embedded", "-o", str(path)]) == 0
    return path


@pytest.mark.parametrize(
    "options",
    [{}, {"rules": "tfjs"}, {"rules": "bodypix"}, {"rules": "coral"}, {"flip": True, "scales": [193]}, {"size": None}],
)
def test_the_same_people_as_by_torch(embedded, synthetic, options) -> None:
    images = [read_image(path) for path in sorted((synthetic / "val2017").iterdir())[:2]]
    torchs, ours = (load(weights, **{"size": 257, **options}) for weights in ("embedded", embedded))
    assert ours.decoder.options == torchs.decoder.options
    assert ours.makes_masks == torchs.makes_masks
    for wanted, found in zip(torchs.predict_batch(images), ours.predict_batch(images), strict=True):
        assert len(found.people) == len(wanted.people) > 0
        np.testing.assert_allclose(found.people.scores, wanted.people.scores, atol=1e-3)
        np.testing.assert_allclose(found.people.keypoints, wanted.people.keypoints, atol=0.05)


def test_predict_and_evaluate_take_an_exported_network(embedded, synthetic, tmp_path) -> None:
    people, scores = [], []
    for weights in ("embedded", str(embedded)):
        results = tmp_path / "results.json"
        words = ["evaluate", "--data.root", str(synthetic), "--size", "257", "--weights", weights]
        assert main([*words, "--results", str(results), "--json", str(tmp_path / "scores.json")]) == 0
        scores.append(json.loads((tmp_path / "scores.json").read_text())["keypoints"]["AP"])
        words = ["predict", str(synthetic / "val2017"), "--size", "257", "--weights", weights, "--draw", "false"]
        assert main([*words, "-o", str(tmp_path / "out")]) == 0
        assert len(json.loads((tmp_path / "out" / "results.json").read_text())) == len(json.loads(results.read_text()))
        people.append(len(json.loads(results.read_text())))
    assert people[0] == people[1] > 0
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)
    assert scores[0] > 0.4


def test_it_uses_the_threads_that_torch_uses(embedded) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert OnnxNetwork(embedded)._session.get_session_options().intra_op_num_threads == 3
    finally:
        torch.set_num_threads(before)


def _foreign(path: Path, metadata: dict[str, str]) -> None:
    """A graph of something else, with the metadata of a network."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n"])
    other = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n"])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "other", [value], [other])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, str(path))


def test_files_of_something_else_are_refused_in_one_line(embedded, tmp_path) -> None:
    content = embedded.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "text.onnx").write_text("no network")
    _foreign(tmp_path / "other.onnx", {})
    metadata = OnnxNetwork(embedded).metadata
    _foreign(tmp_path / "named.onnx", metadata)
    _foreign(tmp_path / "senseless.onnx", {**metadata, "output_stride": "-8"})
    _foreign(tmp_path / "tree.onnx", {**metadata, "skeleton": '{"name": "x"}'})
    for name, told in {
        "none": "no such weight file", "cut": "not a whole ONNX file", "empty": "ONNX file", "text": "not a whole",
        "other": "not of a PersonLab", "named": "takes no images", "senseless": "make no sense",
        "tree": "tell no keypoint_names",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=rf"{name}\.onnx: .*{told}") as error:
            load(tmp_path / f"{name}.onnx")
        assert "\n" not in str(error.value)
        if name != "named":
            assert main(["weights", "inspect", str(tmp_path / f"{name}.onnx")]) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--stride", "16"], "export --stride 16"),
        (["--device", "nowhere"], "device nowhere"),
        (["--device", "cuda:x"], "device cuda:x"),
    ],
)
def test_what_a_file_cannot_do_is_told_before_any_work(embedded, synthetic, tmp_path, capsys, words, told) -> None:
    words = ["predict", str(synthetic / "val2017"), "--weights", str(embedded), "-o", str(tmp_path / "out"), *words]
    assert main(words) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_images_of_a_wrong_size_or_type_are_refused(embedded) -> None:
    network = OnnxNetwork(embedded)
    with pytest.raises(InputError, match="pad it to 65x97"):
        network(torch.zeros(1, 3, 64, 97, dtype=torch.uint8))
    with pytest.raises(InputError, match="must be uint8"):
        network(torch.zeros(1, 3, 65, 97))


def test_without_onnxruntime_the_mend_is_told(embedded, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'personlab\[onnx\]'"):
        load(embedded)


@pytest.mark.slow
@pytest.mark.coco
def test_released_weights_find_the_same_people_on_photographs(shared, tmp_path) -> None:
    source = shared / "weights" / "bodypix-mobilenet-075" / "model-stride16.json"
    if not source.is_file():
        pytest.skip(f"no released weights at {source}")
    weights, exported = tmp_path / "bp.safetensors", tmp_path / "bp.onnx"
    assert main(["weights", "import", "tfjs", str(source), "-o", str(weights)]) == 0
    assert main(["export", str(weights), "-o", str(exported)]) == 0
    images = [read_image(path) for path in sorted((shared / "data" / "coco-sample" / "val2017").glob("*.jpg"))[:3]]
    for rules in ("paper", "bodypix"):
        torchs, ours = (load(path, rules=rules, size=513) for path in (weights, exported))
        for image in images:
            wanted, found = torchs(image).people, ours(image).people
            assert len(found) == len(wanted)
            np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-3)
            np.testing.assert_allclose(found.keypoints, wanted.keypoints, atol=0.1)
