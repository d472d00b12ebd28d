"""Sweeps by Ray Tune, by W&B, and on a database: each where it can be had, and one line where it cannot."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from personlab.cli.main import main
from personlab.experiments.mirror import WandbMirror
from personlab.experiments.sweeps.space import read_sweep
from personlab.experiments.sweeps.wandb_engine import has_key, run_with_wandb
from tests.experiments.sweeps.conftest import Write, start_command
from tests.experiments.sweeps.test_local import lines

HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_it_is_one_line(write_sweep: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["sweep", str(write_sweep()), "--engine", "ray", "--runs_root", str(tmp_path / "runs")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert "pip install 'personlab[ray]'" in told[-1]
    assert len(told) == 1


@pytest.mark.slow  # each of Ray's processes imports everything anew
@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed: pip install 'personlab[ray]'")
@pytest.mark.parametrize("method", ["grid", "bayes"])
def test_ray_runs_the_same_file(tmp_path: Path, write_sweep: Write, method: str) -> None:
    keys: dict[str, Any] = {"p_x": {"min": 0.0, "max": 1.0}, "run_cap": 4} if method == "bayes" else {}
    path = write_sweep(
        method=method, values=3, p_fail={"values": ["no"] if method == "bayes" else ["no", True]}, **keys
    )
    process = start_command(["sweep", str(path), "--engine", "ray", "--retries", "0"], tmp_path)
    output = process.communicate(timeout=400)[0]
    assert process.returncode == (method == "grid"), output
    summary = json.loads((tmp_path / "runs/sweeps/quick/summary.json").read_text())
    ended = {"grid": {"complete": 3, "failed": 3}, "bayes": {"complete": 4, "failed": 0}}[method]
    assert summary["counts"] == ended | {"pruned": 0, "running": 0, "left": 0}
    assert set(Counter(name for name, *_ in lines(tmp_path, "start")).values()) == {1}
    tried = {row["parameters"]["x"] for row in summary["rows"]}
    assert tried == {0.0, 0.1, 0.2} if method == "grid" else len(tried) == 4


def test_without_a_key_wandb_is_one_line(
    tmp_path: Path, write_sweep: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not has_key()
    assert main(["sweep", str(write_sweep()), "--engine", "wandb"]) == 2
    told = capsys.readouterr().err
    assert "needs an account of W&B: wandb login, or WANDB_API_KEY" in told
    assert told.count("\n") == 1
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password 0123\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert has_key()


def test_wandb_is_given_the_file_and_its_agents_the_sweep(write_sweep: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    sent: list[Any] = []
    started: list[list[str]] = []

    class Agent:
        def __init__(self, words: list[str], env: dict[str, str]) -> None:
            started.append(words)

        def wait(self) -> int:
            return len(started) - 2

    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(wandb, "sweep", lambda content, entity, project: sent.append((content, project)) or "abc")
    monkeypatch.setattr(subprocess, "Popen", Agent)
    nested = {"parameters": {"init_args": {"parameters": {"lr": {"value": 1}}}, "on": {"value": True}}}
    sweep = read_sweep(write_sweep(project="poses", p_optimizer=nested))
    assert run_with_wandb(sweep, 4, [None, None]) == ("poses/abc", 0)
    content = dict(sweep.content or {})
    flat = {name: about for name, about in content["parameters"].items() if name != "optimizer"}
    flat |= {"optimizer.init_args.lr": {"value": 1}, "optimizer.on": {"value": True}}
    assert sent == [({**content, "run_cap": 4, "parameters": flat}, "poses")]
    assert list(flat) == [p.name for p in sweep.parameters]
    assert started == [[sys.executable, "-m", "wandb", "agent", "poses/abc"]] * 2


def test_under_an_agent_the_mirror_is_the_agents_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"project": "demo", "id": "own", "name": "own", "offline": True}
    given["run_directory"] = str(tmp_path)
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    assert WandbMirror(**given).version == "own"
    for name, value in {"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "agents", "WANDB_PROJECT": "poses"}.items():
        monkeypatch.setenv(name, value)
    mirror = WandbMirror(**given)
    assert (mirror.version, mirror._wandb_init["id"], mirror._wandb_init["project"]) == ("agents", "agents", "poses")


@pytest.mark.parametrize(("engine", "words"), [("ray", ["--storage", "x"]), ("wandb", ["--max_hours", "1"])])
def test_options_that_an_engine_does_not_have(
    write_sweep: Write, capsys: pytest.CaptureFixture[str], engine: str, words: list[str]
) -> None:
    assert main(["sweep", str(write_sweep()), "--engine", engine, *words]) == 2
    assert f"{words[0]}: not with --engine {engine}" in capsys.readouterr().err


@pytest.fixture
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server that is started for the test."""
    pgserver = pytest.importorskip("pgserver", reason="no PostgreSQL: pip install pgserver 'psycopg[binary]'")
    pytest.importorskip("psycopg", reason="no driver for PostgreSQL: pip install 'psycopg[binary]'")
    try:
        server = pgserver.get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="delete")
    except Exception as error:  # what its own programs say
        pytest.skip(f"PostgreSQL cannot be started here: {error}")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()


def test_a_database_is_shared_without_doubling_and_goes_on_after_a_kill(
    tmp_path: Path, write_sweep: Write, postgresql: str
) -> None:
    path = write_sweep(values=6, p_pause={"value": 0.3})
    # Different folders, as on machines that share nothing but the database.
    words = [["sweep", str(path), "--workers", "1", "--storage", postgresql, "--runs_root", root] for root in "ab"]
    first = start_command(words[0], tmp_path)
    while len(lines(tmp_path, "done")) < 2:
        assert first.poll() is None, first.communicate()[0]
    first.kill()
    first.communicate()
    done = len(lines(tmp_path, "done"))
    assert done < 6
    again = start_command(words[0], tmp_path)
    output = again.communicate(timeout=120)[0]
    assert again.returncode == 0, output
    assert "6 complete" in output
    assert Counter(name for name, _ in lines(tmp_path, "done")) == {f"trial-{n:04}": 1 for n in range(6)}
    both = [
        start_command([*word[:1], str(write_sweep("both", values=6, p_pause={"value": 0.3})), *word[2:]], tmp_path)
        for word in words
    ]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert Counter(name for name, _ in lines(tmp_path, "done")) == {f"trial-{n:04}": 2 for n in range(6)}
