"""A small synthetic data set, made once for all end-to-end tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from personlab.data.synthetic import generate


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training and four validation images of people."""
    root = tmp_path_factory.mktemp("synthetic")
    generate(root, train_images=12, val_images=4, size=129, seed=5, processes=1)
    return root
