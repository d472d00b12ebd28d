"""A trial for tests, in the place of a training: writes a run directory with a ledger, fast.

`steps` lines, one every `pause` seconds, of `val/score` = 1 - (x - 0.3)^2 + a little that grows. It appends to `log`
when it begins and when it ends, so that a test can count. With `polite` it takes SIGTERM for its end, with
`stubborn` it takes its time after that; with `late_error` it ends with an error after all is done.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

given = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if word.startswith("--"))
name, root, log = given["run.name"], Path(given["run.root"]), Path(given["log"])


def tell(text: str) -> None:
    with log.open("a") as file:
        file.write(text + "\n")


if given.get("polite") == "True":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if "stubborn" in given:  # seconds that it takes to end
    signal.signal(signal.SIGTERM, lambda *_: (time.sleep(float(given["stubborn"])), os._exit(1)))
x, pause = float(given["x"]), float(given.get("pause", "0"))
tell(f"start {name} {x!r} {os.environ.get('CUDA_VISIBLE_DEVICES', '-')} {os.environ['MASTER_PORT']} {os.getpid()}")
if given.get("fail") == "True" or (given.get("fail") == "once" and not (log.parent / f"{name}.failed").exists()):
    (log.parent / f"{name}.failed").touch()
    sys.exit("planned failure")
if given.get("child") in ("group", "session"):
    child = subprocess.Popen(["sleep", "60"], start_new_session=given["child"] == "session")
    tell(f"child {child.pid}")
run = root / name / f"{time.time_ns()}-{os.getpid()}"
run.mkdir(parents=True)
for step in range(int(given.get("steps", "3"))):
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "wall_s": 0, "val/score": 1 - (x - 0.3) ** 2 + step / 1000}) + "\n")
    time.sleep(pause)
(run / "run.json").write_text(json.dumps({"status": "finished"}))
tell(f"done {name} {x!r}")
sys.exit(int(given.get("late_error", "0")))
