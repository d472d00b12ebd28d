"""The run that nobody cuts off, which all others must equal."""

from __future__ import annotations

from pathlib import Path

import pytest

from personlab.cli.main import main
from personlab.experiments import RunDirectory
from tests.integration.cut_runs import WORDS, run_of


@pytest.fixture(scope="module")
def whole(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    runs = tmp_path_factory.mktemp("whole")
    assert main([*WORDS, f"--data.root={synthetic}", f"--run.root={runs}"]) == 0
    return run_of(runs)
