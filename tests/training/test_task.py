"""The LightningModule on its own: what it refuses, and what its clocks measure."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch

from personlab.decoding import PaperDecoder
from personlab.decoding import decoder as decoding
from personlab.encoding import Encoder
from personlab.losses import Objective
from personlab.network import PersonLab, ResNet
from personlab.training import PersonLabTask
from tests.training.test_callbacks import batch


def make_task(**options: Any) -> PersonLabTask:
    """A task with a network of a few thousand weights that can run at strides 4 and 8."""
    backbone = ResNet(depth=None, blocks=(1, 1), width=(8, 8), stem="small", output_stride=8)
    parts = {"network": PersonLab(backbone), "encoder": Encoder(), "objective": Objective(), "decoder": PaperDecoder()}
    return PersonLabTask(**{**parts, **options})


def test_each_second_of_an_evaluation_is_booked_where_it_was_spent(monkeypatch):
    task = make_task()
    task.decoder.warm_up()
    task._trainer = SimpleNamespace(testing=False)  # type: ignore[assignment]
    monkeypatch.setattr(task, "log_dict", lambda *_, **__: None)
    for name, seconds in {"network": 0.1, "encoder": 0.5, "decoder": 0.2}.items():
        part = getattr(task, name)
        slow = "forward" if name == "network" else "__call__"
        monkeypatch.setattr(type(part), slow, _after(seconds, getattr(type(part), slow)))
    blank = torch.zeros(1, 3, 33, 33, dtype=torch.uint8)
    spent = task.validation_step(replace(batch([True]), images=blank, label_maps=blank), 0)["seconds"]
    assert 0.1 <= spent["network"] < 0.5
    assert 0.2 <= spent["decode"] < 0.5


def _after(seconds: float, function: Any) -> Any:
    def slow(*arguments: Any) -> Any:
        time.sleep(seconds)
        return function(*arguments)

    return slow


def test_the_decoder_meets_people_before_it_is_timed(monkeypatch):
    found = []
    decode = PaperDecoder._decode
    monkeypatch.setattr(decoding.PaperDecoder, "_decode", lambda *a: found.append(decode(*a)) or found[-1])
    make_task().setup("validate")
    assert len(found[0]) > 0
    assert found[0].masks
