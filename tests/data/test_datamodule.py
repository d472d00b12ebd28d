"""Loaders: same batches for any number of workers, whole epochs after a resume, checks before the first epoch."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from personlab.augmentation import TrainingView
from personlab.data.datamodule import CocoDataModule
from personlab.data.images import UnreadableImage
from personlab.data.loader import BatchLoader
from personlab.data.sampler import DeterministicSampler
from personlab.errors import InputError
from personlab.skeleton import COCO
from personlab.structures import Batch
from tests.data.tiny_coco import write_json, write_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path / "coco", count=7)


def _module(root: Path, **options: Any) -> CocoDataModule:
    return CocoDataModule(**{"root": str(root), "batch_size": 2, "workers": 0, "eval_size": 33, **options})


def _flat(batches: Iterable[Batch]) -> list[tuple[bytes, ...]]:
    return [
        tuple(getattr(batch, name).numpy().tobytes() for name in ("images", "keypoints", "label_maps", "image_ids"))
        for batch in batches
    ]


def test_any_number_of_workers_gives_the_same_batches(root: Path) -> None:
    def two_epochs(workers: int) -> list[list[tuple[bytes, ...]]]:
        view = TrainingView(33, rotation_degrees=10, photometric_strength=1)
        loader = _module(root, workers=workers, view=view, loader_timeout_s=60).train_dataloader()
        epochs = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            epochs.append(_flat(loader))
        return epochs

    alone = two_epochs(0)
    assert alone == two_epochs(1) == two_epochs(3)
    assert [len(epoch) for epoch in alone] == [3, 3]
    assert not set(alone[0]) & set(alone[1])


def test_training_uses_images_with_people_and_evaluation_all_of_them(root: Path) -> None:
    module = _module(root, batch_size=6)
    assert sorted(next(iter(module.train_dataloader())).image_ids.tolist()) == [10, 11, 12, 13, 14, 15]
    everything = _module(root, batch_size=7, train_only_with_people=False)
    assert sorted(next(iter(everything.train_dataloader())).image_ids.tolist()) == [10, 11, 12, 13, 14, 15, 16]
    for loader in (module.val_dataloader(), module.test_dataloader()):
        assert [int(batch.image_ids) for batch in loader] == [10, 11, 12, 13, 14, 15, 16]


def test_every_option_shows(root: Path) -> None:
    first = next(iter(_module(root, train_images=2, seed=1).train_dataloader()))
    assert sorted(first.image_ids.tolist()) == [10, 11]
    assert first.images.shape[2:] == (33, 33)
    assert len(_module(root, val_images=3, eval_batch_size=2).val_dataloader()) == 2

    def shape(**options: Any) -> tuple[int, ...]:
        return tuple(next(iter(_module(root, **options).val_dataloader())).images.shape[2:])

    # The first image has 40 x 60 pixels.
    assert shape(eval_size=97) == (65, 97)
    assert shape(eval_size=97, size_multiple=16) == (65, 97)
    assert shape(eval_size=81, size_multiple=16) == (65, 81)
    assert shape(eval_size=81) == (65, 97)
    assert shape(eval_size=None) == (65, 65)
    assert shape(eval_size=None, eval_scale=3.0) == (129, 193)
    orders = [[batch.image_ids.tolist() for batch in _module(root, seed=seed).train_dataloader()] for seed in range(4)]
    assert len({str(order) for order in orders}) > 1
    crops = _module(root, view=TrainingView(49)).train_dataloader()
    assert next(iter(crops)).images.shape == (2, 3, 65, 65)
    assert _module(root, workers=2, loader_timeout_s=9).train_dataloader().timeout == 9
    assert 1 <= _module(root, workers=None).workers <= 8


def test_splits_and_annotations_are_found_by_name(tmp_path: Path) -> None:
    root = write_root(tmp_path, splits=("left", "right"))
    (root / "annotations").rename(root / "labels")
    options = {"train_split": "left", "val_split": "right", "annotations": "labels/person_keypoints_{split}.json"}
    module = _module(root, **options)
    module.setup()
    assert module.train_dataset is not None
    assert module.val_dataset is not None
    assert module.train_dataset.image_path(0) == root / "left/010.jpg"
    assert module.val_dataset.image_path(0) == root / "right/010.jpg"


def test_the_test_has_a_split_of_its_own(tmp_path: Path) -> None:
    root = write_root(tmp_path, splits=("train2017", "val2017", "held_out"))
    options = {"val_split": "val2017", "test_split": "held_out"}
    assert _module(root, **options).evaluated(testing=True).image_folder == root / "held_out"
    assert _module(root, **options).evaluated().image_folder == root / "val2017"
    assert _module(root).evaluated(testing=True).image_folder == root / "val2017"
    only_test = _module(root, val_split="absent", test_split="held_out")
    only_test.setup("test")
    assert len(only_test.test_dataloader()) == 6


def test_the_data_are_named_by_their_content(root: Path) -> None:
    module = _module(root)
    module.setup("validate")
    assert set(module.content_hashes()) == {"val"}
    module.setup("fit")
    hashes = module.content_hashes()
    assert set(hashes) == {"train", "val"}
    assert hashes["train"] != hashes["val"]


def test_the_loader_times_the_wait_and_not_what_is_done_with_a_batch(root: Path) -> None:
    loader = _module(root).val_dataloader()
    started = time.perf_counter()
    for _ in loader:
        time.sleep(0.05)
    whole_s = time.perf_counter() - started
    assert isinstance(loader, BatchLoader)
    assert 0 < loader.waited_s <= whole_s - 7 * 0.05


def test_another_skeleton(root: Path, tmp_path: Path) -> None:
    lines = ["name: two", "keypoints: [left_end, right_end]", "edges: [[left_end, right_end]]", "sigmas: [0.1, 0.1]"]
    (tmp_path / "two.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError, match="has 17 keypoints, skeleton two 2"):
        _module(root, skeleton=str(tmp_path / "two.yaml")).setup("validate")


def test_yaml_brings_the_view(root: Path) -> None:
    parser = ArgumentParser(parser_mode="omegaconf+")
    parser.add_class_arguments(CocoDataModule, "data")
    view = {"class_path": "personlab.augmentation.TrainingView", "init_args": {"crop_size": 65, "scale": [0.7, 1.2]}}
    config = parser.parse_object({"data": {"root": str(root), "view": view, "eval_size": None}})
    module = parser.instantiate(config).data
    assert isinstance(module.view, TrainingView)
    assert (module.view.crop_size, module.view.scale) == (65, (0.7, 1.2))
    assert module.eval_view is None


@pytest.mark.parametrize(
    "options",
    [
        {"eval_size": 33, "eval_scale": 1.0},
        {"batch_size": 0},
        {"train_images": 0},
        {"workers": -1},
        {"seed": -1},
        {"eval_size": -5},
    ],
)
def test_options_that_make_no_sense(root: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        _module(root, **options)


def test_setup_finds_what_is_missing(root: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder; set data\.root"):
        _module(root / "nowhere").setup("fit")
    with pytest.raises(InputError, match=r"person_keypoints_none\.json: no such annotation file"):
        _module(root, val_split="none").setup("validate")
    with pytest.raises(InputError, match=r"do not fill one step; lower data\.batch_size"):
        _module(root, batch_size=7).train_dataloader()
    (root / "val2017/014.jpg").unlink()
    with pytest.raises(InputError, match=r"014\.jpg: no such image"):
        _module(root).setup("validate")
    (root / "val2017").rename(root / "other")
    with pytest.raises(InputError, match="val2017: no such image folder"):
        _module(root).setup("validate")
    for path in (root / "train2017").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"010\.jpg: the file is cut short"):
        _module(root).setup("fit")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_ends_evaluation_with_one_line_and_is_counted_in_training(root: Path, workers: int) -> None:
    for split in ("train2017", "val2017"):
        path = root / split / "012.jpg"
        path.write_bytes(path.read_bytes()[:-99])
    module = _module(root, workers=workers, batch_size=6, loader_timeout_s=60)
    with pytest.raises(UnreadableImage) as error:
        list(module.val_dataloader())
    assert str(error.value) == f"{path}: the file is cut short or damaged; copy or download it again"
    batch = next(iter(module.train_dataloader()))
    assert batch.image_ids[~batch.sample_valid].tolist() == [12]


def test_bad_images_to_validate_on_are_borne_in_a_training_alone(root: Path) -> None:
    module = _module(root)
    for stage, borne in (("fit", True), ("validate", False), ("fit", True), ("test", False), ("fit", True)):
        module.setup(stage)
        assert module.evaluated(testing=stage == "test").skip_broken is borne


def test_setup_refuses_training_without_keypoints(root: Path) -> None:
    path = root / "annotations/person_keypoints_train2017.json"
    names = list(COCO.keypoint_names)
    images = [{"id": 10, "file_name": "010.jpg", "height": 40, "width": 60}]
    write_json(
        path, {"images": images, "annotations": [], "categories": [{"id": 1, "name": "person", "keypoints": names}]}
    )
    with pytest.raises(InputError, match="no image has a labelled keypoint"):
        _module(root).setup("fit")


class _Recorder(LightningModule):
    """Learns nothing; remembers (epoch, image) of every training sample."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[int, int]] = []

    def training_step(self, batch: Batch, index: int) -> Tensor:
        self.seen += [(self.current_epoch, i) for i in batch.image_ids.tolist()]
        return self.weight.sum()

    def validation_step(self, batch: Batch, index: int) -> None:
        self.log("images", float(len(batch)), batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("saved_by", "stop_after_steps"), [("epoch", 3), ("epoch", 6), ("step", 3), ("step", 6), ("step", 8)]
)
def test_the_trainer_goes_on_where_it_was(
    root: Path, tmp_path: Path, workers: int, stop_after_steps: int, saved_by: str
) -> None:
    """The Trainer makes its first iterator before it sets the epoch: workers could fetch the order of another epoch."""

    def fit(steps: int, resume: Path | None) -> list[tuple[int, int]]:
        recorder = _Recorder()
        options = {"every_n_train_steps": 1} if saved_by == "step" else {"every_n_epochs": 1}
        trainer = Trainer(
            max_steps=steps,
            accelerator="cpu",
            logger=False,
            callbacks=[ModelCheckpoint(tmp_path / "saved", save_last=True, **options)],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(recorder, datamodule=_module(root, workers=workers, loader_timeout_s=60), ckpt_path=resume)
        return recorder.seen

    seen = fit(stop_after_steps, None) + fit(12, tmp_path / "saved" / "last.ckpt")
    sampler = DeterministicSampler(6)
    assert seen == [(epoch, 10 + i) for epoch in range(4) for i in sampler.order(epoch).tolist()]


def test_a_second_loader_begins_at_the_start_of_the_epoch(root: Path) -> None:
    """Pictures of training batches are drawn from a loader of their own, while the run is in the middle of an epoch."""
    counts = []

    class Looker(_Recorder):
        def on_train_batch_end(self, *arguments: Any) -> None:
            counts.append(len(list(self.trainer.datamodule.train_dataloader())))  # type: ignore[attr-defined]

    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(Looker(), datamodule=_module(root))
    assert counts == [3, 3, 3]


@pytest.mark.coco
def test_the_coco_sample_loads(shared: Path) -> None:
    module = CocoDataModule(
        str(shared / "data/coco-sample"), batch_size=4, workers=0, view=TrainingView(129), val_images=3, eval_size=129
    )
    module.setup()
    assert module.train_dataset is not None
    assert len(module.train_dataset) == len(module.train_dataset.annotations.images_with_keypoints())
    batch = next(iter(module.train_dataloader()))
    assert batch.images.shape == (4, 3, 129, 129)
    assert batch.sample_valid.all()
    assert len(list(module.val_dataloader())) == 3


@pytest.mark.parametrize(
    ("whole", "most", "processes", "size", "parts"),
    [(8, 8, 1, 8, 1), (8, 8, 8, 1, 1), (8, 3, 1, 2, 4), (8, 2, 2, 2, 2), (12, 4, 1, 4, 3), (7, 3, 1, 1, 7)],
)
def test_the_global_batch_is_shared(whole: int, most: int, processes: int, size: int, parts: int) -> None:
    data = CocoDataModule("nowhere", batch_size=most, global_batch_size=whole)
    assert (data.divide(processes), data.batch_size) == (parts, size)
    assert size * parts * processes == whole


def test_a_global_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(InputError, match=r"global_batch_size 8 cannot be shared by 3 processes alike; use 6"):
        CocoDataModule("nowhere", global_batch_size=8).divide(3)
    assert CocoDataModule("nowhere", batch_size=5).divide(3) == 1
