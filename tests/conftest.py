"""What all tests share: checked array shapes and the place of real data."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Shapes are checked under pytest only: the run-time hook breaks torch.compile and slows small calls. Packages with
# numba kernels are left out, since numba cannot compile a wrapped function.
install_import_hook(
    ["personlab.encoding", "personlab.losses", "personlab.network", "personlab.geometry.sampling"], "beartype.beartype"
)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with `data/coco-sample` and `golden`: PERSONLAB_SHARED, or `shared` beside the repository."""
    folder = Path(os.environ.get("PERSONLAB_SHARED", ROOT.parent / "shared"))
    if not (folder / "data" / "coco-sample").is_dir():
        pytest.skip(f"no coco-sample under {folder}: set PERSONLAB_SHARED to the folder that holds data/coco-sample")
    return folder


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of twelve training and five validation images of people, large enough for the embedded network."""
    from personlab.data.synthetic import generate  # after the hook above

    root = tmp_path_factory.mktemp("synthetic")
    generate(root, train_images=12, val_images=5, size=257, seed=5, processes=1)
    return root


@pytest.fixture
def commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three commits, oldest first, of a git checkout in `tmp_path / "source"` that the code seems to run from."""
    from personlab.experiments import provenance

    tree = tmp_path / "source"
    (tree / "package").mkdir(parents=True)

    def git(*words: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *words], cwd=tree, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    found = []
    for n in range(3):
        git("commit", "--allow-empty", "-q", "-m", f"change {n}")
        found.append(git("rev-parse", "HEAD"))
    monkeypatch.setattr(provenance, "__file__", str(tree / "package" / "provenance.py"))
    return found
