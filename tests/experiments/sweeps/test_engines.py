"""Sweeps by Ray Tune, by W&B, and on a database: each where it can be had, and one line where it cannot."""

from __future__ import annotations

import importlib.util
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from personlab.cli.main import main
from personlab.experiments.mirror import WandbMirror
from personlab.experiments.sweeps.space import read_sweep
from personlab.experiments.sweeps.wandb_engine import has_key, run_with_wandb
from tests.experiments.sweeps.conftest import PROGRAM, Write, start_command
from tests.experiments.sweeps.test_local import is_alive, lines, wait_until

HAS_RAY = importlib.util.find_spec("ray") is not None


def needs_ray(test: Any) -> Any:
    """Slow: each of Ray's processes imports everything anew."""
    without = pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed: pip install 'personlab[ray]'")
    return pytest.mark.slow(without(test))


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_it_is_one_line(write_sweep: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["sweep", str(write_sweep()), "--engine", "ray", "--runs_root", str(tmp_path / "runs")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert "pip install 'personlab[ray]'" in told[-1]
    assert len(told) == 1


def ray_command(path: Path, *words: str) -> list[str]:
    return ["sweep", str(path), "--engine", "ray", "--retries", "0", *words]


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "runs/sweeps/quick/summary.json").read_text())


@needs_ray
@pytest.mark.parametrize("method", ["grid", "bayes"])
def test_ray_runs_the_same_file(tmp_path: Path, write_sweep: Write, method: str) -> None:
    keys: dict[str, Any] = {"p_x": {"min": 0.0, "max": 1.0}, "run_cap": 4} if method == "bayes" else {}
    path = write_sweep(
        method=method, values=3, p_fail={"values": ["no"] if method == "bayes" else ["no", True]}, **keys
    )
    process = start_command(ray_command(path), tmp_path)
    output = process.communicate(timeout=400)[0]
    assert process.returncode == (method == "grid"), output
    summary = summary_of(tmp_path)
    ended = {"grid": {"complete": 3, "failed": 3}, "bayes": {"complete": 4, "failed": 0}}[method]
    assert summary["counts"] == ended | {"pruned": 0, "running": 0, "left": 0}
    assert set(Counter(name for name, *_ in lines(tmp_path, "start")).values()) == {1}
    tried = {row["parameters"]["x"] for row in summary["rows"]}
    assert tried == {0.0, 0.1, 0.2} if method == "grid" else len(tried) == 4
    errors = {row["error"] for row in summary["rows"] if row["state"] == "failed"}
    assert errors == ({"exit code 1: planned failure"} if method == "grid" else set())
    # Another file of this name is refused, and with more trials the other engine goes on.
    changed = write_sweep(method=method, values=9, **keys | {"p_x": {"values": [0.7]}})
    process = start_command(ray_command(changed), tmp_path)
    output = process.communicate(timeout=400)[0]
    assert process.returncode == 2, output
    assert "holds a sweep named quick with another" in output
    if method == "bayes":
        path = write_sweep(method=method, values=3, p_fail={"values": ["no"]}, **keys)
        assert main(["sweep", str(path), "--runs_root", str(tmp_path / "runs"), "--trials", "4"]) == 0
        assert len(lines(tmp_path, "start")) == 4


