"""Commands in results name no place of the machine that ran them."""

from __future__ import annotations

import pytest

from benchmarks.commands import ROOT, retold, short, told


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
])  # fmt: skip
def test_a_command_by_names(command: str, shown: str) -> None:
    assert retold(command) == shown


def test_options_that_say_nothing_are_left_out() -> None:
    words = ["python", "-m", "x", "--json", "/x/y.json", "--runs", "3", "--json=z.json", "a"]
    assert told(words, without=("--json",)) == "python -m x --runs 3 a"
