"""Fields on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from personlab.decoding.rules.layout import read_fields, write_fields
from personlab.errors import InputError
from tests.decoding.scenes import noisy, paint, standing


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "fields.npz"
    write_fields(path, noisy(paint(standing((60, 70)), 15, 16)))
    return path


def rewritten(path: Path, **changes: np.ndarray | None) -> Path:
    """The same file with arrays replaced, or left out where None."""
    arrays = {**np.load(path), **changes}
    np.savez(path, **{name: v for name, v in arrays.items() if v is not None})
    return path


def test_what_is_written_is_read_back(saved: Path) -> None:
    before, after = noisy(paint(standing((60, 70)), 15, 16)), read_fields(saved)
    assert (after.stride, after.disk_radius_px) == (before.stride, before.disk_radius_px)
    torch.testing.assert_close(after.heatmaps, before.heatmaps, atol=1e-6, rtol=0)
    for name in ("short_offsets", "mid_offsets", "long_offsets"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name), atol=0.07, rtol=1e-3)


def test_vectors_on_disk_are_dy_then_dx(saved: Path) -> None:
    on_disk, fields = np.load(saved), read_fields(saved)
    for k in (0, 16):
        np.testing.assert_array_equal(fields.short_offsets[0, k, 0], on_disk["short"][..., 17 + k])
        np.testing.assert_array_equal(fields.short_offsets[0, k, 1], on_disk["short"][..., k])
    np.testing.assert_array_equal(fields.mid_offsets[0, 16 + 3, 0], on_disk["bwd"][..., 16 + 3])
    np.testing.assert_array_equal(fields.mid_offsets[0, 3, 1], on_disk["fwd"][..., 3])


def test_the_stride_is_told_by_file_label_map_name_or_caller(saved: Path) -> None:
    assert read_fields(saved).stride == 8
    assert read_fields(saved, stride=16).stride == 16
    rows, columns = np.load(saved)["seg_logit"].shape
    label_map = np.zeros(((rows - 1) * 4 + 1, (columns - 1) * 4 + 1), np.uint8)
    assert read_fields(rewritten(saved, stride=None, instances=label_map)).stride == 4
    named = rewritten(saved, instances=None).rename(saved.parent / "n01_s32_clean.npz")
    assert read_fields(named).stride == 32
    with pytest.raises(InputError, match=r"plain\.npz.*--stride"):
        read_fields(named.rename(saved.parent / "plain.npz"))


@pytest.mark.parametrize(("changes", "message"), [
    ({"short": None}, "no array short"),
    ({"heatmap": np.zeros((4, 4), np.float32)}, r"heatmap is \(4, 4\)"),
    ({"bwd": np.zeros((1, 1, 32), np.float16)}, "bwd is"),
    ({"long": np.zeros((15, 16, 34), np.int64)}, "long holds int64"),
    ({"heatmap": np.full((15, 16, 17), 1.5, np.float32)}, "outside 0..1"),
    ({"stride": np.array(0)}, "stride 0 are no image"), ({"stride": np.array([8, 8])}, "not one whole number"),
    ({"stride": np.array(8.5)}, "not one whole number"), ({"stride": np.array(np.nan)}, "not one whole number"),
    ({"stride": np.array("x")}, "not one whole number"), ({"stride": np.array(10**6)}, "are no image"),
    ({"disk_radius_px": np.array(-3.0)}, "no positive number"), ({"disk_radius_px": np.array(0)}, "--disk-radius"),
    ({"disk_radius_px": np.array([1.0, 2.0])}, "no positive number"),
])  # fmt: skip
def test_a_bad_array_is_named(saved: Path, changes: dict[str, np.ndarray | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_fields(rewritten(saved, **changes))


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fields.npz"
    with pytest.raises(InputError, match=r"fields\.npz: no such file"):
        read_fields(path)
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=r"fields\.npz: is no readable"):
        read_fields(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))  # an .npy by another name
    with pytest.raises(InputError, match=r"fields\.npz: is no readable"):
        read_fields(path)
    np.savez(path, heatmap=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"fields\.npz: is no readable"):
        read_fields(path)
    with pytest.raises(InputError, match="cannot write"):
        write_fields(tmp_path / "missing" / "fields.npz", noisy(paint(standing((60, 70)), 15, 16)))
