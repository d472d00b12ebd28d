from __future__ import annotations

from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser

from personlab.data.warp import MEAN_COLOUR
from personlab.errors import InputError
from personlab.network import MobileNetV2, PersonLab, ResNet
from personlab.skeleton import Skeleton
from personlab.structures import Fields


def tiny(**options: object) -> PersonLab:
    torch.manual_seed(0)
    backbone = ResNet(blocks=(1, 1, 1), width=8, stem="small", output_stride=8)
    return PersonLab(backbone, **options)  # type: ignore[arg-type]


def tensors(fields: Fields) -> dict[str, torch.Tensor]:
    return {k: v for k, v in vars(fields).items() if isinstance(v, torch.Tensor)}


IMAGES = torch.randint(0, 256, (2, 3, 33, 65), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_fields_of_the_coco_skeleton() -> None:
    fields = tiny()(IMAGES)
    shapes = {k: tuple(v.shape) for k, v in tensors(fields).items()}
    assert shapes == {
        "heatmap_logits": (2, 17, 5, 9),
        "short_offsets": (2, 17, 2, 5, 9),
        "mid_offsets": (2, 32, 2, 5, 9),
        "segmentation_logits": (2, 1, 5, 9),
        "long_offsets": (2, 17, 2, 5, 9),
    }
    assert fields.stride == 8


def test_another_skeleton_sets_the_channels() -> None:
    chain = Skeleton("chain", ("a", "b", "c"), ((0, 1), (1, 2)), (0.1, 0.1, 0.1))
    fields = tiny(skeleton=chain, mid_supervision=True).forward_supervised(IMAGES)
    assert [f.mid_offsets.shape[1] for f in fields] == [4, 4]
    assert [f.heatmap_logits.shape[1] for f in fields] == [3, 3]


def test_bytes_and_floats_give_the_same() -> None:
    network = tiny().eval()
    for a, b in zip(tensors(network(IMAGES)).values(), tensors(network(IMAGES.float())).values(), strict=True):
        assert torch.equal(a, b)


def test_images_are_normalised_inside() -> None:
    plain = tiny(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)).eval()
    network = tiny(mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 8.0)).eval()
    by_hand = (IMAGES.float() - torch.tensor([10.0, 20.0, 30.0])[:, None, None]) / torch.tensor([2.0, 4.0, 8.0])[
        :, None, None
    ]
    for a, b in zip(tensors(network(IMAGES)).values(), tensors(plain(by_hand)).values(), strict=True):
        torch.testing.assert_close(a, b)
    assert not any("mean" in name or "std" in name for name in network.heads.state_dict())
    assert set(network.state_dict()) == set(plain.state_dict())
    assert {"mean", "std", "edge_targets"}.isdisjoint(network.state_dict())


@pytest.mark.parametrize(
    ("colours", "seen"),
    [({}, [0, 0, 0]), ({"mean": (127.5,) * 3, "std": (127.5,) * 3}, [-0.03, -0.09, -0.18])],
    ids=["ImageNet", "released"],
)
def test_what_networks_see_beside_an_image_is_what_is_told(colours: dict[str, tuple[float, ...]], seen) -> None:
    beside = torch.tensor(MEAN_COLOUR).view(1, 3, 1, 1)
    found = tiny(**colours)._normalised(beside.expand(1, 3, 9, 9))
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor(seen, dtype=torch.float32), atol=0.01, rtol=0)


@pytest.mark.parametrize("size", [(32, 33), (33, 40), (34, 33)])
def test_wrong_sizes_are_told_with_the_right_one(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"pad it to \d+x\d+") as told:
        tiny()(torch.zeros(1, 3, *size))
    padded = tuple(int(n) for n in str(told.value).split("pad it to ")[1].split("x"))
    assert tiny()(torch.zeros(1, 3, *padded)).heatmap_logits.shape[-2:] == (
        (padded[0] - 1) // 8 + 1,
        (padded[1] - 1) // 8 + 1,
    )


def test_supervised_fields() -> None:
    assert len(tiny().forward_supervised(IMAGES)) == 1
    network = tiny(mid_supervision=True, disk_radius_px=12.0).eval()
    network.set_output_stride(16)
    final, mid = network.forward_supervised(IMAGES)
    assert final.disk_radius_px == mid.disk_radius_px == 12.0
    assert (network.output_stride, final.stride, mid.stride) == (16, 16, 8)
    assert final.heatmap_logits.shape[-2:] == (3, 5)
    assert mid.heatmap_logits.shape[-2:] == (5, 9)
    for a, b in zip(tensors(final).values(), tensors(network(IMAGES)).values(), strict=True):
        assert torch.equal(a, b)
    (final.heatmap_logits.sum() + mid.heatmap_logits.sum()).backward()
    assert all(p.grad is not None for n, p in network.named_parameters() if "heatmaps" in n or "backbone" in n)


