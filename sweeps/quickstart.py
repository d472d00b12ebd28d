"""The trials of quickstart.yaml: makes their synthetic people, unless they are there, and runs `personlab` on them."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

from personlab.cli.main import main
from personlab.data.synthetic import generate

DATA = Path("data/quickstart")

if __name__ == "__main__":  # loader workers import this file again
    DATA.parent.mkdir(exist_ok=True)
    with DATA.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of the trials that begin at once makes them, the others wait
        generate(DATA, train_images=200, val_images=30, seed=0, processes=2)
    sys.exit(main([*sys.argv[1:], "--data.root", str(DATA)]))
