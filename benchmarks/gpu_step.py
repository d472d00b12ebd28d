"""The step of training that `benchmarks.gpu_train` times, on a batch that lies on the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from personlab.encoding import Encoder
from personlab.losses import Objective
from personlab.network import PersonLab, ResNet
from personlab.structures import Batch
from personlab.training.callbacks.averaging import rising_average

HAS = (
    "the network", "targets", "losses", "backward", "a copy of what batch norm has measured",
    "the look whether gradients are finite", "SGD with momentum", "averages of weights and buffers",
)  # fmt: skip
"""What `personlab fit` does in a step, in its order but for the copy, which comes first."""
LACKS = (
    "reading and moving images", "the Trainer and its log", "clipping of gradients, which the paper's recipes have not",
)  # fmt: skip
"""What it does beside that, which `personlab bench train` times on real images."""


class Step:
    """A step of training with all that `HAS` names.

    Args:
        device: Where network and batch lie.
        depth: Of the ResNet.
        channels_last: Whether the network's tensors have their channels last in memory.
        compiled: Whether the network is compiled.

    Attributes:
        kept: The network's buffers as they were before the last step, in the order of the network.
    """

    def __init__(self, device: torch.device, depth: int, channels_last: bool, compiled: bool) -> None:
        """Build network and optimiser; nothing is compiled yet."""
        torch.manual_seed(0)
        self.device = device
        network = PersonLab(ResNet(depth, output_stride=16, norm="frozen"), mid_supervision=True)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(device).to(memory_format=layout).train()  # type: ignore[call-overload]
        self.encode, self.objective = Encoder(), Objective()
        # No step: made-up people and random weights would soon make numbers that are none.
        self.optimizer = torch.optim.SGD((p for p in network.parameters() if p.requires_grad), lr=0.0, momentum=0.9)
        self.averages = AveragedModel(self.network, multi_avg_fn=rising_average(0.9999), use_buffers=True)
        self.kept: list[Tensor] = []
        if compiled:
            self.network.compile_supervised()

    def loss(self, batch: Batch) -> Tensor:
        """The loss of a batch, in bfloat16 where `personlab fit` would."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            predicted = self.network.forward_supervised(batch.images)
        targets = {stride: self.encode(batch, stride) for stride in {fields.stride for fields in predicted}}
        return self.objective(predicted, [targets[fields.stride] for fields in predicted])["total"]

    def __call__(self, batch: Batch) -> Tensor:
        """One step; gives its loss.

        Raises:
            ValueError: If the gradient is not finite.
        """
        self.kept = [buffer.clone() for buffer in self.network.buffers()]
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(batch)
        loss.backward()
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if not bool(torch.isfinite(torch.nn.utils.get_total_norm(gradients))):
            raise ValueError("the gradient is not finite, and what is computed on such is not timed")
        self.optimizer.step()
        self.averages.update_parameters(self.network)
        return loss.detach()
