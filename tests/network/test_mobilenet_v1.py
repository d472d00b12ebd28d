"""MobileNetV1: TensorFlow's padding, the released layers' strides, and training without any norm."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from personlab.network import MobileNetV1, PersonLab
from tests.reference.tfjs_graph import same_padding


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d)]


def with_same_padding(network: MobileNetV1, x: torch.Tensor) -> torch.Tensor:
    """Its final map by TensorFlow's rule, layer by layer; tells of uneven padding by an assertion."""
    for conv in convolutions(network):
        kernel, stride, dilation = conv.kernel_size[0], conv.stride[0], conv.dilation[0]
        (top, bottom), (left, right) = (same_padding(size, kernel, stride, dilation) for size in x.shape[-2:])
        assert top == bottom == left == right == conv.padding[0]
        x = nn.functional.pad(x, (left, right, top, bottom))
        x = nn.functional.conv2d(
            x, conv.weight, conv.bias, stride=conv.stride, dilation=conv.dilation, groups=conv.groups
        ).clamp(0, 6)
    return x


@pytest.mark.parametrize("wide_tail", [True, False])
@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("cells", [(1, 1), (2, 3), (4, 7)])
def test_tensorflow_s_padding_is_ours_at_every_level(wide_tail: bool, stride: int, cells: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = MobileNetV1(0.125, stride, norm="none", wide_tail=wide_tail).double()
    for conv in convolutions(network):
        assert conv.bias is not None
        nn.init.normal_(conv.bias, std=0.1)
    images = torch.randn(1, 3, cells[0] * stride + 1, cells[1] * stride + 1, dtype=torch.float64)
    with torch.no_grad():
        final = network(images)[1]
        torch.testing.assert_close(final, with_same_padding(network, images))
    assert final.shape[-2:] == (cells[0] + 1, cells[1] + 1)


def test_at_other_sizes_the_padding_would_differ() -> None:
    assert same_padding(64, 3, 2, 1) == (0, 1)
    assert same_padding(65, 3, 2, 1) == (1, 1)


@pytest.mark.parametrize(
    ("wide_tail", "stride", "strides", "dilations"),
    [
        (False, 32, "2 121212111111 2", "1 111111111111 1"),
        (False, 16, "2 121212111111 1", "1 111111111111 1"),
        (False, 8, "2 121211111111 1", "1 111111222222 2"),
        (True, 32, "2 121212111112 1", "1 111111111111 1"),
        (True, 16, "2 121212111111 1", "1 111111111111 2"),
        (True, 8, "2 121211111111 1", "1 111111222222 4"),
    ],
)
def test_strides_and_dilations_of_stem_and_blocks(wide_tail: bool, stride: int, strides: str, dilations: str) -> None:
    with torch.device("meta"):
        network = MobileNetV1(output_stride=stride, wide_tail=wide_tail)
    spatial = [conv for conv in convolutions(network) if conv.kernel_size == (3, 3)]
    assert [conv.stride[0] for conv in spatial] == [int(c) for c in strides.replace(" ", "")]
    assert [conv.dilation[0] for conv in spatial] == [int(c) for c in dilations.replace(" ", "")]


def test_the_paper_s_network_has_the_paper_s_size() -> None:
    with torch.device("meta"):
        network = MobileNetV1()
        narrow = MobileNetV1(0.75, wide_tail=False)
    assert (network.mid_channels, network.out_channels) == (512, 1024)
    assert (narrow.mid_channels, narrow.out_channels) == (384, 384)
    # 4.2 million with the classifier of 1000 classes, by the MobileNet paper.
    assert sum(p.numel() for p in network.parameters()) == 4_231_976 - 1_025_000


def test_without_norm_signals_keep_their_scale_and_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network = PersonLab(MobileNetV1(0.25, norm="none"), mid_supervision=True)
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        assert 0.1 < float(network.backbone(torch.randn(1, 3, 129, 129))[1].std()) < 6
    fields = network.forward_supervised(torch.randint(0, 256, (1, 3, 65, 65), dtype=torch.uint8))
    sum(f.heatmap_logits.sum() + f.segmentation_logits.sum() + f.mid_offsets.sum() + f.long_offsets.sum()
        for f in fields).backward()  # fmt: skip
    silent = [n for n, p in network.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert not silent


def test_every_option_changes_the_network() -> None:
    def described(**options: object) -> tuple[object, ...]:
        with torch.device("meta"):
            network = MobileNetV1(**{"depth_multiplier": 0.25} | options)  # type: ignore[arg-type]
        kinds = tuple(type(m).__name__ for m in network.modules())
        strides = tuple(conv.stride for conv in convolutions(network))
        return kinds, strides, tuple((n, tuple(t.shape)) for n, t in network.state_dict().items())

    variants = [{}, {"depth_multiplier": 0.5}, {"output_stride": 8}, {"wide_tail": False}]
    variants += [{"norm": norm} for norm in ("frozen", "group", "none")]
    results = [described(**v) for v in variants]
    assert all(a != b for i, a in enumerate(results) for b in results[:i])
