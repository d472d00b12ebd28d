"""The pyramid: sizes, alignment, and that coarse stages reach the result."""

from __future__ import annotations

import pytest
import torch

from personlab.errors import InputError
from personlab.network import PersonLab, Pyramid, ResNet


def make(output_stride: int = 8) -> Pyramid:
    torch.manual_seed(0)
    trunk = ResNet(blocks=(1, 1, 1, 1), width=(8, 12, 16, 16), stem="small", norm="group")
    return Pyramid(trunk, channels=16, output_stride=output_stride, norm="group")


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_the_map_has_a_cell_every_stride(stride):
    backbone = make(stride)
    mid, final = backbone(torch.randn(2, 3, 65, 97))
    assert final.shape == mid.shape == (2, 16, 64 // stride + 1, 96 // stride + 1)
    assert (backbone.output_stride, backbone.mid_stride) == (stride, stride)
    assert PersonLab(backbone)(torch.zeros(1, 3, 65, 97, dtype=torch.uint8)).stride == stride


def test_every_stage_reaches_the_result():
    backbone = make()
    image = torch.randn(1, 3, 65, 65)
    backbone(image)[1].square().sum().backward()
    for stage in backbone.trunk.stages():
        assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in stage.parameters())


def test_a_shift_by_the_coarsest_stride_moves_the_inside_of_the_map():
    torch.manual_seed(1)
    # Batch norm in evaluation mode acts on each place alone, so the network commutes with shifts far from the border.
    trunk = ResNet(blocks=(1, 1, 1), width=(8, 12, 16), stem="small")
    backbone = Pyramid(trunk, channels=16, output_stride=8).double().eval()
    scene = torch.zeros(1, 3, 257, 257 + 16, dtype=torch.float64)
    scene[..., 100:160, 100:160] = torch.randn(1, 3, 60, 60, dtype=torch.float64)
    with torch.no_grad():
        here, there = backbone(scene[..., :257])[1], backbone(scene[..., 16:])[1]
    assert (here - there).abs().max() > 1e-6
    torch.testing.assert_close(here[..., 9:-9, 11:-9], there[..., 9:-9, 9:-11])


def test_impossible_strides_and_sizes_are_told():
    with pytest.raises(InputError, match=r"merged at \[4, 8, 16\]"):
        make(32)
    with pytest.raises(InputError, match=r"n \* 32 \+ 1"):
        make()(torch.zeros(1, 3, 49, 65))
    with pytest.raises(InputError, match="can run at"):
        make().set_output_stride(16)
