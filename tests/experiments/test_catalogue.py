"""The reader of run directories: what it tells of whole runs, and that no broken one stops it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from personlab.errors import InputError
from personlab.experiments.catalogue import find_runs, read_run
from personlab.experiments.lock import RunLock
from tests.experiments.run_files import card, ledger, write_run


def test_a_run_tells_what_it_came_to_and_what_it_took(tmp_path):
    folder = write_run(tmp_path, "1", lines=ledger(5, seconds=720), batch={"processes": 4}, ap=0.5)
    run = read_run(folder)
    assert (run.name, run.run_id, run.status, run.command) == ("test", "1", "finished", "fit")
    assert (run.ap("keypoints"), run.ap("segmentation"), run.ap("other")) == (0.5, 0.2, None)
    assert (run.steps, run.images_seen, run.seconds) == (5, 40, 3600)
    assert run.device_hours == 4
    assert run.lines() == ledger(5, seconds=720)
    assert run.curve("train/loss", "samples_seen")[:2] == [(8, 1.0), (16, 0.5)]
    assert run.curve("train/loss", "wall_s")[-1] == (3600, 0.2)
    assert run.faults == ()
    assert json.loads(json.dumps(run.summary()))["device_hours"] == 4


def test_what_a_long_ledger_took_is_read_from_its_end(tmp_path):
    lines = ledger(2000)
    # The last 64 KiB have no count of samples: the whole file must be read for it.
    lines += [{"step": 1999, "wall_s": 99999.5, "note": "x" * 100}] * 1000
    run = read_run(write_run(tmp_path, "1", lines=lines))
    assert (run.steps, run.seconds, run.images_seen) == (2000, 99999.5, 16000)


def test_curves_leave_out_what_is_null_and_what_is_no_number(tmp_path):
    lines = [{"step": 0, "a": 1.0}, {"step": 1, "a": None}, {"step": 2, "a": "x"}, {"a": 3.0}, {"step": 4, "a": 5}]
    assert read_run(write_run(tmp_path, "1", lines=lines)).curve("a") == [(0, 1.0), (4, 5)]


@pytest.mark.parametrize("status", ["finished", "interrupted", "failed", "preempted"])
def test_the_card_tells_how_a_run_ended(tmp_path, status):
    assert read_run(write_run(tmp_path, "1", status=status)).status == status


def test_a_run_that_says_running_is_dead_unless_its_lock_is_held(tmp_path):
    folder = write_run(tmp_path, "1", status="running")
    assert read_run(folder).status == "dead", "no lock at all"
    lock = RunLock(folder)
    lock.acquire()
    assert read_run(folder).status == "running"
    with pytest.raises(InputError, match="another job trains"):
        RunLock(folder).acquire()
    lock.release()
    assert read_run(folder).status == "dead", "whoever held it is gone"
    RunLock(folder).acquire()


def test_somebody_who_only_looks_at_a_lock_keeps_no_job_from_taking_it(tmp_path):
    folder = write_run(tmp_path, "1")
    (folder / ".lock").touch()
    look = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, 1); print(flush=True); time.sleep(.1)"
    with subprocess.Popen([sys.executable, "-c", look, str(folder / ".lock")], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        RunLock(folder).acquire()


@pytest.mark.parametrize(("hashes", "argv", "command"), [
    ({"train": "t", "val": "v"}, ["x.py"], "fit"), ({"val": "v"}, ["personlab", "fit"], "validate"),
    ({"test": "v"}, [], "test"), ({}, ["personlab", "validate", "--config", "fit"], "validate"), ({}, ["x.py"], "fit"),
])  # fmt: skip
def test_the_command_follows_from_the_data_that_was_read(tmp_path, hashes, argv, command):
    run = read_run(write_run(tmp_path, "1", data_hash=hashes, argv=argv))
    assert run.command == command
    assert (run.steps > 0) == (command == "fit")


def test_more_processes_after_a_resumption_count(tmp_path):
    run = read_run(write_run(tmp_path, "1", resumed=[{"batch": {"processes": 2}}, {"batch": None}, "?"]))
    assert (run.processes, len(run.resumed)) == (2, 2)


def test_settings_are_what_decides_a_result(tmp_path):
    def settings(**options):
        shutil.rmtree(tmp_path / "test", ignore_errors=True)
        return read_run(write_run(tmp_path, "1", options=options)).settings

    same = settings()
    assert same["model.optimizer.init_args.lr"] == 0.001
    assert same["model.optimizer.init_args.eps"] == 1e-8
    assert "data.train_images" not in same, "null says no more than what is not there"
    for place in ("run__root", "run__wandb", "data__root", "data__workers", "trainer__logger", "trainer__accelerator"):
        assert settings(**{place: "elsewhere"}) == same, place
    for option in ("data__batch_size", "seed_everything", "trainer__precision", "model__initial_weights"):
        assert settings(**{option: "other"}) != same, option
    # A batch size a device means another step on more of them; a global one does not.
    assert settings(trainer__devices=2) != same
    assert settings(trainer__devices=2, data__global_batch_size=8) == settings(data__global_batch_size=8)


def test_broken_runs_are_listed_with_what_is_wrong(tmp_path):
    whole = write_run(tmp_path, "0")
    broken = {
        "no card": lambda f: (f / "run.json").unlink(),
        "cut card": lambda f: (f / "run.json").write_text((f / "run.json").read_text()[:50]),
        "no mapping": lambda f: (f / "run.json").write_text("[1]"),
        "deep": lambda f: (f / "run.json").write_text("[" * 100_000),
        "bytes": lambda f: (f / "run.json").write_bytes(b"\xff\xfe\x00"),
        "folder": lambda f: [(f / "run.json").unlink(), (f / "run.json").mkdir()],
        "strange": lambda f: (f / "run.json").write_text(json.dumps(dict.fromkeys(card(), 7) | {"status": "?"})),
        "no config": lambda f: (f / "config.yaml").unlink(),
        "bad config": lambda f: (f / "config.yaml").write_text("a: [1"),
        "cut scores": lambda f: (f / "evaluation.json").write_text('{"keypoints": {"A'),
        "strange scores": lambda f: (f / "evaluation.json").write_text('{"keypoints": 3, "segmentation": {"AP": "x"}}'),
        "cut ledger": lambda f: (f / "metrics.jsonl").write_bytes(b'{"step": 1}\n[]\n3\n\xff\n{"step": 2, "wal'),
        "huge scores": lambda f: (f / "evaluation.json").write_text('{"keypoints": {"AP": 1' + "0" * 400 + "}}"),
        "huge times": lambda f: (f / "metrics.jsonl").write_text('{"step": 1, "wall_s": 1' + "0" * 400 + "}\n"),
        "endless config": lambda f: (f / "config.yaml").write_text("a: &a [*a]\n"),
        "odd scores": lambda f: (f / "evaluation.json").write_text(
            '{"keypoints": {"AP": [1], "AP50": true}, "segmentation": null, "seconds": {"network": NaN}}'
        ),
        "null config": lambda f: (f / "config.yaml").write_text("data:\nmodel:\nseed_everything: 1\n"),
        "empty": lambda f: [shutil.rmtree(f), f.mkdir()],
        "begun": lambda f: [p.unlink() for p in f.iterdir() if p.is_file()],
    }
    for name, damage in broken.items():
        damage(write_run(tmp_path, name))
    (tmp_path / "test" / "file").write_text("")
    (tmp_path / "test" / "loop").symlink_to(tmp_path)
    (tmp_path / "test" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "foreign" / "deep" / "er").mkdir(parents=True)
    runs = {run.path.name: run for run in find_runs(tmp_path)}
    assert runs.keys() - {"loop"} == broken.keys() | {whole.name}
    for run in runs.values():
        run.summary(), run.settings, run.curve("x"), run.processes, run.start, run.argv
    lost = {"no card", "cut card", "no mapping", "deep", "bytes", "folder", "strange", "empty", "begun"}
    assert {name for name, run in runs.items() if run.status == "broken"} - {"loop"} == lost
    faults = {name: " ".join(run.faults) for name, run in runs.items()}
    assert faults["0"] == faults["cut ledger"] == faults["huge times"] == ""
    assert "config.yaml: is cut or damaged (Circular" in faults["endless config"]
    assert "keypoints.AP is '[1]', which is no number" in faults["odd scores"]
    assert "seconds.network is 'nan', which is no number" in faults["odd scores"]
    assert runs["odd scores"].evaluation == {"keypoints": {}, "seconds": {}}
    assert runs["null config"].config == {"seed_everything": 1}
    assert "keypoints is '3'" in faults["strange scores"]
    assert "segmentation.AP is 'x'" in faults["strange scores"]
    assert "run.json: is missing" in faults["no card"]
    assert "run.json: is cut or damaged" in faults["cut card"]
    assert "config.yaml: is missing" in faults["no config"]
    assert "config.yaml: is cut or damaged" in faults["bad config"]
    assert "evaluation.json: is cut or damaged" in faults["cut scores"]
    assert "the status '?' is unknown" in faults["strange"]
    assert runs["cut ledger"].steps == 2
    assert runs["strange scores"].ap("keypoints") is runs["strange scores"].ap("segmentation") is None
    assert runs["no config"].ap("keypoints") == 0.4


def test_runs_are_found_at_any_level_once_and_oldest_first(tmp_path):
    write_run(tmp_path, "2", start="2026-01-02T10:00:00+0000")
    first = write_run(tmp_path / "sweep", "1", name="x", start="2026-01-02T11:30:00+0200")  # half an hour earlier
    assert [run.run_id for run in find_runs(tmp_path, tmp_path / "sweep", first)] == ["1", "2"]
    assert [run.path for run in find_runs(first)] == [first]
    (first / "inside").mkdir()
    write_run(first / "inside", "3")
    assert len(find_runs(tmp_path)) == 2, "a run's own files are no runs"
    with pytest.raises(InputError, match="no such folder"):
        find_runs(tmp_path / "nowhere")


def test_a_run_is_found_by_its_place_its_name_or_the_beginning_of_its_id(tmp_path, monkeypatch):
    folders = {name: write_run(tmp_path, name) for name in ("20260101-aa", "20260101-ab", "2026", "30")}
    only = write_run(tmp_path, "20260202", name="other")
    for given in ("test/30", "30", "3", "test/3", folders["30"], f"{folders['30']}/"):
        assert read_run(given, tmp_path).path == folders["30"], given
    assert read_run("2026", tmp_path).path == folders["2026"], "the whole of an id is no beginning"
    assert read_run("20260101-ab", tmp_path).path == folders["20260101-ab"]
    assert read_run("other", tmp_path).path == only
    with pytest.raises(InputError, match=r"20260101: 2 runs may be meant \(test/20260101-aa, test/20260101-ab\)"):
        read_run("20260101", tmp_path)
    with pytest.raises(InputError, match="test: 4 runs may be meant"):
        read_run("test", tmp_path)
    for wrong in ("", "x", "\0", "a" * 5000, "test/", "../"):
        with pytest.raises(InputError):
            read_run(wrong, tmp_path)
    with pytest.raises(InputError, match="is no run directory"):
        read_run(tmp_path / "test", tmp_path / "nowhere")
    assert read_run(tmp_path / "other", tmp_path / "nowhere").path == only
    deeper = write_run(tmp_path / "checkout" / "runs", "40", name="demo")
    assert read_run(deeper.parent, tmp_path / "nowhere").path == deeper
    for above in ("checkout", "checkout/runs"):  # where somebody works, and happens to have one run
        with pytest.raises(InputError, match="is no run directory"):
            read_run(tmp_path / above, tmp_path / "nowhere")
    monkeypatch.chdir(folders["30"])
    assert read_run(".").run_id == "30"
    assert os.path.isabs(read_run(".").path)
