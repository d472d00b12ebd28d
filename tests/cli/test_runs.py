"""`personlab runs`, `diff` and `reproduce` on run directories made by hand."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys

import pytest

from personlab.cli.main import main
from personlab.experiments.provenance import git_state
from tests.experiments.run_files import card, write_run


def told(capsys, *words: object) -> str:
    assert main([str(word) for word in words]) == 0
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out


@pytest.fixture
def runs(tmp_path):
    """Three runs of different learning rates, one of them dead, and a broken one."""
    for n, (lr, ap, seconds) in enumerate([(0.001, 0.3, 30.0), (0.01, 0.5, 10.0), (0.1, None, 20.0)]):
        lines = [{"step": 3, "wall_s": seconds * 60, "samples_seen": 32}]
        write_run(
            tmp_path, f"id{n}", name="dead" if ap is None else "test", ap=ap, lines=lines,
            options={"model__optimizer__init_args__lr": lr}, status="running" if ap is None else "finished",
            start=f"2026-01-0{3 - n}T10:00:00+0000", git={"commit": "abcdef0123456", "dirty": n == 0},
        )  # fmt: skip
    (tmp_path / "test" / "notes").mkdir()
    return tmp_path


def listed(capsys, *words: object) -> list[str]:
    return [run["run_id"] for run in json.loads(told(capsys, "runs", *words, "--json", "-"))["runs"]]


def test_runs_are_listed_with_what_they_came_to_and_what_differs(runs, capsys):
    lines = told(capsys, "runs", runs).splitlines()
    headings = "name id status keypoint AP mask AP steps hours device h commit start what differs"
    assert " ".join(lines[0].split()) == headings
    rows = {line.split()[1]: " ".join(line.split()) for line in lines[2:] if " id" in line}
    assert rows["id0"] == "test id0 finished 0.300 0.200 4 0.50 0.50 abcdef0123 dirty 2026-01-03 10:00 lr=0.001"
    assert rows["id2"] == "dead id2 dead 4 0.33 0.33 abcdef0123 2026-01-01 10:00 lr=0.1"
    assert any(line.split() == ["test", "notes", "broken"] for line in lines)
    assert f"{runs / 'test' / 'notes'}: run.json: is missing" in lines


@pytest.mark.parametrize(("words", "ids"), [
    ([], ["notes", "id2", "id1", "id0"]), (["--sort", "ap"], ["id1", "id0", "notes", "id2"]),
    (["--sort", "cost"], ["id0", "id2", "id1", "notes"]), (["--status", "finished"], ["id1", "id0"]),
    (["--status", "dead, broken"], ["notes", "id2"]), (["--name", "te*"], ["notes", "id1", "id0"]),
    (["--name", "dead"], ["id2"]), (["--min_ap", "0.4"], ["id1"]), (["--last", "2"], ["id1", "id0"]),
    (["--where", "lr=1e-2"], ["id1"]), (["--where", "optimizer=SGD", "--where", "lr=0.1"], ["id2"]),
    (["--where", "data.train_images=null"], ["id2", "id1", "id0"]), (["--where", "data.workers=3"], []),
    (["--where", "data.workers=2020-13-45"], []),
    (["--last", "1", "--name", "dead"], ["id2"]),
])  # fmt: skip
def test_runs_are_filtered_and_sorted(runs, capsys, words, ids):
    assert listed(capsys, runs, *words) == ids


@pytest.mark.parametrize(("words", "message"), [
    (["--status", "finnished"], "did you mean 'finished'?"), (["--min_ap", "38"], "--min_ap must lie between 0 and 1"),
    (["--last", "0"], "--last must be at least 1"), (["--where", "lr"], "give an option and its value"),
    (["--where", "bach_size=8"], "did you mean 'batch_size'?"), (["nowhere"], "nowhere: no such folder"),
])  # fmt: skip
def test_what_cannot_be_asked_is_told_in_one_line(runs, capsys, words, message):
    roots = [] if "nowhere" in words else [str(runs)]
    assert main(["runs", *roots, *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_no_runs_are_told_in_one_line(tmp_path, runs, capsys):
    (tmp_path / "empty").mkdir()
    assert told(capsys, "runs", tmp_path / "empty") == f"no runs below {tmp_path / 'empty'}\n"
    assert told(capsys, "runs", runs, "--min_ap", "1") == "none of 4 runs is as asked\n"


HOSTILE = "<script>alert(1)</script>\n[red]ü人\x1b[31m|"


def test_hostile_names_stay_text_in_one_line(tmp_path, capsys):
    name = HOSTILE.replace("/", "")
    for n in range(2):
        write_run(tmp_path, f"{n}", name=name, options={"data__train_split": f"{HOSTILE}{n}", f"a{HOSTILE}": n})
    shown = told(capsys, "runs", tmp_path)
    assert "<script>alert(1)<script>\\n[red]ü人\\x1b[31m|" in shown
    assert "\x1b" not in shown
    assert len(shown.splitlines()) < 10
    a, b = (tmp_path / name / str(n) for n in range(2))
    shown = told(capsys, "diff", a, b)
    assert "\x1b" not in shown
    assert "[red]ü人\\x1b[31m|0" in shown
    command = told(capsys, "reproduce", a, "--json", "-")
    assert json.loads(command)["words"][2] == str(a / "config.yaml")


def test_letters_that_a_terminal_lacks_are_escaped(tmp_path, monkeypatch):
    write_run(tmp_path, "1", name="人")
    bytes_ = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(bytes_, encoding="ascii", write_through=True))
    assert main(["runs", str(tmp_path)]) == 0
    assert b"\\u4eba" in bytes_.getvalue()


def test_a_reader_that_has_seen_enough_is_no_error(runs, monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["runs", str(runs)]) == 0
    assert capsys.readouterr().err == ""


def test_diff_says_what_differs_and_what_does_not(runs, capsys):
    shown = told(capsys, "diff", "id0", "test/id1", "--root", runs)
    sections = {part.split("\n")[0]: part for part in shown.split("\n\n")[1:]}
    assert "nothing differs" in sections["seed"]
    assert "nothing differs" in sections["data"]
    lines = [line.split() for line in sections["config"].splitlines()]
    assert ["model.optimizer.init_args.lr", "0.001", "0.01"] in lines
    assert "nobody kept them" in sections["code"]
    assert ["keypoints/AP", "0.3000", "0.5000", "+0.2000"] in [line.split() for line in sections["scores"].splitlines()]
    found = json.loads(told(capsys, "diff", runs / "test" / "id0", "id0", "--root", runs, "--json", "-"))
    assert found["a"] == found["b"]
    assert found["config"] == {"differs": {}, "notes": []}


def reproduced(capsys, *words: object) -> tuple[list[str], list[str], str | None]:
    found = json.loads(told(capsys, "reproduce", *words, "--json", "-"))
    return found["words"], found["warnings"], found["checkout"]


def here(**fields):
    """A card of this code and machine."""
    from personlab.experiments.provenance import versions
    from personlab.experiments.runs import describe_devices

    return card(git=git_state(), versions=versions(), devices=describe_devices("cpu"), **fields)


def test_a_command_is_shown_as_a_shell_takes_it(tmp_path, capsys):
    folder = write_run(tmp_path, "1", name="a b'c", options={"data__root": "some where", "model__initial_weights": "w"})
    shown = told(capsys, "reproduce", folder, "--data.root=x y", "--trainer.max_steps", 3).splitlines()
    words = shlex.split(shown[-1])
    assert words[:4] == ["personlab", "fit", "--config", str(folder / "config.yaml")]
    assert words[-3:] == ["--data.root=x y", "--trainer.max_steps", "3"], "they come last, so they win"
    options = dict(zip(words[4:-3:2], words[5:-3:2], strict=True))
    assert options == {
        "--data.root": "some where", "--model.initial_weights": "w", "--seed_everything": "0", "--resume": "none"
    }  # fmt: skip


def test_places_become_absolute_in_another_folder(tmp_path, capsys, monkeypatch):
    options = {"data__root": "d", "model__initial_weights": "imagenet:w.pth"}
    folder = write_run(tmp_path, "1", options=options, cwd=str(tmp_path / "old"))
    words = reproduced(capsys, folder)[0]
    assert words[words.index("--data.root") + 1] == str(tmp_path / "old" / "d")
    assert f"imagenet:{tmp_path / 'old' / 'w.pth'}" in words
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path / "old")
    words = reproduced(capsys, folder)[0]
    assert words[words.index("--data.root") + 1] == "d"
    assert "imagenet:w.pth" in words


@pytest.mark.parametrize(("fields", "options", "message"), [
    ({"git": {"commit": "a" * 40, "dirty": True}}, {}, "had changes in the code"),
    ({"git": {}}, {}, "the commit of the run is not known"),
    ({"versions": {"torch": "1.0"}}, {}, "was 1.0"),
    ({"devices": "8 x H100"}, {}, "it ran on 8 x H100; here is cpu"),
    ({"seed": None}, {}, "the seed of the run is not known"),
    ({"status": "failed"}, {}, "did not come to its end (failed)"),
    ({"status": "running"}, {}, "did not come to its end (dead)"),
    ({"batch": {"processes": 4}}, {}, "it trained in 4 processes"),
    ({"batch": {"processes": 4}}, {"trainer__num_nodes": 2}, "it trained on 2 nodes in 4 processes"),
    ({"data_hash": None}, {}, "the hash of its data is not known"),
    ({}, {"data__root": "nowhere"}, "the data cannot be read: nowhere: no such folder"),
    ({}, {"data__skeleton": 3}, "the data cannot be read"),
    ({}, {"model__initial_weights": "gone.safetensors"}, "gone.safetensors: is missing"),
    ({}, {"model__initial_weights": "embedded"}, "embedded: its hash was not kept"),
    ({"weights_hash": {"model.initial_weights": "x"}}, {"model__initial_weights": "embedded"}, "is another file"),
    ({"resumed": [{"data_hash": {"train": "x"}}]}, {}, "its data changed before it was resumed"),
    ({"resumed": [{}, {}]}, {}, "the run was resumed 2 times"),
])  # fmt: skip
def test_what_no_longer_matches_is_told_in_a_line_each(tmp_path, capsys, fields, options, message):
    folder = write_run(tmp_path, "1", options=options, **(here() | fields))
    warnings = reproduced(capsys, folder)[1]
    assert any(message in warning for warning in warnings), warnings
    assert not any("\n" in warning for warning in warnings)


def test_options_that_a_resumed_run_had_anew_are_told(tmp_path, capsys):
    folder = write_run(tmp_path, "1", **here(resumed=[{}]))
    text = (folder / "config.yaml").read_text()
    (folder / "config-resumed-1.yaml").write_text(text.replace("max_steps: 4", "max_steps: 9"))
    warnings = reproduced(capsys, folder)[1]
    assert "when resumed (config-resumed-1.yaml) trainer.max_steps was 9, not 4" in warnings


def test_other_code_is_to_be_checked_out_first(tmp_path, capsys, commits):
    folder = write_run(tmp_path / "runs", "1", git={"commit": commits[0], "dirty": False})
    lines = told(capsys, "reproduce", folder).splitlines()
    assert lines[0] == f"git -C {tmp_path / 'source'} checkout {commits[0]}"
    assert lines[1].startswith("personlab fit ")
    for n, same_or_none in enumerate((commits[2], "a" * 40, "; rm -rf x", "--output=x")):
        other = write_run(tmp_path / "runs", f"other{n}", git={"commit": same_or_none, "dirty": False})
        assert reproduced(capsys, other)[2] is None


def test_without_its_config_a_run_has_its_command_line(tmp_path, capsys):
    folder = write_run(tmp_path, "1", argv=["/x/personlab", "validate", "--config", "a.yaml"])
    (folder / "config.yaml").unlink()
    words, warnings, _ = reproduced(capsys, folder, "--data.root", "x")
    assert words == ["validate", "--config", "a.yaml", "--data.root", "x"]
    assert any("config.yaml: is missing" in warning for warning in warnings)
    (folder / "run.json").unlink()
    (folder / "config.yaml").write_text("a: [")
    assert main(["reproduce", str(folder)]) == 2
    assert "has neither config.yaml nor a command line" in capsys.readouterr().err


def test_the_run_comes_first(tmp_path, capsys):
    for words in ([], ["--run", str(tmp_path)]):
        assert main(["reproduce", *words]) == 2
        assert "needs a run as its first word" in capsys.readouterr().err
    assert "--run" in told(capsys, "reproduce", "x", "--help")
