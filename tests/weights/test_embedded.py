"""The network that comes with the package finds synthetic people that it never saw."""

from __future__ import annotations

import numpy as np
import torch

from personlab.data.collate import collate
from personlab.data.datamodule import CocoDataModule
from personlab.data.synthetic import generate
from personlab.decoding import PaperDecoder
from personlab.evaluation.coco_ap import CocoAP
from personlab.weights.network_file import embedded_path, load_network


def test_it_is_small_and_says_where_it_comes_from():
    network, metadata = load_network(embedded_path())
    assert embedded_path().stat().st_size <= 2_000_000
    assert {"seed", "commit", "config_hash", "run_id", "evaluation"} <= metadata.keys()
    assert not network.training


def test_it_finds_people_in_new_images(tmp_path):
    generate(tmp_path, train_images=1, val_images=24, seed=77, processes=1)
    data = CocoDataModule(str(tmp_path), eval_size=321, workers=0)
    data.setup("validate")
    network, _ = load_network(embedded_path())
    radius = network.disk_radius_px
    decode = PaperDecoder(nms_radius_px=radius / 3, hough_grid_px=2.0, mask_distance_threshold=0.35)
    metric = CocoAP(data.annotation_path("val2017"))
    assert data.val_dataset is not None
    for index in range(len(data.val_dataset)):
        batch = collate([data.val_dataset[index]])
        with torch.no_grad():
            fields = network(batch.images)
        metric.update(decode(fields, batch.image_to_crop, batch.image_sizes), batch.image_ids.tolist())
    figures = metric.compute()
    assert np.isfinite(figures["keypoints/AP"])
    assert figures["keypoints/AP"] > 0.45
    assert figures["segmentation/AP"] > 0.35
