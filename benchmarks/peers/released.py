"""The released decoders, in a process of their own that is asked line by line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

HERE = Path(__file__).parent


class Peers:
    """The process that runs the released decoders."""

    def __init__(self) -> None:
        """Install them if need be, and start."""
        if shutil.which("node") is None:
            sys.exit("benchmarks.peers: needs Node.js (node and npm) on the path")
        if not (HERE / "node_modules").is_dir():
            # BodyPix asks for a newer tfjs than PoseNet; both run with the one that is pinned.
            command = ["npm", "install", "--legacy-peer-deps", "--no-audit", "--no-fund", "--no-package-lock"]
            subprocess.run(command, cwd=HERE, check=True)
        self.process = subprocess.Popen(
            ["node", "decode.js"], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **command: object) -> dict[str, Any]:
        """One command, one answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("benchmarks.peers: the released decoders ended; their message stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def load(self, maps: dict[str, ArrayLike], size: tuple[int, int], stride: int, folder: Path) -> None:
        """Hand a scene over, in the layout of the released models; files are written to a folder."""
        about: dict[str, Any] = {"height": size[0], "width": size[1], "stride": stride, "maps": {}}
        for name, values in maps.items():
            array = np.ascontiguousarray(values, dtype=np.float32)
            array.tofile(folder / f"{name}.f32")
            about["maps"][name] = {"file": f"{name}.f32", "shape": list(array.shape)}
        (folder / "scene.json").write_text(json.dumps(about))
        self.ask(load=str(folder / "scene.json"))
