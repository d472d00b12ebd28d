from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from personlab.errors import InputError
from personlab.network import ResNet
from personlab.weights.files import load_into, load_weights, network_tensors, save_weights


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"a.weight": torch.randn(3, 4), "a.steps": torch.tensor(7), "b": torch.randn(2, 3, 4, 5)}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "net.safetensors"
    metadata = {"config": '{"depth": 50}', "ema": "true"}
    save_weights(path, state(), metadata)
    loaded, told = load_weights(path)
    assert told == metadata
    assert loaded.keys() == state().keys()
    assert all(torch.equal(loaded[n], t) and loaded[n].dtype == t.dtype for n, t in state().items())


def test_shared_and_unusual_layouts_are_saved_by_value(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    tied = torch.randn(2, 3, 4, 5)
    save_weights(path, {"x": tied, "y": tied, "z": tied.to(memory_format=torch.channels_last), "t": tied[0, 0].T})
    loaded, told = load_weights(path)
    assert told == {}
    assert all(torch.equal(loaded[n], tied) for n in "xyz")
    assert torch.equal(loaded["t"], tied[0, 0].T)


def test_half_storage_halves_the_file_and_loads_as_float32(tmp_path: Path) -> None:
    big = {"w": torch.randn(100, 100), "count": torch.tensor(70_000)}
    save_weights(tmp_path / "full.safetensors", big)
    save_weights(tmp_path / "half.safetensors", big, half=True)
    sizes = [(tmp_path / f"{n}.safetensors").stat().st_size for n in ("full", "half")]
    assert sizes[1] < 0.52 * sizes[0]
    loaded, _ = load_weights(tmp_path / "half.safetensors")
    assert loaded["w"].dtype == torch.float32
    assert torch.equal(loaded["w"], big["w"].half().float())
    assert torch.equal(loaded["count"], big["count"])


def test_half_storage_refuses_what_would_become_infinite(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"net\.safetensors: w has values too large"):
        save_weights(tmp_path / "net.safetensors", {"w": torch.tensor([1e6])}, half=True)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.safetensors"
    save_weights(path, {"w": torch.ones(3)})

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(InputError, match="No space left"):
        save_weights(path, {"w": torch.zeros(3)})
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]
    assert torch.equal(load_weights(path)[0]["w"], torch.ones(3))


def test_a_reader_of_the_old_file_never_sees_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_weights(path, {"w": torch.ones(3)})
    old = path.read_bytes()
    with path.open("rb") as reader:
        save_weights(path, {"w": torch.zeros(3)})
        assert reader.read() == old
    assert torch.equal(load_weights(path)[0]["w"], torch.zeros(3))


def test_only_safetensors_are_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"net\.safetensors"):
        save_weights(tmp_path / "net.pth", state())


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_pytorch_files(tmp_path: Path, wrap: bool, legacy: bool) -> None:
    path = tmp_path / "net.pth"
    content = {"state_dict": state(), "epoch": 3} if wrap else state()
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    loaded, metadata = load_weights(path)
    assert metadata == {}
    assert all(torch.equal(loaded[n], t) for n, t in state().items())


class Canary:
    """Unpickling this makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("bare", [False, True])
def test_code_in_a_file_is_not_run(tmp_path: Path, bare: bool) -> None:
    path, canary = tmp_path / "evil.pth", tmp_path / "canary"
    if bare:
        path.write_bytes(pickle.dumps(Canary(canary), protocol=2))
    else:
        torch.save({"w": torch.ones(2), "x": Canary(canary)}, path)
    with pytest.raises(InputError, match=r"evil\.pth: .*refused"):
        load_weights(path)
    assert not canary.exists()
    # The canary would sing.
    torch.load(path, weights_only=False) if not bare else pickle.loads(path.read_bytes())
    assert canary.exists()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.safetensors: no such weight file"):
        load_weights(tmp_path / "no.safetensors")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.6, 0.99])
def test_truncated_files(tmp_path: Path, suffix: str, keep: float) -> None:
    path = tmp_path / f"net{suffix}"
    tensors = {"w": torch.randn(50, 50)}
    if suffix == ".pth":
        torch.save(tensors, path)
    else:
        save_weights(path, tensors)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(InputError, match=f"net{suffix}: (not a whole|damaged)") as told:
        load_weights(path)
    assert "\n" not in str(told.value)


def test_noise_and_other_kinds_of_file(tmp_path: Path) -> None:
    for name in ("noise.pth", "noise.safetensors", "noise.ckpt"):
        (tmp_path / name).write_bytes(bytes(range(256)) * 4)
        with pytest.raises(InputError, match=name):
            load_weights(tmp_path / name)
    (tmp_path / "image.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(InputError, match=r"image\.jpg: not a weight file"):
        load_weights(tmp_path / "image.jpg")
    for name, mend in (("a.SAFETENSORS", r"a\.safetensors"), ("b.ONNX", r"b\.onnx"), ("c.Pth", r"c\.pth")):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InputError, match=rf"{name}: .* small letters; rename it to {mend}$"):
            load_weights(tmp_path / name)
    for content in ([1, 2], {"epoch": 3}, {}, torch.ones(2)):
        torch.save(content, tmp_path / "other.pt")
        with pytest.raises(InputError, match=r"other\.pt: holds no tensors by name"):
            load_weights(tmp_path / "other.pt")


def test_load_into_reports_what_happened() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    report = load_into(
        module,
        {
            "net.0.weight": torch.full((3, 2), 5.0),
            "net._orig_mod.0.bias": torch.full((3,), 6.0),
            "net.1.weight": torch.ones(4),
            "net.1.num_batches_tracked": torch.tensor(9),
            "net.2.num_batches_tracked": torch.tensor(9),
            "net.fc.weight": torch.ones(2),
            "other": torch.ones(2),
        },
        prefix="net.",
    )
    assert report.loaded == ("0.weight", "0.bias")
    assert report.missing == ("1.weight", "1.bias", "1.running_mean", "1.running_var")
    assert set(report.skipped) == {"net.1.weight", "net.fc.weight", "other"}
    assert report.skipped["net.1.weight"] == "shape (4,), network has (3,)"
    assert (module[0].weight == 5).all()
    assert (module[0].bias == 6).all()
    assert (module[1].weight == 1).all()
    assert int(module[1].num_batches_tracked) == 9
    assert report.summary().startswith("2 loaded, 3 skipped [net.1.weight (shape (4,), network has (3,)), ")
    assert report.summary().endswith("4 missing [1.weight, 1.bias, 1.running_mean, ...]")


def test_a_trained_network_goes_to_a_file_and_back(tmp_path: Path) -> None:
    source, target = (ResNet(blocks=(1, 1), width=8, output_stride=8, norm=norm) for norm in ("batch", "frozen"))
    source(torch.randn(2, 3, 33, 33))
    save_weights(tmp_path / "net.safetensors", source.state_dict())
    report = load_into(target, load_weights(tmp_path / "net.safetensors")[0])
    assert not report.missing
    assert not report.skipped
    images = torch.randn(1, 3, 33, 33)
    assert torch.equal(source.eval()(images)[1], target(images)[1])
    with safe_open(tmp_path / "net.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(source.state_dict())


def test_the_network_of_a_task() -> None:
    plain = state()
    task = {f"network.{name}": tensor for name, tensor in plain.items()} | {"loss.scale": torch.ones(1)}
    assert network_tensors(plain) == {}
    assert network_tensors(task) == plain
    # Only the task's own prefix goes.
    assert list(network_tensors({"network.network.a": torch.ones(1), "my.network.b": torch.ones(1)})) == ["network.a"]
