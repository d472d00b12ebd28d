"""Released networks become ours: the same fields as an evaluation of the graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from personlab.network import HEAD_NAMES, PersonLab
from personlab.structures import Fields
from personlab.weights import load_initial
from personlab.weights.network_file import decoder_of, heads_of, load_network, save_network
from personlab.weights.tfjs import import_tfjs
from tests.reference.tfjs_graph import evaluate
from tests.weights.released import MULTIPLIER, POSE_HEADS, mobilenet, write

TINY_OUTPUTS = {
    "heatmaps": "heatmap_2", "short": "offset_2", "fwd": "displacement_fwd_2", "bwd": "displacement_bwd_2",
    "segmentation": "segment_2", "long": "embedding_2",
}  # fmt: skip
BODYPIX_OUTPUTS = {
    "heatmaps": "float_heatmaps", "short": "float_short_offsets", "fwd": "MobilenetV1/displacement_fwd_2/BiasAdd",
    "bwd": "MobilenetV1/displacement_bwd_2/BiasAdd", "segmentation": "float_segments", "long": "float_long_offsets",
}  # fmt: skip


def imported(model: Path, folder: Path, half: bool = False) -> tuple[PersonLab, dict[str, str]]:
    """Through a file, as a user gets it."""
    found = import_tfjs(model)
    path = folder / "imported.safetensors"
    save_network(path, found.architecture, found.state, found.metadata, half=half, decoder=found.decoder)
    return load_network(path)


def raw_fields(network: PersonLab, images: torch.Tensor) -> Fields:
    network.set_refinements(0)
    with torch.no_grad():
        return network(images)


def released_layout(fields: Fields) -> dict[str, torch.Tensor]:
    """Our fields as the released networks put them out: all dy before all dx."""

    def offsets(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values[:, :, 1], values[:, :, 0]], dim=1)

    edges = fields.mid_offsets.shape[1] // 2
    return {
        "heatmaps": fields.heatmap_logits,
        "short": offsets(fields.short_offsets),
        "fwd": offsets(fields.mid_offsets[:, :edges]),
        "bwd": offsets(fields.mid_offsets[:, edges:]),
        "segmentation": fields.segmentation_logits,
        "long": offsets(fields.long_offsets),
    }


def check_equal(network: PersonLab, model: Path, outputs: dict[str, str], size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (1, 3, *size), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    ours = released_layout(raw_fields(network, images))
    values = evaluate(model, images.double() / 127.5 - 1)
    for name, output in outputs.items():
        wanted = values[output]
        error = (ours[name] - wanted).abs().max() / wanted.abs().max()
        assert ours[name].shape == wanted.shape
        assert error < 1e-4, f"{name}: {error:.1e}"
        assert wanted.std() > 0


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("name", ["bodypix-mobilenet-050", "bodypix-mobilenet-075"])
def test_the_released_networks(name: str, stride: int, shared: Path, tmp_path: Path) -> None:
    model = shared / "weights" / name / f"model-stride{stride}.json"
    if not model.is_file():
        pytest.skip(f"no {model}")
    network, metadata = imported(model, tmp_path)
    assert network.output_stride == stride
    check_equal(network, model, BODYPIX_OUTPUTS, (6 * stride + 1, 9 * stride + 1))
    assert heads_of(metadata, model) == HEAD_NAMES
    # One checkpoint serves both graphs.
    other = 24 - stride
    network.set_output_stride(other)
    check_equal(network, model.with_name(f"model-stride{other}.json"), BODYPIX_OUTPUTS, (6 * other + 1, 9 * other + 1))


@pytest.mark.parametrize("storage", ["float32", "float16", "uint16", "uint8"])
@pytest.mark.parametrize("fused", [False, True])
def test_every_storage_and_both_forms_of_graph(storage: str, fused: bool, tmp_path: Path) -> None:
    model = write(tmp_path, mobilenet(fused=fused), storage, shards=3)
    last = "BiasAdd"
    outputs = {ours: f"MobilenetV1/{head}/{last}" for ours, head in TINY_OUTPUTS.items()}
    check_equal(imported(model, tmp_path)[0], model, outputs, (65, 97))


@pytest.mark.parametrize("wide_tail", [False, True])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_every_stride_from_one_checkpoint(stride: int, wide_tail: bool, tmp_path: Path) -> None:
    # The narrow tail ends at 16 in the released graphs; coarser maps are every second cell of it.
    written = min(stride, 32 if wide_tail else 16)
    model = write(tmp_path / str(written), mobilenet(written, wide_tail=wide_tail))
    other = write(tmp_path / "other", mobilenet(8 if written == 16 else 16, wide_tail=wide_tail))
    network, _ = imported(other, tmp_path)
    network.set_output_stride(stride)
    if written == stride:
        outputs = {ours: f"MobilenetV1/{head}/BiasAdd" for ours, head in TINY_OUTPUTS.items()}
        check_equal(network, model, outputs, (4 * stride + 1, 3 * stride + 1))
    images = torch.randint(0, 256, (1, 3, 97, 129), dtype=torch.uint8)
    coarse = raw_fields(network, images)
    network.set_output_stride(8)
    fine = raw_fields(network, images)
    step = stride // 8
    torch.testing.assert_close(fine.long_offsets[..., ::step, ::step], coarse.long_offsets)
    assert coarse.stride == stride


def test_what_the_file_says(tmp_path: Path) -> None:
    model = write(tmp_path, mobilenet(8), shards=2)
    found = import_tfjs(model)
    backbone = found.architecture["init_args"]["backbone"]["init_args"]
    assert backbone == {"depth_multiplier": MULTIPLIER, "output_stride": 8, "norm": "none", "wide_tail": False}
    assert found.metadata["output_stride"] == "8"
    assert found.metadata["source_file"] == "model.json"
    assert len(found.metadata["source_sha256"]) == 64
    assert set(json.loads(found.metadata["source_shards"])) == {"group1-shard1of2.bin", "group1-shard2of2.bin"}
    assert set(json.loads(found.metadata["skipped_heads"])) == {"part_heatmap", "part_offset"}
    network, metadata = imported(model, tmp_path)
    assert (network.mid_refinements, network.long_refinements, network.long_short_refinements) == (2, 2, 2)
    assert network.disk_radius_px == 32.0
    assert decoder_of(metadata, model).masks


def test_a_posenet_has_no_masks_and_says_so(tmp_path: Path) -> None:
    model = write(tmp_path, mobilenet(heads=POSE_HEADS, fused=True))
    network, metadata = imported(model, tmp_path)
    assert heads_of(metadata, model) == ("heatmaps", "short_offsets", "mid_offsets")
    assert not decoder_of(metadata, model).masks
    assert json.loads(metadata["skipped_heads"]) == {}
    outputs = {ours: f"MobilenetV1/{TINY_OUTPUTS[ours]}/BiasAdd" for ours in ("heatmaps", "short", "fwd", "bwd")}
    check_equal(network, model, outputs, (65, 65))
    fields = raw_fields(network, torch.randint(0, 256, (1, 3, 65, 65), dtype=torch.uint8))
    assert fields.segmentation.max() < 1e-3
    assert not fields.long_offsets.any()


def test_a_sigmoid_in_the_graph_is_left_to_our_fields(tmp_path: Path) -> None:
    writer = mobilenet()
    writer.add("Sigmoid", "heatmaps", [writer.add("Identity", "named", ["MobilenetV1/heatmap_2/BiasAdd"])])
    model = write(tmp_path, writer)
    images = torch.randint(0, 256, (1, 3, 65, 65), dtype=torch.uint8)
    wanted = evaluate(model, images.double() / 127.5 - 1)["heatmaps"]
    found = raw_fields(imported(model, tmp_path)[0], images).heatmaps
    torch.testing.assert_close(found, wanted.float(), rtol=0, atol=1e-5)


def test_half_storage_keeps_three_digits(tmp_path: Path) -> None:
    model = write(tmp_path, mobilenet())
    images = torch.randint(0, 256, (1, 3, 65, 65), dtype=torch.uint8)
    full, half = (raw_fields(imported(model, tmp_path, half)[0], images).heatmap_logits for half in (False, True))
    assert 0 < (full - half).abs().max() < 0.02 * full.abs().max()


def test_an_imported_network_can_be_trained(tmp_path: Path) -> None:
    network, _ = imported(write(tmp_path, mobilenet(heads=POSE_HEADS)), tmp_path)
    fields = network.train()(torch.randint(0, 256, (2, 3, 65, 65), dtype=torch.uint8))
    (fields.heatmap_logits.mean() + fields.segmentation_logits.mean() + fields.mid_offsets.abs().mean()).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    # Offsets of zero length everywhere pull at nothing yet; the loss above has none of these fields either.
    assert all(name.startswith("heads.long_offsets") for name in silent), silent
    fresh = PersonLab(type(network.backbone)(MULTIPLIER, norm="none", wide_tail=False))  # type: ignore[call-arg]
    report = load_initial(fresh, str(tmp_path / "imported.safetensors"))
    # Poses alone: the other heads begin like those of any new network.
    absent = {f"heads.{head}.{part}" for head in ("segmentation", "long_offsets") for part in ("weight", "bias")}
    assert set(report.missing) == set(report.skipped) == absent
