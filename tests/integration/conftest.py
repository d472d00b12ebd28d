"""A small synthetic data set, made once for all end-to-end tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from personlab.data.synthetic import generate


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training and five validation images of people, large enough for the embedded network."""
    root = tmp_path_factory.mktemp("synthetic")
    generate(root, train_images=12, val_images=5, size=257, seed=5, processes=1)
    return root
