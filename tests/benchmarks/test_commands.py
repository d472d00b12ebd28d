"""Commands in results name no place of the machine that ran them."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import pytest

from benchmarks.commands import ROOT, parse, retold, short, told


@pytest.mark.parametrize(("path", "shown"), [
    ("coco", "coco"), ("runs/a/b", "runs/a/b"), ("../w.safetensors", "w.safetensors"), ("/home/me/w.onnx", "w.onnx"),
    (str(ROOT / "benchmarks/results/new.json"), "benchmarks/results/new.json"),
    ("/elsewhere/checkout/configs/base.yaml", "configs/base.yaml"), ("/elsewhere/configs/mine.yaml", "mine.yaml"),
    ("/disk/runs/demo/1/checkpoints/last.ckpt", "runs/demo/1/checkpoints/last.ckpt"), ("/disk/runs", "runs"),
])  # fmt: skip
def test_a_path_by_its_name(path: str, shown: str) -> None:
    assert short(path) == shown


@pytest.mark.parametrize(("command", "shown"), [
    ("/env/bin/personlab fit --data.root ../shared/people", "personlab fit --data.root coco"),
    ("personlab fit --data.root=/data/people -o /x/y", "personlab fit --data.root=coco -o y"),
    ("python -m benchmarks.x --data-root mine", "python -m benchmarks.x --data-root mine"),
    ("A=1 python -m x --match '*_noisy' --vary a=1,2", "A=1 python -m x --match '*_noisy' --vary a=1,2"),
    ("python -m x b=/d/b.onnx:plain c=c.onnx", "python -m x b=b.onnx:plain c=c.onnx"),
    ("personlab fit --w imagenet:/d/resnet.pth", "personlab fit --w imagenet:resnet.pth"),
    ("", ""),
    ("python -m x --data-root data/coco", "python -m x --data-root coco"),
    ("personlab fit --data.root=data/people", "personlab fit --data.root=coco"),
    ("personlab fit --data.root data/synthetic", "personlab fit --data.root data/synthetic"),  # `make demo` makes it
    ("personlab predict data/coco/a.jpg --data.root data/coco", "personlab predict data/coco/a.jpg --data.root coco"),
    ("A=/env/x python -m x", "A=x python -m x"),
    ("personlab x --files a=/d/e,/f/g,h/i", "personlab x --files a=e,g,h/i"),
    ("personlab x --files '[/d/e, ../g, h/i]'", "personlab x --files '[e, g, h/i]'"),
    ("personlab x '/d/with space/and,comma.jpg' https://host/a/b", "personlab x and,comma.jpg https://host/a/b"),
    ("personlab x a/../b 1/2 --match 'n*/x'", "personlab x a/../b 1/2 --match 'n*/x'"),
])  # fmt: skip
def test_a_command_by_names(command: str, shown: str) -> None:
    assert retold(command) == shown


def test_options_that_say_nothing_are_left_out() -> None:
    words = ["python", "-m", "x", "--json", "/x/y.json", "--runs", "3", "--json=z.json", "a"]
    assert told(words, without=("--json",)) == "python -m x --runs 3 a"


MEASURES = {
    "annotations": [], "bounds": ["--data-root", "no"], "finetune": ["a", "--before", "b", "--data-root", "no"],
    "gpu_train": ["--device", "cpu"], "imputation": ["--weights", "no", "--data-root", "no"], "onnx": [],
    "peers.__main__": [], "picture": ["no", "--data-root", "no"],
    "prediction": ["--weights", "no", "--data-root", "no"], "processes": ["--data-root", "no"], "stages": [],
    "trainings": ["no"], "zoo": ["a=no", "--data-root", "no"],
}  # fmt: skip
"""Benchmarks that write, with what they need to begin."""


@pytest.mark.parametrize("name", MEASURES)
def test_an_output_that_cannot_be_written_is_told_before_the_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    option = {"picture": "--output", "zoo": "--results"}.get(name, "--json")
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "x.json"
    monkeypatch.setattr(sys, "argv", ["benchmark", *MEASURES[name], option, str(target)])
    try:
        module = importlib.import_module(f"benchmarks.{name}")
    except ImportError as error:
        pytest.skip(f"a package for comparisons is missing: {error}")
    with pytest.raises(SystemExit) as stop:
        module.main()
    assert stop.value.code == 2
    assert f"{target}: cannot be written (Not a directory); give another {option}" in capsys.readouterr().err


def test_an_output_that_can_be_written_is_left_alone(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    assert parse(parser, ["--json", str(tmp_path / "a" / "x.json")]).json == tmp_path / "a" / "x.json"
    assert parse(parser, []).json is None
    assert not list(tmp_path.iterdir())
