"""COCO average precision at every evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from personlab.data.datamodule import BatchLoader, CocoDataModule
from personlab.data.dataset import CocoDataset
from personlab.evaluation.coco_ap import CocoAP
from personlab.evaluation.image_sets import ImageSet, write_results_of
from personlab.evaluation.results import people_to_results, score_report, write_json
from personlab.structures import Batch
from personlab.training.callbacks.averaging import PolyakAveraging


class CocoEvaluation(Callback):
    """Scores the decoded people of a validation or test epoch.

    Each process writes the predictions of its shard to a file; after one barrier the first process merges the files,
    checks that every image is there exactly once, computes the AP and tells the others. The predictions stay in
    `predictions/`, with a file beside each that tells which images they are of; the scores in `evaluation.json`.
    """

    def __init__(self, keep_predictions: bool = True, only_with_keypoints: bool = False) -> None:
        """Set what is kept and who counts.

        Args:
            keep_predictions: Whether the merged predictions of each evaluation stay in the run directory.
            only_with_keypoints: Leave people without any labelled keypoint out of the ground truth of masks, as the
                oracle does. COCO's own scores count them.
        """
        self.keep_predictions = keep_predictions
        self.only_with_keypoints = only_with_keypoints
        self._results: list[dict[str, Any]] = []
        self._image_ids: list[int] = []
        self._seconds: dict[str, float] = {}

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
        self._results, self._image_ids = [], []
        self._seconds = {"read": 0.0, "network": 0.0, "decode": 0.0}

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the people of one batch."""
        dataset = _dataset(trainer)
        ids = [int(i) for i in batch.image_ids]
        for image_id, people in zip(ids, outputs["people"], strict=True):
            self._results += people_to_results(people, image_id, dataset.annotations.category_id)
        self._image_ids += ids
        for stage, seconds in outputs["seconds"].items():
            self._seconds[stage] += seconds

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Merge, score, log and save."""
        stage = "test" if trainer.testing else "val"
        folder = Path(trainer.default_root_dir) / "predictions"
        stem = f"{stage}-step{trainer.global_step}"
        loader: BatchLoader = trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders  # type: ignore[assignment]
        self._seconds["read"] = loader.waited_s
        shard = {"image_ids": self._image_ids, "results": self._results, "seconds": self._seconds}
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{stem}.rank{trainer.global_rank}.json", shard)
        trainer.strategy.barrier("predictions written")
        figures = self._score(trainer, folder, stem, stage) if trainer.is_global_zero else {}
        # Computed once and told to everyone, so that a monitor sees the same value in every process.
        figures = trainer.strategy.broadcast(figures)
        pl_module.log_dict({f"{stage}/{name}": value for name, value in figures.items()})

    def _score(self, trainer: L.Trainer, folder: Path, stem: str, stage: str) -> dict[str, float]:
        """Merge the shards of all processes and compute the scores; only in the first process."""
        image_ids: list[int] = []
        results: list[dict[str, Any]] = []
        seconds = dict.fromkeys(self._seconds, 0.0)
        for rank in range(trainer.world_size):
            path = folder / f"{stem}.rank{rank}.json"
            shard = json.loads(path.read_text(encoding="utf-8"))
            image_ids += shard["image_ids"]
            results += shard["results"]
            seconds = {k: seconds[k] + shard["seconds"][k] for k in seconds}
            path.unlink()
        dataset = _dataset(trainer)
        limit = trainer.limit_test_batches if trainer.testing else trainer.limit_val_batches
        # 1.0 is all batches, 1 is one batch.
        if isinstance(limit, float) and limit == 1.0 and sorted(image_ids) != sorted(dataset.image_ids.tolist()):
            raise RuntimeError(
                f"evaluated {len(image_ids)} images, {len(set(image_ids))} of them different, instead of {len(dataset)}"
            )
        results.sort(key=lambda r: (r["image_id"], -r["score"]))
        metric = self._metric(trainer, dataset)
        metric.update_results(results, sorted(image_ids))
        figures = metric.compute()
        report = score_report(figures, len(image_ids), len(results), seconds, self.only_with_keypoints)
        report["step"] = trainer.global_step
        averaging = next((c for c in _callbacks(trainer) if isinstance(c, PolyakAveraging)), None)
        report["weights"] = averaging.weights if averaging else "raw"
        if self.keep_predictions:
            datamodule: CocoDataModule = trainer.datamodule  # type: ignore[attr-defined]
            images = ImageSet(
                image_ids=tuple(sorted(image_ids)),
                kinds=metric.kinds,
                split=datamodule.test_split if trainer.testing else datamodule.val_split,
                annotations=dataset.annotations.path.name,
                annotations_sha256=dataset.annotations.sha256,
            )
            write_results_of(folder / f"{stem}.json", results, images)
        write_json(Path(trainer.default_root_dir) / "evaluation.json", report)
        return figures

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end


def _callbacks(trainer: L.Trainer) -> list[Callback]:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks


def _dataset(trainer: L.Trainer) -> CocoDataset:
    """What is being evaluated."""
    datamodule: CocoDataModule = trainer.datamodule  # type: ignore[attr-defined]
    return datamodule.evaluated(testing=trainer.testing)
