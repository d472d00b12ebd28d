"""The LightningModule on its own: what it refuses, and what its clocks measure."""

from __future__ import annotations

import copy
import functools
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from personlab.decoding import PaperDecoder
from personlab.encoding import Encoder
from personlab.errors import InputError
from personlab.losses import Objective
from personlab.network import PersonLab, ResNet
from personlab.skeleton import Skeleton
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
    # A clock that only these parts move: what a busy machine adds cannot count.
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("personlab.training.task.time", SimpleNamespace(perf_counter=lambda: clock.now))
    for name, seconds in {"network": 1.0, "encoder": 10.0, "decoder": 100.0}.items():
        part = getattr(task, name)
        slow = "forward" if name == "network" else "__call__"
        monkeypatch.setattr(type(part), slow, _after(seconds, getattr(type(part), slow), clock))
    blank = torch.zeros(1, 3, 33, 33, dtype=torch.uint8)
    spent = task.validation_step(replace(batch([True]), images=blank, label_maps=blank), 0)["seconds"]
    assert spent == {"network": 1.0, "decode": 100.0}
    assert clock.now == 111.0


def test_the_loss_of_a_step_is_the_mean_over_its_parts_and_all_processes(monkeypatch):
    task, logged = make_task(), {}
    reduced = []

    def reduce(values, reduce_op):
        reduced.append(reduce_op)
        return values + 10  # as though the others' losses were higher

    strategy = SimpleNamespace(reduce=reduce)
    task._trainer = SimpleNamespace(world_size=2, strategy=strategy, log_every_n_steps=2, global_step=0)  # type: ignore[assignment]
    monkeypatch.setattr(task, "log_dict", logged.update)
    losses = iter([1.0, 3.0, 7.0, 9.0])
    monkeypatch.setattr(task, "_losses", lambda *_: {"total": torch.tensor(next(losses)), "short": torch.tensor(0.5)})
    blank = torch.zeros(1, 3, 33, 33, dtype=torch.uint8)
    one = replace(batch([True]), images=blank, label_maps=blank)
    for expected in ({"total": 2.0, "short": 0.5}, {"total": 18.0, "short": 10.5}):
        for part in range(2):
            task.training_step(one, part)
        task.on_before_optimizer_step(None)  # type: ignore[arg-type]
        assert {name: float(value) for name, value in logged.items()} == {
            f"train/loss/{name}": value for name, value in expected.items()
        }
        task._trainer.global_step += 1  # type: ignore[misc]
    assert reduced == ["mean"], "only for a line of the ledger"


@pytest.mark.parametrize("stride", [0, 3, 16])
def test_a_stride_that_the_network_does_not_have_is_refused_at_once(stride):
    with pytest.raises(InputError, match=rf"model\.eval_stride: .*{stride}.*\[4, 8\]"):
        make_task(eval_stride=stride)


def test_a_stride_for_evaluation_leaves_that_of_training():
    task = make_task(eval_stride=4)
    assert task.network.output_stride == 8
    task.on_validation_start()
    assert task.network.output_stride == 4
    task.on_validation_end()
    assert task.network.output_stride == 8


TWO = Skeleton("two", ("left_end", "right_end"), ((0, 1),), (0.1, 0.1))


@pytest.mark.parametrize(
    ("part", "where"), [(Encoder(TWO), "model.encoder.skeleton"), (PaperDecoder(TWO), "model.decoder.skeleton")]
)
def test_parts_with_unlike_skeletons_are_refused(part, where):
    with pytest.raises(InputError, match=rf"{where} two \(2 keypoints\) and the network's coco \(17\) differ"):
        make_task(**{where.split(".")[1]: part})


def test_data_with_another_skeleton_are_refused():
    task = make_task()
    task._trainer = SimpleNamespace(datamodule=SimpleNamespace(skeleton=TWO))  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"data\.skeleton two"):
        task.setup("validate")


def test_a_copy_does_not_take_along_what_made_the_optimiser():
    """The command line's refers to the Trainer and the data; a lock stands for what of it cannot be copied."""
    make = functools.partial(lambda parser, parameters: torch.optim.SGD(parameters, lr=0.5), threading.Lock())
    task = make_task(optimizer=make)
    copied = copy.deepcopy(task)
    assert copied.make_optimizer is task.make_optimizer
    optimizer = copied.make_optimizer(copied.network.parameters())
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["params"][0] is next(copied.network.parameters())


def _after(seconds: float, function: Any, clock: SimpleNamespace) -> Any:
    def slow(*arguments: Any) -> Any:
        clock.now += seconds
        return function(*arguments)

    return slow


def test_the_decoder_meets_people_before_it_is_timed(monkeypatch):
    found = []
    decode = PaperDecoder.decode_image
    monkeypatch.setattr(PaperDecoder, "decode_image", lambda *a: found.append(decode(*a)) or found[-1])
    make_task().setup("validate")
    assert len(found[0]) > 0
    assert found[0].masks
