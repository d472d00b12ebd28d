"""Time encoding and decoding on made-up crowds: `python -m benchmarks.stages [--json FILE]`.

Medians of several runs in one process, one thread, images of 641x481 pixels at stride 8. Fields are the true ones of
every crowd, so the decoder sees as many people as there are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from benchmarks.commands import parse
from personlab.decoding import PaperDecoder
from personlab.encoding import Encoder
from personlab.evaluation.oracle import true_fields
from personlab.evaluation.scenes import SIZE, crowd, median_ms
from personlab.files import write_json

STRIDE = 8


def main() -> None:
    """Print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--runs", type=int, default=15)
    options = parse(parser)
    torch.set_num_threads(1)
    encode, poses, both = Encoder(), PaperDecoder(masks=False, max_people=100), PaperDecoder(max_people=100)
    rows = []
    for people in (1, 10, 50):
        batch = crowd(people)
        fields = true_fields(batch, STRIDE)
        arguments = (fields, batch.image_to_crop, batch.image_sizes)
        row = {
            "people": people,
            "encode_ms": median_ms(lambda batch=batch: encode(batch, STRIDE), options.runs),
            "poses_ms": median_ms(lambda arguments=arguments: poses(*arguments), options.runs),
            "poses_and_masks_ms": median_ms(lambda arguments=arguments: both(*arguments), options.runs),
        }
        rows.append({key: round(value, 2) for key, value in row.items()})
    sys.stdout.write("| people | encode, ms | poses, ms | poses and masks, ms |\n|---|---|---|---|\n")
    for row in rows:
        sys.stdout.write("| " + " | ".join(str(value) for value in row.values()) + " |\n")
    if options.json:
        write_json(options.json, {"image": SIZE, "stride": STRIDE, "rows": rows})


if __name__ == "__main__":
    main()
