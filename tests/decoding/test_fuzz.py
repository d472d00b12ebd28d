"""Whatever the fields hold, decoding ends soon with finite people inside bounds, by all rules and both engines."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from personlab.decoding import BodyPixDecoder, CoralDecoder, Decoder, PaperDecoder, TfjsDecoder
from personlab.structures import Fields
from tests.decoding.scenes import IDENTITY

DECODERS: dict[str, Decoder] = {
    "paper": PaperDecoder(),
    "paper, torch": PaperDecoder(engine="torch"),
    "paper, consistent": PaperDecoder(cell_read="consistent", hough_grid_px=3.0, max_people=100),
    "tfjs": TfjsDecoder(max_people=30),
    "bodypix": BodyPixDecoder(),
    "coral": CoralDecoder(score_threshold=0.1),
}
STRANGE = (float("nan"), float("inf"), -float("inf"), 1e30, -1e30, 1e6, 0.0)
LIMIT_S = 20.0
"""No image of this size may take longer, whatever it holds; usual ones take a few milliseconds."""


def random_fields(rng: np.random.Generator) -> Fields:
    """Fields of any sense: noise, constants, ties, and strange numbers strewn in."""
    height, width = (int(n) for n in rng.integers(1, 24, 2))

    def field(*channels: int, scale: float) -> torch.Tensor:
        shape = (1, *channels, height, width)
        kind = rng.integers(4)
        values = rng.normal(0, scale, shape)
        if kind == 0:
            values = np.full(shape, rng.choice(STRANGE))
        elif kind == 1:
            values = np.round(values / scale) * scale  # many ties
        elif kind == 2:
            values = np.where(rng.random(shape) < 0.05, rng.choice(STRANGE, shape), values)
        return torch.from_numpy(values).float()

    return Fields(
        heatmap_logits=field(17, scale=4.0),
        short_offsets=field(17, 2, scale=20.0),
        mid_offsets=field(32, 2, scale=60.0),
        segmentation_logits=field(1, scale=4.0),
        long_offsets=field(17, 2, scale=100.0),
        stride=int(rng.choice([4, 8, 16, 32])),
        disk_radius_px=float(rng.choice([4.0, 32.0])),
    )


def check(seed: int) -> None:
    fields = random_fields(np.random.default_rng(seed))
    size = [(n - 1) * fields.stride + 1 for n in fields.heatmap_logits.shape[-2:]]
    for name, decoder in DECODERS.items():
        started = time.monotonic()
        people = decoder(fields, IDENTITY, [size])[0]
        assert time.monotonic() - started < LIMIT_S, (seed, name)
        assert np.isfinite(people.keypoints).all(), (seed, name)
        assert np.isfinite(people.scores).all(), (seed, name)
        assert all(mask["size"] == size for mask in people.masks or []), (seed, name)


@pytest.mark.parametrize("seed", range(25))
def test_strange_fields(seed: int) -> None:
    check(seed)


@pytest.mark.slow
def test_a_minute_of_strange_fields() -> None:
    stop, seed = time.monotonic() + 60, 1000
    while time.monotonic() < stop:
        check(seed)
        seed += 1
    assert seed > 1100


@pytest.mark.parametrize("name", DECODERS)
def test_ten_thousand_seeds(name: str) -> None:
    """Every second cell is a certain peak that points nowhere in particular."""
    heatmaps = torch.full((1, 17, 50, 50), -10.0)
    heatmaps[..., ::2, ::2] = 10.0
    rng = torch.Generator().manual_seed(0)
    fields = Fields(
        heatmap_logits=heatmaps,
        short_offsets=torch.zeros(1, 17, 2, 50, 50),
        mid_offsets=300 * torch.randn(1, 32, 2, 50, 50, generator=rng),
        segmentation_logits=torch.full((1, 1, 50, 50), 5.0),
        long_offsets=300 * torch.randn(1, 17, 2, 50, 50, generator=rng),
        stride=8,
        disk_radius_px=8.0,
    )
    started = time.monotonic()
    people = DECODERS[name](fields, IDENTITY, [(393, 393)])[0]
    assert time.monotonic() - started < LIMIT_S
    assert len(people) > 0
    assert np.isfinite(people.keypoints).all()
