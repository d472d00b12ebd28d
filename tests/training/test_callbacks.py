"""Callbacks on their own: the average, the count of broken samples, the merge of shards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningModule
from pycocotools import mask as coco_mask

from personlab.data.coco import CocoAnnotations
from personlab.data.datamodule import CocoDataModule
from personlab.errors import InputError
from personlab.evaluation.image_sets import read_image_set
from personlab.files import sha256
from personlab.structures import Batch, People
from personlab.training.callbacks import CocoEvaluation, PolyakAveraging, SampleCounter
from personlab.training.callbacks.averaging import rising_average
from personlab.training.callbacks.evaluation import _merged
from tests.data.tiny_coco import person, write_root


def batch(valid: list[bool]) -> Batch:
    n = len(valid)
    return Batch(
        images=torch.zeros(n, 3, 9, 9, dtype=torch.uint8),
        keypoints=torch.zeros(n, 0, 17, 3),
        label_maps=torch.zeros(n, 3, 9, 9, dtype=torch.uint8),
        image_ids=torch.arange(n),
        image_sizes=torch.full((n, 2), 9),
        image_to_crop=torch.eye(2, 3, dtype=torch.float64).repeat(n, 1, 1),
        sample_valid=torch.tensor(valid),
    )


def average_of(decay: float, values: list[float]) -> float:
    """What the callback makes of a weight that takes these values, starting from the first."""
    function = rising_average(decay)
    averaged, counter = torch.tensor([values[0]]), torch.tensor([1])
    for n, value in enumerate(values[1:], start=1):
        function([averaged], [torch.tensor([value])], n)
        function([counter], [torch.tensor([n])], n)
    assert int(counter) == len(values) - 1, "integer buffers follow the weights"
    return float(averaged)


def test_the_average_is_the_recursion_with_a_rising_decay():
    values, decay = [1.0, 3.0, -2.0, 5.0, 5.0], 0.5
    expected = values[0]
    for n, value in enumerate(values[1:], start=1):
        keep = min(decay, (1 + n) / (10 + n))
        expected = keep * expected + (1 - keep) * value
    assert average_of(decay, values) == pytest.approx(expected)
    assert average_of(0.0, values) == pytest.approx(values[-1])


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5])
def test_a_decay_that_makes_no_average_is_refused(decay):
    with pytest.raises(InputError, match=r"averaging\.decay"):
        PolyakAveraging(decay)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_the_average_follows_the_module_to_its_device(device):
    """On a GPU the Trainer moves the module after the callback's setup."""
    callback, module = PolyakAveraging(), LightningModule()
    module.layer = torch.nn.Linear(2, 2)
    callback.setup(SimpleNamespace(), module, "fit")  # type: ignore[arg-type]
    module.to(device)
    callback.on_fit_start(SimpleNamespace(), module)  # type: ignore[arg-type]
    average = callback._average_model
    assert average is not None
    tensors = [*average.parameters(), *average.buffers()]
    assert {tensor.device.type for tensor in tensors} == {device}
    average.update_parameters(module)


def test_an_average_of_another_device_is_moved(monkeypatch):
    """The same without a GPU: the device asked for is the module's."""
    callback, module = PolyakAveraging(), LightningModule()
    callback.setup(SimpleNamespace(), module, "fit")  # type: ignore[arg-type]
    asked = []
    monkeypatch.setattr(callback._average_model, "to", asked.append)
    monkeypatch.setattr(LightningModule, "device", torch.device("cuda", 1))
    callback.on_fit_start(SimpleNamespace(), module)  # type: ignore[arg-type]
    assert asked == [torch.device("cuda", 1)]


def counter_steps(counter: SampleCounter, batches: list[list[bool]]) -> dict[str, float]:
    logged: dict[str, float] = {}
    module = SimpleNamespace(log_dict=lambda values, **_: logged.update(values))
    # The other of two processes reads the same images.
    strategy = SimpleNamespace(reduce=lambda tensor, reduce_op: 2 * tensor)
    trainer: Any = SimpleNamespace(world_size=2, strategy=strategy)
    for i, valid in enumerate(batches):
        counter.on_train_batch_start(trainer, module, batch(valid), i)  # type: ignore[arg-type]
    return logged


