from __future__ import annotations

import copy
import inspect

import pytest
import torch
from torch import nn

from personlab.errors import InputError
from personlab.network import FrozenBatchNorm2d, ResNet, make_norm


def randomised(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return network


def test_frozen_equals_batch_norm_in_evaluation_mode() -> None:
    batch, frozen = randomised(nn.BatchNorm2d(5)), FrozenBatchNorm2d(5)
    nn.init.normal_(batch.weight)
    nn.init.normal_(batch.bias)
    frozen.load_state_dict(batch.state_dict())  # with num_batches_tracked
    x = torch.randn(2, 5, 4, 3)
    assert torch.equal(frozen.train()(x), batch.eval()(x))


def test_frozen_weights_load_into_batch_norm() -> None:
    frozen, batch = randomised(FrozenBatchNorm2d(5)), nn.BatchNorm2d(5)
    batch.load_state_dict(frozen.state_dict())
    assert torch.equal(batch.running_var, frozen.running_var)


def test_frozen_statistics_survive_training_to_the_bit() -> None:
    network = randomised(ResNet(blocks=(1, 1), width=4, norm="frozen", output_stride=8, stem="small"))
    before = copy.deepcopy(network.state_dict())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        network.eval()
        network.train()
        network(torch.randn(2, 3, 33, 33))[1].square().mean().backward()
        optimizer.step()
    after = network.state_dict()
    statistics = [n for n, _ in network.named_buffers()]
    assert len(statistics) == 2 * sum(isinstance(m, FrozenBatchNorm2d) for m in network.modules()) > 0
    assert all(torch.equal(before[n], after[n]) for n in statistics)
    # Scale and shift do learn.
    assert not torch.equal(before["bn1.weight"], after["bn1.weight"])
    assert not torch.equal(before["bn1.bias"], after["bn1.bias"])


@pytest.mark.parametrize("channels", [1, 7, 20, 24, 64])
def test_group_norm_takes_any_width_and_does_not_mix_images(channels: int) -> None:
    norm = make_norm("group", channels)
    x = torch.randn(2, channels, 4, 4)
    both, alone = norm(x), norm(x[:1])
    torch.testing.assert_close(both[:1], alone)
    assert isinstance(norm, nn.GroupNorm)
    assert channels // norm.num_groups >= min(8, channels)


def test_unknown_norm() -> None:
    with pytest.raises(InputError, match="frozen, batch or group"):
        # Past the type check that tests put around every function.
        inspect.unwrap(make_norm)("instance", 4)  # type: ignore[arg-type]
