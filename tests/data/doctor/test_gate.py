"""Training refuses annotations with errors, remembers that a file has none, and can be told not to look."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from personlab.data.datamodule import CocoDataModule
from personlab.data.doctor import gate
from personlab.errors import InputError
from personlab.skeleton import COCO
from tests.data.doctor.plants import FILE, PLANTS, TRAIN, VAL, Set


@pytest.fixture
def root(synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copytree(synthetic, tmp_path / "set"))


def _setup(root: Path, stage: str = "fit", **options: Any) -> CocoDataModule:
    module = CocoDataModule(str(root), batch_size=2, workers=0, **options)
    module.setup(stage)
    return module


def _plant(root: Path, *names: str) -> None:
    content = Set.read(root)
    for name in names:
        PLANTS[name][1](content)
    content.write()


def test_training_refuses_errors_in_one_line_and_can_be_told_not_to(root: Path) -> None:
    _setup(root)
    _plant(root, "area 0", "no names", "annotation id twice")
    with pytest.raises(InputError) as error:
        _setup(root)
    told = str(error.value)
    assert told.startswith(f"{root / FILE.format(TRAIN)}: 2 errors, first annotation-id-duplicate: annotation ")
    assert f"`personlab data doctor --data.root {root} --splits {TRAIN}`" in told
    assert "--data.check false" in told
    assert "\n" not in told
    assert _setup(root, check=False).train_dataset is not None
    assert _setup(root, "validate").val_dataset is not None


def test_a_file_is_refused_for_what_spoils_its_use(root: Path) -> None:
    _plant(root, "no area")
    _setup(root)
    for split, other in ((TRAIN, VAL), (VAL, TRAIN)):
        shutil.copy(root / FILE.format(split), root / f"{other}.json")
    with pytest.raises(InputError, match="an error area-missing"):
        _setup(root, train_split=VAL, val_split=TRAIN)


def test_that_a_file_has_no_errors_is_remembered_by_its_content(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, looked = root / FILE.format(TRAIN), []
    real = gate.examine_annotations
    monkeypatch.setattr(gate, "examine_annotations", lambda *a, **k: looked.append(a) or real(*a, **k))
    monkeypatch.setattr(gate, "_WORTH_KEEPING_S", 0.0)

    def look(**changes: Any) -> int:
        gate.refuse_errors(**{"path": path, "skeleton": COCO, "use": "training", "mend": ""} | changes)
        return len(looked)

    assert (look(), look(), look(use="scoring"), look(use="scoring")) == (1, 1, 2, 2)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "info": "another"}))
    assert (look(), look()) == (3, 3)
    monkeypatch.setattr(gate, "_own_source", lambda: "other checks")
    assert look() == 4
    _plant(root, "visibility 3")
    for n in (5, 6):
        with pytest.raises(InputError, match="visibility"):
            look()
        assert len(looked) == n


def test_quick_checks_leave_nothing_behind(root: Path, tmp_path: Path) -> None:
    _setup(root)
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_does_not_matter(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_WORTH_KEEPING_S", 0.0)
    (tmp_path / "cache").write_text("a file where the folder should be")
    _setup(root)
