"""The notebooks run from top to bottom, draw something, and are committed without what they drew."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from personlab.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = ["01_data", "02_targets_and_fields", "03_decoder_and_oracle", "04_training", "05_results"]
SECONDS = 300
"""For one cell: a hanging one must end, a slow machine must not."""


@pytest.fixture(autouse=True)
def _nobodys_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have set these for themselves."""
    for name in ("PERSONLAB_NOTEBOOK_ROOT", "PERSONLAB_NOTEBOOK_RUNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebooks in a folder that is laid out as the repository, where they keep data and runs; data are shared."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    shutil.copytree(ROOT / "configs", root / "configs")
    return root


def execute(path: Path) -> Any:
    """Run a notebook; a cell that fails raises, with its traceback."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(path.parent)}})
    own = {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
        "IPYTHONDIR": str(path.parents[1] / "ipython"),  # nobody's own settings
    }
    return client.execute(env=os.environ | own)


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures(notebook: Any) -> int:
    """Outputs that are a picture, a plotly chart, or a page with pictures in it."""
    shown = [output.get("data", {}) for output in outputs(notebook)]
    kinds = ("image/png", "image/jpeg", "image/svg+xml", "application/vnd.plotly.v1+json")
    return sum(any(k in data for k in kinds) or "<img src=" in data.get("text/html", "") for data in shown)


def test_there_are_five() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_as_written(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), "clear the outputs before a commit"
    assert not any(cell.metadata for cell in notebook.cells), "what an editor noted of cells is no business of others"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name"}, "the version of one's Python makes a difference of nothing"
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert "PERSONLAB_NOTEBOOK_ROOT" in notebook.cells[0].source
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert 5 <= len(code) <= 10
    assert max(len(cell.source.splitlines()) for cell in code) <= 35, "thin: what takes more belongs into the package"
    # As an editor writes it, so that opening and saving changes nothing.
    assert (
        path.read_text(encoding="utf-8")
        == json.dumps(json.loads(path.read_text()), indent=1, ensure_ascii=False) + "\n"
    )


@pytest.mark.parametrize("name", NAMES)
def test_runs_and_draws(copies: Path, name: str) -> None:
    notebook = execute(copies / "notebooks" / f"{name}.ipynb")
    assert pictures(notebook) >= 3
    assert (copies / "data" / "notebooks" / "val2017").is_dir()


def test_takes_the_data_it_is_given(copies: Path, synthetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONLAB_NOTEBOOK_ROOT", str(synthetic))
    path = copies / "notebooks" / "01_data.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("print(ROOT, {k: len(v) for k, v in splits.items()})"))
    own = copies / "notebooks" / "own.ipynb"
    nbformat.write(notebook, own)
    told = outputs(execute(own))[-1].text
    assert told.startswith(str(synthetic))
    assert "'train2017': 12, 'val2017': 5" in told


def test_shows_the_runs_that_it_is_given_with_their_data(
    copies: Path, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["validate", "--config", str(ROOT / "configs/experiment/demo.yaml"), "--model.initial_weights=embedded"]
    command += [f"--data.root={synthetic}", "--data.workers=0", f"--run.root={tmp_path}", "--run.wandb=off"]
    for name in ("a<b", "other"):
        assert main([*command, f"--run.name={name}", "--data.eval_size=193"]) == 0
    monkeypatch.setenv("PERSONLAB_NOTEBOOK_RUNS", str(tmp_path))
    notebook = nbformat.read(copies / "notebooks" / "05_results.ipynb", as_version=4)
    end = next(n for n, cell in enumerate(notebook.cells) if cell.source.startswith("deltas_figure("))
    notebook.cells = [*notebook.cells[:end], nbformat.v4.new_code_cell("print(ROOT, len(comparison.rows))")]
    own = copies / "notebooks" / "own_runs.ipynb"
    nbformat.write(notebook, own)
    assert outputs(execute(own))[-1].text == "None 2\n"
