"""A training that takes no time: `fake_fit.py CONFIG` leaves a run directory as `personlab fit` does.

`model.does` in the config tells how it goes: `finish`, `fail`, `wait` (until the file `go` beside the runs is there, or
a SIGTERM, which ends it with 75), `nothing` (end well and leave no run). `model.shift` is how many pixels it is wrong
by with the seed 0, and a quarter more with each next.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import yaml

DATA_HASH = {"train": "t", "val": "v"}


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(75))
    text = Path(sys.argv[1]).read_text()
    config = yaml.safe_load(text)
    root, does = Path(config["run"]["root"]), config["model"]["does"]
    with (root / "started").open("a") as file:
        file.write(config["run"]["name"] + "\n")
    if does == "fail":
        sys.stderr.write("it broke\n")
        return 1
    while does == "wait" and not (root / "go").exists():
        time.sleep(0.05)
    if does == "nothing":
        return 0
    run = root / config["run"]["name"] / f"run-{os.getpid()}"
    (run / "predictions").mkdir(parents=True)
    (run / "config.yaml").write_text(text)
    found = json.loads((Path(config["data"]["root"]) / "found.json").read_text())
    shift = config["model"]["shift"] * (1 + config["seed_everything"] / 4)
    for person in found:
        person["keypoints"][0::3] = [x + shift for x in person["keypoints"][0::3]]
    (run / "predictions" / "val-step5.json").write_text(json.dumps(found))
    about = {"image_ids": [1, 2], "kinds": ["keypoints"]}
    (run / "predictions" / "val-step5.images.json").write_text(json.dumps(about))
    (run / "evaluation.json").write_text(json.dumps({"step": 5, "only_with_keypoints": False}))
    (run / "metrics.jsonl").write_text(json.dumps({"step": 4, "wall_s": 60.0}) + "\n")
    card = {"status": "finished", "seed": config["seed_everything"], "data_hash": DATA_HASH, "git": {"commit": "c"}}
    if weights := config["model"].get("initial_weights"):
        card["weights_hash"] = {"model.initial_weights": hashlib.sha256(Path(weights).read_bytes()).hexdigest()}
    card |= {"devices": os.environ.get("CUDA_VISIBLE_DEVICES"), "group": os.environ.get("WANDB_RUN_GROUP")}
    (run / "run.json").write_text(json.dumps(card))
    return 0


if __name__ == "__main__":
    sys.exit(main())