@needs_ray
def test_ray_tries_again_and_stops_bad_trials_early(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(
        p_x={"values": [0.3, 0.35, 0.9, 0.95]}, p_steps={"value": 6}, p_pause={"value": 0.7}, p_fail={"value": "once"},
        early_terminate={"type": "hyperband", "min_iter": 2, "eta": 2},
    )  # fmt: skip
    process = start_command(ray_command(path, "--workers", "1", "--retries", "1"), tmp_path)
    output = process.communicate(timeout=400)[0]
    assert process.returncode == 0, output
    rows = summary_of(tmp_path)["rows"]
    assert [row["state"] for row in rows] == ["complete", "complete", "pruned", "pruned"]
    assert [row["attempts"] for row in rows] == [2] * 4
    assert Counter(name for name, *_ in lines(tmp_path, "start")) == {f"trial-{n:04}": 2 for n in range(4)}


@needs_ray
@pytest.mark.parametrize("way", ["budget", "kill", "interrupt", "terminate"])
def test_ray_goes_on_with_what_is_missing(tmp_path: Path, write_sweep: Write, way: str) -> None:
    path = write_sweep(values=4, p_steps={"value": 4}, p_pause={"value": 5.0 if way == "kill" else 1.5})
    limited = ["--max_device_hours", str(16 / 3600)] if way == "budget" else []
    first = start_command(ray_command(path, *limited), tmp_path)
    if way != "budget":
        wait_until(lambda: len(lines(tmp_path, "done")) >= 1 and len(lines(tmp_path, "start")) >= 3, 300)
        first.send_signal({"kill": signal.SIGKILL, "interrupt": signal.SIGINT, "terminate": signal.SIGTERM}[way])
    output = first.communicate(timeout=300)[0]
    assert first.returncode == {"budget": 1, "kill": -9}.get(way, 130), output
    pids = [int(pid) for *_, pid in lines(tmp_path, "start")]
    if way == "kill":  # Ray's own processes notice after a while
        wait_until(lambda: not any(is_alive(pid) for pid in pids))
    assert not any(is_alive(pid) for pid in pids)
    done = {name for name, _ in lines(tmp_path, "done")}
    begun = {name for name, *_ in lines(tmp_path, "start")}
    assert 1 <= len(done) < 4
    if way != "kill":
        states = Counter(row["state"] for row in summary_of(tmp_path)["rows"])
        assert states["complete"] == len(done)
        # One may have been stopped before its program said a word.
        assert len(begun) - len(done) <= states["stopped"] == states.total() - len(done) <= 4 - len(done)
        assert summary_of(tmp_path)["device_hours"] * 3600 >= (16 if way == "budget" else 4)
    second = start_command(ray_command(path), tmp_path)
    output = second.communicate(timeout=300)[0]
    assert second.returncode == 0, output
    assert Counter(name for name, _ in lines(tmp_path, "done")) == {f"trial-{n:04}": 1 for n in range(4)}
    starts = Counter(name for name, *_ in lines(tmp_path, "start"))
    assert starts == {f"trial-{n:04}": 1 for n in range(4)} | dict.fromkeys(begun - done, 2)
    assert summary_of(tmp_path)["counts"]["complete"] == 4


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


AGENT = """\
import pathlib, signal, sys, time
log = pathlib.Path(__file__).parents[1] / "log.txt"
def tell(text):
    with log.open("a") as file:
        file.write(text + "\\n")
def end(*_):
    tell("saved")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
tell(f"agent {' '.join(sys.argv[1:])}")
time.sleep(60 if (log.parent / "wait").exists() else 0)
sys.exit(int((log.parent / "once").exists() and not (log.parent / "once").unlink()))
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """The folder of a package in the place of W&B's client: its server takes any sweep, its agents tell and end."""
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "__init__.py").write_text("def sweep(*_, **__):\n    return 'abc'\n")
    (tmp_path / "wandb" / "__main__.py").write_text(AGENT)
    return tmp_path


