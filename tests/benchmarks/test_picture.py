"""The picture of the README is drawn by the lines that the README shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from benchmarks import picture
from personlab import inference
from personlab.inference import Predictor

README = (picture.ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_drawn_by_the_readmes_own_call(synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []

    def load(weights: str, **options: Any) -> Predictor:
        calls.append(options)
        return inference.load(weights, size=257, **options)  # as large as the synthetic people want

    monkeypatch.setattr(picture, "load", load)
    (tmp_path / "val2017").mkdir()
    photos = sorted((synthetic / "val2017").iterdir())
    for name, photo in zip(picture.PHOTOS, photos, strict=False):
        shutil.copy(photo, tmp_path / "val2017" / name)
    target = tmp_path / "people.jpg"
    picture.main(["embedded", "--data-root", str(tmp_path), "--output", str(target)])
    shown = re.search(r'load\("bodypix.safetensors"(.*?)\)\("photo.jpg"\)', README)
    assert shown is not None
    (options,) = calls
    assert shown[1] == "".join(f", {name}={value}" for name, value in options.items())
    drawn = cv2.imread(str(target))
    widths = sum(round(cv2.imread(str(photo)).shape[1] * picture.HEIGHT / cv2.imread(str(photo)).shape[0])
                 for photo in photos[:3])  # fmt: skip
    assert drawn.shape == (picture.HEIGHT, widths + 2 * picture.GAP, 3)


def test_the_readme_links_every_photograph_and_the_licence() -> None:
    assert all(f"]({page})" in README for page in picture.PHOTOS.values())
    assert "(https://creativecommons.org/licenses/by/2.0/)" in README
