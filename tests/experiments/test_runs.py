"""Run directories, run cards and the ledger."""

from __future__ import annotations

import json

import pytest

from personlab.errors import InputError
from personlab.experiments import Ledger, RunDirectory, finish_card, start_card


def test_two_runs_of_one_name_never_share_a_directory(tmp_path):
    runs = {RunDirectory.create(tmp_path, "same").path for _ in range(20)}
    assert len(runs) == 20
    assert all(run.parent == tmp_path / "same" for run in runs)


def test_an_unwritable_root_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot make the run directory .*set --run\.root"):
        RunDirectory.create(tmp_path / "file", "x")


def test_a_checkpoint_leads_back_to_its_run(tmp_path):
    run = RunDirectory.create(tmp_path, "x")
    run.config.write_text("a: 1\n")
    start_card(run, seed=3, devices="cpu")
    assert RunDirectory.of_checkpoint(run.checkpoints / "last.ckpt") == run
    assert RunDirectory.of_checkpoint(tmp_path / "elsewhere" / "last.ckpt") is None


def test_the_card_tells_start_end_and_resumption(tmp_path):
    run = RunDirectory.create(tmp_path, "x")
    run.config.write_text("a: 1\n")
    start_card(run, seed=3, devices="cpu, 2 cores")
    card = json.loads(run.card.read_text())
    assert (card["status"], card["seed"], card["devices"], card["end"]) == ("running", 3, "cpu, 2 cores", None)
    assert card["versions"]["torch"]
    finish_card(run, "interrupted")
    assert json.loads(run.card.read_text())["status"] == "interrupted"
    start_card(run, seed=3, devices="cpu, 2 cores")
    finish_card(run, "finished")
    again = json.loads(run.card.read_text())
    assert again["status"] == "finished"
    assert again["end"]
    assert len(again["resumed"]) == 1
    assert again["start"] == card["start"]


def test_the_config_hash_follows_the_config(tmp_path):
    hashes = []
    for text in ("a: 1\n", "a: 1\n", "a: 2\n"):
        run = RunDirectory.create(tmp_path, "x")
        run.config.write_text(text)
        start_card(run, seed=0, devices="cpu")
        hashes.append(json.loads(run.card.read_text())["config_hash"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_ledger_is_json_lines_that_go_on_after_a_restart(tmp_path):
    Ledger(str(tmp_path)).log_metrics({"train/loss/total": 1.5, "epoch": 0, "samples_seen": 16.0}, step=3)
    second = Ledger(str(tmp_path))
    second.log_metrics({"val/keypoints/AP": float("nan")}, step=4)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 4]
    assert lines[0]["train/loss/total"] == 1.5
    assert lines[0]["samples_seen"] == 16
    assert isinstance(lines[0]["samples_seen"], int)
    assert lines[1]["val/keypoints/AP"] is None
    assert lines[1]["wall_s"] >= lines[0]["wall_s"]
