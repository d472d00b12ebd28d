"""Run directories, run cards and the ledger."""

from __future__ import annotations

import csv
import json

import pytest

from personlab.errors import InputError
from personlab.experiments import Ledger, RunDirectory, finish_card, start_card


def test_two_runs_of_one_name_never_share_a_directory(tmp_path):
    runs = {RunDirectory.plan(tmp_path, "same").make().path for _ in range(20)}
    assert len(runs) == 20
    assert all(run.parent == tmp_path / "same" for run in runs)


def test_an_unwritable_root_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot make the run directory .*set --run\.root"):
        RunDirectory.plan(tmp_path / "file", "x").make()


def test_a_checkpoint_leads_back_to_its_run(tmp_path):
    run = RunDirectory.plan(tmp_path, "x").make()
    run.config.write_text("a: 1\n")
    start_card(run, seed=3, devices="cpu", data_hash={})
    assert RunDirectory.of_checkpoint(run.checkpoints / "last.ckpt") == run
    assert RunDirectory.of_checkpoint(tmp_path / "elsewhere" / "last.ckpt") is None


def test_the_card_tells_start_end_and_resumption(tmp_path):
    run = RunDirectory.plan(tmp_path, "x").make()
    run.config.write_text("a: 1\n")
    start_card(run, seed=3, devices="cpu, 2 cores", data_hash={"val": "ab"})
    card = json.loads(run.card.read_text())
    assert (card["status"], card["seed"], card["devices"], card["end"]) == ("running", 3, "cpu, 2 cores", None)
    assert card["versions"]["torch"]
    finish_card(run, "interrupted")
    assert json.loads(run.card.read_text())["status"] == "interrupted"
    start_card(run, seed=3, devices="cpu, 2 cores", data_hash={"val": "ab"})
    finish_card(run, "finished")
    again = json.loads(run.card.read_text())
    assert again["status"] == "finished"
    assert again["end"]
    assert again["data_hash"] == {"val": "ab"}
    assert [part["data_hash"] for part in again["resumed"]] == [{"val": "ab"}]
    assert again["start"] == card["start"]


@pytest.mark.parametrize("content", ['{"name": "x', "", "[]"])
def test_a_damaged_card_ends_no_run_that_goes_on(tmp_path, caplog, content):
    run = RunDirectory.plan(tmp_path, "x").make()
    run.config.write_text("a: 1\n")
    run.card.write_text(content)
    with caplog.at_level("WARNING", "personlab"):
        start_card(run, seed=3, devices="cpu", data_hash={})
    assert "run.json: is damaged (" in caplog.text
    finish_card(run, "finished")
    card = json.loads(run.card.read_text())
    assert (card["status"], len(card["resumed"])) == ("finished", 1)


def test_the_config_hash_follows_the_config(tmp_path):
    hashes = []
    for text in ("a: 1\n", "a: 1\n", "a: 2\n"):
        run = RunDirectory.plan(tmp_path, "x").make()
        run.config.write_text(text)
        start_card(run, seed=0, devices="cpu", data_hash={})
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


def test_the_ledger_ends_as_a_table_with_a_column_a_metric(tmp_path):
    ledger = Ledger(str(tmp_path))
    ledger.finalize("success")
    assert not (tmp_path / "metrics.csv").exists(), "nothing was logged"
    ledger.log_metrics({"train/loss/total": 1.5, "epoch": 0, "samples_seen": 8.0}, step=0)
    ledger.log_metrics({"val/keypoints/AP": 0.25, "epoch": 0, "samples_seen": 8.0}, step=1)
    for _ in range(2):
        ledger.finalize("success")
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "epoch", "samples_seen", "wall_s", "train/loss/total", "val/keypoints/AP"]
    assert [row["step"] for row in rows] == ["0", "1"]
    assert [row["val/keypoints/AP"] for row in rows] == ["", "0.25"]


def test_a_ledger_that_goes_back_keeps_the_lines_before_and_their_clock(tmp_path):
    ledger = Ledger(str(tmp_path))
    for step in range(5):
        ledger.log_metrics({"train/loss/total": float(step)}, step=step)
    content = [{**line, "wall_s": 10.0 * line["step"]} for line in ledger.lines()]
    cut_short = '{"step": 5, "wall'
    ledger.path.write_text("".join(json.dumps(line) + "\n" for line in content) + cut_short)
    again = Ledger(str(tmp_path))
    again.rewind(3)
    assert again.lines() == content[:3]
    again.log_metrics({"train/loss/total": 9.0}, step=3)
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    assert 20.0 <= lines[-1]["wall_s"] < 30.0
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]
