"""Sweeps on this machine: every trial once, whatever fails or is killed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from personlab.cli.main import main
from personlab.errors import InputError
from personlab.experiments.sweeps.budget import SweepBudget
from personlab.experiments.sweeps.local import LocalSweep
from personlab.experiments.sweeps.space import read_sweep
from personlab.experiments.sweeps.study import SharedStudy
from tests.experiments.sweeps.conftest import Write, start_command


def lines(folder: Path, kind: str) -> list[list[str]]:
    log = folder / "log.txt"
    words = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [line[1:] for line in words if line[0] == kind]


def sweep(path: Path, trials: int | None = None, workers: int = 2, seed: int = 0, **options: Any) -> SharedStudy:
    """Run a sweep in this process."""
    read = read_sweep(path)
    folder = path.parent / "runs" / "sweeps" / read.name
    study = SharedStudy(read, folder, read.trials(trials), seed)
    settings = {"retries": 0, "budget": SweepBudget(), "poll_s": 0.05, "grace_s": 2.0} | options
    LocalSweep(study, [None] * workers, **settings).run()
    return study


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def summary(folder: Path) -> Path:
    return folder / "runs" / "sweeps" / "quick" / "summary.json"


def test_a_grid_is_run_whole_and_told(tmp_path: Path, write_sweep: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", str(write_sweep()), "--json", "out.json"]) == 0
    assert Counter(x for _, x in lines(tmp_path, "done")) == {f"{i / 10}": 1 for i in range(6)}
    summary = json.loads((tmp_path / "runs/sweeps/quick/summary.json").read_text())
    assert summary == json.loads((tmp_path / "out.json").read_text())
    assert summary["counts"] == {"complete": 6, "pruned": 0, "failed": 0, "running": 0, "left": 0}
    assert summary["best"]["parameters"]["x"] == 0.3
    assert summary["best"]["value"] == pytest.approx(1.002)
    runs = {Path(row["run_directory"]) for row in summary["rows"]}
    assert len(runs) == 6
    assert all(run.parents[1] == tmp_path / "runs/sweeps/quick" and (run / "metrics.jsonl").is_file() for run in runs)
    ports = [port for *_, port, _ in lines(tmp_path, "start")]
    assert all(1024 < int(port) < 65536 for port in ports)
    # Nothing is left to do.
    assert main(["sweep", str(tmp_path / "quick.yaml")]) == 0
    assert len(lines(tmp_path, "start")) == 6


def test_killed_in_the_middle_it_finishes_exactly_what_was_missing(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(method="random", run_cap=8, p_x={"min": 0.0, "max": 1.0}, p_pause={"value": 0.4})
    words = ["sweep", str(path)]
    first = start_command(words, tmp_path)
    wait_until(lambda: len(lines(tmp_path, "done")) >= 3 and lines(tmp_path, "start")[4:])
    first.kill()
    first.communicate()
    begun = {name: x for name, x, *_ in lines(tmp_path, "start")}
    pids = [int(pid) for *_, pid in lines(tmp_path, "start")]
    wait_until(lambda: not any(is_alive(pid) for pid in pids))  # trials do not outlive their sweep
    before = {name for name, _ in lines(tmp_path, "done")}
    assert 3 <= len(before) < len(begun)
    second = start_command(words, tmp_path)
    output = second.communicate(timeout=120)[0]
    assert second.returncode == 0, output
    # One may have ended before the sweep that was killed could note it: it is not run again.
    told = re.search(r"(\d) of 8 trials to run", output)
    assert told
    assert int(told[1]) >= 8 - len(before)
    # Each number is finished once, and those that were running have the parameters they had.
    assert Counter(name for name, _ in lines(tmp_path, "done")) == {f"trial-{n:04}": 1 for n in range(8)}
    starts = Counter(name for name, *_ in lines(tmp_path, "start"))
    assert starts == {f"trial-{n:04}": 1 for n in range(8)} | dict.fromkeys(begun.keys() - before, 2)
    ended = {words[0]: words[1] for words in lines(tmp_path, "done")}
    assert {name: ended[name] for name in begun} == begun
    # And it is what a sweep that nobody killed tries.
    read = read_sweep(path)
    drawn = [read.parameters[0].at(read.draw(0, number)["x"]) for number in range(8)]
    assert [float(ended[f"trial-{number:04}"]) for number in range(8)] == drawn


def test_two_sweeps_of_one_study_share_it(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(values=8, p_pause={"value": 0.15})
    both = [start_command(["sweep", str(path), "--workers", "1"], tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert Counter(name for name, *_ in lines(tmp_path, "start")) == {f"trial-{n:04}": 1 for n in range(8)}
    assert all("8 complete" in output for output in outputs)


def test_an_interrupt_ends_the_tree_and_gives_the_trials_back(tmp_path: Path, write_sweep: Write) -> None:
    # torchrun gives its processes sessions of their own.
    children = {"values": ["group", "session"]}
    path = write_sweep(values=1, p_pause={"value": 20}, p_child=children)
    process = start_command(["sweep", str(path)], tmp_path)
    wait_until(lambda: len(lines(tmp_path, "child")) == 2)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 130, output
    assert "the same command goes on" in output
    pids = [int(pid) for (pid,) in lines(tmp_path, "child")]
    assert not any(is_alive(pid) for pid in pids)
    summary = json.loads((tmp_path / "runs/sweeps/quick/summary.json").read_text())
    assert summary["counts"]["left"] == 2


@pytest.mark.parametrize(("polite", "retries"), [(False, "2"), (True, "0")])
def test_a_signal_to_all_processes_of_a_job_gives_the_trials_back(
    tmp_path: Path, write_sweep: Write, polite: bool, retries: str
) -> None:
    """As a scheduler sends it: to the sweep and to its trials, in any order."""
    path = write_sweep(values=3, p_pause={"value": 20}, p_polite={"value": polite})
    process = start_command(["sweep", str(path), "--retries", retries], tmp_path)
    wait_until(lambda: len(lines(tmp_path, "start")) == 2)
    for *_, pid in lines(tmp_path, "start"):
        os.kill(int(pid), signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 130, output
    assert len(lines(tmp_path, "start")) == 2, "no trial is started only to be stopped"
    counts = json.loads(summary(tmp_path).read_text())["counts"]
    assert (counts["left"], counts["failed"], counts["complete"]) == (3, 0, 0)


def test_a_second_and_a_third_interrupt_hurry_nothing(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(values=1, p_pause={"value": 20}, p_stubborn={"value": 2})
    process = start_command(["sweep", str(path)], tmp_path)
    wait_until(lambda: lines(tmp_path, "start"))
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert output.count("trials are being stopped; each has up to 30 s to save what it has") == 2
    summary = json.loads((tmp_path / "runs/sweeps/quick/summary.json").read_text())
    assert (summary["counts"]["left"], summary["counts"]["running"]) == (1, 0)


@pytest.mark.parametrize("retries", [0, 1])
def test_an_error_after_the_end_is_an_error_however_often_it_is_tried(
    tmp_path: Path, write_sweep: Write, retries: int
) -> None:
    study = sweep(write_sweep(values=1, p_late_error={"value": 3}), retries=retries)
    (record,) = study.records()
    assert (record.state, record.attempts, record.error) == ("failed", retries + 1, "exit code 3: no output")


def test_names_and_values_with_markup_stay_text(
    tmp_path: Path, write_sweep: Write, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    path = write_sweep(values=1, metric=None, p_path={"values": ["[/data]", "[red]b", ":smile:", "a\x1b[31m\nb"]})
    assert main(["sweep", str(path)]) == 0
    told = capfd.readouterr().err
    assert all(text in told for text in ("[/data]", "[red]b", ":smile:", r"a\x1b[31m\nb"))


def test_nothing_of_a_trial_outlives_its_end(tmp_path: Path, write_sweep: Write) -> None:
    sweep(write_sweep(values=1, p_child={"values": ["group", "session"]}))
    pids = [int(pid) for (pid,) in lines(tmp_path, "child")]
    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in pids)


def test_a_trial_whose_guard_was_killed_does_not_run_twice_at_once(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(values=1, p_pause={"value": 0.5})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(sweep, path, retries=1)
        wait_until(lambda: lines(tmp_path, "start"))
        first = int(lines(tmp_path, "start")[0][-1])
        guard = int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(guard, signal.SIGKILL)
        wait_until(lambda: len(lines(tmp_path, "start")) == 2)
        assert not is_alive(first)
        (record,) = running.result().records()
    assert (record.state, record.attempts) == ("complete", 2)
    assert len(lines(tmp_path, "done")) == 1


def test_failures_are_kept_and_counted_and_tried_again(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(values=2, p_fail={"values": ["no", "once", True]})
    study = sweep(path, retries=1)
    found = {(r.parameters["x"], str(r.parameters["fail"])): (r.state, r.attempts) for r in study.records()}
    told = {"no": ("complete", 1), "once": ("complete", 2), "True": ("failed", 2)}
    assert found == {(x, kind): told[kind] for x in (0.0, 0.1) for kind in told}
    errors = {r.error for r in study.records() if r.state == "failed"}
    assert errors == {"exit code 1: planned failure"}
    began = len(lines(tmp_path, "start"))
    assert sweep(path, retries=1).unfinished() == 0
    assert len(lines(tmp_path, "start")) == began
    assert main(["sweep", str(path), "--runs_root", str(tmp_path / "runs")]) == 1


def test_a_trial_without_the_metric_failed(tmp_path: Path, write_sweep: Write) -> None:
    study = sweep(write_sweep(values=1, metric={"name": "val/other"}))
    assert [(r.state, r.error) for r in study.records()] == [("failed", "no val/other in the ledger of its run")]
    study = sweep(write_sweep("absent", values=1, command=["no-such-program", "${args}"]))
    assert [r.error for r in study.records()] == [
        "exit code 127: no-such-program: cannot be started (No such file or directory)"
    ]


def test_bad_trials_are_stopped_early(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(
        p_x={"values": [0.3, 0.35, 0.9, 0.95]}, p_steps={"value": 6}, p_pause={"value": 0.15},
        early_terminate={"type": "hyperband", "min_iter": 2, "eta": 2},
    )  # fmt: skip
    study = sweep(path, workers=1)
    assert [r.state for r in study.records()] == ["complete", "complete", "pruned", "pruned"]
    assert [len(r.history) for r in study.records()[:2]] == [6, 6]
    assert all(2 <= len(r.history) < 6 for r in study.records()[2:])


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_the_same_seed_tries_the_same(tmp_path: Path, write_sweep: Write, method: str) -> None:
    spec = {"p_x": {"min": 0.0, "max": 1.0}, "p_y": {"distribution": "q_normal", "q": 0.1}, "run_cap": 6}
    tried = {}
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        study = sweep(write_sweep(name, method=method, **spec), workers=1, seed=seed)
        tried[name] = [(r.parameters["x"], r.parameters["y"]) for r in study.records()]
    assert tried["one"] == tried["two"]
    assert len(set(tried["one"])) == 6
    assert not set(tried["one"]) & set(tried["three"])


def test_no_new_trial_after_the_target(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(metric={"name": "val/score", "goal": "maximize", "target": 0.99})
    study = sweep(path, workers=1)
    assert [r.parameters["x"] for r in study.records()] == [0.0, 0.1, 0.2]


def test_a_budget_ends_it_and_the_next_start_goes_on(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(values=4, p_steps={"value": 2}, p_pause={"value": 0.4})
    study = sweep(path, workers=1, budget=SweepBudget(device_hours=1.4 / 3600))
    assert study.unfinished() in (3, 4)
    spent = sum(r.seconds for r in study.records())
    again = sweep(path, workers=1, budget=SweepBudget(hours=1.4 / 3600))
    assert again.unfinished() < study.trials
    assert sum(r.seconds for r in again.records()) > spent
    assert sweep(path).unfinished() == 0


def test_devices_are_handed_out_by_worker(tmp_path: Path, write_sweep: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert main(["sweep", str(write_sweep(p_pause={"value": 0.1})), "--devices_per_trial", "2"]) == 0
    assert {devices for _, _, devices, *_ in lines(tmp_path, "start")} == {"4,5", "6,7"}
    assert main(["sweep", str(tmp_path / "quick.yaml"), "--devices_per_trial", "3"]) == 2


def test_another_sweep_of_the_same_name_is_refused(
    tmp_path: Path, write_sweep: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--runs_root", str(tmp_path / "runs")]
    assert main(["sweep", str(write_sweep(values=1)), *root]) == 0
    assert main(["sweep", str(write_sweep(values=2)), *root]) == 2
    assert "holds a sweep named quick with another parameters" in capsys.readouterr().err


def test_a_journal_cut_short_is_mended(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(values=2)
    study = sweep(path, trials=1)
    with (study.folder / "study.journal").open("a") as file:
        file.write('{"op_code": 5, "wor')
    assert [r.state for r in sweep(path).records()] == ["complete", "complete"]


def test_a_damaged_journal_and_a_folder_that_is_a_file_are_one_line(
    tmp_path: Path, write_sweep: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", str(write_sweep(values=1)), "--runs_root", str(tmp_path / "runs")]
    folder = tmp_path / "runs/sweeps/quick"
    folder.mkdir(parents=True)
    (folder / "study.journal").write_text("garbage\n")
    assert main(words) == 2
    assert "study.journal: is damaged" in capsys.readouterr().err
    (folder / "study.journal").unlink()
    (folder / "trial-0000").touch()
    assert main(words) == 2
    assert "trial-0000: cannot be written (File exists)" in capsys.readouterr().err


def test_a_trial_of_another_folder_on_this_machine_is_not_taken(tmp_path: Path, write_sweep: Write) -> None:
    read = read_sweep(write_sweep(values=2))
    storage = f"sqlite:///{tmp_path}/study.db"
    one, two = (SharedStudy(read, tmp_path / name, 2, 0, storage) for name in "ab")
    first, second = one.claim(), two.claim()
    assert first is not None
    assert second is not None
    assert (first.trial, second.trial) == (0, 1)
    assert two.claim() is None
    one.finish(first, "complete", 0.0)
    first.lock.close()
    second.lock.close()
    taken_up = two.claim()
    assert taken_up is not None
    assert taken_up.trial == 1, "of its own folder, the lock tells that it was cut off"


def test_a_trial_of_a_container_of_the_same_name_is_not_taken(tmp_path: Path, write_sweep: Write) -> None:
    """Host and path are the same there, and the files are not, so that no lock tells anything."""
    read, folder = read_sweep(write_sweep(values=1)), tmp_path / "runs"
    storage = f"sqlite:///{tmp_path}/study.db"
    assert SharedStudy(read, folder, 1, 0, storage).claim() is not None
    folder.rename(tmp_path / "of the other container")
    assert SharedStudy(read, folder, 1, 0, storage).claim() is None


def test_failed_trials_run_again_when_that_is_asked_for(
    tmp_path: Path, write_sweep: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_sweep(values=2, p_fail={"values": ["no", "once"]})
    words = ["sweep", str(path), "--retries", "0"]
    assert main(words) == 1
    assert "--failed_again runs those that failed once more" in capsys.readouterr().err
    assert main(words) == 1
    assert len(lines(tmp_path, "start")) == 4, "not by themselves"
    tried = {row["trial"]: row["parameters"] for row in json.loads(summary(tmp_path).read_text())["rows"]}
    assert main([*words, "--failed_again"]) == 0
    assert "2 trials that failed are run once more" in capsys.readouterr().err
    told = json.loads(summary(tmp_path).read_text())
    assert told["counts"] == {"complete": 4, "pruned": 0, "failed": 0, "running": 0, "left": 0}
    assert {row["trial"]: row["parameters"] for row in told["rows"]} == tried
    assert sorted(row["attempts"] for row in told["rows"]) == [1, 1, 2, 2]
    assert main([*words, "--failed_again"]) == 0
    assert len(lines(tmp_path, "start")) == 6


def test_a_run_that_failed_after_it_was_finished_is_run_again(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(values=1, p_late_error={"value": 3})
    study = sweep(path)
    assert study.take_up_failed() == 1
    (record,) = sweep(path).records()
    assert (record.state, record.attempts, len(lines(tmp_path, "start"))) == ("failed", 2, 2)


class Broken(Exception):
    """What a driver says."""


def test_a_database_that_cannot_be_reached_is_waited_for(
    tmp_path: Path, write_sweep: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("personlab.experiments.sweeps.storage._PAUSES_S", (0.01, 0.02))
    url = f"sqlite:///{tmp_path}/study.db"
    study = SharedStudy(read_sweep(write_sweep(values=1)), tmp_path / "runs", 1, 0, url)
    report, broken = study.storage.set_trial_intermediate_value, [2]

    def fails(*given: Any) -> None:
        if broken[0]:
            broken[0] -= 1
            cause = OperationalError("UPDATE", {}, Broken("server closed the connection\nunexpectedly"))
            raise StorageInternalError("invalid data") from cause
        report(*given)

    monkeypatch.setattr(study.storage, "set_trial_intermediate_value", fails)
    claim = study.claim()
    assert claim is not None
    study.report(claim, 1, 0.5)
    assert broken == [0]
    finish, held = study.storage.set_trial_state_values, []

    def finishes(*given: Any) -> bool:
        held.append(not claim.lock.closed)
        if len(held) == 1:
            raise OperationalError("UPDATE", {}, Broken("gone"))
        return finish(*given)

    with monkeypatch.context() as patch:
        patch.setattr(study.storage, "set_trial_state_values", finishes)
        assert study.finish(claim, "complete", 0.5)
    assert (held, claim.lock.closed) == ([True, True], True)
    broken[0] = 3
    told = r"^--storage .*: cannot be reached any more \(server closed the connection\); the same command goes on$"
    with pytest.raises(InputError, match=told):
        study.report(claim, 2, 0.5)
    broken[0] = 1
    with pytest.raises(InputError, match="any more"):  # and nothing is waited for again
        study.report(claim, 2, 0.5)
    assert broken == [0]
    study.lost = False

    def refuses(*_: Any) -> None:
        raise StorageInternalError("value too long")

    monkeypatch.setattr(study.storage, "set_trial_intermediate_value", refuses)
    with pytest.raises(StorageInternalError, match="too long"):  # no time helps
        study.report(claim, 2, 0.5)


def test_the_end_by_the_target_is_told(
    tmp_path: Path, write_sweep: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_sweep(metric={"name": "val/score", "goal": "maximize", "target": 0.99})
    words = ["sweep", str(path), "--workers", "1"]
    assert main(words) == 0
    assert "trial 2 reached the target of 0.99: no new one begins" in capsys.readouterr().err
    assert main(words) == 0
    assert "quick: no trial to run: 3 of 6 have ended, and the target is reached" in capsys.readouterr().err
    assert len(lines(tmp_path, "start")) == 3


def test_a_spent_budget_stops_nothing_where_nothing_is_left(
    tmp_path: Path, write_sweep: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_sweep(values=1)
    assert main(["sweep", str(path)]) == 0
    assert main(["sweep", str(path), "--max_device_hours", "1e-9"]) == 0
    assert "stopped" not in capsys.readouterr().err
    assert json.loads(summary(tmp_path).read_text())["stopped_by"] is None


def test_a_dry_run_writes_nothing(tmp_path: Path, write_sweep: Write, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "runs"
    assert main(["sweep", str(write_sweep()), "--dry_run", "--runs_root", str(root), "--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["parameters"]["x"] for row in rows] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert f"--run.root={root / 'sweeps' / 'quick'}" in rows[3]["command"]
    assert not root.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "0"], "--workers must be at least 1"),
        (["--max_hours", "0"], "--max_hours must be above 0"),
        (["--storage", "nosuch://x"], "--storage nosuch://x: "),
        (["--storage", "postgresql+psycopg://me:secret@127.0.0.1:1/x"], "--storage postgresql+psycopg://me:***@127"),
    ],
)
def test_bad_options_are_one_line(
    tmp_path: Path, write_sweep: Write, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["sweep", str(write_sweep()), "--runs_root", str(tmp_path / "runs"), *words]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert "secret" not in told


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Any:
    yield
    for *_, pid in lines(tmp_path, "start"):
        with contextlib.suppress(OSError):
            os.kill(int(pid), signal.SIGKILL)


def test_time_of_a_trial_that_was_given_up_counts_once(tmp_path: Path, write_sweep: Write) -> None:
    read = read_sweep(write_sweep(values=1))
    study = SharedStudy(read, tmp_path / "runs", 1, 0)
    for seconds in (8.0, 16.0, 24.0):  # of all attempts so far
        claim = study.claim()
        assert claim is not None
        (record,) = study.records()
        assert record.seconds == seconds - 8
        study.beat(claim, 8.0)
        study.release(claim)


def test_a_finished_run_of_other_parameters_is_never_taken(
    tmp_path: Path, write_sweep: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--runs_root", str(tmp_path / "runs")]
    storage = ["--storage", f"sqlite:///{tmp_path}/study.db"]  # which knows nothing of the journal in the folder
    assert main(["sweep", str(write_sweep(values=1)), *root]) == 0
    shifted = write_sweep(p_x={"values": [0.9]})
    capsys.readouterr()
    assert main(["sweep", str(shifted), *root, *storage]) == 2
    told = capsys.readouterr().err.splitlines()
    assert "parameters.json: is a trial of another sweep or with other parameters" in told[-1]
    assert len(lines(tmp_path, "start")) == 1
    # The same with the same parameters is the same trial, and a run that nobody knows the parameters of is none.
    same = write_sweep(values=1)
    assert main(["sweep", str(same), *root, "--storage", f"sqlite:///{tmp_path}/same.db"]) == 0
    assert len(lines(tmp_path, "start")) == 1
    (tmp_path / "runs/sweeps/quick/trial-0000/parameters.json").unlink()
    assert main(["sweep", str(same), *root, "--storage", f"sqlite:///{tmp_path}/other.db"]) == 2
    assert "trial-0000: holds runs, and no parameters.json tells of what" in capsys.readouterr().err
    # Nothing keeps the folder's lock or counts as running.
    study = SharedStudy(read_sweep(same), tmp_path / "runs/sweeps/quick", 1, 0, f"sqlite:///{tmp_path}/other.db")
    assert (study.records(), study.unfinished()) == ([], 1)


def test_killed_while_bayes_chooses_it_keeps_what_was_chosen(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(method="bayes", run_cap=2, p_x={"min": 0.0, "max": 1.0}, p_y={"min": 0.0, "max": 1.0})
    read = read_sweep(path)
    study = SharedStudy(read, tmp_path / "runs" / "sweeps" / read.name, 2, 0)
    template = optuna.trial.create_trial(
        state=optuna.trial.TrialState.RUNNING, params={"x": 0.25}, user_attrs={"trial": 0},
        distributions={"x": optuna.distributions.FloatDistribution(0.0, 1.0)},
    )  # fmt: skip
    study.storage.create_new_trial(study._id, template)
    records = sweep(path).records()
    assert [r.state for r in records] == ["complete", "complete"]
    assert records[0].parameters["x"] == 0.25
    assert {"x", "y"} <= records[0].parameters.keys()


def test_what_was_stopped_is_told_with_its_time(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(values=2, p_steps={"value": 40}, p_pause={"value": 0.2})
    words = ["sweep", str(path), "--max_device_hours", str(2 / 3600)]
    process = start_command(words, tmp_path)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1, output
    summary = json.loads((tmp_path / "runs/sweeps/quick/summary.json").read_text())
    assert summary["counts"] == {"complete": 0, "pruned": 0, "failed": 0, "running": 0, "left": 2}
    assert [row["state"] for row in summary["rows"]] == ["stopped", "stopped"]
    assert sum(row["seconds"] for row in summary["rows"]) >= 2
    assert summary["device_hours"] >= 2 / 3600
    assert all(row["value"] is not None for row in summary["rows"])


def test_a_kill_does_not_lose_the_time_that_was_spent(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(values=1, p_steps={"value": 40}, p_pause={"value": 0.3})
    process = start_command(["sweep", str(path), "--workers", "1"], tmp_path)
    ledgers = "runs/sweeps/quick/trial-0000/*/metrics.jsonl"
    wait_until(lambda: any(len(ledger.read_text().splitlines()) >= 8 for ledger in tmp_path.glob(ledgers)))
    process.kill()
    process.communicate()
    read = read_sweep(path)
    study = SharedStudy(read, tmp_path / "runs" / "sweeps" / read.name, 1, 0)
    (record,) = study.records()
    assert (record.state, record.seconds > 1) == ("running", True)
    wait_until(lambda: (claim := study.claim()) is not None and claim.seconds >= record.seconds)


FAILING = Path(__file__).with_name("failing.py")


def test_what_a_failed_attempt_left_is_no_value_of_the_next(tmp_path: Path, write_sweep: Write) -> None:
    """The first attempt logs bad values and fails; the next takes its time, then logs good ones, or none."""
    keys = {"program": str(FAILING), "p_pause": {"value": 0.3}}
    study = sweep(write_sweep(p_x={"values": [0.1, 0.2, 0.9]}, p_bad={"value": 0.9}, **keys), 3, 1, retries=1)
    assert [(r.state, r.attempts) for r in study.records()] == [("complete", 1), ("complete", 1), ("complete", 2)]
    assert [r.history for r in study.records()] == [[0.1] * 3, [0.2] * 3, [0.9] * 3]
    assert study.records()[2].value == 0.9
    path = write_sweep("silent", p_x={"values": [0.9]}, p_bad={"value": 0.9}, p_silent={"value": 1}, **keys)
    silent = sweep(path, retries=1)
    (record,) = silent.records()
    assert (record.state, record.value, record.history, record.attempts) == ("failed", None, [], 2)


def test_a_budget_that_is_spent_starts_nothing(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(values=2, p_pause={"value": 0.4})
    budget = SweepBudget(device_hours=0.5 / 3600)
    spent = sum(r.seconds for r in sweep(path, workers=1, budget=budget).records())
    assert spent >= 0.5
    began = len(lines(tmp_path, "start"))
    again = sweep(path, workers=1, budget=budget)
    assert len(lines(tmp_path, "start")) == began
    assert sum(r.seconds for r in again.records()) == spent
    # Each start of a trial counts, those of earlier starts of the sweep, too.
    whole = sweep(path, workers=1)
    assert sum(r.attempts for r in whole.records()) == len(lines(tmp_path, "start")) > 2
