"""The mirror on W&B against a stand-in for its client: what is sent, what is not sent twice, and what may fail."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb

from personlab.errors import InputError
from personlab.evaluation.image_sets import ImageSet, write_results_of
from personlab.experiments import RunDirectory, evaluation_views
from personlab.experiments.catalogue import read_run
from personlab.experiments.evaluation_views import Table, keypoint_table, size_table, views_of
from personlab.experiments.mirror import WandbMirror
from personlab.experiments.trials.process import trial_environment
from personlab.skeleton import COCO
from tests.experiments import fake_runs, run_files


class Client:
    """Takes what a run on W&B would be sent."""

    def __init__(self, step: int = 0, offline: bool = True) -> None:
        self.step, self.offline, self.id = step, offline, "own"
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.config, self.summary = SimpleNamespace(update=self._configure), {}
        self.configured: dict[str, Any] = {}
        self.calls: list[Any] = []

    def _configure(self, values: dict[str, Any], allow_val_change: bool) -> None:
        self.configured |= values

    def define_metric(self, name: str, **options: Any) -> None:
        self.calls.append((name, options))

    def log(self, values: dict[str, Any], step: int, commit: bool) -> None:
        assert commit
        assert not self.rows or step > self.rows[-1][0], "W&B drops rows that do not go up"
        self.rows.append((step, values))

    def mark_preempting(self) -> None:
        self.calls.append("preempting")

    def finish(self, exit_code: int) -> None:
        self.calls.append(("finish", exit_code))

    @property
    def steps(self) -> list[int]:
        return [values["trainer/global_step"] for _, values in self.rows]


class Service:
    """Begins runs: the clients it was given, in turn, or raises the errors."""

    def __init__(self) -> None:
        self.clients: list[Client | Exception] = []
        self.begun: list[dict[str, Any]] = []

    def init(self, **options: Any) -> Client:
        self.begun.append(options)
        given = self.clients.pop(0) if self.clients else Client()
        if isinstance(given, Exception):
            raise given
        return given


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    made = Service()
    monkeypatch.setattr(wandb, "init", made.init)
    monkeypatch.setattr(wandb, "teardown", lambda **_: None)
    for name in ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    return made


def line(step: int, evaluated: bool = False, **more: Any) -> dict[str, Any]:
    value = {"val/keypoints/AP": 0.25} if evaluated else {"train/loss/total": 1.0 / (step + 1)}
    return {"step": step, "wall_s": 36.0 * step, "epoch": 0, "samples_seen": 8 * (step + 1)} | value | more


def write(run: Path, lines: list[dict[str, Any]], cut: str = "") -> None:
    (run / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines) + cut)


def mirror_of(run: Path, **options: Any) -> WandbMirror:
    return WandbMirror(run_directory=str(run), project="test", id=run.name, name=run.name, offline=True, **options)


def look(mirror: WandbMirror) -> None:
    mirror.log_metrics({})


def test_every_line_is_a_row_with_its_values_and_axes(tmp_path: Path, service: Service) -> None:
    service.clients.append(client := Client())
    mirror = mirror_of(tmp_path)
    lines = [line(0), line(1, broken=None), line(1, evaluated=True), line(2)]
    for n in range(1, len(lines) + 1):
        write(tmp_path, lines[:n], cut='{"step": 9, "wall')  # the next is just being written
        look(mirror)
        assert len(client.rows) == n
    look(mirror)
    assert client.steps == [0, 1, 1, 2]
    for (_, row), told in zip(client.rows, lines, strict=True):
        same = {name: value for name, value in told.items() if name not in ("step", "broken")}
        assert same.items() <= row.items()
        assert row["wall_hours"] == told["wall_s"] / 3600
    assert math.isnan(client.rows[1][1]["broken"]), "what JSON has no word for"
    assert [name for name, _ in client.calls] == [
        "trainer/global_step", "samples_seen", "epoch", "wall_s", "wall_hours", "*",
    ]  # fmt: skip
    assert client.calls[-1][1]["step_metric"] == "trainer/global_step"
    assert service.begun[0]["id"] == tmp_path.name


@pytest.mark.parametrize("known", range(9))
def test_a_run_that_goes_on_sends_what_the_service_lacks(known: int, tmp_path: Path, service: Service) -> None:
    # A kill came when the service had `known` lines, and the ledger goes on from the checkpoint after step 2.
    before = [line(s, evaluated=e) for s in range(4) for e in (False, True)]
    service.clients.extend([first := Client(offline=False), second := Client(offline=False)])
    write(tmp_path, before)
    look(mirror_of(tmp_path))
    second.step = first.rows[known - 1][0] + 1 if known else 0
    mirror = mirror_of(tmp_path)
    after = [one for one in before if one["step"] < 2]
    for step in range(2, 6):
        for evaluated in (False, True):
            after.append(line(step, evaluated=evaluated))
            write(tmp_path, after)
            look(mirror)
    rows = first.rows[:known] + second.rows
    assert [(row["trainer/global_step"], "val/keypoints/AP" in row) for _, row in rows] == [
        (s, e) for s in range(6) for e in (False, True)
    ]


def test_a_step_done_again_is_the_same_row_also_if_less_is_logged(tmp_path: Path, service: Service) -> None:
    service.clients.append(client := Client(step=4 * 5 + 1, offline=False))  # the service has all up to the 5th step
    write(tmp_path, [line(s) for s in (0, 3, 6, 9)])  # and from here on every third step is logged
    look(mirror_of(tmp_path))
    assert client.steps == [6, 9]


def test_more_lines_of_a_step_than_rows_are_all_sent(tmp_path: Path, service: Service) -> None:
    service.clients.append(client := Client())
    write(tmp_path, [line(0, evaluated=True), *(line(0) for _ in range(5)), line(1), line(2)])
    look(mirror_of(tmp_path))
    assert client.steps == [0] * 6 + [1, 2]


def test_a_ledger_taken_back_does_not_stand_twice(tmp_path: Path, service: Service) -> None:
    service.clients.append(client := Client())
    mirror = mirror_of(tmp_path)
    write(tmp_path, [line(s) for s in range(5)])
    look(mirror)
    write(tmp_path, [line(s) for s in range(3)])
    look(mirror)
    write(tmp_path, [line(s) for s in range(7)])
    look(mirror)
    assert client.steps == list(range(7))


def test_an_offline_part_takes_the_place_of_older_ones_but_for_those_sent(tmp_path: Path, service: Service) -> None:
    folder = tmp_path / "wandb"
    for name in ("offline-run-1-a", "offline-run-2-a", "run-3-a"):
        (folder / name / "files" / "media").mkdir(parents=True)
        (folder / name / "a.wandb").touch()
    (folder / "offline-run-1-a" / "a.wandb.synced").touch()
    mirror = mirror_of(tmp_path)
    assert mirror.experiment is not None
    assert (folder / "offline-run-2-a").is_dir(), "until this one has all of it"
    write(tmp_path, [line(0)])
    look(mirror)
    assert {p.name for p in folder.iterdir()} == {"offline-run-1-a", "run-3-a", "superseded"}
    assert (folder / "superseded" / "offline-run-2-a" / "a.wandb").is_file()
    assert not (folder / "superseded" / "offline-run-2-a" / "files" / "media").exists()


def test_a_service_that_fails_is_told_once(tmp_path: Path, service: Service, caplog: Any) -> None:
    class Broken(Client):
        def log(self, values: dict[str, Any], step: int, commit: bool) -> None:
            self.calls.append("log")
            raise ConnectionResetError("Connection lost\nat length")

    service.clients.append(broken := Broken())
    mirror = mirror_of(tmp_path)
    for n in range(1, 4):
        write(tmp_path, [line(s) for s in range(n)])
        look(mirror)
    mirror.close()
    assert broken.calls.count("log") == 1
    (told,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert told == "W&B has failed (Connection lost): no mirror from here on; the run directory has everything"


def test_a_client_that_does_not_begin_is_told_once(tmp_path: Path, service: Service, caplog: Any) -> None:
    service.clients.extend([wandb.errors.CommError("no route"), OSError(errno.ENOSPC, "no space left", "a/file")])
    mirror = WandbMirror(run_directory=str(tmp_path), project="test", id="a", name="a", offline=False)
    write(tmp_path, [line(0)])
    look(mirror)
    look(mirror)
    assert [options.get("mode") for options in service.begun][:2] == [None, "offline"]
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert [t.split(":")[0] for t in told] == ["W&B cannot be reached (no route)", "W&B has failed (no space left)"]


def test_a_run_under_way_in_the_same_program_is_never_taken(tmp_path: Path, service: Service) -> None:
    for name in ("a", "b"):
        assert mirror_of(tmp_path / name).experiment is not None
    assert [options["id"] for options in service.begun] == ["a", "b"]
    assert all(options["settings"].reinit == "create_new" for options in service.begun)
    assert os.environ.get("WANDB_MODE") != "dryrun", "the program's other runs are not taken offline"


@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("failed", 1), ("preempted", 1), ("interrupted", 1)])
def test_the_end_is_the_cards(status: str, code: int, tmp_path: Path, service: Service) -> None:
    service.clients.append(client := Client())
    run = run_files.write_run(tmp_path, "id", ap=0.25, status=status)
    write(run, [line(0), line(0, evaluated=True), line(1, evaluated=True, **{"val/keypoints/AP": 0.5}), line(2, True)])
    mirror = mirror_of(run)
    mirror.describe()
    mirror.close()
    assert client.calls[-1] == ("finish", code)
    assert ("preempting" in client.calls) == (status == "preempted")
    assert client.steps == [0, 0, 1, 2], "what was not looked for before"
    assert client.summary["status"] == status
    assert (client.summary["best/keypoints/AP"], client.summary["best/keypoints/step"]) == (0.5, 1)
    assert client.summary["keypoints_AP"] == 0.25, "that of the last evaluation"
    assert client.summary["images_per_second"] == pytest.approx(24 / 72)
    assert client.summary["device_hours"] == pytest.approx(72 / 3600)
    assert client.configured["card"]["git"]["commit"] == "a" * 40
    assert client.configured["model"]["optimizer"]["init_args"]["lr"] == 0.001


def test_trials_do_not_inherit_the_run_of_a_sweeps_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID"):
        monkeypatch.setenv(name, "parents")
    assert not {"WANDB_RUN_ID", "WANDB_SWEEP_ID"} & trial_environment(None, 1).keys()


def test_sizes_are_those_of_the_line() -> None:
    told = {
        "step": 3, "val/keypoints/AP": 0.5, "val/keypoints/AR": 0.6, "val/keypoints/AP_medium": 0.4,
        "val/keypoints/AR_medium": 0.45, "val/keypoints/AP_large": 0.7, "val/keypoints/AR_large": 0.75,
        "val/segmentation/AP": 0.3, "val/segmentation/AR1": 0.1, "val/segmentation/AR100": 0.35,
        "val/segmentation/AP_small": None,
    }  # fmt: skip
    assert size_table(told, "val") == Table(
        ["kind", "size", "AP", "AR"],
        [
            ["keypoints", "all", 0.5, 0.6], ["keypoints", "medium", 0.4, 0.45], ["keypoints", "large", 0.7, 0.75],
            ["segmentation", "all", 0.3, 0.35], ["segmentation", "small", None, None],
            ["segmentation", "medium", None, None], ["segmentation", "large", None, None],
        ],
    )  # fmt: skip


def test_views_are_those_of_the_evaluation_after_the_step(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.figures.mkdir()
    for name in ("val-step2.png", "val-step3.png", "test-step0.png"):
        (run.figures / name).touch()
    assert views_of(run, line(2)) == {}
    assert views_of(run, line(2, evaluated=True))["val/contact_sheet"] == run.figures / "val-step3.png"
    assert "val/contact_sheet" not in views_of(run, line(7, evaluated=True))
    tested = views_of(run, {"step": 0, "test/keypoints/AP": 0.5})
    assert tested["test/contact_sheet"] == run.figures / "test-step0.png"
    assert tested.keys() == {"test/contact_sheet", "test/by_size"}


def test_the_table_by_keypoint_counts_what_was_found(people: Path, tmp_path: Path) -> None:
    folder = fake_runs.make_run(tmp_path, people, skill=0.5)
    predictions = folder / "predictions" / "val-step6.json"
    with pytest.raises(InputError, match=r"val-step6.json: nothing tells which images"):
        keypoint_table(read_run(folder), predictions)
    assert "val/by_keypoint" not in views_of(RunDirectory(folder), line(5, evaluated=True))
    truth = json.loads((people / "annotations" / "person_keypoints_val2017.json").read_text())
    images = ImageSet(tuple(image["id"] for image in truth["images"]), split="val2017")
    write_results_of(predictions, json.loads(predictions.read_text()), images)
    table = keypoint_table(read_run(folder), predictions)
    assert table.columns == ["keypoint", "recall", "labelled"]
    visible = [sum(a["keypoints"][3 * k + 2] > 0 for a in truth["annotations"]) for k in range(17)]
    assert [row[2] for row in table.rows] == visible
    assert [row[0] for row in table.rows] == list(COCO.keypoint_names)
    assert all(0 < recall < 1 for _, recall, labelled in table.rows if labelled), "half of the people are not found"


def test_tables_are_made_again_only_for_new_predictions(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fake_runs.make_run(tmp_path, people)
    predictions = folder / "predictions" / "val-step6.json"
    made: list[Path] = []

    def make(run: Any, path: Path) -> Table:
        made.append(path)
        return Table(["keypoint"], [[len(made)]])

    monkeypatch.setattr(evaluation_views, "keypoint_table", make)
    tables = []
    for wait_s in (0, 0, 60):
        time_s = predictions.stat().st_mtime + wait_s
        os.utime(predictions, (time_s, time_s))
        tables.append(views_of(RunDirectory(folder), line(5, evaluated=True))["val/by_keypoint"])
    assert [table.rows for table in tables if isinstance(table, Table)] == [[[1]], [[1]], [[2]]]
