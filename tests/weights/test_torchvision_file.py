"""torchvision's files as backbones: what fits comes through, anything else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from personlab.errors import InputError
from personlab.network import Backbone, MobileNetV2, ResNet
from personlab.weights.files import save_weights
from personlab.weights.imagenet import load_imagenet, package_path
from personlab.weights.torchvision_file import import_torchvision
from tests.weights.test_files import Canary


def like(network: type[Backbone], **options: object) -> dict[str, torch.Tensor]:
    """A file's tensors with the right names and shapes, and hardly any bytes."""
    with torch.device("meta"):
        state = network(**options).state_dict()  # type: ignore[arg-type]
    return {name: torch.full((), 0.5).expand(t.shape) for name, t in state.items() if "num_batches" not in name}


def test_a_resnet_goes_through_a_file_of_ours(tmp_path: Path) -> None:
    torch.save(like(ResNet, depth=50) | {"fc.weight": torch.ones(2, 3)}, tmp_path / "resnet50.pth")
    architecture, state = import_torchvision(tmp_path / "resnet50.pth", "resnet50")
    assert architecture == {"class_path": "personlab.network.ResNet", "init_args": {"depth": 50}}
    assert "fc.weight" not in state
    save_weights(tmp_path / "ours.safetensors", state, half=True)
    target = ResNet(depth=50, norm="frozen")
    assert not load_imagenet(target, tmp_path / "ours.safetensors").missing
    assert all(bool((t == 0.5).all()) for t in target.state_dict().values())


def test_torchvision_s_own_mobilenet() -> None:
    try:
        path = package_path()
    except InputError as error:
        pytest.skip(str(error))
    _, state = import_torchvision(path, "mobilenet_v2")
    assert len(state) == 5 * 52


def test_other_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(like(ResNet, depth=101), path)
    # All of a ResNet-50 is in a ResNet-101's file, by name and shape.
    for wrong in ("resnet50", "resnet152", "mobilenet_v2"):
        with pytest.raises(InputError, match=r"weights\.pth: not the weights of"):
            import_torchvision(path, wrong)  # type: ignore[arg-type]
    torch.save(like(MobileNetV2, last_layer=True) | {"features.19.weight": torch.ones(2)}, path)
    with pytest.raises(InputError, match=r"not the weights of torchvision's mobilenet_v2: .*features\.19"):
        import_torchvision(path, "mobilenet_v2")


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"w": Canary(tmp_path / "canary")}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match=r"evil\.pth: .*refused"):
        import_torchvision(tmp_path / "evil.pth", "resnet50")
    assert not (tmp_path / "canary").exists()