def test_wandb_is_given_the_file_and_its_agents_the_sweep(
    write_sweep: Write, monkeypatch: pytest.MonkeyPatch, stand_in: Path
) -> None:
    import wandb

    sent: list[Any] = []
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("PYTHONPATH", str(stand_in))
    monkeypatch.setattr(wandb, "sweep", lambda content, entity, project: sent.append((content, project)) or "abc")
    nested = {"parameters": {"init_args": {"parameters": {"lr": {"value": 1}}}, "on": {"value": True}}}
    sweep = read_sweep(write_sweep(project="poses", p_optimizer=nested))
    assert run_with_wandb(sweep, 4, [None, None]) == ("poses/abc", 0)
    (stand_in / "once").touch()
    assert run_with_wandb(sweep, 4, [None]) == ("poses/abc", 1)
    sent.pop()
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    assert run_with_wandb(read_sweep(write_sweep("unnamed")), 4, [])[0] == "unnamed/abc", "of the sweep's name"
    sent.pop()
    content = dict(sweep.content or {})
    flat = {name: about for name, about in content["parameters"].items() if name != "optimizer"}
    flat |= {"optimizer.init_args.lr": {"value": 1}, "optimizer.on": {"value": True}}
    assert sent == [({**content, "run_cap": 4, "parameters": flat}, "poses")]
    assert list(flat) == [p.name for p in sweep.parameters]
    assert lines(stand_in, "agent") == [["agent", "--forward-signals", "poses/abc"]] * 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_agent_outlives_its_sweep(
    tmp_path: Path, write_sweep: Write, monkeypatch: pytest.MonkeyPatch, stand_in: Path, number: signal.Signals
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    (stand_in / "wait").touch()
    process = start_command(["sweep", str(write_sweep()), "--engine", "wandb"], tmp_path, stand_in)
    wait_until(lambda: len(lines(tmp_path, "agent")) == 2)
    process.send_signal(number)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == (-number if number == signal.SIGKILL else 130), output
    wait_until(lambda: len(lines(tmp_path, "saved")) == 2, 10)


def test_a_dry_run_shows_what_an_agent_would_run(write_sweep: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(write_sweep(values=1)), "--engine", "wandb", "--dry_run"]) == 0
    words = capsys.readouterr().err.split()
    assert words[1:] == ["-S", str(PROGRAM), "'--x=?'", "'--log=?'"]


def test_under_an_agent_the_mirror_is_the_agents_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"project": "demo", "id": "own", "name": "own", "offline": True}
    given["run_directory"] = str(tmp_path)
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    assert WandbMirror(**given).version == "own"
    for name, value in {"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "agents", "WANDB_PROJECT": "poses"}.items():
        monkeypatch.setenv(name, value)
    mirror = WandbMirror(**given)
    assert (mirror.version, mirror._wandb_init["id"], mirror._wandb_init["project"]) == ("agents", "agents", "poses")


@pytest.mark.parametrize(
    "words",
    [
        ["--max_hours", "1"], ["--max_device_hours", "1"], ["--storage", "x"], ["--json", "-"], ["--seed", "0"],
        ["--retries", "1"], ["--runs_root", "runs"],
    ],
)  # fmt: skip
def test_options_that_wandb_does_not_have(
    write_sweep: Write, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["sweep", str(write_sweep()), "--engine", "wandb", *words]) == 2
    assert f"{words[0]}: not with --engine wandb" in capsys.readouterr().err


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


def test_a_new_database_is_begun_by_several_machines_at_once(
    tmp_path: Path, write_sweep: Write, postgresql: str
) -> None:
    path = write_sweep(values=6, p_pause={"value": 0.1})
    words = [["sweep", str(path), "--workers", "1", "--storage", postgresql, "--runs_root", root] for root in "abc"]
    machines = [start_command(word, tmp_path) for word in words]
    outputs = [process.communicate(timeout=120)[0] for process in machines]
    assert [process.returncode for process in machines] == [0, 0, 0], outputs
    assert Counter(name for name, _ in lines(tmp_path, "done")) == {f"trial-{n:04}": 1 for n in range(6)}


def test_connections_that_break_stop_nothing(tmp_path: Path, write_sweep: Write, postgresql: str) -> None:
    path = write_sweep(values=4, p_pause={"value": 0.5})
    process = start_command(["sweep", str(path), "--storage", postgresql], tmp_path)
    wait_until(lambda: lines(tmp_path, "start"))
    engine = sqlalchemy.create_engine(postgresql)
    others = (
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname is not null"
    )
    broken = 0
    while process.poll() is None:
        with engine.connect() as connection:
            broken += len(connection.execute(sqlalchemy.text(others)).all())
        time.sleep(0.2)
    engine.dispose()
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    assert broken > 3
    assert Counter(name for name, _ in lines(tmp_path, "done")) == {f"trial-{n:04}": 1 for n in range(4)}