def test_samples_are_counted_over_all_processes_and_broken_ones_reported():
    counter = SampleCounter(check_every_steps=1)
    logged = counter_steps(counter, [[True, True], [True, False]])
    assert logged == {"samples_seen": 8.0, "train/samples_broken": 2.0}
    resumed = SampleCounter(check_every_steps=1)
    resumed.load_state_dict(counter.state_dict())
    assert counter_steps(resumed, [[True, True]])["samples_seen"] == 12.0


def test_too_many_broken_images_stop_the_training():
    options = {"max_broken_share": 0.1, "check_every_steps": 2}
    with pytest.raises(InputError, match="4 of 8 training images could not be read"):
        counter_steps(SampleCounter(patience_samples=8, **options), [[True, False]] * 2)
    counter_steps(SampleCounter(patience_samples=9, **options), [[True, False]] * 3)


def test_broken_samples_are_summed_every_few_steps_and_before_a_validation():
    counter = SampleCounter(check_every_steps=3)
    counter_steps(counter, [[True, False]] * 2)
    assert counter.samples_broken == 0
    alone: Any = SimpleNamespace(strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor))
    counter.on_validation_start(alone, SimpleNamespace())  # type: ignore[arg-type]
    assert counter.state_dict()["samples_broken"] == 2
    counter.on_validation_start(alone, SimpleNamespace())  # type: ignore[arg-type]
    assert counter.state_dict()["samples_broken"] == 2
    assert counter_steps(counter, [[True, False]] * 3)["train/samples_broken"] == 2 + 6
    with pytest.raises(InputError, match="check_every_steps"):
        SampleCounter(check_every_steps=0)


def trainer_for(root, tmp_path, world_size: int = 1, **options: Any) -> Any:
    """What the callbacks ask of a Trainer, with the data module of `root`."""
    strategy = SimpleNamespace(barrier=lambda name: None, broadcast=lambda value: value)
    return SimpleNamespace(
        datamodule=CocoDataModule(str(root), workers=0), world_size=world_size, testing=False, limit_val_batches=1.0,
        limit_test_batches=1.0, default_root_dir=str(tmp_path), global_rank=0, global_step=7, is_global_zero=True,
        strategy=strategy, callbacks=[PolyakAveraging()], **options,
    )  # fmt: skip


def true_people(annotations: CocoAnnotations, image: int) -> People:
    """Everybody with keypoints on an image of `write_root`, as they are annotated."""
    found = [i for i in annotations.people(image) if annotations.has_keypoints[i]]
    masks = []
    for i in found:
        x, y, w, h = annotations.boxes[i].astype(int)
        mask = np.zeros(annotations.size(image), np.uint8, order="F")
        mask[y : y + h, x : x + w] = 1
        masks.append(coco_mask.encode(mask))
    return People(annotations.keypoints[found], np.ones(len(found), np.float32), masks)


def evaluate_true_people(callback: CocoEvaluation, trainer: Any, images: int | None = None) -> dict[str, Any]:
    """The report of an evaluation that finds exactly whom `true_people` gives, on the first images or all."""
    trainer.datamodule.setup("validate")
    annotations = trainer.datamodule.val_dataset.annotations
    trainer.val_dataloaders = SimpleNamespace(waited_s=0.25)
    module: Any = SimpleNamespace(log_dict=lambda values: None)
    callback.on_validation_epoch_start(trainer, module)
    for image in range(len(annotations))[:images]:
        one = replace(batch([True]), image_ids=torch.tensor([int(annotations.image_ids[image])]))
        seconds = {"network": 0.0, "decode": 0.0}
        outputs = {"people": [true_people(annotations, image)], "seconds": seconds, "losses": {}}
        callback.on_validation_batch_end(trainer, module, outputs, one, image)
    callback.on_validation_epoch_end(trainer, module)
    return json.loads((Path(trainer.default_root_dir) / "evaluation.json").read_text())


@pytest.mark.parametrize("limit", [1, 0.3])
def test_a_limited_evaluation_scores_what_it_saw(tmp_path, limit):
    trainer = trainer_for(write_root(tmp_path / "coco", count=4), tmp_path)
    trainer.limit_val_batches = limit
    report = evaluate_true_people(CocoEvaluation(), trainer, images=1)
    assert report["images"] == 1
    assert report["seconds"]["read"] == 0.25


