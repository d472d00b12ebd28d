"""Results tell where they come from."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import numba
import pytest
import torch

from personlab.experiments import provenance


def test_a_header_names_command_source_machine_and_packages() -> None:
    header = provenance.provenance("personlab bench decode --runs 3")
    assert header["command"] == "personlab bench decode --runs 3"
    assert header["versions"] == {
        "python": platform.python_version(), "torch": str(torch.__version__), "numba": numba.__version__,
    }  # fmt: skip
    assert header["gpu"] is None
    assert header["cores"] >= 1
    assert header["date"].startswith("20")
    assert set(header) == {"command", "date", "commit", "dirty", "cpu", "cores", "gpu", "versions"}


def test_the_source_need_not_be_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", fail)
    header = provenance.provenance("x")
    assert header["commit"] is None
    assert header["dirty"] is None


def test_only_changes_of_the_source_make_it_dirty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "src" / "provenance.py"
    for path in (package, tmp_path / "README.md", tmp_path / "benchmarks" / "results" / "decode.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("first")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "__file__", str(package))
    (tmp_path / "README.md").write_text("second")
    (tmp_path / "benchmarks" / "results" / "peers.json").write_text("new")
    state = provenance.git_state()
    assert len(state["commit"]) == 40
    assert not state["dirty"]
    package.write_text("second")
    assert provenance.git_state() == state | {"dirty": True}


def test_the_processor_is_named(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nmodel name\t: Fast 9000 @ 3 GHz\nprocessor\t: 1\nmodel name\t: other\n")
    assert provenance.cpu_model(told) == "Fast 9000 @ 3 GHz"
    assert provenance.cpu_model(tmp_path / "none") == (platform.processor() or platform.machine())
    told.write_text("Hardware\t: board\n")
    assert provenance.cpu_model(told) == (platform.processor() or platform.machine())


def test_the_hash_of_code_changes_with_its_parts_alone() -> None:
    of = provenance.code_hash
    assert of("errors.py") == of("errors.py")
    assert len({of("errors.py"), of("files.py"), of("errors.py", "files.py"), of("losses")}) == 4
