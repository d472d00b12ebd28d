"""What differs between two runs, and what does not."""

from __future__ import annotations

import json

import pytest
import yaml

from personlab.experiments.catalogue import read_run
from personlab.experiments.run_diff import diff_runs
from tests.experiments.run_files import COMMITS, config, scores, write_run


def differences(tmp_path, **b):
    groups = diff_runs(read_run(write_run(tmp_path, "a")), read_run(write_run(tmp_path, "b", **b)))
    json.dumps({name: group.to_json() for name, group in groups.items()}, allow_nan=False)
    return groups


def test_of_two_equal_runs_nothing_differs(tmp_path):
    groups = differences(tmp_path)
    assert set(groups) == {"config", "code", "data", "environment", "seed", "batch", "scores"}
    assert all(not group.differs and not group.notes for name, group in groups.items() if name != "scores")
    assert groups["scores"].differs["keypoints/AP"] == (0.4, 0.4)
    assert groups["scores"].notes == ()


@pytest.mark.parametrize(("b", "group", "name", "values"), [
    ({"options": {"model__optimizer__init_args__lr": 0.01}}, "config", "model.optimizer.init_args.lr", (0.001, 0.01)),
    ({"options": {"data__train_images": 8}}, "config", "data.train_images", (None, 8)),
    ({"git": {"commit": COMMITS[0], "dirty": True}}, "code", "dirty", (False, True)),
    ({"data_hash": {"train": "x", "val": "v"}}, "data", "data_hash.train", ("t", "x")),
    ({"weights_hash": {"ckpt_path": "x"}}, "data", "weights_hash.ckpt_path", (None, "x")),
    ({"versions": {"python": "3.11.7", "torch": "3"}}, "environment", "versions.torch", ("2.13.0", "3")),
    ({"devices": "8 x H100"}, "environment", "devices", ("cpu, 2 cores", "8 x H100")),
    ({"seed": 1, "options": {"seed_everything": 1}}, "seed", "seed", (0, 1)),
    ({"batch": {"global": 8, "processes": 2, "accumulated": 1, "at_once": 4}}, "batch", "at_once", (8, 4)),
])  # fmt: skip
def test_each_difference_stands_in_its_group_alone(tmp_path, b, group, name, values):
    groups = differences(tmp_path, **b)
    assert groups[group].differs[name] == values
    assert [other for other, found in groups.items() if found.differs and other != "scores"] == [group]


def test_what_a_run_does_not_tell_is_not_called_the_same(tmp_path):
    groups = differences(tmp_path, versions=None, devices=None, batch=None, data_hash={})
    assert groups["environment"].notes == ("run b does not tell its environment",)
    assert groups["data"].notes == ("run b does not tell its data hash",)
    assert groups["scores"].notes == ("whether the scores are of the same data is not known",)


def test_data_of_unknown_hash_are_not_called_the_same_beside_known_weights(tmp_path):
    weights = {"weights_hash": {"ckpt_path": "x"}}
    a, b = (read_run(write_run(tmp_path, name, data_hash={}, **weights)) for name in "ab")
    groups = diff_runs(a, b)
    assert groups["data"].notes == ("neither run tells its data hash",)
    assert groups["scores"].notes == ("whether the scores are of the same data is not known",)
    other = read_run(write_run(tmp_path, "c", weights_hash={"ckpt_path": "y"}))
    found = diff_runs(a, other)["data"]
    assert found.notes == ("run a does not tell its data hash",)
    assert found.differs == {"weights_hash.ckpt_path": ("x", "y")}


def test_settings_of_a_part_that_went_on_are_told(tmp_path):
    a, b = (write_run(tmp_path, name, resumed=[{}]) for name in "ab")
    for folder, steps in ((a, 4), (b, 9)):
        (folder / "config-resumed-1.yaml").write_text(yaml.safe_dump(config(trainer__max_steps=steps)))
    told = diff_runs(read_run(a), read_run(b))["config"]
    assert told.notes == ("b: when resumed (config-resumed-1.yaml) trainer.max_steps was 9, not 4",)
    assert not told.differs


def test_scores_of_other_data_are_marked(tmp_path):
    groups = differences(tmp_path, data_hash={"train": "t", "val": "x"})
    assert groups["scores"].notes == ("they are of other data: scores must not be compared",)


def test_places_that_differ_are_named_beside_the_settings(tmp_path):
    groups = differences(tmp_path, options={"data__root": "elsewhere", "run__name": "other", "data__batch_size": 4})
    assert groups["config"].differs == {"data.batch_size": (8, 4)}
    assert groups["config"].notes == ("what decides no result differs: data.root, run.name",)


def test_scores_that_must_not_be_compared_are_marked(tmp_path):
    a, b = (write_run(tmp_path, name) for name in "ab")
    (b / "evaluation.json").write_text(json.dumps(scores(0.5) | {"images": 10, "weights": "raw"}))
    notes = diff_runs(read_run(a), read_run(b))["scores"].notes
    assert notes == ("images of the evaluation: 150 and 10", "weights of the evaluation: ema and raw")


def test_changes_of_data_at_a_resumption_are_told(tmp_path):
    groups = differences(tmp_path, resumed=[{"data_hash": {"train": "other", "val": "v"}}])
    assert groups["data"].notes == ("b went on with other data hash",)


def test_commits_between_are_told_where_the_repository_has_them(tmp_path, commits):
    a = read_run(write_run(tmp_path, "a", git={"commit": commits[0], "dirty": False}))
    b = read_run(write_run(tmp_path, "b", git={"commit": commits[2], "dirty": False}))
    told = diff_runs(a, b)["code"].commits
    assert told is not None
    assert [line.split(" ", 1)[1] for line in told["a..b"]] == ["change 2", "change 1"]
    assert told["b..a"] == []
    for n, strange in enumerate((COMMITS[1], "--output=x")):
        run = read_run(write_run(tmp_path, f"strange{n}", git={"commit": strange, "dirty": False}))
        unknown = diff_runs(a, run)["code"]
        assert unknown.commits is None
        assert unknown.notes == ("the repository is not here, or does not have both commits",)
    assert not list(tmp_path.rglob("x"))
