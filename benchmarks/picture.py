"""Draw the picture at the top of the README: `python -m benchmarks.picture WEIGHTS --data-root COCO`.

By the three lines that stand below it there. The images are of COCO's val2017 and under CC BY 2.0, which allows to show
them changed with a word on where they are from; COCO names their pages, and not their photographers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.commands import parse
from personlab.inference import load
from personlab.visualization import write_image

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = {
    "000000410456.jpg": "https://www.flickr.com/photo.gne?id=8438575589",
    "000000247917.jpg": "https://www.flickr.com/photo.gne?id=7205570594",
    "000000252219.jpg": "https://www.flickr.com/photo.gne?id=3232237447",
}
"""Images by name, with their pages at Flickr."""
HEIGHT, GAP, WHITE = 360, 6, 255


def main(given: Sequence[str] | None = None) -> None:
    """Predict, draw, and put side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="network, a .safetensors")
    parser.add_argument("--data-root", required=True, type=Path, help="folder of the data set, in COCO's layout")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "figures" / "people.jpg")
    options = parse(parser, given)
    predictor = load(options.weights, flip=True)
    drawn = []
    for name in PHOTOS:
        picture = predictor(options.data_root / "val2017" / name).draw()
        width = round(picture.shape[1] * HEIGHT / picture.shape[0])
        drawn += [cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_AREA)]
        drawn += [np.full((HEIGHT, GAP, 3), WHITE, np.uint8)]
    write_image(options.output, np.hstack(drawn[:-1]))


if __name__ == "__main__":
    main()
