"""A network that starts from another's weights: heads, keypoints and disks may differ."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from personlab.cli.main import main
from personlab.errors import InputError
from personlab.network import PersonLab
from personlab.skeleton import COCO
from personlab.weights import load_initial
from personlab.weights.network_file import build_network, decoder_of, load_network, save_network

TRIO = (("nose", "hand", "foot"), ((0, 1), (1, 2)))
OTHER = (("foot", "nose", "hand", "tail"), ((1, 2), (2, 0), (1, 3)))
"""Another order, and a keypoint and an edge more."""


def architecture(names: tuple[str, ...], edges: Any, radius: float = 8.0, width: int = 8, **more: Any) -> Any:
    skeleton = {"name": "s", "keypoint_names": list(names), "edges": [list(e) for e in edges]}
    return {
        "class_path": "personlab.network.PersonLab",
        "init_args": {
            "backbone": {
                "class_path": "personlab.network.ResNet",
                "init_args": {"blocks": [1, 1], "width": width, "stem": "small", "output_stride": 8},
            },
            "skeleton": {
                "class_path": "personlab.skeleton.Skeleton",
                "init_args": {**skeleton, "sigmas": [0.1] * len(names)},
            },
            "disk_radius_px": radius,
            **more,
        },
    }


def made(described: Any, seed: int) -> PersonLab:
    torch.manual_seed(seed)
    network = build_network(described, "test")
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


def saved(path: Path, described: Any, seed: int = 1, **metadata: str) -> PersonLab:
    network = made(described, seed)
    save_network(path, described, network.state_dict(), metadata)
    return network


def test_a_file_without_a_decoder_is_decoded_by_its_own_skeleton(tmp_path: Path) -> None:
    network = saved(tmp_path / "trio.safetensors", architecture(*TRIO))
    metadata = load_network(tmp_path / "trio.safetensors")[1]
    assert "decoder" not in metadata
    decoder = decoder_of(metadata, "trio")
    assert decoder.skeleton == network.skeleton
    assert len(decoder.skeleton.keypoint_names) == 3
    assert decoder_of({}, "nothing").skeleton == COCO


def test_channels_go_by_the_names_of_keypoints_and_edges(tmp_path: Path) -> None:
    path = tmp_path / "trio.safetensors"
    theirs = saved(path, architecture(*TRIO))
    network = made(architecture(*OTHER), seed=2)
    fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    report = load_initial(network, str(path))
    image = torch.randint(0, 256, (1, 3, 65, 49), dtype=torch.uint8)
    for net in (theirs, network):
        net.set_refinements(0)
    with torch.no_grad():
        ours, given = network(image), theirs(image)
    names, wanted = OTHER[0], TRIO[0]
    for name in wanted:
        k, j = names.index(name), wanted.index(name)
        torch.testing.assert_close(ours.heatmap_logits[:, k], given.heatmap_logits[:, j])
        torch.testing.assert_close(ours.short_offsets[:, k], given.short_offsets[:, j])
        torch.testing.assert_close(ours.long_offsets[:, k], given.long_offsets[:, j])
    # nose-hand is their edge 0 and ours; hand-foot is 1 for both; back again from E on.
    for e, d in ((0, 0), (1, 1), (3, 2), (4, 3)):
        torch.testing.assert_close(ours.mid_offsets[:, e], given.mid_offsets[:, d])
    # The tail is nobody's: it keeps what it had.
    assert torch.equal(network.state_dict()["heads.heatmaps.weight"][3], fresh["heads.heatmaps.weight"][3])
    assert torch.equal(network.state_dict()["heads.mid_offsets.bias"][4:6], fresh["heads.mid_offsets.bias"][4:6])
    assert report.partial["heads.heatmaps.weight"] == "3 of 4 channels, by name"
    assert report.partial["heads.mid_offsets.bias"] == "8 of 12 channels, by name"
    assert "heads.segmentation.weight" in report.loaded
    assert len(report.unfilled) == 8


def test_a_skeleton_without_a_common_name_starts_from_the_backbone(tmp_path: Path) -> None:
    path = tmp_path / "trio.safetensors"
    saved(path, architecture(*TRIO))
    network = made(architecture(("a", "b", "c"), ((0, 1), (1, 2))), seed=2)
    fresh = network.heads.heatmaps.weight.clone()
    report = load_initial(network, str(path))
    assert torch.equal(network.heads.heatmaps.weight, fresh)
    assert report.skipped["heads.heatmaps.weight"] == "no keypoint or edge of the same name"
    assert "heads.heatmaps.weight" in report.missing
    assert any(name.startswith("backbone.") for name in report.loaded)


def test_offsets_stay_pixels_when_the_disks_differ(tmp_path: Path) -> None:
    path = tmp_path / "trio.safetensors"
    theirs = saved(path, architecture(*TRIO, radius=8.0))
    network = made(architecture(*TRIO, radius=20.0), seed=2)
    load_initial(network, str(path))
    image = torch.randint(0, 256, (1, 3, 33, 49), dtype=torch.uint8)
    with torch.no_grad():
        ours, given = network(image), theirs(image)
    for name in ("heatmap_logits", "short_offsets", "mid_offsets", "long_offsets"):
        torch.testing.assert_close(getattr(ours, name), getattr(given, name), rtol=1e-4, atol=1e-4)


def test_heads_that_were_never_trained_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "poses.safetensors"
    saved(path, architecture(*TRIO), heads=json.dumps(["heatmaps", "short_offsets", "mid_offsets"]))
    network = made(architecture(*TRIO), seed=2)
    fresh = network.heads.segmentation.weight.clone()
    report = load_initial(network, str(path))
    assert torch.equal(network.heads.segmentation.weight, fresh)
    assert set(report.missing) == {
        f"heads.{h}.{p}" for h in ("segmentation", "long_offsets") for p in ("weight", "bias")
    }
    assert report.skipped["heads.segmentation.bias"] == "its network was not trained with this head"


def test_a_table_tells_each_part(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "trio.safetensors"
    saved(path, architecture(*TRIO))
    network = made(architecture(*OTHER, mid_supervision=True, mean=[127.5] * 3), seed=2)
    with caplog.at_level(logging.INFO, logger="personlab"):
        load_initial(network, str(path))
    lines = caplog.text.splitlines()
    row = next(line.split() for line in lines if line.lstrip().startswith("heads.heatmaps "))
    assert row == ["heads.heatmaps", "2", "3", "of", "4", "channels,", "by", "name"]
    row = next(line.split() for line in lines if line.lstrip().startswith("mid_heads.heatmaps "))
    assert row == ["mid_heads.heatmaps", "2", "not", "in", "the", "file"]
    assert any("mean [123.675, 116.28, 103.53], this network has [127.5, 127.5, 127.5]" in line for line in lines)


def test_another_backbone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trio.safetensors"
    saved(path, architecture(*TRIO, width=8))
    described = architecture(*TRIO)
    backbone = {"class_path": "personlab.network.MobileNetV1", "init_args": {"depth_multiplier": 0.25}}
    described["init_args"]["backbone"] = backbone
    network = made(described, seed=2)
    with pytest.raises(InputError, match=r"trio.safetensors: no tensor fits the backbone .* another architecture"):
        load_initial(network, str(path))


def test_weights_that_fill_a_network_in_part_are_not_scored(
    tmp_path: Path, synthetic: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Poses alone for the embedded network: two heads would put out noise.
    from personlab.weights.network_file import architecture_of, embedded_path, load_network

    network, metadata = load_network(embedded_path())
    path = tmp_path / "poses.safetensors"
    described = architecture_of(metadata, path)
    assert described is not None
    heads = json.dumps(["heatmaps", "short_offsets", "mid_offsets"])
    save_network(path, described, network.state_dict(), {"heads": heads})
    config = Path(__file__).parents[2] / "configs/experiment/tiny.yaml"
    words = ["validate", "--config", str(config), f"--data.root={synthetic}", f"--model.initial_weights={path}"]
    assert main([*words, f"--run.root={tmp_path / 'runs'}", "--run.wandb=off"]) == 2
    assert "4 tensors of the network are missing" in capsys.readouterr().err
