"""COCO average precision at every evaluation."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from personlab.data.datamodule import CocoDataModule
from personlab.data.dataset import CocoDataset
from personlab.data.loader import BatchLoader
from personlab.errors import InputError
from personlab.evaluation.coco_ap import CocoAP
from personlab.evaluation.image_sets import ImageSet, write_results_of
from personlab.evaluation.results import Result, people_to_results, score_report, write_json
from personlab.structures import Batch
from personlab.training.callbacks.averaging import PolyakAveraging

logger = logging.getLogger("personlab")


@dataclass
class _Shard:
    """What one process found, and what all did.

    Attributes:
        image_ids: Images that were read.
        unreadable: Images that could not be.
        results: People on them.
        losses: Of each batch: the id of its first image, how many images were read, and its losses by name.
        seconds: Time spent, by stage.
    """

    image_ids: list[int] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    losses: list[tuple[int, int, dict[str, float]]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("read", "network", "decode"), 0.0))


class CocoEvaluation(Callback):
    """Scores the decoded people of a validation or test epoch, and logs the losses there.

    Each process writes the predictions of its shard to a file; after one barrier the first process merges the files,
    checks that every image is there exactly once, computes the AP and tells the others. The predictions stay in
    `predictions/`, with a file beside each that tells which images they are of; the scores in `evaluation.json`.

    Losses are means over the images, merged in the same way: the Trainer's own mean over processes cuts off the mean
    number of images of a process where they have different numbers.
    """

    def __init__(
        self, keep_predictions: bool = True, only_with_keypoints: bool = False, max_unreadable_share: float = 0.05
    ) -> None:
        """Set what is kept and who counts.

        Args:
            keep_predictions: Whether the merged predictions of each evaluation stay in the run directory.
            only_with_keypoints: Leave people without any labelled keypoint out of the ground truth of masks, as the
                oracle does. COCO's own scores count them.
            max_unreadable_share: Share of the images that a validation may leave out, in a training, since they cannot
                be read; one image is always borne. More end the training, and outside of a training a single one ends
                the evaluation.

        Raises:
            InputError: If the share is none.
        """
        if not 0 <= max_unreadable_share <= 1:
            raise InputError(f"evaluation.max_unreadable_share {max_unreadable_share}: give a share from 0 to 1")
        self.keep_predictions = keep_predictions
        self.only_with_keypoints = only_with_keypoints
        self.max_unreadable_share = max_unreadable_share
        self._shard = _Shard()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Check that the annotations can be scored before hours of training, not after.

        Raises:
            InputError: If they cannot.
        """
        if trainer.is_global_zero:
            self._metric(trainer, trainer.datamodule.evaluated(testing=stage == "test"))  # type: ignore[attr-defined]

    def _metric(self, trainer: L.Trainer, dataset: CocoDataset) -> CocoAP:
        return CocoAP(
            dataset.annotations.path,
            skeleton=trainer.datamodule.skeleton,  # type: ignore[attr-defined]
            only_with_keypoints=self.only_with_keypoints,
        )

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the previous evaluation."""
        self._shard = _Shard()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the people and losses of one batch."""
        category, shard = _dataset(trainer).annotations.category_id, self._shard
        read: list[int] = []
        for image_id, people, valid in zip(
            batch.image_ids.tolist(), outputs["people"], batch.sample_valid.tolist(), strict=True
        ):
            if valid:
                shard.results += people_to_results(people, image_id, category)
            (read if valid else shard.unreadable).append(image_id)
        shard.image_ids += read
        if read:
            losses = {name: float(value) for name, value in outputs["losses"].items()}
            shard.losses.append((read[0], len(read), losses))
        for stage, seconds in outputs["seconds"].items():
            shard.seconds[stage] += seconds

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Merge, score, log and save.

        Raises:
            InputError: If too many images could not be read.
        """
        stage = "test" if trainer.testing else "val"
        folder = Path(trainer.default_root_dir) / "predictions"
        stem = f"{stage}-step{trainer.global_step}"
        loader: BatchLoader = trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders  # type: ignore[assignment]
        self._shard.seconds["read"] = loader.waited_s
        write_json(folder / f"{stem}.rank{trainer.global_rank}.json", vars(self._shard))
        trainer.strategy.barrier("predictions written")
        figures: dict[str, float] = {}
        refusal: str | None = None
        if trainer.is_global_zero:
            shard = _merged(folder, stem, trainer.world_size)
            refusal = self._too_many(trainer, shard)
            figures = {} if refusal else self._score(trainer, shard, folder / f"{stem}.json")
        # Computed once and told to everyone, so that a monitor sees the same value in every process.
        figures, refusal = trainer.strategy.broadcast((figures, refusal))
        if refusal:
            raise InputError(refusal)
        pl_module.log_dict({f"{stage}/{name}": value for name, value in figures.items()})

    def _too_many(self, trainer: L.Trainer, shard: _Shard) -> str | None:
        """What to say of the images that could not be read if they are too many to go on; tell of them if not."""
        bad, count = len(shard.unreadable), len(shard.unreadable) + len(shard.image_ids)
        if bad > max(1, self.max_unreadable_share * count) or bad == count:
            return (
                f"{bad} of {count} images to validate on could not be read; check {_dataset(trainer).image_folder}, "
                "or raise evaluation.max_unreadable_share"
            )
        if bad:
            logger.warning(
                "%d of %d images to validate on could not be read and are not in the scores of step %d, first image "
                "id %d", bad, count, trainer.global_step, shard.unreadable[0],
            )  # fmt: skip
        return None

    def _score(self, trainer: L.Trainer, shard: _Shard, path: Path) -> dict[str, float]:
        """Compute the scores and save what was found at a path; only in the first process."""
        dataset = _dataset(trainer)
        image_ids, results = sorted(shard.image_ids), shard.results
        limit = trainer.limit_test_batches if trainer.testing else trainer.limit_val_batches
        seen = sorted([*image_ids, *shard.unreadable])
        # 1.0 is all batches, 1 is one batch.
        if isinstance(limit, float) and limit == 1.0 and seen != sorted(dataset.image_ids.tolist()):
            raise RuntimeError(
                f"evaluated {len(seen)} images, {len(set(seen))} of them different, instead of {len(dataset)}"
            )
        results.sort(key=lambda r: (r["image_id"], -r["score"]))
        metric = self._metric(trainer, dataset)
        metric.update_results(results, image_ids)
        figures = metric.compute()
        report = score_report(figures, len(image_ids), len(results), shard.seconds, self.only_with_keypoints)
        report["images_unreadable"] = len(shard.unreadable)
        report["step"] = trainer.global_step
        averaging = next((c for c in _callbacks(trainer) if isinstance(c, PolyakAveraging)), None)
        report["weights"] = averaging.weights if averaging else "raw"
        if self.keep_predictions:
            datamodule: CocoDataModule = trainer.datamodule  # type: ignore[attr-defined]
            images = ImageSet(
                image_ids=tuple(image_ids),
                kinds=metric.kinds,
                split=datamodule.test_split if trainer.testing else datamodule.val_split,
                annotations=dataset.annotations.path.name,
                annotations_sha256=dataset.annotations.sha256,
            )
            write_results_of(path, results, images)
        write_json(Path(trainer.default_root_dir) / "evaluation.json", report)
        return figures | _mean_losses(shard)

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end


def _merged(folder: Path, stem: str, processes: int) -> _Shard:
    """The shards of all processes, whose files are removed."""
    whole = _Shard()
    for rank in range(processes):
        path = folder / f"{stem}.rank{rank}.json"
        shard = _Shard(**json.loads(path.read_text(encoding="utf-8")))
        whole.image_ids += shard.image_ids
        whole.unreadable += shard.unreadable
        whole.results += shard.results
        whole.losses += shard.losses
        whole.seconds = {stage: spent + shard.seconds[stage] for stage, spent in whole.seconds.items()}
        path.unlink()
    whole.unreadable.sort()
    return whole


def _mean_losses(shard: _Shard) -> dict[str, float]:
    """Mean of each loss over the images, the same to the bit for any number of processes that take one at a time.

    A batch's own loss is a mean over its cells, so with several images at once it matters which are together.
    """
    batches = sorted(shard.losses, key=lambda batch: batch[0])
    images = sum(count for _, count, _ in batches)
    names = batches[0][2] if batches else {}
    return {f"loss/{name}": math.fsum(count * losses[name] for _, count, losses in batches) / images for name in names}


def _callbacks(trainer: L.Trainer) -> list[Callback]:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks


def _dataset(trainer: L.Trainer) -> CocoDataset:
    """What is being evaluated."""
    datamodule: CocoDataModule = trainer.datamodule  # type: ignore[attr-defined]
    return datamodule.evaluated(testing=trainer.testing)
