"""What a version of the synthetic data set holds, small enough to be kept: `python -m tests.data.synthetic.golden`.

Pixels are kept as means of tiles, so that another build of OpenCV or another JPEG encoder makes no difference.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import cv2

from personlab.data.synthetic.files import VERSION, generate

GOLDEN = Path(__file__).with_suffix(".json")
_TILES = 6


def current() -> dict[str, Any]:
    """The same for the generator as it is now: version, annotations and tiles of a few images."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        generate(root, train_images=12, val_images=2, size=96, seed=11, processes=1)
        splits = {}
        for split in ("train2017", "val2017"):
            content = json.loads((root / "annotations" / f"person_keypoints_{split}.json").read_text())
            splits[split] = {
                "keypoints": [a["keypoints"] for a in content["annotations"]],
                "boxes": [[*a["bbox"], a["area"], a["iscrowd"]] for a in content["annotations"]],
                "tiles": [_tiles(root / split / image["file_name"]) for image in content["images"]],
            }
    return {"version": VERSION, **splits}


def _tiles(path: Path) -> list[float]:
    """Mean colours of the tiles, 0 to 255."""
    tiles = cv2.resize(cv2.imread(str(path)).astype("float32"), (_TILES, _TILES), interpolation=cv2.INTER_AREA)
    return [round(float(value)) for value in tiles.ravel()]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(current(), separators=(",", ":")) + "\n")
