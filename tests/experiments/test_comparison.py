"""Runs side by side: deltas, pairs, refusals, marks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from personlab.errors import InputError
from personlab.evaluation.image_sets import companion
from personlab.experiments.catalogue import Run, read_run
from personlab.experiments.comparison import Comparison, compare_runs
from personlab.experiments.evidence import Judge, predictions_of
from personlab.experiments.report import write_report
from personlab.experiments.report.gallery import make_gallery
from personlab.experiments.report.tables import cells, footnotes

from .fake_runs import make_run, predictions

RESAMPLES = 60


def compared(paths: list[Path], baseline: int = 0) -> Comparison:
    runs = [read_run(path) for path in paths]
    judge = Judge.of(runs[baseline], None, RESAMPLES)
    return compare_runs(runs, runs[baseline], judge.hear)


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_same_predictions_differ_by_nothing(tmp_path: Path, people: Path) -> None:
    found = predictions(people, 0.7)
    lr = {"model.optimizer.init_args.lr": 0.5}
    both = [make_run(tmp_path, people, "a", found=found), make_run(tmp_path, people, "b", found=found, settings=lr)]
    base, row = compared(both).rows
    assert base.deltas == {}
    assert base.partner is None
    assert row.partner == "a"
    assert set(row.deltas) == {"keypoints", "segmentation"}
    for delta in [*row.keypoints.values(), *(d for sizes in row.deltas.values() for d in sizes.values())]:
        assert (delta.value, delta.low, delta.high, delta.conclusive) == (0, 0, 0, False)
    assert len(row.keypoints) == 17
    assert row.marks == ()
    assert row.parameters > 100_000
    assert row.latency_ms == pytest.approx(12)


def test_a_better_run_is_found_by_image_and_by_seed(tmp_path: Path, people: Path) -> None:
    paths = [make_run(tmp_path, people, "base", f"s{seed}", skill=0.4, seed=seed) for seed in range(3)]
    lr = {"model.optimizer.init_args.lr": 0.5}
    paths += [make_run(tmp_path, people, f"good_s{s}", skill=0.9, seed=s, settings=lr) for s in (2, 1, 0)]
    told = compared(paths)
    assert [(setting.label, len(setting.rows)) for setting in told.settings] == [("base", 3), ("good", 3)]
    assert told.settings[0].verdict("keypoints") == "unknown"
    good = told.settings[1]
    by_seed, by_image = good.by_seed["keypoints"], good.by_image["keypoints"]
    assert by_seed is not None
    assert by_image is not None
    # Both are the difference of the means, whatever the order of the runs.
    mean = {n: sum(row.run.ap("keypoints") or 0 for row in told.settings[n].rows) / 3 for n in (0, 1)}
    assert by_seed.value == pytest.approx(mean[1] - mean[0])
    assert by_image.value == pytest.approx(mean[1] - mean[0])
    assert by_seed.number == 3
    assert good.verdict("keypoints") == "better"
    partners = {row.label: row.partner for row in told.rows}
    assert partners["good_s1"] == "base/s1"
    assert partners["base/s2"] == "base/s0"
    assert told.has_seeds
    json.dumps(told.to_json(), allow_nan=False)


def test_labels_differ_and_runs_of_a_setting_stand_together(tmp_path: Path, people: Path) -> None:
    lr = {"model.optimizer.init_args.lr": 0.5}
    paths = [
        make_run(tmp_path, people, "a", "1"),
        make_run(tmp_path, people, "b", "1", settings=lr),
        make_run(tmp_path, people, "a", "2", seed=1),
    ]
    told = compared(paths, baseline=1)
    assert [row.label for row in told.rows] == ["b", "a/1", "a/2"]
    assert [row.setting for row in told.rows] == [0, 1, 1]
    assert not compared(paths[:2]).has_seeds
    newer = make_run(tmp_path, people, "a", "3", seed=2, card={"git": {"commit": "1" * 40, "dirty": False}})
    assert [row.setting for row in compared([*paths, newer]).rows] == [0, 0, 1, 2]


def test_settings_whose_runs_have_one_name_are_told_apart(tmp_path: Path, people: Path) -> None:
    """The name of a sweep or a notebook's cell, say, with another learning rate each time."""
    paths = []
    for n, lr in enumerate((1e-3, 0.5, 0.25)):
        settings = {"model.optimizer.init_args.lr": lr}
        paths += [make_run(tmp_path, people, "same", f"{n}{s}", seed=s, settings=settings) for s in (0, 1)]
    told = compared(paths)
    assert [setting.label for setting in told.settings] == ["same (lr 0.001)", "same (lr 0.5)", "same (lr 0.25)"]
    # Nothing but the code differs.
    commit = {"git": {"commit": "1" * 40, "dirty": False}}
    paths[2:] = [make_run(tmp_path, people, "same", f"9{s}", seed=s, card=commit) for s in (0, 1)]
    assert [setting.label for setting in compared(paths).settings] == ["same (00)", "same (90)"]


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (("no_tricks", "no_tricks2"), "no_tricks"),
        (("focus", "focus"), "focus"),
        (("focus_0", "focus_1"), "focus"),
        (("wide-s10", "wide-s11"), "wide"),
        (("wide-s1", "wide-s10"), "wide"),
        (("wide seed=0", "wide seed=1"), "wide"),
        (("resnet50", "resnet50_again"), "resnet50"),
        (("1", "2"), "1"),
    ],
)
def test_a_setting_has_what_the_names_of_its_runs_have_in_common(
    tmp_path: Path, people: Path, names: tuple[str, str], label: str
) -> None:
    lr = {"model.optimizer.init_args.lr": 0.5}
    paths = [make_run(tmp_path, people, "base"), make_run(tmp_path, people, names[0], "x", settings=lr)]
    paths += [make_run(tmp_path, people, names[1], "y", settings=lr, seed=1)]
    assert [setting.label for setting in compared(paths).settings] == ["base", label]