def test_unrefined_fields_agree_at_cells_shared_by_two_strides() -> None:
    network = tiny(mid_refinements=0, long_refinements=0, long_short_refinements=0).double().eval()
    fine = network(IMAGES)
    network.set_output_stride(16)
    coarse = network(IMAGES)
    for name, tensor in tensors(coarse).items():
        torch.testing.assert_close(getattr(fine, name)[..., ::2, ::2], tensor)


def test_mid_offsets_are_refined_by_the_heads_own_short_offsets() -> None:
    plain = tiny(mid_refinements=0).eval()
    refined = tiny(mid_refinements=1).eval()
    short, before, after = plain(IMAGES).short_offsets, plain(IMAGES).mid_offsets, refined(IMAGES).mid_offsets
    # A constant correction field: what is read does not depend on the place.
    for network in (plain, refined):
        torch.nn.init.zeros_(network.heads.short_offsets.weight)
        torch.nn.init.constant_(network.heads.short_offsets.bias, 0.25)
    assert not torch.equal(before, after)
    assert short.abs().max() > 0
    torch.testing.assert_close(refined(IMAGES).mid_offsets, plain(IMAGES).mid_offsets + 8.0)


def test_autocast_smoke() -> None:
    network = tiny(mid_supervision=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fields = network.forward_supervised(IMAGES[:1])
    for field in fields:
        for tensor in tensors(field).values():
            assert tensor.dtype == torch.float32
            assert torch.isfinite(tensor).all()
    sum(t.mean() for t in tensors(fields[0]).values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_channels_last_gives_the_same() -> None:
    network = tiny().eval()
    plain = network(IMAGES)
    network = network.to(memory_format=torch.channels_last)
    other = network(IMAGES.contiguous(memory_format=torch.channels_last))
    for a, b in zip(tensors(plain).values(), tensors(other).values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"mid_refinements": -1},
        {"long_refinements": -1},
        {"long_short_refinements": -1},
        {"disk_radius_px": 0.0},
        {"std": (1.0, 0.0, 1.0)},
    ],
)
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        tiny(**options)


def test_built_from_yaml_by_class_path(tmp_path: Path) -> None:
    config = tmp_path / "model.yaml"
    config.write_text(
        """
network:
  class_path: personlab.network.PersonLab
  init_args:
    backbone:
      class_path: personlab.network.ResNet
      init_args: {depth: 50, output_stride: 16, norm: frozen}
    mid_supervision: true
    long_refinements: 1
"""
    )
    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_argument("--network", type=PersonLab)
    parsed = parser.parse_args(["--config", str(config)])
    with torch.device("meta"):
        network = parser.instantiate_classes(parsed).network
    assert isinstance(network, PersonLab)
    assert isinstance(network.backbone, ResNet)
    assert (network.output_stride, network.backbone.out_channels, network.long_refinements) == (16, 2048, 1)
    assert network.skeleton.num_keypoints == 17
    # What a run saves as its configuration builds the same network again.
    again = parser.parse_string(parser.dump(parsed))
    assert again.network == parsed.network


def test_built_from_nested_options() -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(PersonLab, "network")
    parsed = parser.parse_args(
        [
            "--network.backbone=personlab.network.ResNet",
            "--network.backbone.blocks=[1,1,1]",
            "--network.backbone.width=8",
        ]
    )
    network = parser.instantiate_classes(parsed).network
    assert network(IMAGES).stride == 16
    parsed = parser.parse_args(["--network.backbone=MobileNetV2", "--network.backbone.width_mult=0.1"])
    assert isinstance(parser.instantiate_classes(parsed).network.backbone, MobileNetV2)


def test_refinement_can_be_turned_off_and_on_again() -> None:
    network = tiny().eval()
    refined = network(IMAGES)
    network.set_refinements(0)
    raw = network(IMAGES)
    for name in ("mid_offsets", "long_offsets"):
        assert not torch.equal(getattr(raw, name), getattr(refined, name))
    assert torch.equal(raw.short_offsets, refined.short_offsets)
    network.set_refinements(2)
    assert torch.equal(network(IMAGES).mid_offsets, refined.mid_offsets)
    with pytest.raises(InputError, match="0 or more"):
        network.set_refinements(-1)
