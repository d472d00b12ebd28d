"""COCO for the Trainer: data sets, samplers and loaders of training and evaluation."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from personlab.data.coco import ANNOTATIONS, CocoAnnotations, annotation_path, read_annotations
from personlab.data.collate import collate
from personlab.data.dataset import CocoDataset, View
from personlab.data.doctor import refuse_errors
from personlab.data.doctor.codes import Use
from personlab.data.images import UnreadableImage, read_image
from personlab.data.imputed import Imputed
from personlab.data.loader import BatchLoader, cpus, start_worker
from personlab.data.sampler import DeterministicSampler
from personlab.data.warp import Resize
from personlab.errors import InputError
from personlab.skeleton import COCO, Skeleton
from personlab.structures import Sample

_TRIED = 10
"""Images of which one must be readable where bad ones are borne."""


class CocoDataModule(LightningDataModule):
    """COCO's folder layout: `{root}/{annotations}` and `{root}/{split}/{file_name}`.

    Order and views are pure functions of (seed, epoch, position), so there is no state to save: any number of workers
    gives the same batches, and a resumed run goes on with the batch after the last one, also in the middle of an epoch.

    Args:
        root: Folder of the data set.
        train_split: Split to train on.
        val_split: Split that a training is validated on.
        test_split: Split that `test` scores; None for `val_split`.
        annotations: Annotation file below the root; `{split}` stands for the split.
        train_annotations: Another one to train on, such as one with imputed keypoints; None for `annotations`.
        imputed: What training does with imputed keypoints, see `personlab.data.imputed.Imputed`; validation and test
            take them for people without keypoints, as they are.
        batch_size: Images that a process takes at once in training; with `global_batch_size`, the most that it takes.
        global_batch_size: Images of a training step, over all processes, see `divide`; None for `batch_size` a process.
        eval_batch_size: Images a process and evaluation step; more than one pads all to the largest.
        eval_size: Longer side, in pixels, that images are resized to for evaluation; None keeps their size.
        eval_scale: Or a factor that they are resized by; needs `eval_size` None.
        size_multiple: Batches are padded to height and width of the form n * size_multiple + 1: the largest output
            stride that has to fit.
        workers: Loader processes; None for one a CPU, 8 at most; 0 loads in the main process.
        loader_timeout_s: Seconds after which a batch that does not come is an error, and not a run that hangs; 0 waits
            for ever.
        seed: Seed of the order and of the views.
        view: What turns an image into a training crop, such as `personlab.augmentation.TrainingView`; None trains on
            the evaluation view.
        train_images: Use the first n images only, to debug or to overfit; None for all.
        val_images: The same for validation and test.
        train_only_with_people: Leave out training images without any labelled (or imputed) keypoint.
        skeleton: A skeleton file, if the keypoints are not COCO's.
        check: Refuse to train on annotation files in which `personlab data doctor` finds errors that spoil training, or
            for the split to validate on, scores; images are not looked at.

    Raises:
        InputError: If options contradict each other.

    Source: PersonLab, section 4.1: training uses the 64,115 images with people.
    """

    def __init__(
        self,
        root: str,
        train_split: str = "train2017",
        val_split: str = "val2017",
        test_split: str | None = None,
        annotations: str = ANNOTATIONS,
        train_annotations: str | None = None,
        imputed: Imputed = "use",
        batch_size: int = 8,
        global_batch_size: int | None = None,
        eval_batch_size: int = 1,
        eval_size: int | None = 801,
        eval_scale: float | None = None,
        size_multiple: int = 32,
        workers: int | None = None,
        loader_timeout_s: float = 600.0,
        seed: int = 0,
        view: View | None = None,
        train_images: int | None = None,
        val_images: int | None = None,
        train_only_with_people: bool = True,
        skeleton: str | None = None,
        check: bool = True,
    ) -> None:
        """Check the options and keep them; files are read by `setup`."""
        super().__init__()
        if eval_size is not None and eval_scale is not None:
            raise InputError("eval_size and eval_scale are both set: set eval_size to null to resize by eval_scale")
        if imputed not in get_args(Imputed):
            raise InputError(f"imputed: {imputed!r} is unknown, give {', '.join(get_args(Imputed))}")
        counts = {"batch_size": batch_size, "eval_batch_size": eval_batch_size, "size_multiple": size_multiple}
        limits = {"train_images": train_images, "val_images": val_images, "global_batch_size": global_batch_size}
        for name, value in {**counts, **limits}.items():
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}: must be 1 or more")
        if seed < 0 or (workers or 0) < 0 or loader_timeout_s < 0:
            raise InputError("seed, workers and loader_timeout_s must be 0 or more")
        self.root = Path(root)
        self.train_split = train_split
        self.val_split = val_split
        self.test_split = test_split or val_split
        self.annotations = annotations
        self.train_annotations = train_annotations or annotations
        self.imputed: Imputed = imputed
        self.batch_size = batch_size
        self.global_batch_size = global_batch_size
        self._parts = 1
        self.eval_batch_size = eval_batch_size
        resizes = eval_size is not None or eval_scale is not None
        self.eval_view: View | None = Resize(eval_size, eval_scale) if resizes else None
        self.size_multiple = size_multiple
        self.workers = min(cpus(), 8) if workers is None else workers
        self.loader_timeout_s = loader_timeout_s
        self.seed = seed
        self.view = view
        self.train_images = train_images
        self.val_images = val_images
        self.train_only_with_people = train_only_with_people
        self.check = check
        self.skeleton = COCO if skeleton is None else Skeleton.from_file(skeleton)
        self.train_dataset: CocoDataset | None = None
        self.val_dataset: CocoDataset | None = None
        self.test_dataset: CocoDataset | None = None
        self._loader_made = False

    def divide(self, processes: int) -> int:
        """Give each process its part of the global batch, in parts of at most `batch_size` images, all alike.

        Sets `batch_size` to the size of a part. Without a `global_batch_size`, nothing changes.

        Args:
            processes: How many train together.

        Returns:
            Parts a step, whose gradients are accumulated.

        Raises:
            InputError: If the processes cannot have equal parts.
        """
        if self.global_batch_size is None:
            return 1
        if self.global_batch_size % processes:
            raise InputError(
                f"data.global_batch_size {self.global_batch_size} cannot be shared by {processes} processes alike; "
                f"use {self.global_batch_size // processes * processes or processes}, or another number of devices"
            )
        each = self.global_batch_size // processes
        parts = next(n for n in range(1, each + 1) if each % n == 0 and each // n <= self.batch_size)
        self.batch_size, self._parts = each // parts, parts
        return parts

    def annotation_path(self, split: str) -> Path:
        """Annotation file of a split."""
        return annotation_path(self.root, split, self.annotations)

    def evaluated(self, testing: bool = False) -> CocoDataset:
        """The images that a validation (or a test) must see, each once."""
        if (self.test_dataset if testing else self.val_dataset) is None:
            self.setup("test" if testing else "validate")
        dataset = self.test_dataset if testing else self.val_dataset
        assert dataset is not None
        return dataset

    def content_hashes(self) -> dict[str, str]:
        """Hash of what `setup` read to train, validate or test on, by these names; see `CocoDataset.content_hash`."""
        datasets = {"train": self.train_dataset, "val": self.val_dataset, "test": self.test_dataset}
        return {name: dataset.content_hash() for name, dataset in datasets.items() if dataset is not None}

    def setup(self, stage: str | None = None) -> None:
        """Read annotations, and check what can be checked before an epoch is spent.

        Args:
            stage: `fit` reads the splits to train and to validate on, `validate` and `test` their own, None all. What
                was read before is kept.

        Raises:
            InputError: If the root, an annotation file, an image folder or image files are missing or unusable, or a
                training epoch would not fill one batch, or (to train, unless `check` is off) annotations have errors.
        """
        if not self.root.is_dir():
            raise InputError(f"{self.root}: no such folder; set data.root to the folder of the COCO data set")
        if stage in (None, "fit"):
            self._loader_made = False
            self.train_dataset = self.train_dataset or self._checked(self._train_dataset(), "training")
        if stage != "test":
            if self.val_dataset is None:
                self.val_dataset = self._eval_dataset(self.val_split, stage == "fit")
                if stage == "fit":
                    self._checked(self.val_dataset, "scoring")
            self.val_dataset.skip_broken = stage == "fit"  # days of training do not end at one bad image
        if stage in (None, "test"):
            if self.test_dataset is None:
                same = self.val_dataset if self.test_split == self.val_split else None
                self.test_dataset = same or self._eval_dataset(self.test_split)
            self.test_dataset.skip_broken = False

    def check_step(self, processes: int) -> None:
        """Refuse training data that do not fill one step, before hours go into setting all up.

        Args:
            processes: How many train together.

        Raises:
            InputError: If so.
        """
        assert self.train_dataset is not None, "setup first"
        if len(self.train_dataset) < self.batch_size * self._parts * processes:
            name = "batch_size" if self.global_batch_size is None else "global_batch_size"
            raise InputError(
                f"{self.train_dataset.annotations.path}: {len(self.train_dataset)} images do not fill one step; lower "
                f"data.{name} from {getattr(self, name)} or use more images"
            )

    def check_shares(self, processes: int, testing: bool = False) -> None:
        """Refuse an evaluation in which a process would have no image, which the Trainer cannot do.

        Args:
            processes: How many evaluate together.
            testing: Whether on the test split.

        Raises:
            InputError: If so.
        """
        images = len(self.evaluated(testing))
        if images < processes:
            split = self.test_split if testing else self.val_split
            raise InputError(
                f"{self.annotation_path(split)}: {images} images to evaluate are too few for {processes} processes; "
                "raise data.val_images, or use fewer devices"
            )

    def train_dataloader(self) -> DataLoader[Sample]:
        """Batches of this process for training; incomplete ones are left out, so that all processes step equally often.

        Raises:
            InputError: If an epoch would not fill one batch.
        """
        if self.train_dataset is None:
            self.setup("fit")
        assert self.train_dataset is not None
        rank, world_size = self._rank()
        self.check_step(world_size)
        sampler = DeterministicSampler(
            len(self.train_dataset),
            self.seed,
            rank=rank,
            world_size=world_size,
            samples_a_step=self.batch_size * self._parts,
            progress=partial(self._progress, follow=not self._loader_made) if self.trainer else None,
        )
        self._loader_made = True
        return self._loader(self.train_dataset, sampler, self.batch_size, drop_last=True)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Batches of this process for validation: over all processes, every image exactly once, without padding."""
        return self._eval_loader(self.evaluated())

    def test_dataloader(self) -> DataLoader[Sample]:
        """The same of the test split."""
        return self._eval_loader(self.evaluated(testing=True))

    def _eval_loader(self, dataset: CocoDataset) -> DataLoader[Sample]:
        rank, world_size = self._rank()
        sampler = DeterministicSampler(
            len(dataset), self.seed, shuffle=False, rank=rank, world_size=world_size, drop_tail=False
        )
        return self._loader(dataset, sampler, self.eval_batch_size, drop_last=False)

    def _rank(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _progress(self, follow: bool) -> tuple[int, int]:
        """The Trainer's epoch, and the positions of it that were done before a resumed run was cut off.

        Only the Trainer's own loader, the first one of a fit, follows its count of batches: others, made to look at the
        data while the run goes on, begin with the epoch.

        The Trainer's calls of `set_epoch` are of no use here: they come after the first `iter`, and after the resume of
        a run that counts steps they are one epoch ahead.
        """
        assert self.trainer is not None
        # Counted up only after the fetch: 0 in a fresh epoch, right even if a resumed run validates before it fetches.
        batches = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready if follow else 0
        return self.trainer.current_epoch, batches * self.batch_size * self.trainer.world_size

    def _train_dataset(self) -> CocoDataset:
        path = annotation_path(self.root, self.train_split, self.train_annotations)
        annotations = read_annotations(path, self.skeleton, imputed=self.imputed)
        chosen = annotations.images_with_keypoints() if self.train_only_with_people else np.arange(len(annotations))
        if len(chosen) == 0:
            raise InputError(f"{annotations.path}: no image has a labelled keypoint; use person_keypoints_*.json")
        return self._dataset(
            annotations, self.train_split, chosen[: self.train_images], self.view or self.eval_view, True
        )

    def _eval_dataset(self, split: str, skip_broken: bool = False) -> CocoDataset:
        annotations = read_annotations(self.annotation_path(split), self.skeleton, require_keypoints=False)
        chosen = np.arange(len(annotations))[: self.val_images]
        return self._dataset(annotations, split, chosen, self.eval_view, skip_broken)

    def _checked(self, dataset: CocoDataset, use: Use) -> CocoDataset:
        """The same data set, if the doctor finds no error in its annotations."""
        if self.check:
            doctor = f"personlab data doctor --data.root {self.root} --splits {dataset.image_folder.name}"
            mend = f"`{doctor}` lists all with their mend, --data.check false trains all the same"
            refuse_errors(dataset.annotations.path, self.skeleton, use, mend)
        return dataset

    def _dataset(
        self, annotations: CocoAnnotations, split: str, images: np.ndarray, view: View | None, skip_broken: bool
    ) -> CocoDataset:
        folder = self.root / split
        if not folder.is_dir():
            raise InputError(f"{folder}: no such image folder; it must hold the images of {annotations.path.name}")
        dataset = CocoDataset(annotations, folder, images=images, view=view, seed=self.seed, skip_broken=skip_broken)
        _check_first(dataset)
        there = set(os.listdir(folder))  # one look for all: asking for each file takes minutes on a network disk
        for index in range(len(dataset)):
            path = dataset.image_path(index)
            if path.name not in there and not path.is_file():
                raise InputError(f"{path}: no such image; is {folder} complete?")
        return dataset

    def _loader(
        self, dataset: CocoDataset, sampler: DeterministicSampler, batch_size: int, drop_last: bool
    ) -> DataLoader[Sample]:
        return BatchLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=self.workers,
            collate_fn=partial(collate, multiple=self.size_multiple),
            pin_memory=torch.cuda.is_available(),
            drop_last=drop_last,
            timeout=self.loader_timeout_s if self.workers else 0,
            worker_init_fn=start_worker,
            persistent_workers=self.workers > 0,
            # Of its own: an iterator would draw its workers' seed from everybody's random numbers.
            generator=torch.Generator().manual_seed(self.seed),
        )


def _check_first(dataset: CocoDataset) -> None:
    """Refuse images that cannot be read at all, before an epoch is spent; where bad ones are borne, a few are tried."""
    first: UnreadableImage | None = None
    for index in range(min(_TRIED, len(dataset)) if dataset.skip_broken else 1):
        try:
            read_image(dataset.image_path(index), dataset.annotations.size(int(dataset.images[index])))
        except UnreadableImage as error:
            first = first or error
        else:
            return
    if first is not None:
        raise first
