"""Callbacks on their own: the average, the count of broken samples, the merge of shards."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from personlab.errors import InputError
from personlab.structures import Batch
from personlab.training.callbacks import CocoEvaluation, PolyakAveraging, SampleCounter
from tests.data.tiny_coco import write_root


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
    function = PolyakAveraging(decay)._kwargs["multi_avg_fn"]
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


def counter_steps(counter: SampleCounter, batches: list[list[bool]]) -> dict[str, float]:
    logged: dict[str, float] = {}
    module = SimpleNamespace(log_dict=lambda values, **_: logged.update(values))
    for i, valid in enumerate(batches):
        counter.on_train_batch_start(SimpleNamespace(world_size=2), module, batch(valid), i)  # type: ignore[arg-type]
    return logged


def test_samples_are_counted_over_all_processes_and_broken_ones_reported():
    counter = SampleCounter()
    logged = counter_steps(counter, [[True, True], [True, False]])
    assert logged == {"samples_seen": 8.0, "train/samples_broken": 1.0}
    resumed = SampleCounter()
    resumed.load_state_dict(counter.state_dict())
    assert counter_steps(resumed, [[True, True]])["samples_seen"] == 12.0


def test_too_many_broken_images_stop_the_training():
    with pytest.raises(InputError, match="of 8 training images could not be read"):
        counter_steps(SampleCounter(max_broken_share=0.1, patience_samples=8), [[True, False]] * 2)
    counter_steps(SampleCounter(max_broken_share=0.1, patience_samples=9), [[True, False]] * 2)


def trainer_for(root, tmp_path, world_size: int) -> SimpleNamespace:
    from personlab.data.datamodule import CocoDataModule

    datamodule = CocoDataModule(str(root), workers=0)
    return SimpleNamespace(
        datamodule=datamodule, world_size=world_size, testing=False, limit_val_batches=1.0, limit_test_batches=1.0,
        default_root_dir=str(tmp_path), global_rank=0, global_step=7,
    )  # fmt: skip


def write_shards(folder, ids: list[list[int]]) -> None:
    folder.mkdir(exist_ok=True)
    for rank, shard in enumerate(ids):
        seconds = {"read": 0.5, "network": 1.0, "decode": 2.0}
        content = {"image_ids": shard, "results": [], "seconds": seconds}
        (folder / f"val-step7.rank{rank}.json").write_text(json.dumps(content))


def test_shards_of_two_processes_are_merged_into_one_evaluation(tmp_path):
    root = write_root(tmp_path / "coco", count=4)
    trainer = trainer_for(root, tmp_path, world_size=2)
    ids = trainer.datamodule.eval_image_ids
    callback = CocoEvaluation()
    callback._seconds = {"read": 0.0, "network": 0.0, "decode": 0.0}
    write_shards(tmp_path / "predictions", [ids[::2], ids[1::2]])
    figures = callback._score(trainer, tmp_path / "predictions", "val-step7", "val")  # type: ignore[arg-type]
    assert figures["keypoints/AP"] == 0.0
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["images"] == len(ids)
    assert report["seconds"] == {"read": 1.0, "network": 2.0, "decode": 4.0}
    assert [p.name for p in (tmp_path / "predictions").iterdir()] == ["val-step7.json"]


def test_predictions_are_kept_only_if_wanted(tmp_path):
    root = write_root(tmp_path / "coco", count=4)
    trainer = trainer_for(root, tmp_path, world_size=1)
    callback = CocoEvaluation(keep_predictions=False)
    callback._seconds = {"read": 0.0, "network": 0.0, "decode": 0.0}
    write_shards(tmp_path / "predictions", [trainer.datamodule.eval_image_ids])
    callback._score(trainer, tmp_path / "predictions", "val-step7", "val")  # type: ignore[arg-type]
    assert not list((tmp_path / "predictions").iterdir())
    assert (tmp_path / "evaluation.json").is_file()


@pytest.mark.parametrize("fault", ["missing", "twice"])
def test_an_evaluation_of_the_wrong_images_is_an_error(tmp_path, fault):
    root = write_root(tmp_path / "coco", count=4)
    trainer = trainer_for(root, tmp_path, world_size=1)
    ids = trainer.datamodule.eval_image_ids
    write_shards(tmp_path / "predictions", [ids[:-1] if fault == "missing" else [*ids, ids[0]]])
    callback = CocoEvaluation()
    callback._seconds = {"read": 0.0, "network": 0.0, "decode": 0.0}
    with pytest.raises(RuntimeError, match="instead of"):
        callback._score(trainer, tmp_path / "predictions", "val-step7", "val")  # type: ignore[arg-type]
