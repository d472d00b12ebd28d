"""Put the results into the texts: `python -m benchmarks.report [--check]`.

Rewrites what stands between `<!-- generated: NAME -->` and `<!-- end -->` in `README.md` and `docs/ablations.md`,
`data`, `decoder`, `errors`, `imputation`, `model-zoo`, `predict` and `training-speed`, and draws the pictures in
`docs/figures/`, all from `benchmarks/results/*.json`, the docstrings and the codes of the doctor. No number there is
typed by hand. With `--check` nothing is written: the exit code is 1 if a text does not say what the results say.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import ablation_tables, data_tables, error_tables, quality_tables, speed_tables, tables, zoo_tables
from personlab.decoding import RULES
from personlab.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
TEXTS = (
    "README.md", "docs/ablations.md", "docs/data.md", "docs/decoder.md", "docs/errors.md", "docs/imputation.md",
    "docs/model-zoo.md", "docs/predict.md", "docs/training-speed.md",
)  # fmt: skip
FIGURES = {"peers": "docs/figures/decode_times.png", "ladder": "docs/figures/ladder.png"}
"""Pictures by the results that they show."""
COMMANDS = {
    "peers": "make bench-peers",
    "decode": "make bench",
    "decode_gpu": "benchmarks/gpu.sh",
    "ladder": "personlab oracle --weights … --json benchmarks/results/ladder.json",
    "zoo": "python -m benchmarks.zoo --data-root coco NAME=FILE …",
    "finetune": "python -m benchmarks.finetune --data-root coco --before RUN RUN:STEP …",
    "trainings": "python -m benchmarks.trainings RUN …",
    "bounds": "python -m benchmarks.bounds --data-root coco",
    "imputation": "python -m benchmarks.imputation --weights … --data-root coco",
    "prediction": "python -m benchmarks.prediction --weights … --data-root coco",
    "onnx": "python -m benchmarks.onnx --weights …",
    "loader": "personlab bench loader --config … --json benchmarks/results/loader.json",
    "encode": "personlab bench encode --json benchmarks/results/encode.json",
    "train": "personlab bench train --config … --json benchmarks/results/train.json",
    "annotations": "python -m benchmarks.annotations --json benchmarks/results/annotations.json",
    "processes": "python -m benchmarks.processes --data-root COCO --json benchmarks/results/processes.json",
    "doctor": "python -m benchmarks.doctor --data-root COCO",
    "sizes": "python -m benchmarks.sizes --data-root COCO",
    "gpu_train": "python -m benchmarks.gpu_train --data-root COCO",
    "errors": "personlab errors RESULTS.json --data.root COCO --json benchmarks/results/errors.json",
    "ablation_quickstart": "personlab ablate configs/ablation/quickstart.yaml --json …",
    "ablation_decoder": "personlab ablate configs/ablation/decoder.yaml --data.root COCO --json …",
    "tune": "personlab bench tune --vary … --json benchmarks/results/tune.json",
}
"""What makes each file of results, by its name without `.json`."""
_PART = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


class ReportError(Exception):
    """A text or a file of results cannot be used; the message is one line."""


def main(words: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Rewrite or check the texts of a checkout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only tell whether the texts match the results")
    options = parser.parse_args(words)
    try:
        results = read_results(root / "benchmarks" / "results")
        new = {name: fill((root / name).read_text(encoding="utf-8"), parts(results), name) for name in TEXTS}
    except ReportError as error:
        sys.stderr.write(f"benchmarks.report: {error}\n")
        return 1
    stale = [name for name, text in new.items() if text != (root / name).read_text(encoding="utf-8")]
    if options.check:
        stale += [path for name, path in FIGURES.items() if name in results and not (root / path).is_file()]
        for name in stale:
            sys.stderr.write(f"{name}: does not match the results; run python -m benchmarks.report\n")
        return int(bool(stale))
    for name in stale:
        write_atomically(root / name, new[name].encode())
    draw(results, root)
    return 0


def draw(results: Mapping[str, Any], root: Path) -> None:
    """Draw the pictures whose results are there."""
    if not FIGURES.keys() & results.keys():
        return
    from benchmarks.figures import decode_times  # matplotlib takes a second to load
    from personlab.visualization.ladder import draw_ladder

    (root / "docs" / "figures").mkdir(parents=True, exist_ok=True)
    if "peers" in results:
        decode_times(results["peers"], root / FIGURES["peers"])
    if "ladder" in results:
        draw_ladder(results["ladder"]["rows"], root / FIGURES["ladder"])


def read_results(folder: Path) -> dict[str, Any]:
    """The results that are there, by their names in `COMMANDS`.

    Raises:
        ReportError: If a file is not JSON.
    """
    results = {}
    for name in COMMANDS:
        path = folder / f"{name}.json"
        if path.is_file():
            try:
                results[name] = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ReportError(f"{path}: is no JSON ({error}); make it again: {COMMANDS[name]}") from error
    return results


def parts(results: Mapping[str, Any]) -> dict[str, str]:
    """All generated parts by name; a part without results says how to make them."""

    def part(name: str, *write: Callable[[Any], str]) -> str:
        if name not in results:
            return f"No results yet: `{COMMANDS[name]}` makes `benchmarks/results/{name}.json`."
        try:
            return "\n\n".join(filter(None, (w(results[name]) for w in write)))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ReportError(
                f"benchmarks/results/{name}.json: lacks what the report needs ({error!r}); make it again: "
                f"{COMMANDS[name]}"
            ) from error

    def picture(name: str, path_to_docs: str, told: str) -> str:
        return part(name, lambda _: f"![{told}]({path_to_docs}{FIGURES[name].removeprefix('docs/')})")

    ladder = "AP of true fields, of a network's, and of mixtures"
    at_8 = partial(tables.peers_table, stride=8)
    return {
        "speed": part("peers", tables.peers_summary, at_8, tables.origin),
        "peers": part("peers", tables.peers_summary, tables.peers_table, tables.origin),
        "peers-picture": picture("peers", "", "time to decode an image against the people in it"),
        "decode": part("decode", tables.decode_table, tables.origin),
        "gpu": part("decode_gpu", tables.gpu_table, tables.origin),
        "ladder": part("ladder", tables.ladder_table, tables.origin),
        "ladder-picture": picture("ladder", "", ladder),
        "ladder-picture-readme": picture("ladder", "docs/", ladder),
        "zoo-networks": part("zoo", zoo_tables.networks_table),
        "zoo": part("zoo", zoo_tables.images, zoo_tables.scores_table, zoo_tables.origins),
        "zoo-readme": part("zoo", zoo_tables.readme_table),
        "zoo-commands": part("zoo", zoo_tables.commands),
        **_quality_parts(part),
        "onnx": part("onnx", zoo_tables.onnx_table, tables.origin),
        "tune": part("tune", tables.tune_table, tables.origin),
        "errors-keypoints": part("errors", partial(error_tables.parts_table, kind="keypoints")),
        "errors-labels": part("errors", error_tables.labels_table),
        "errors-masks": part("errors", partial(error_tables.parts_table, kind="segmentation")),
        "errors-sizes": part("errors", error_tables.sizes_table, tables.origin),
        "ablation-quickstart": part(
            "ablation_quickstart", ablation_tables.seeds, ablation_tables.levels_table, tables.origin
        ),
        "ablation-directions": part("ablation_decoder", ablation_tables.directions_table),
        "ablation-decoder": part(
            "ablation_decoder", ablation_tables.reference, ablation_tables.levels_table, tables.origin
        ),
        "doctor": part("doctor", data_tables.doctor_time, tables.origin),
        "doctor-codes": data_tables.codes_table(),
        **_speed_parts(part),
        **{f"options-{rules}": tables.options_table(rules) for rules in RULES},
    }


def _quality_parts(part: Callable[..., str]) -> dict[str, str]:
    """Trainings, fine-tuning, bounds, imputation and the stages of `personlab predict`."""
    return {
        "trainings": part("trainings", quality_tables.trainings_table, tables.origin),
        "bounds": part("bounds", quality_tables.bounds_table, tables.origin),
        "finetune": part("finetune", quality_tables.finetune_summary, quality_tables.finetune_table, tables.origin),
        "finetune-commands": part("finetune", quality_tables.finetune_commands),
        "imputation": part(
            "imputation", quality_tables.imputation_table, quality_tables.imputation_summary, tables.origin
        ),
        "prediction": part("prediction", quality_tables.prediction_table, tables.origin),
    }


def _speed_parts(part: Callable[..., str]) -> dict[str, str]:
    """The parts of docs/training-speed.md."""
    return {
        "loader": part(
            "loader", speed_tables.loader_summary, speed_tables.stages_table, speed_tables.loader_table, tables.origin
        ),
        "encode": part("encode", speed_tables.encode_table, tables.origin),
        "train": part("train", speed_tables.train_summary, speed_tables.train_table, tables.origin),
        "annotations": part("annotations", speed_tables.annotations_summary, speed_tables.opened_table),
        "annotations-workers": part("annotations", speed_tables.workers_table, tables.origin),
        "processes": part("processes", speed_tables.processes_table, tables.origin),
        "sizes": part("sizes", speed_tables.sizes_table, tables.origin),
        "gpu-train": part(
            "gpu_train", speed_tables.gpu_summary, speed_tables.gpu_table, speed_tables.kernels_table, tables.origin
        ),
    }


def fill(text: str, contents: Mapping[str, str], name: str) -> str:
    """A text with its generated parts as they should be.

    Args:
        text: With `<!-- generated: NAME -->` and `<!-- end -->`, each on a line of its own.
        contents: What stands between them, by NAME.
        name: Of the text, for errors.

    Raises:
        ReportError: If a part is unknown or has no end.
    """
    if text.count("<!-- generated: ") != text.count("<!-- end -->"):
        raise ReportError(f"{name}: not every <!-- generated: NAME --> has its <!-- end -->")

    def content(match: re.Match[str]) -> str:
        if match[2] not in contents:
            raise ReportError(f"{name}: there is no part {match[2]!r} to generate; there are {', '.join(contents)}")
        return f"{match[1]}{contents[match[2]]}\n{match[3]}"

    return _PART.sub(content, text)


if __name__ == "__main__":
    sys.exit(main())