def test_person_may_be_any_category(tmp_path):
    root = write_root(tmp_path / "coco", count=3)
    path = root / "annotations" / "person_keypoints_val2017.json"
    content = json.loads(path.read_text())
    for row in (*content["annotations"], *content["categories"]):
        row["category_id" if "image_id" in row else "id"] = 3
    path.write_text(json.dumps(content))
    report = evaluate_true_people(CocoEvaluation(), trainer_for(root, tmp_path))
    assert report["keypoints"]["AP"] == report["segmentation"]["AP"] == pytest.approx(1.0)
    kept = json.loads((tmp_path / "predictions" / "val-step7.json").read_text())
    assert {result["category_id"] for result in kept} == {3}


def test_masks_of_people_without_keypoints_count_unless_left_out(tmp_path):
    root = write_root(tmp_path / "coco", count=4)
    path = root / "annotations" / "person_keypoints_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"].append(person(500, 10, (30, 4, 20, 30), keypoints=[0] * 51, num_keypoints=0))
    path.write_text(json.dumps(content))
    counted = {}
    for left_out in (False, True):
        report = evaluate_true_people(CocoEvaluation(only_with_keypoints=left_out), trainer_for(root, tmp_path))
        assert report["only_with_keypoints"] is left_out
        assert report["keypoints"]["AP"] == pytest.approx(1.0)
        counted[left_out] = report["segmentation"]["AR100"]
    assert counted[True] == pytest.approx(1.0)
    assert counted[False] == pytest.approx(0.75)


def score(callback: CocoEvaluation, trainer: Any, ids: list[list[int]], losses: list[list[float]]) -> dict[str, float]:
    """What an evaluation makes of the shards that processes left behind."""
    folder = Path(trainer.default_root_dir) / "predictions"
    folder.mkdir(exist_ok=True)
    for rank, (shard, values) in enumerate(zip(ids, losses, strict=True)):
        content = {
            "image_ids": shard, "results": [], "unreadable": [],
            "seconds": {"read": 0.5, "network": 1.0, "decode": 2.0},
            "losses": [(image, 1, {"total": value}) for image, value in zip(shard, values, strict=True)],
        }  # fmt: skip
        (folder / f"val-step7.rank{rank}.json").write_text(json.dumps(content))
    merged = _merged(folder, "val-step7", trainer.world_size)
    return callback._score(trainer, merged, folder / "val-step7.json")


def test_shards_of_two_processes_are_merged_into_one_evaluation(tmp_path):
    root = write_root(tmp_path / "coco", count=4)
    trainer = trainer_for(root, tmp_path, world_size=2)
    ids = trainer.datamodule.evaluated().image_ids.tolist()
    shares = [ids[:1], ids[1:]]  # of unlike size
    figures = score(CocoEvaluation(), trainer, shares, [[0.25], [1.0] * (len(ids) - 1)])
    assert figures["keypoints/AP"] == 0.0
    assert figures["loss/total"] == (0.25 + len(ids) - 1) / len(ids)
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["images"] == len(ids)
    assert report["seconds"] == {"read": 1.0, "network": 2.0, "decode": 4.0}
    assert sorted(p.name for p in (tmp_path / "predictions").iterdir()) == ["val-step7.images.json", "val-step7.json"]
    told = read_image_set(tmp_path / "predictions" / "val-step7.json", [])
    assert told is not None
    assert set(told.image_ids) == set(ids)
    assert (told.kinds, told.split) == (("keypoints", "segmentation"), "val2017")
    assert told.annotations_sha256 == sha256(root / "annotations" / "person_keypoints_val2017.json")


def test_predictions_are_kept_only_if_wanted(tmp_path):
    root = write_root(tmp_path / "coco", count=4)
    trainer = trainer_for(root, tmp_path, world_size=1)
    ids = trainer.datamodule.evaluated().image_ids.tolist()
    score(CocoEvaluation(keep_predictions=False), trainer, [ids], [[0.0] * len(ids)])
    assert not list((tmp_path / "predictions").iterdir())
    assert (tmp_path / "evaluation.json").is_file()


@pytest.mark.parametrize("fault", ["missing", "twice"])
def test_an_evaluation_of_the_wrong_images_is_an_error(tmp_path, fault):
    root = write_root(tmp_path / "coco", count=4)
    trainer = trainer_for(root, tmp_path, world_size=1)
    ids = trainer.datamodule.evaluated().image_ids.tolist()
    ids = ids[:-1] if fault == "missing" else [*ids, ids[0]]
    with pytest.raises(RuntimeError, match="instead of"):
        score(CocoEvaluation(), trainer, [ids], [[0.0] * len(ids)])
