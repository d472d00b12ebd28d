from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from personlab.errors import InputError
from personlab.network import Backbone, MobileNetV1, MobileNetV2, ResNet

SMALL: dict[str, Callable[[], Backbone]] = {
    "basic": lambda: ResNet(blocks=(1, 2, 2, 2), width=4, stem="small", output_stride=32),
    "imagenet stem": lambda: ResNet(blocks=(1, 1, 1, 1), width=(4, 6, 4, 8), output_stride=32),
    "equal widths": lambda: ResNet(blocks=(1, 1, 1, 1), width=(4, 4, 4, 4), stem="small", output_stride=32),
    "bottleneck": lambda: ResNet(depth=50, width=4, output_stride=32),
    "mobilenet": lambda: MobileNetV2(width_mult=0.1, output_stride=32, last_layer=True),
    "mobilenet v1": lambda: MobileNetV1(depth_multiplier=0.125, output_stride=32),
    "mobilenet v1, folded": lambda: MobileNetV1(depth_multiplier=0.125, output_stride=32, norm="none", wide_tail=False),
}


def make(name: str) -> Backbone:
    """A small network in evaluation mode whose every layer takes part (no zero scales), in double precision."""
    torch.manual_seed(0)
    network = SMALL[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return network.double().eval()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_map_sizes_and_channels(name: str, stride: int) -> None:
    network = make(name)
    network.set_output_stride(stride)
    with torch.no_grad():
        mid, final = network(torch.randn(1, 3, 2 * 32 + 1, 4 * 32 + 1, dtype=torch.float64))
    assert final.shape == (1, network.out_channels, 64 // stride + 1, 128 // stride + 1)
    assert mid.shape == (1, network.mid_channels, 64 // network.mid_stride + 1, 128 // network.mid_stride + 1)
    assert network.mid_stride == min(stride, 16)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("fine", "coarse"), [(8, 16), (8, 32), (16, 32)])
def test_cells_shared_by_two_strides_have_the_same_values(name: str, fine: int, coarse: int) -> None:
    network = make(name)
    images = torch.randn(1, 3, 97, 129, dtype=torch.float64)
    with torch.no_grad():
        network.set_output_stride(fine)
        fine_maps = network(images)
        fine_mid_stride = network.mid_stride
        network.set_output_stride(coarse)
        coarse_maps = network(images)
    steps = (network.mid_stride // fine_mid_stride, coarse // fine)
    for dense, sparse, step in zip(fine_maps, coarse_maps, steps, strict=True):
        torch.testing.assert_close(dense[..., ::step, ::step], sparse)


@pytest.mark.parametrize("name", SMALL)
def test_going_to_another_stride_and_back_changes_nothing(name: str) -> None:
    network = make(name)
    images = torch.randn(1, 3, 65, 65, dtype=torch.float64)
    with torch.no_grad():
        before = network(images)[1]
        network.set_output_stride(8)
        network.set_output_stride(32)
        assert torch.equal(network(images)[1], before)


@pytest.mark.parametrize("stride", [4, 8])
def test_shifting_the_image_by_one_stride_shifts_the_map_by_one_cell(stride: int) -> None:
    torch.manual_seed(0)
    network = ResNet(blocks=(1, 1), width=4, stem="small", output_stride=stride).double().eval()
    wide = torch.randn(1, 3, 129, 129 + stride, dtype=torch.float64)
    with torch.no_grad():
        _, here = network(wide[..., :-stride])
        _, moved = network(wide[..., stride:])
    # Only cells whose receptive field does not see the border.
    edge = 64 // stride - 2
    assert not torch.allclose(here[..., edge:-edge, edge:-edge], moved[..., edge:-edge, edge:-edge])
    torch.testing.assert_close(here[..., edge:-edge, edge + 1 : -edge + 1], moved[..., edge:-edge, edge:-edge])


@pytest.mark.parametrize("name", SMALL)
def test_cells_stand_at_multiples_of_the_stride(name: str) -> None:
    """With mirror-symmetric kernels, a mirrored image gives the mirrored map, as every cell is centred on its pixel."""
    network = make(name)
    network.set_output_stride(8)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            with torch.no_grad():
                module.weight.copy_(module.weight + module.weight.flip(-1))
    images = torch.rand(1, 3, 129, 129, dtype=torch.float64)
    with torch.no_grad():
        _, here = network(images)
        _, mirrored = network(images.flip(-1))
    torch.testing.assert_close(here.flip(-1), mirrored)
    assert not torch.allclose(here, mirrored)


@pytest.mark.parametrize(
    ("depth", "entries", "convolutions"),
    [(18, 122, 20), (34, 218, 36), (50, 320, 53), (101, 626, 104), (152, 932, 155)],
)
def test_resnet_has_torchvision_s_names(depth: int, entries: int, convolutions: int) -> None:
    with torch.device("meta"):
        state = ResNet(depth=depth).state_dict()
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[depth]
    expected: set[str] = set()

    def add(conv: str, norm: str) -> None:
        expected.add(f"{conv}.weight")
        expected.update(f"{norm}.{n}" for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"))

    add("conv1", "bn1")
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            for i in range(1, 3 if depth < 50 else 4):
                add(f"layer{stage}.{block}.conv{i}", f"layer{stage}.{block}.bn{i}")
            if block == 0 and (depth >= 50 or stage > 1):
                add(f"layer{stage}.0.downsample.0", f"layer{stage}.0.downsample.1")
    assert set(state) == expected
    # torchvision's state dicts also have fc.weight and fc.bias.
    assert len(state) == entries - 2
    assert len(state) == convolutions * 6
    parameters = {18: 11_176_512, 34: 21_284_672, 50: 23_508_032, 101: 42_500_160, 152: 58_143_808}[depth]
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNet(depth=depth).parameters()) == parameters


def test_resnet50_has_torchvision_s_shapes() -> None:
    with torch.device("meta"):
        network = ResNet(depth=50)
    shapes = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer2.0.conv1.weight"] == (128, 256, 1, 1)
    assert shapes["layer3.5.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["layer4.2.conv3.weight"] == (2048, 512, 1, 1)
    assert (network.mid_channels, network.out_channels) == (1024, 2048)


def test_strides_and_dilations_follow_torchvision() -> None:
    with torch.device("meta"):
        network = ResNet(depth=50, output_stride=8)
    layer3, layer4 = network.get_submodule("layer3"), network.get_submodule("layer4")
    # The stride is on the 3x3 convolution; the first block of a dilated stage keeps the dilation before it.
    assert [b.conv2.dilation[0] for b in layer3] == [1, 2, 2, 2, 2, 2]
    assert [b.conv2.dilation[0] for b in layer4] == [2, 4, 4]
    assert {b.conv2.stride[0] for b in [*layer3, *layer4]} == {1}
    assert {layer3[0].downsample[0].stride, layer4[0].downsample[0].stride} == {(1, 1)}
    network.set_output_stride(32)
    assert (layer4[0].conv1.stride, layer4[0].conv2.stride, layer4[0].downsample[0].stride) == ((1, 1), (2, 2), (2, 2))
    assert {b.conv2.dilation for b in [*layer3, *layer4]} == {(1, 1)}


@pytest.mark.parametrize("last_layer", [True, False])
def test_mobilenet_has_torchvision_s_names(last_layer: bool) -> None:
    with torch.device("meta"):
        network = MobileNetV2(last_layer=last_layer)
    expected: set[str] = set()

    def add(conv: str, norm: str) -> None:
        expected.add(f"{conv}.weight")
        expected.update(f"{norm}.{n}" for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"))

    add("features.0.0", "features.0.1")
    for i in range(1, 18):
        base = f"features.{i}.conv"
        depth = 0 if i == 1 else 1  # the first block does not expand
        for j in range(depth + 1):
            add(f"{base}.{j}.0", f"{base}.{j}.1")
        add(f"{base}.{depth + 1}", f"{base}.{depth + 2}")
    if last_layer:
        add("features.18.0", "features.18.1")
    assert set(network.state_dict()) == expected
    assert (network.mid_channels, network.out_channels) == (96, 1280 if last_layer else 320)
    if last_layer:
        # torchvision's 3,504,872 less the classifier of 1000 classes.
        assert sum(p.numel() for p in network.parameters()) == 3_504_872 - 1_281_000


@pytest.mark.parametrize(
    "build",
    [
        lambda: ResNet(depth=18, blocks=(1, 1)),
        lambda: ResNet(blocks=(1, 1), width=(4, 8, 16)),
        lambda: ResNet(blocks=(1,), width=4, output_stride=4),
        lambda: ResNet(blocks=(1, 0), width=4, output_stride=4),
        lambda: ResNet(blocks=(1, 1), width=4, output_stride=16),
        lambda: ResNet(blocks=(1, 1), width=4, output_stride=12),
        lambda: MobileNetV2(output_stride=64),
        lambda: MobileNetV2(width_mult=0.0),
        lambda: MobileNetV1(output_stride=64),
        lambda: MobileNetV1(depth_multiplier=0.01),
    ],
)
def test_impossible_sizes_are_refused(build: Callable[[], Backbone]) -> None:
    with torch.device("meta"), pytest.raises(InputError):
        build()


def test_every_option_changes_the_network() -> None:
    def shapes(**options: object) -> list[tuple[str, tuple[int, ...]]]:
        with torch.device("meta"):
            return [
                (n, tuple(t.shape))
                for n, t in ResNet(**{"blocks": (1, 1), "width": 8, "output_stride": 8} | options).state_dict().items()
            ]  # type: ignore[arg-type]

    variants = [
        {},
        {"blocks": (1, 2)},
        {"width": 16},
        {"width": (8, 8)},
        {"norm": "group"},
        {"norm": "frozen"},
        {"stem": "small"},
    ]
    results = [shapes(**v) for v in variants]
    assert all(a != b for i, a in enumerate(results) for b in results[:i])
