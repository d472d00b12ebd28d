"""What must be said before a run is made again: each thing in a line of its own, and nothing where all matches."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from personlab.experiments.catalogue import read_run
from personlab.experiments.inputs import data_hashes, weights_hashes
from personlab.experiments.provenance import versions
from personlab.experiments.reproduction import Reproduction, reproduce
from personlab.experiments.runs import describe_devices
from tests.experiments.run_files import COMMITS, write_run

Make = Any


@pytest.fixture
def make(tmp_path: Path, synthetic: Path, commits: list[str]) -> Make:
    """Writes a run that matches all that is here, but for what the test says."""

    def written(options: dict[str, Any] | None = None, **fields: Any) -> Path:
        given = {"data__root": str(synthetic), "data__batch_size": 2} | (options or {})
        hashes = data_hashes({"root": str(synthetic), "batch_size": 2}, "fit")
        here: dict[str, Any] = {
            "versions": versions(), "devices": describe_devices("cpu"), "cwd": str(Path.cwd()), "data_hash": hashes,
            "git": {"commit": commits[2], "dirty": False},
        }  # fmt: skip
        folder = write_run(tmp_path / "runs", "r", options=given, **(here | fields))
        if "config_hash" not in fields:
            note(folder, config_hash=hashlib.sha256((folder / "config.yaml").read_bytes()).hexdigest()[:16])
        return folder

    return written


def note(folder: Path, **fields: Any) -> None:
    """Change the card of a run."""
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def told(folder: Path, *extra: str) -> Reproduction:
    return reproduce(read_run(folder), extra)


def test_nothing_is_said_where_all_matches(make, synthetic):
    folder = make()
    found = told(folder, "--run.name", "it's again")
    assert (found.warnings, found.checkout) == ((), None)
    assert shlex.split(found.command) == [
        "personlab", "fit", "--config", str(folder / "config.yaml"), "--data.root", str(synthetic),
        "--seed_everything", "0", "--resume", "none", "--run.name", "it's again",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ({"git": {}}, "the commit of the run is not known"),
        ({"versions": {**versions(), "torch": "1.0"}}, f"torch is {versions()['torch']} here, was 1.0"),
        ({"versions": {**versions(), "apex": "0.1"}}, "apex is missing here, was 0.1"),
        ({"devices": "8 x H100"}, "it ran on 8 x H100"),
        ({"batch": {"processes": 8}}, "it trained in 8 processes"),
        ({"seed": None}, "the seed of the run is not known"),
        ({"status": "failed"}, "the run did not come to its end (failed)"),
        ({"status": "running"}, "the run did not come to its end (dead)"),
        ({"data_hash": {"train": "0" * 16}}, "the train data is not what it was: its hash is"),
        ({"data_hash": {}}, "the hash of its data is not known"),
        ({"resumed": [{"data_hash": None}]}, "the run was resumed 1 time"),
        ({"config_hash": "0" * 16}, "config.yaml is not as the run wrote it: somebody changed it"),
    ],
)  # fmt: skip
def test_what_no_longer_matches_is_said_in_one_line(make, fields, warning):
    found = told(make(**fields))
    assert len(found.warnings) == 1
    assert warning in found.warnings[0]


def test_a_changed_config_is_told_and_an_old_card_is_not_held_against_it(make):
    folder = make()
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"seed_everything": 1}))
    assert [line for line in told(folder).warnings if "config.yaml" in line]
    note(folder, config_hash=None)
    assert told(folder).warnings == ()


def test_changes_that_were_not_committed_are_told_then_and_now(make, commits, tmp_path):
    folder = make(git={"commit": commits[2], "dirty": True})
    assert told(folder).warnings == ("the run had changes in the code that were not committed: nobody kept them",)
    (tmp_path / "source" / "new.py").write_text("")
    assert told(folder).warnings[1:] == ("the code here has changes that are not committed",)


def test_other_code_is_checked_out_first(make, commits, tmp_path):
    found = told(make(git={"commit": commits[0], "dirty": False}))
    assert found.checkout == ("git", "-C", str(tmp_path / "source"), "checkout", commits[0])
    assert found.warnings == (f"the code here is commit {commits[2][:12]}, the run's is {commits[0][:12]}",)


def test_a_commit_that_is_not_here_cannot_be_checked_out(make, tmp_path):
    found = told(make(git={"commit": COMMITS[0], "dirty": False}))
    assert found.checkout is None
    assert len(found.warnings) == 2
    assert found.warnings[1] == f"commit {COMMITS[0][:12]} is not in {tmp_path / 'source'}: fetch it, then check it out"


def test_code_outside_of_git_is_told(make, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = make()
    (tmp_path / "source" / ".git").rename(tmp_path / "gone")
    (line,) = told(folder).warnings
    assert "the code here is no git checkout" in line


def test_data_are_looked_at_where_they_are_said_to_be(make, synthetic, tmp_path):
    folder = make({"data__root": str(tmp_path / "nowhere")})
    assert [line for line in told(folder).warnings if "nowhere: no such folder" in line]
    moved = told(folder, f"--data.root={synthetic}")
    assert moved.warnings == ()
    assert moved.words[-1] == f"--data.root={synthetic}"


def test_initial_weights_that_are_no_name_end_nothing() -> None:
    assert weights_hashes(3, None) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["model.initial_weights", "ckpt_path"])
def test_weights_are_known_by_their_content(make, tmp_path, option):
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"one")
    kept = weights_hashes(None, str(file)) if option == "ckpt_path" else weights_hashes(str(file), None)
    folder = make({option.replace(".", "__"): str(file)}, weights_hash=kept)
    assert told(folder).warnings == ()
    file.write_bytes(b"two")
    assert told(folder).warnings == (f"{option} {file}: is another file than it was",)
    file.unlink()
    assert told(folder).warnings == (f"{option} {file}: is missing; give another place by --{option}",)
    other = tmp_path / "other"
    other.write_bytes(b"one")
    assert told(folder, f"--{option}", str(other)).warnings == ()
    note(folder, weights_hash=None)
    assert "its hash was not kept" in told(folder, f"--{option}", str(other)).warnings[0]


def test_what_a_resumed_run_did_otherwise_is_said(make):
    folder = make(resumed=[{"data_hash": {"train": "x"}}, {}])
    text = (folder / "config.yaml").read_text()
    (folder / "config-resumed-2.yaml").write_text(text.replace("lr: 0.001", "lr: 0.5"))
    assert told(folder).warnings == (
        "the run was resumed 2 times; this one goes through without a stop",
        "when resumed (config-resumed-2.yaml) model.optimizer.init_args.lr was 0.5, not 0.001",
        "its data changed before it was resumed",
    )


def test_without_a_card_the_config_does(make):
    folder = make()
    (folder / "run.json").unlink()
    found = told(folder)
    assert found.words[0] == "fit"
    assert found.warnings[0] == f"{folder}: run.json: is missing"
    assert any("the hash of its data is not known" in line for line in found.warnings)
