"""Trials of a study as processes: reuse, failures, kills and budgets, with a training that takes no time."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from personlab.errors import InputError
from personlab.experiments.ablation.plan import Trial, make_plan
from personlab.experiments.ablation.run import Runner
from personlab.experiments.ablation.study import StudyBudget, read_study
from personlab.experiments.ablation.table import markdown, table_rows
from personlab.experiments.ablation.trained import collect
from tests.evaluation.planted import FIRST, SECOND, TRIO, annotations, found_pose, person, pose
from tests.experiments.ablation import fake_fit

FAKE = [sys.executable, fake_fit.__file__]


@dataclass
class Config:
    config: dict[str, Any]

    @property
    def text(self) -> str:
        return yaml.safe_dump(self.config)


@dataclass
class Place:
    """A study of made-up trainings."""

    folder: Path

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def plan(self, levels: dict[str, dict[str, Any]], seeds: Sequence[int] = (0, 1), **common: Any) -> list[Trial]:
        study = {
            "name": "fake", "base": "base.yaml", "seeds": list(seeds),
            "factors": [{"name": "level", "levels": [{"name": k, "set": v} for k, v in levels.items()]}],
        }  # fmt: skip
        (self.folder / "study.yaml").write_text(yaml.safe_dump(study))
        return make_plan(read_study(self.folder / "study.yaml"), self.resolve(common), self.hashes, self.runs)

    def resolve(self, common: dict[str, Any]) -> Callable[..., Config]:
        def resolve(overlays: Sequence[Path], options: dict[str, Any]) -> Config:
            skeleton = str(self.folder / "trio.yaml")
            config: dict[str, Any] = {
                "data": {"root": str(self.folder), "annotations": "truth.json", "skeleton": skeleton},
                "model": {"does": "finish", "shift": 0},
            }  # fmt: skip
            for name, value in {**common, **options}.items():
                *sections, last = name.split(".")
                place = config
                for section in sections:
                    place = place.setdefault(section, {})
                place[last] = value
            return Config(config)

        return resolve

    @staticmethod
    def hashes(config: dict[str, Any]) -> dict[str, str]:
        return fake_fit.DATA_HASH

    def runner(self, **options: Any) -> Runner:
        folder = self.runs / "ablations" / "fake"
        return Runner(folder, self.runs, lambda config: [*FAKE, str(config)], poll_s=0.05, **options)

    @property
    def started(self) -> list[str]:
        path = self.runs / "started"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    people = [person(box, image_id=i) for i in (1, 2) for box in (FIRST, SECOND)]
    truth = annotations(*people, images=2)
    truth["categories"][0]["keypoints"] = list(TRIO.keypoint_names)
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    edges = [[TRIO.keypoint_names[a], TRIO.keypoint_names[b]] for a, b in TRIO.edges]
    skeleton = {"name": "trio", "keypoints": list(TRIO.keypoint_names), "edges": edges, "sigmas": list(TRIO.sigmas)}
    (tmp_path / "trio.yaml").write_text(json.dumps(skeleton))
    found = [found_pose(pose(box), 0.9) | {"image_id": i} for i in (1, 2) for box in (FIRST, SECOND)]
    (tmp_path / "found.json").write_text(json.dumps(found))
    (tmp_path / "base.yaml").write_text("{}\n")
    (tmp_path / "runs").mkdir()
    return Place(tmp_path)


SHIFTED = {"shifted": {"model.shift": 12}}


def test_all_cells_and_seeds_are_run_and_told(place) -> None:
    plan, runner = place.plan(SHIFTED), place.runner(devices=(None, None))
    assert runner.run(plan) is None
    assert sorted(place.started) == sorted(trial.name for trial in plan)
    baseline, shifted = rows = table_rows(collect(plan, runner))
    assert baseline["keypoints"] == {"ap": 1.0, "aps": [1.0, 1.0]}
    figures = shifted["keypoints"]
    assert figures["ap"] < 1
    assert figures["by_image"]["value"] == pytest.approx(figures["ap"] - 1)
    assert figures["by_seed"]["number"] == 2
    assert figures["conclusive"] == figures["by_seed"]["conclusive"]
    assert figures["by_image"]["conclusive"]
    assert baseline["runs"][0]["run"].startswith("runs/fake-baseline-seed0/run-")
    table = markdown(rows).splitlines()
    assert table[0] == "| level | runs | keypoint AP | Δ [by image] | Δ [by seed] | minutes a run |"
    assert table[2] == "| baseline | 2 | 1.000 | – | – | 1.0 |"
    assert len(table) == 4
    assert json.loads((runner.folder / "trials.json").read_text())[plan[0].key][0]["status"] == "finished"


def test_finished_runs_are_taken_wherever_they_lie_and_by_config_alone(place) -> None:
    place.runner().run(place.plan(SHIFTED, seeds=[0]))
    (place.runs / "fake-baseline-seed0").rename(place.runs / "renamed")
    before = place.started
    more = {**SHIFTED, "further": {"model.shift": 20}}
    plan, runner = place.plan(more, seeds=[0]), place.runner()
    done, left = runner.sort(plan)
    assert (len(done), [trial.cell for trial in left]) == (2, ["level: further"])
    assert "judged by" not in runner.forecast(plan)  # the fakes name no steps
    runner.run(plan)
    assert place.started[len(before) :] == ["fake-level_further-seed0"]
    _, left = place.runner().sort(place.plan(more, seeds=[0], **{"model.rate": 2}))
    assert len(left) == 3, "another config is another run"
    _, left = place.runner().sort(place.plan(more, seeds=[0], **{"data.workers": 7}))
    assert left == [], "where a run works is no part of its result"
    _, left = place.runner().sort(place.plan(more, seeds=[0], **{"trainer.devices": 4}))
    assert len(left) == 3, "where nothing else says how many images a step has, the devices do"
    _, left = place.runner().sort(place.plan(more, seeds=[0], **{"trainer.precision": "bf16-mixed"}))
    assert len(left) == 3, "precision decides, too"
    _, left = place.runner().sort(place.plan(more, seeds=[0], **{"evaluation.max_unreadable_share": 0.5}))
    assert left == [], "of a run that is finished, how much damage it would have borne is not"
    deep = place.runs / "sweeps" / "s" / "trial-0000"
    deep.parent.mkdir(parents=True)
    (place.runs / "renamed").rename(deep)
    done, _ = place.runner().sort(plan)
    assert len(done) == 3


def test_the_forecast_is_judged_by_finished_runs_alone(place) -> None:
    common = {"trainer.max_steps": 10}
    place.runner().run(place.plan(SHIFTED, seeds=[0], **common))
    further = place.plan({"shifted": {"model.shift": 20}}, seeds=[1], **common)
    assert "1.0 min each, judged by 2 runs" in place.runner().forecast(further)
    for card in place.runs.glob("fake-baseline*/*/run.json"):
        card.write_text(json.dumps(json.loads(card.read_text()) | {"status": "failed"}))
    assert "judged by 1 runs" in place.runner().forecast(further)


def test_what_is_handed_out_is_what_counts(place) -> None:
    plan, runner = place.plan(SHIFTED, seeds=[0], **{"trainer.devices": "auto"}), place.runner(devices=("0,1,2,3",))
    runner.run(plan)
    assert [runner.attempts[trial.key][0]["devices"] for trial in plan] == [4, 4]


def test_initial_weights_are_known_by_what_they_were_and_not_by_their_name(place) -> None:
    weights = place.folder / "w.safetensors"
    weights.write_bytes(b"first")
    common = {"model.initial_weights": str(weights)}
    place.runner().run(place.plan(SHIFTED, seeds=[0], **common))
    assert place.runner().sort(place.plan(SHIFTED, seeds=[0], **common))[1] == []
    moved = weights.rename(place.folder / "moved.safetensors")
    assert place.runner().sort(place.plan(SHIFTED, seeds=[0], **{"model.initial_weights": str(moved)}))[1] == []
    weights.write_bytes(b"second")
    assert len(place.runner().sort(place.plan(SHIFTED, seeds=[0], **common))[1]) == 2
    for card in place.runs.glob("*/*/run.json"):  # of a run of which it is not known
        card.write_text(json.dumps({k: v for k, v in json.loads(card.read_text()).items() if k != "weights_hash"}))
    weights.write_bytes(b"first")
    assert len(place.runner().sort(place.plan(SHIFTED, seeds=[0], **common))[1]) == 2


def test_a_run_that_went_on_otherwise_is_not_taken(place) -> None:
    plan = place.plan(SHIFTED, seeds=[0])
    place.runner().run(plan)
    run = next(place.runs.glob("fake-baseline-seed0/*"))
    config, card = yaml.safe_load((run / "config.yaml").read_text()), json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(card | {"resumed": [{"data_hash": card["data_hash"]}]}))
    (run / "config-resumed-1.yaml").write_text(yaml.safe_dump(config | {"ckpt_path": "last.ckpt"}))
    assert place.runner().sort(plan)[1] == [], "it went on as it had begun"
    (run / "config-resumed-1.yaml").write_text(yaml.safe_dump(config | {"trainer": {"max_steps": 9}}))
    assert [trial.cell for trial in place.runner().sort(plan)[1]] == ["baseline"]
    (run / "config-resumed-1.yaml").unlink()
    (run / "run.json").write_text(json.dumps(card | {"resumed": [{"data_hash": {"train": "other"}}]}))
    assert [trial.cell for trial in place.runner().sort(plan)[1]] == ["baseline"]


def test_damaged_predictions_are_told_with_a_way_on(place) -> None:
    plan, runner = place.plan(SHIFTED, seeds=[0]), place.runner()
    runner.run(plan)
    run = next(place.runs.glob("fake-baseline-seed0/*"))
    (run / "predictions" / "val-step5.json").write_text("[{")
    with pytest.raises(
        InputError, match=rf"val-step5\.json: .*; or remove {run}, and the same command trains it again"
    ):
        collect(plan, runner)


def test_long_names_of_levels_are_cut_where_they_name_files(place) -> None:
    long = "n" * 300
    plan = place.plan({f"{long}a": {"model.shift": 1}, f"{long}b": {"model.shift": 2}}, seeds=[0])
    assert len({trial.name for trial in plan}) == 3
    place.runner().run(plan)
    assert place.runner().sort(plan)[1] == []


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"k": 5}', '{"k": [1]}', '{"k": [{}]}', '{"k": [{"status": "failed"}]}', "[" * 100_000, b"\xff",
     '{"k": [{"status": "failed", "seconds": -1, "devices": 1}]}'],
    ids=lambda content: str(content)[:12],
)  # fmt: skip
def test_a_damaged_record_of_attempts_is_one_line_and_left_as_it_is(place, content) -> None:
    path = place.runner().folder / "trials.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"trials\.json: is damaged; remove it"):
        place.runner()
    assert path.read_bytes() == before


def test_a_failure_is_kept_and_counted_and_tried_again(place) -> None:
    levels = {"bad": {"model.does": "fail"}, "empty": {"model.does": "nothing"}}
    plan, runner = place.plan(levels, seeds=[0]), place.runner()
    assert runner.run(plan) is None
    rows = table_rows(collect(plan, runner))
    assert [(row["failed"], row["unfinished"], len(row["runs"])) for row in rows] == [(0, 0, 1), (1, 0, 0), (1, 0, 0)]
    assert "| level: bad | 0, 1 failed |" in markdown(rows)
    tried = json.loads((runner.folder / "trials.json").read_text())
    assert [(tried[t.key][0]["exit"], tried[t.key][0]["error"]) for t in plan[1:]] == [
        (1, "it broke"), (0, "ended, but left no finished run of its config"),
    ]  # fmt: skip
    again = place.runner()
    again.run(plan)
    assert [len(again.attempts[trial.key]) for trial in plan] == [1, 2, 2]
    assert place.started.count("fake-baseline-seed0") == 1


def test_without_a_baseline_the_levels_are_told_and_nothing_is_compared(place) -> None:
    """A budget that is spent while the baseline trains, or one that breaks, does not hide what else was found."""
    plan = place.plan({"whole": {"model.does": "finish"}}, seeds=[0], **{"model.does": "fail"})
    runner = place.runner()
    runner.run(plan)
    baseline, whole = table_rows(collect(plan, runner))
    assert (baseline["failed"], "keypoints" in baseline) == (1, False)
    assert whole["keypoints"] == {"ap": 1.0, "aps": [1.0]}
    assert "| level: whole | 1 | 1.000 | – |" in markdown([baseline, whole])
    nothing = place.runner(budget=StudyBudget(max_hours=1e-9))
    plan = place.plan({"late": {"model.shift": 4}}, seeds=[5])
    assert nothing.run(plan) is not None
    rows = table_rows(collect(plan, nothing))
    assert [(row["failed"], row["unfinished"]) for row in rows] == [(0, 1), (0, 1)]
    assert "| baseline | 0, 1 unfinished |" in markdown(rows)


@pytest.mark.parametrize("unit", ["hours", "device-hours"])
def test_a_spent_budget_stops_what_runs_and_starts_nothing_more(place, unit) -> None:
    plan = place.plan({"slow": {"model.does": "wait"}, "never": {"model.shift": 1}}, seeds=[0])
    first = place.runner()
    first.run(plan[:1])
    used = first.attempts[plan[0].key][0]["seconds"]
    budget = StudyBudget(max_hours=0.5 / 3600) if unit == "hours" else StudyBudget(max_device_hours=(used + 0.5) / 3600)
    runner = place.runner(budget=budget)
    assert str(runner.run(plan)).endswith(f" {unit}")
    assert place.started == ["fake-baseline-seed0", "fake-level_slow-seed0"]
    found = {cell.level: cell for cell in collect(plan, runner)}
    assert (found["level: slow"].failed, found["level: slow"].unfinished) == (0, 1)
    assert found["level: never"].unfinished == 1
    assert runner.attempts[plan[1].key][0]["exit"] == 75
    (place.runs / "go").touch()
    again = place.runner()
    assert again.run(plan) is None
    assert len(again.runs) == 3


def seconds_noted(place: Place) -> list[float]:
    told = json.loads((place.runs / "ablations/fake/trials.json").read_text())
    return [attempt["seconds"] for tried in told.values() for attempt in tried]


def test_a_killed_study_goes_on_with_what_is_missing(place) -> None:
    levels = {"slow": {"model.does": "wait"}, "other": {"model.shift": 3}}
    controller = multiprocessing.get_context("fork").Process(
        target=lambda: place.runner(devices=(None, None), note_s=0.1).run(place.plan(levels)), daemon=True
    )
    controller.start()
    deadline = time.monotonic() + 120
    # Both workers wait in trials, and what these have cost is noted.
    while sum("slow" in name for name in place.started) < 2 or not all(seconds_noted(place)):
        assert time.monotonic() < deadline
        assert controller.is_alive()
        time.sleep(0.05)
    controller.kill()
    controller.join()
    plan, runner = place.plan(levels), place.runner(devices=("4", "7"))
    assert len(runner.sort(plan)[1]) == 4
    cut = [a for t in plan for a in runner.attempts.get(t.key, []) if a["status"] == "cut off"]
    assert len(cut) == 2
    assert all(attempt["seconds"] > 0 for attempt in cut), "what a kill cut off is counted"
    (place.runs / "go").touch()  # those that are started now end
    assert runner.run(plan) is None  # when the guards have ended those that were killed
    assert len(runner.runs) == 6
    times = {trial.name: place.started.count(trial.name) for trial in plan}
    assert times == {name: 1 + ("slow" in name) for name in times}
    assert len(list(place.runs.glob("fake-*/*/run.json"))) == 6
    assert {json.loads(path.read_text())["devices"] for path in place.runs.glob("fake-level_slow*/*/run.json")} == {
        "4", "7",
    }  # fmt: skip


def test_levels_whose_names_differ_in_signs_alone_have_runs_and_logs_of_their_own(place) -> None:
    plan = place.plan({"<1": {"model.shift": 1}, ">1": {"model.shift": 2}}, seeds=[0])
    assert [trial.name for trial in plan] == [
        "fake-baseline-seed0", "fake-level_1-seed0", "fake-level_1_2-seed0",
    ]  # fmt: skip
    many = place.plan({name: {"model.shift": n} for n, name in enumerate(("<1", "1_3", ">1"), 1)}, seeds=[0])
    assert len({trial.name for trial in many}) == 4
    counts = {"auto": 1, -1: 1, 3: 3, "2": 2}
    found = {n: place.plan(SHIFTED, [0], **{"trainer.devices": n, "trainer.num_nodes": 2})[0].devices for n in counts}
    assert found == {n: 2 * count for n, count in counts.items()}
    assert place.plan(SHIFTED, [0], **{"trainer.devices": [4, 7]})[0].devices == 2


def test_levels_that_come_to_the_same_are_refused(place) -> None:
    with pytest.raises(InputError, match="'level: none' is the same as 'baseline'"):
        place.plan({"none": {"model.shift": 0}})
    with pytest.raises(InputError, match="'level: b' is the same as 'level: a'"):
        place.plan({"a": {"model.shift": 1}, "b": {"model.shift": 1}})


def test_a_level_that_is_scored_on_other_images_is_refused_before_anything_is_trained(
    place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hashes(config: dict[str, Any]) -> dict[str, str]:
        return {"train": "t", "val": str(config["data"].get("val_images"))}

    monkeypatch.setattr(Place, "hashes", staticmethod(hashes))
    assert place.plan({"a": {"model.shift": 1}})
    with pytest.raises(InputError, match=r"level: fewer: is scored on other images .* leave data\.val_split"):
        place.plan({"a": {"model.shift": 1}, "fewer": {"data.val_images": 2}})
