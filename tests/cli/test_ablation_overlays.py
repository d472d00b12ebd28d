"""Every overlay of `configs/ablation` is small, is taken by a recipe, and changes what the recipe does."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from personlab.cli.resolve import Resolved, resolve_fit
from personlab.imports import restrict_imports

ROOT = Path(__file__).resolve().parents[2]
STUDIES = ("quickstart", "decoder")
OVERLAYS = sorted(p for p in (ROOT / "configs" / "ablation").glob("*.yaml") if p.stem not in STUDIES)
RECIPE = ["--config", str(ROOT / "configs/experiment/paper_r101.yaml"), "--data.root", "coco"]


@pytest.fixture(scope="module")
def recipe() -> Resolved:
    return resolve_fit(RECIPE)


def leaves(content: object, name: str = "") -> dict[str, object]:
    if isinstance(content, dict):
        return {k: v for key, value in content.items() for k, v in leaves(value, f"{name}.{key}").items()}
    return {name: content}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda p: p.stem)
def test_an_overlay_changes_what_it_names_and_nothing_else(overlay, recipe, monkeypatch):
    monkeypatch.chdir(ROOT)  # some name files of the project
    restrict_imports()
    assert len(overlay.read_text().splitlines()) <= 10
    before, after = leaves(recipe.config), leaves(resolve_fit([*RECIPE, "--config", str(overlay)]).config)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    named = leaves(OmegaConf.to_container(OmegaConf.load(overlay)))
    assert changed, "it must change something"
    skeleton = {name for name in changed if ".skeleton." in name or name.endswith(".skeleton")}
    assert changed - skeleton <= set(named)
    assert bool(skeleton) == ("skeleton" in overlay.read_text())
    for name in changed & set(named):
        assert after[name] == named[name]
