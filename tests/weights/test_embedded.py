"""The network that comes with the package finds synthetic people that it never saw."""

from __future__ import annotations

import torch

from personlab.data.collate import collate
from personlab.data.datamodule import CocoDataModule
from personlab.data.synthetic import generate
from personlab.evaluation.coco_ap import CocoAP
from personlab.weights.network_file import decoder_of, embedded_path, load_network


def test_it_is_small_and_says_where_it_comes_from():
    network, metadata = load_network(embedded_path())
    assert embedded_path().stat().st_size <= 2_000_000
    assert {"seed", "commit", "config_hash", "run_id", "evaluation", "network", "decoder"} <= metadata.keys()
    assert not network.training


def test_it_finds_people_in_new_images(tmp_path):
    generate(tmp_path, train_images=1, val_images=24, seed=77, processes=1)
    data = CocoDataModule(str(tmp_path), eval_size=321, workers=0)
    data.setup("validate")
    network, metadata = load_network(embedded_path())
    decode = decoder_of(metadata, embedded_path())
    metric = CocoAP(data.annotation_path("val2017"))
    assert data.val_dataset is not None
    for index in range(len(data.val_dataset)):
        batch = collate([data.val_dataset[index]])
        with torch.no_grad():
            fields = network(batch.images)
        metric.update(decode(fields, batch.image_to_crop, batch.image_sizes), batch.image_ids.tolist())
    figures = metric.compute()
    # Measured: 0.669 and 0.487.
    assert figures["keypoints/AP"] > 0.63
    assert figures["segmentation/AP"] > 0.45
