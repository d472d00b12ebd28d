"""What a training starts from, by name."""

from __future__ import annotations

import torch

from personlab.weights import load_initial
from personlab.weights.network_file import embedded_path, load_network


def test_embedded_is_the_network_of_the_package():
    network, _ = load_network(embedded_path())
    wanted = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    report = load_initial(network, "embedded")
    assert not report.missing
    assert all(torch.equal(wanted[name], tensor) for name, tensor in network.state_dict().items())