def test_runs_from_other_initial_weights_are_no_repeats(tmp_path: Path, people: Path) -> None:
    """One name, two contents: the files are told by their hashes."""
    named = {"model.initial_weights": "pretrained.safetensors"}
    hashes = [{"weights_hash": {"model.initial_weights": content}} for content in ("a" * 64, "b" * 64)]
    paths = [make_run(tmp_path, people, f"r{n}", seed=n, settings=named, card=hashes[n // 2]) for n in range(4)]
    told = compared(paths)
    assert [row.setting for row in told.rows] == [0, 0, 1, 1]
    assert "initial weights of the same name with other content" in told.rows[2].marks
    assert not any("initial weights" in mark for mark in told.rows[1].marks)
    # One that went on with another option is no repeat, either, and says so.
    for path in paths[:2]:
        content = yaml.safe_load((path / "config.yaml").read_text())
        content.setdefault("trainer", {})["max_steps"] = 9
        if path == paths[1]:
            (path / "config-resumed-1.yaml").write_text(yaml.safe_dump(content))
            card = json.loads((path / "run.json").read_text())
            (path / "run.json").write_text(json.dumps(card | {"resumed": [{}]}))
    rows = compared(paths[:2]).rows
    assert [row.setting for row in rows] == [0, 1]
    assert any(
        mark.startswith("when resumed (config-resumed-1.yaml) trainer.max_steps was 9") for mark in rows[1].marks
    )
    paths[2:] = [make_run(tmp_path, people, f"unknown{n}", seed=n, settings=named) for n in (2, 3)]
    assert not any("initial weights" in mark for row in compared(paths).rows for mark in row.marks)


@pytest.mark.parametrize("of_baseline", [False, True])
@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("run.json", {"git": "x"}), ("run.json", {"seed": "x"}), ("run.json", {"resumed": [1]}),
        ("run.json", {"resumed": None}), ("evaluation.json", {"segmentation": "x"}),
        ("evaluation.json", {"segmentation": {"AP": "x"}}), ("evaluation.json", {"seconds": {"network": "x"}}),
    ],
)  # fmt: skip
def test_parts_of_another_shape_are_taken_out_and_told(
    tmp_path: Path, people: Path, of_baseline: bool, file: str, damage: dict[str, Any]
) -> None:
    paths = [make_run(tmp_path, people, name) for name in "ab"]
    damaged = paths[not of_baseline]
    change(damaged / file, **damage)
    assert len(compared(paths).rows) == 2
    faults = read_run(damaged).faults
    assert faults == () or next(iter(damage)) in faults[0]
    assert bool(faults) == ("resumed" not in damage)


def test_a_config_that_names_no_data_is_told(tmp_path: Path, people: Path) -> None:
    paths = [make_run(tmp_path, people, name) for name in "ab"]
    (paths[0] / "config.yaml").write_text("model: {}\n")
    with pytest.raises(InputError, match=r"config.yaml: has no data.root"):
        compared(paths)
    (paths[0] / "config.yaml").unlink()
    runs = [read_run(path) for path in paths]
    with pytest.raises(InputError, match=r"config.yaml: is missing; so nothing can be compared with it"):
        compare_runs(runs, runs[0], lambda _: None)


def test_images_by_no_number_are_told(tmp_path: Path, people: Path) -> None:
    paths = [make_run(tmp_path, people, name, settings={"data.val_images": "many"}) for name in "ab"]
    with pytest.raises(InputError, match=r"config.yaml: data.val_images is 'many', not a number"):
        compared(paths)


def test_a_run_is_compared_by_what_it_has_scores_of(tmp_path: Path, people: Path) -> None:
    """One without masks that found nobody has no mask AP, though its predictions do not say so."""
    paths = [make_run(tmp_path, people, name, found=found) for name, found in (("a", None), ("nobody", []))]
    report = json.loads((paths[1] / "evaluation.json").read_text())
    (paths[1] / "evaluation.json").write_text(json.dumps({k: v for k, v in report.items() if k != "segmentation"}))
    told = compared(paths)
    assert set(told.rows[1].deltas) == {"keypoints"}
    assert told.rows[1].deltas["keypoints"]["all"].value == -told.evidence["a"].precisions["keypoints"]["all"] < 0
    errors = [set(run["errors"]) for run in told.to_json()["runs"]]
    assert errors == [{"keypoints", "segmentation"}, {"keypoints"}]


def test_data_without_keypoints_are_compared_by_their_masks(tmp_path: Path, people: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(people, data)
    file = data / "annotations" / "person_keypoints_val2017.json"
    tables = json.loads(file.read_text())
    for person in tables["annotations"]:
        person |= {"keypoints": [0] * len(person["keypoints"]), "num_keypoints": 0}
    found = [predictions(people, skill, seed=1) for skill in (0.4, 0.9)]
    file.write_text(json.dumps(tables))
    paths = [make_run(tmp_path, data, name, found=some) for name, some in zip("ab", found, strict=True)]
    told = compared(paths)
    assert read_run(paths[0]).ap("keypoints") is None
    assert set(told.rows[1].deltas) == {"segmentation"}
    assert told.rows[1].deltas["segmentation"]["all"].value > 0.2
    assert told.rows[1].keypoints == {}
    assert "nan" not in json.dumps(told.to_json()).lower()
    gallery = make_gallery(told, Judge.of(read_run(paths[0]), None, RESAMPLES), told.rows[1], 2)
    assert gallery is not None
    assert gallery.measure == "IoU"
    write_report(tmp_path / "report.html", told, gallery)


def test_a_verdict_of_images_or_of_seeds_alone_says_so(tmp_path: Path, people: Path) -> None:
    lr = {"model.optimizer.init_args.lr": 0.5}
    paths = [make_run(tmp_path, people, f"base{s}", skill=0.4, seed=s) for s in (0, 1, 2)]
    paths += [make_run(tmp_path, people, "good", f"{n}", skill=0.9, seed=7, settings=lr) for n in (1, 2)]
    told = compared(paths)
    good = told.settings[1]
    assert (good.by_seed["keypoints"], good.verdict("keypoints")) == (None, "better")
    assert good.grounds("keypoints") == "by image alone"
    headings, rows = cells(told)
    assert headings[:2] == ["setting", "runs"]
    assert rows[1][:2] == ["good", "2 (1 seed)"]
    assert "better (by image alone)" in rows[1]
    assert footnotes(told)[0].startswith("Deltas are to base, with")
    paths[3:] = [make_run(tmp_path, people, "by_seed", str(s), skill=0.9, seed=s, settings=lr) for s in (0, 1, 2)]
    both = compared(paths).settings[1]
    assert (both.verdict("keypoints"), both.grounds("keypoints")) == ("better", "")
    for path in paths[3:]:
        predictions_file = predictions_of(read_run(path))
        assert predictions_file is not None
        predictions_file.unlink()
    assert compared(paths).settings[1].grounds("keypoints") == "by seed alone"


def test_a_relative_data_set_is_that_of_the_run(tmp_path: Path, people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that were started in another folder than the one they are compared in."""
    made = {"data.root": people.name}
    paths = [make_run(tmp_path, people, name, settings=made, card={"cwd": str(people.parent)}) for name in "ab"]
    monkeypatch.chdir(tmp_path)
    assert compared(paths).rows[1].deltas
    # That folder is gone, on another machine, say: then it is relative to where we are.
    paths = [make_run(tmp_path, people, name, settings=made, card={"cwd": "/gone"}) for name in ("c", "d")]
    with pytest.raises(InputError, match=people.name):
        compared(paths)
    monkeypatch.chdir(people.parent)
    assert compared(paths).rows[1].deltas


def test_unlike_data_are_refused(tmp_path: Path, people: Path) -> None:
    base = make_run(tmp_path, people, "base")
    other = make_run(tmp_path, people, "other", card={"data_hash": {"train": "t", "val": "w"}})
    with pytest.raises(InputError, match="data hash w, not v"):
        compared([base, other])
    fewer = make_run(tmp_path, people, "fewer")
    change(fewer / "evaluation.json", images=23)
    with pytest.raises(InputError, match="images 23, not 24"):
        compared([base, fewer])
    test = make_run(tmp_path, people, "test", card={"data_hash": {"test": "v"}})
    with pytest.raises(InputError, match="split test, not val"):
        compared([base, test])


def test_predictions_that_do_not_give_the_scores_are_refused(tmp_path: Path, people: Path) -> None:
    base, other = make_run(tmp_path, people, "base"), make_run(tmp_path, people, "other")
    path = predictions_of(read_run(other))
    assert path is not None
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found[1:]))
    with pytest.raises(InputError, match=r"AP is .* by the run's own evaluation"):
        compared([base, other])
    path.write_text(json.dumps([found[0] | {"image_id": 10**6}]))
    with pytest.raises(InputError, match=r"1 differ, such as 1000000"):
        compared([base, other])


def test_predictions_whose_masks_do_not_fit_their_images_are_refused(tmp_path: Path, people: Path) -> None:
    base, other = make_run(tmp_path, people, "base"), make_run(tmp_path, people, "other")
    path = predictions_of(read_run(other))
    assert path is not None
    found = json.loads(path.read_text())
    path.write_text(json.dumps([{**found[0], "segmentation": {"size": [9, 9], "counts": "Q3"}}, *found[1:]]))
    with pytest.raises(InputError, match=r"result 0 .* has size \[9, 9\], the image \["):
        compared([base, other])


def test_unequal_image_sets_are_refused(tmp_path: Path, people: Path) -> None:
    base, other = make_run(tmp_path, people, "base"), make_run(tmp_path, people, "other")
    ids = Judge.of(read_run(base), None, 1).image_ids
    empty = [n for n in ids if n not in {r["image_id"] for r in predictions(people, 0.7)}]
    for run, images in ((base, ids), (other, [n for n in ids if n != empty[0]])):
        path = predictions_of(read_run(run))
        assert path is not None
        companion(path).write_text(json.dumps({"image_ids": list(images)}))
    # On the image that the other has not seen nobody was found, so the results alone could not tell.
    with pytest.raises(InputError, match=f"other images than the baseline's \\(1 differ, such as {empty[0]}\\)"):
        compared([base, other])


def test_what_else_differs_is_marked(tmp_path: Path, people: Path) -> None:
    base = make_run(tmp_path, people, "base")
    other = make_run(
        tmp_path, people, "other", points=8, status="failed",
        settings={"data.eval_size": 513, "model.eval_stride": 8},
        card={
            "git": {"commit": "1" * 40, "dirty": True}, "data_hash": {"train": "u", "val": "v"},
            "resumed": [{"data_hash": {"train": "x", "val": "v"}}],
        },
    )  # fmt: skip
    change(other / "evaluation.json", weights="ema", only_with_keypoints=False)
    told = compared([base, other])
    marks = "\n".join(told.rows[1].marks)
    for part in (
        "failed", "eval_size 513, not 801", "eval_stride 8, not 16", "weights ema, not raw", "trained on other data",
        "before it was resumed", "steps 8, not 6", "images seen 64, not 48", "other code", "not committed",
    ):  # fmt: skip
        assert part in marks
    assert told.rows[0].marks == ()
    assert told.to_json()["not_finished"] == 1


def test_runs_without_scores_are_listed(tmp_path: Path, people: Path) -> None:
    base = make_run(tmp_path, people, "base")
    dead = make_run(tmp_path, people, "dead", status="failed", scored=False, points=3)
    told = compared([dead, base], baseline=1)
    assert [row.label for row in told.rows] == ["base"]
    [(run, spent)] = told.unscored
    assert (run.name, run.status, spent.steps) == ("dead", "failed", 3)
    with pytest.raises(InputError, match="nothing can be compared with it"):
        compare_runs([read_run(dead), read_run(base)], read_run(dead), lambda _: None)


def test_runs_that_kept_no_predictions_are_compared_by_their_scores(tmp_path: Path, people: Path) -> None:
    base, steps = make_run(tmp_path, people, "base", skill=0.5), {"trainer.max_steps": 7}
    paths = [base, make_run(tmp_path, people, "other", skill=0.7, settings=steps)]
    path = predictions_of(read_run(paths[1]))
    assert path is not None
    path.unlink()
    told = compared(paths)
    assert told.rows[1].deltas == {}
    assert "other" in told.notes[0]
    assert told.settings[1].verdict("keypoints") == "unknown"


def test_only_the_first_images_were_evaluated(tmp_path: Path, people: Path) -> None:
    run = read_run(make_run(tmp_path, people, settings={"data.val_images": 5}))
    assert len(Judge.of(run, None, 1).image_ids) == 5


def test_annotations_that_are_not_there_are_told(tmp_path: Path, people: Path) -> None:
    run: Run = read_run(make_run(tmp_path, people))
    with pytest.raises(InputError, match="nowhere"):
        Judge.of(run, str(tmp_path / "nowhere"), 1)
