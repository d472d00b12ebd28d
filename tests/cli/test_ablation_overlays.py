"""Every overlay of `configs/ablation` is small, is taken by a recipe, and changes what the recipe does."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from personlab.cli.resolve import resolve_fit
from personlab.imports import restrict_imports

ROOT = Path(__file__).resolve().parents[2]
STUDIES = ("quickstart", "decoder")
OVERLAYS = sorted(p for p in (ROOT / "configs" / "ablation").glob("*.yaml") if p.stem not in STUDIES)
RECIPE = ["--config", str(ROOT / "configs/experiment/paper_r101.yaml"), "--data.root", "coco"]


def leaves(content: object, name: str = "") -> dict[str, object]:
    if isinstance(content, dict):
        return {k: v for key, value in content.items() for k, v in leaves(value, f"{name}.{key}").items()}
    return {name: content}


NAMED = {path: leaves(OmegaConf.to_container(OmegaConf.load(path))) for path in OVERLAYS}


def groups() -> list[list[Path]]:
    """Overlays that name nothing in common can be given together: resolving a config takes most of a second."""
    found: list[list[Path]] = []
    for path in OVERLAYS:
        free = [group for group in found if not any(NAMED[path].keys() & NAMED[other].keys() for other in group)]
        if free:
            free[0].append(path)
        else:
            found.append([path])
    return found


def resolved(overlays: list[Path]) -> dict[str, object]:
    restrict_imports()
    return leaves(resolve_fit([*RECIPE, *(w for path in overlays for w in ("--config", str(path)))]).config)


@pytest.fixture(scope="module")
def recipe() -> dict[str, object]:
    return resolved([])


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda p: p.stem)
def test_an_overlay_is_small_and_says_why(overlay):
    lines = overlay.read_text().splitlines()
    assert len(lines) <= 10
    assert lines[0].startswith("# ")


@pytest.mark.parametrize("overlays", groups(), ids=lambda group: "+".join(p.stem for p in group))
def test_an_overlay_changes_what_it_names_and_nothing_else(overlays, recipe, monkeypatch):
    monkeypatch.chdir(ROOT)  # some name files of the project
    after = resolved(overlays)
    changed = {name for name in recipe.keys() | after.keys() if recipe.get(name) != after.get(name)}
    for overlay in overlays:
        assert changed & NAMED[overlay].keys(), f"{overlay.stem} must change something"
        for name, value in NAMED[overlay].items():
            assert after[name] == value, f"{overlay.stem} is taken as it is written"
    skeleton = {name for name in changed if ".skeleton." in name or name.endswith(".skeleton")}
    assert changed - skeleton <= {name for overlay in overlays for name in NAMED[overlay]}
    assert bool(skeleton) == any(".data.skeleton" in NAMED[overlay] for overlay in overlays)
