"""Time an image of training against batch, loader workers and processes: `python -m benchmarks.sizes --data-root COCO`.

One thing at a time is changed from 4 images a step, no loader worker and one process, and at last workers and processes
together. All trainings take turns, as short runs of `personlab fit` with one thread each, on small crops, so that each
is a matter of seconds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks.commands import parse, told
from benchmarks.processes import CONFIG, WARM_UP, train
from personlab.experiments.provenance import provenance
from personlab.files import write_json

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "sizes.json"
BATCH, WORKERS, PROCESSES = 4, 0, 1
WAYS = [
    *((batch, WORKERS, PROCESSES) for batch in (1, 2, BATCH, 8)),
    *((BATCH, workers, PROCESSES) for workers in (1, 2)),
    (BATCH, WORKERS, 2),
    (BATCH, 1, 2),
]
"""Images a process and step, loader workers of a process, processes."""


def main() -> None:
    """Measure by turns, tell, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder of the data set, in COCO's layout")
    parser.add_argument("--config", default=CONFIG, help="recipe")
    parser.add_argument("--crop", type=int, default=257, help="pixels, high and wide")
    parser.add_argument("--images", type=int, default=48, help="timed in each training")
    parser.add_argument("--turns", type=int, default=3, help="of one run each")
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parse(parser)
    default = ("--json",) if options.json.resolve() == RESULTS else ()
    about = provenance(told(["python", "-m", "benchmarks.sizes", *sys.argv[1:]], without=default))
    rows: list[Row] = []
    crop = f"--data.view.init_args.crop_size={options.crop}"
    for _ in range(options.turns):
        for batch, workers, processes in WAYS:
            steps = WARM_UP + max(options.images // (batch * processes), 2)
            row = train(processes, batch, workers, steps, options.data_root, options.config, (crop,))
            sys.stderr.write(f"batch {batch}, workers {workers}, processes {processes}: {row['images_per_s']:.2f}/s\n")
            rows.append(row)
            result = {**about, "config": options.config, "crop": options.crop, "turns": options.turns, "rows": rows}
            write_json(options.json, result)


if __name__ == "__main__":
    main()
