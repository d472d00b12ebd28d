"""A trial for tests that logs -1 and fails the first time that it is started with `x` = `bad`.

Otherwise it waits for `pause` seconds and logs `x` three times, or nothing if it is `silent`.
"""

import json
import sys
import time
from pathlib import Path

given = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if word.startswith("--"))
folder = Path(given["run.root"]) / given["run.name"]
fails = given["x"] == given["bad"] and not (folder / "tried").exists()
(folder / "tried").touch()
if not fails:
    time.sleep(float(given["pause"]))
    if "silent" in given:
        sys.exit()
run = folder / str(time.time_ns())
run.mkdir()
for step in range(3):
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "val/score": -1.0 if fails else float(given["x"])}) + "\n")
if fails:
    sys.exit("planned failure")
