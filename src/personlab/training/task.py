"""The LightningModule: glue between network, encoding, objective and decoder. It owns no maths."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from personlab.decoding import PaperDecoder
from personlab.encoding import Encoder
from personlab.losses import Objective
from personlab.network import PersonLab
from personlab.structures import Batch, Fields
from personlab.training.agreement import check_parts, check_skeleton
from personlab.training.optimizers import SharedOptimizerMaker, paper_sgd
from personlab.training.schedules import Schedule
from personlab.weights import load_initial


def _now(batch: Batch) -> float:
    """Seconds on a clock, after all that was asked of the batch's device is done."""
    if batch.images.is_cuda:
        torch.cuda.synchronize(batch.images.device)
    return time.perf_counter()


class PersonLabTask(L.LightningModule):
    """Trains and evaluates a PersonLab network.

    Source: PersonLab, section 3 and 4.
    """

    def __init__(
        self,
        network: PersonLab,
        encoder: Encoder,
        objective: Objective,
        decoder: PaperDecoder,
        optimizer: OptimizerCallable = paper_sgd,
        schedule: Schedule | None = None,
        eval_stride: int | None = None,
        initial_weights: str | None = None,
        compile_network: bool = False,
    ) -> None:
        """Put the parts together.

        Args:
            network: Image -> fields.
            encoder: Annotations -> targets.
            objective: Fields and targets -> loss.
            decoder: Fields -> people, at evaluation.
            optimizer: Makes the optimiser from the parameters; SGD with momentum as in the paper by default.
            schedule: Learning-rate schedule by step; constant by default, as in the paper.
            eval_stride: Output stride at evaluation, with the same weights; None keeps that of training. The paper
                trains at 16 and evaluates at 8.
            initial_weights: What a fresh `fit` starts from, and what `validate` and `test` score without a checkpoint:
                `imagenet` for the backbone's weights from an installed package (not enough to score), `embedded` for
                the small network that comes with this one, or a weights file (`.safetensors`, `.pth`). A checkpoint
                goes first.
            compile_network: Train with `torch.compile`d kernels, of the same weights: files of both fit each other.
                Evaluation goes without, since its images come in many sizes.

        Raises:
            InputError: If the network has no such `eval_stride`, or the parts differ in disks or skeleton.
        """
        super().__init__()
        self.train_stride = network.output_stride
        self.eval_stride = self.train_stride if eval_stride is None else eval_stride
        check_parts(network, encoder, decoder, self.eval_stride)
        self.network = network
        self.encoder = encoder
        self.objective = objective
        self.decoder = decoder
        self.make_optimizer = SharedOptimizerMaker(optimizer)
        self.schedule = schedule or Schedule()
        self.initial_weights = initial_weights
        self.compile_network = compile_network
        self._parts: list[dict[str, Tensor]] = []

    def setup(self, stage: str) -> None:
        """Load the initial weights when a fresh training begins, and have the decoder compiled before it is timed.

        Raises:
            InputError: If the weights cannot be loaded, or the data have another skeleton than the network.
        """
        data: Any = getattr(self._trainer, "datamodule", None)
        if data is not None:
            check_skeleton(self.network.skeleton, data.skeleton, "data.skeleton")
        self.decoder.warm_up()
        resumes = self._trainer is not None and self.trainer.ckpt_path is not None
        if stage == "fit" and self.initial_weights and not resumes:
            load_initial(self.network, self.initial_weights)
        if stage == "fit" and self.compile_network:
            self.network.compile_supervised()

    def forward(self, images: Tensor) -> Any:
        """Fields of a batch of images `(batch, 3, height, width)`."""
        return self.network(images)

    def _losses(self, batch: Batch, predicted: list[Fields]) -> dict[str, Tensor]:
        targets = {stride: self.encoder(batch, stride) for stride in {fields.stride for fields in predicted}}
        return self.objective(predicted, [targets[fields.stride] for fields in predicted])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch: of an optimisation step, or of a part of it whose gradients are accumulated."""
        terms = self._losses(batch, self.network.forward_supervised(batch.images))
        self._parts.append({name: value.detach() for name, value in terms.items()})
        return terms["total"]

    def on_train_start(self) -> None:
        """Forget parts of a step that another training was stopped in."""
        self._parts = []

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log every term of the step that is about to be done: its mean over all parts and processes."""
        parts, self._parts = self._parts, []
        names = list(parts[0])
        means = torch.stack([torch.stack([part[name] for part in parts]).mean() for name in names])
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self.trainer.world_size > 1 and (self.global_step + 1) % every == 0:
            means = self.trainer.strategy.reduce(means, reduce_op="mean")  # only where a line is written: it waits
        self.log_dict({f"train/loss/{name}": value for name, value in zip(names, means, strict=True)})

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Losses, fields and decoded people of one batch; callbacks score, log and draw them."""
        times = [_now(batch)]
        fields = self.network(batch.images)
        times.append(_now(batch))
        losses = self._losses(batch, [fields])
        fields = fields.detach().to("cpu", torch.float32)
        times.append(_now(batch))
        people = self.decoder(fields, batch.image_to_crop, batch.image_sizes.tolist())
        times.append(_now(batch))
        return {
            "fields": fields,
            "people": people,
            "losses": losses,
            "seconds": {"network": times[1] - times[0], "decode": times[3] - times[2]},
        }

    test_step = validation_step

    def on_validation_start(self) -> None:
        """Evaluate at the evaluation stride."""
        self.network.set_output_stride(self.eval_stride)

    def on_validation_end(self) -> None:
        """Train on at the training stride."""
        self.network.set_output_stride(self.train_stride)

    on_test_start = on_validation_start
    on_test_end = on_validation_end

    def configure_optimizers(self) -> Any:
        """The optimiser, and its schedule by step."""
        optimizer = self.make_optimizer([p for p in self.parameters() if p.requires_grad])
        scheduler = self.schedule.build(optimizer, self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
