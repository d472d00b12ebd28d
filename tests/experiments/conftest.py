"""Data that runs made by hand were evaluated on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose validation split has 24 small images of people."""
    from personlab.data.synthetic import generate

    root = tmp_path_factory.mktemp("people")
    generate(root, train_images=1, val_images=24, size=129, seed=5, processes=1)
    return root
