"""A network in one file: what goes in comes out, and nothing else is built on a file's behalf."""

from __future__ import annotations

import json

import pytest
import torch

from personlab.errors import InputError
from personlab.network import PersonLab, ResNet
from personlab.weights import load_initial, save_weights
from personlab.weights.network_file import decoder_of, load_network, network_state, save_network

ARCHITECTURE = {
    "class_path": "personlab.network.PersonLab",
    "init_args": {
        "backbone": {
            "class_path": "personlab.network.ResNet",
            "init_args": {"blocks": [1, 1], "width": 8, "output_stride": 8},
        },
        "disk_radius_px": 12.0,
    },
}  # fmt: skip


def small_network() -> PersonLab:
    torch.manual_seed(1)
    return PersonLab(ResNet(blocks=(1, 1), width=8, output_stride=8), disk_radius_px=12.0)


def test_a_network_comes_back_as_it_was(tmp_path):
    network = small_network().eval()
    save_network(tmp_path / "a.safetensors", ARCHITECTURE, network.state_dict(), {"seed": "1"})
    again, metadata = load_network(tmp_path / "a.safetensors")
    image = torch.randint(0, 256, (1, 3, 33, 33), dtype=torch.uint8)
    with torch.no_grad():
        first, second = network(image), again(image)
    assert torch.equal(first.mid_offsets, second.mid_offsets)
    assert second.disk_radius_px == 12.0
    assert metadata["seed"] == "1"
    assert not again.training


DECODER = {"class_path": "personlab.decoding.PaperDecoder", "init_args": {"nms_radius_px": 4.0, "masks": False}}


def test_a_file_says_how_its_network_is_decoded(tmp_path):
    path = tmp_path / "a.safetensors"
    save_network(path, ARCHITECTURE, small_network().state_dict(), {}, decoder=DECODER)
    decoder = decoder_of(load_network(path)[1], path)
    assert (decoder.nms_radius_px, decoder.masks) == (4.0, False)
    save_network(path, ARCHITECTURE, small_network().state_dict(), {})
    assert vars(decoder_of(load_network(path)[1], path)).items() >= {"nms_radius_px": 10.0, "masks": True}.items()


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({**DECODER, "class_path": "os.system"}, "only classes of personlab"),
        ({**DECODER, "class_path": "personlab.network.PersonLab"}, "decoder"),
        ({**DECODER, "init_args": {"nms_radius_px": -1.0}}, "nms_radius_px"),
        ({**DECODER, "init_args": {"nms": 1.0}}, "nms"),
    ],
)
def test_a_bad_decoder_is_told_with_the_file(tmp_path, bad, told):
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match=told) as error:
        save_network(path, ARCHITECTURE, small_network().state_dict(), {}, decoder=bad)
    assert "a.safetensors" in str(error.value)
    assert not path.exists()
    with pytest.raises(InputError, match=told):
        decoder_of({"decoder": json.dumps(bad)}, path)


def test_half_precision_halves_the_file(tmp_path):
    for name, half in (("a", False), ("b", True)):
        save_network(tmp_path / f"{name}.safetensors", ARCHITECTURE, small_network().state_dict(), {}, half=half)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in "ab"]
    assert sizes[1] < 0.7 * sizes[0]


def test_tensors_that_do_not_fill_the_network_are_refused(tmp_path):
    state = small_network().state_dict()
    del state["heads.segmentation.weight"]
    with pytest.raises(InputError, match="missing"):
        save_network(tmp_path / "a.safetensors", ARCHITECTURE, state, {})


@pytest.mark.parametrize(
    "backbone",
    [
        {"class_path": "torch.nn.Linear"},
        {"class_path": "foreign_module.Net"},
        "foreign_module.Net",
        ["foreign_module.Net"],
        [{"class_path": "foreign_module.Net"}],
        "{class_path: foreign_module.Net}",
        "personlab.network.ResNet: {class_path: foreign_module.Net}",
        "section",
        "./section",
        {"class_path": "personlab.network.ResNet", "init_args": {"norm": "foreign_module.Net"}},
    ],
)
def test_a_file_cannot_name_foreign_classes(tmp_path, monkeypatch, backbone):
    made = tmp_path / "imported"
    code = f"import pathlib\npathlib.Path({str(made)!r}).touch()\nclass Net: pass\n"
    (tmp_path / "foreign_module.py").write_text(code)
    (tmp_path / "section").write_text("class_path: foreign_module.Net\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    bad = {"class_path": "personlab.network.PersonLab", "init_args": {"backbone": backbone}}
    save_weights(tmp_path / "a.safetensors", small_network().state_dict(), {"network": json.dumps(bad)})
    with pytest.raises(InputError, match="only classes of personlab"):
        load_network(tmp_path / "a.safetensors")
    assert not made.exists()


@pytest.mark.parametrize("architecture", ["foreign_module.Net", ["foreign_module.Net"], 3])
def test_an_architecture_is_a_mapping(tmp_path, architecture):
    save_weights(tmp_path / "a.safetensors", small_network().state_dict(), {"network": json.dumps(architecture)})
    with pytest.raises(InputError, match=r"a\.safetensors: .* no mapping"):
        load_network(tmp_path / "a.safetensors")


@pytest.mark.parametrize("text", ["{", "3", "[]"])
def test_metadata_that_describe_nothing_are_told_with_the_file(tmp_path, text):
    path = tmp_path / "a.safetensors"
    save_weights(path, small_network().state_dict(), {"network": text})
    with pytest.raises(InputError, match=r"a\.safetensors: .*network"):
        load_network(path)
    with pytest.raises(InputError, match=r"a\.safetensors: .*decoder"):
        decoder_of({"decoder": text}, path)


def test_a_file_without_architecture_says_how_to_make_one(tmp_path):
    save_weights(tmp_path / "a.safetensors", small_network().state_dict(), {})
    with pytest.raises(InputError, match="weights extract"):
        load_network(tmp_path / "a.safetensors")


def test_initial_weights_come_from_files_and_from_checkpoints(tmp_path):
    source = small_network()
    save_weights(tmp_path / "a.safetensors", source.state_dict(), {})
    torch.save({"state_dict": {f"network.{k}": v for k, v in source.state_dict().items()}}, tmp_path / "b.ckpt")
    for file in ("a.safetensors", "b.ckpt"):
        torch.manual_seed(7)
        target = PersonLab(ResNet(blocks=(1, 1), width=8, output_stride=8), disk_radius_px=12.0)
        load_initial(target, str(tmp_path / file))
        assert all(
            torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values(), strict=True)
        )
    assert network_state(tmp_path / "b.ckpt").keys() == source.state_dict().keys()
    torch.save({"other": torch.zeros(2)}, tmp_path / "c.pth")
    with pytest.raises(InputError, match="no tensor fits the backbone"):
        load_initial(target, str(tmp_path / "c.pth"))
    with pytest.raises(InputError, match="holds no PersonLab"):
        network_state(tmp_path / "c.pth")
