"""`personlab data`: making data sets, looking into them, and mending them."""

from __future__ import annotations

import logging
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import Progress

from personlab.cli.options import choose_command, make_parser, write_result
from personlab.data.synthetic import generate

logger = logging.getLogger("personlab")
COMMANDS = ("synth", "impute", "doctor", "stats", "browse")


def run(words: list[str]) -> int:
    """Run `personlab data COMMAND`."""
    command = choose_command(words, COMMANDS)
    commands = {"synth": _synth, "impute": _impute, "doctor": _doctor, "stats": _stats, "browse": _browse}
    return commands[command](words[2:])


def _impute(words: list[str]) -> int:
    from personlab.cli.impute import impute  # networks and decoders, which drawing people does not need

    return impute(words)


def _doctor(words: list[str]) -> int:
    from personlab.cli.doctor import doctor

    return doctor(words)


def _stats(words: list[str]) -> int:
    from personlab.cli.stats import stats

    return stats(words)


def _browse(words: list[str]) -> int:
    from personlab.cli.browse import browse

    return browse(words)


def _synth(words: list[str]) -> int:
    arguments = _synth_parser().parse_args(words)
    with Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as bar:
        task = bar.add_task("drawing people", total=arguments.train_images + arguments.val_images)
        result = generate(
            arguments.root,
            train_images=arguments.train_images,
            val_images=arguments.val_images,
            seed=arguments.seed,
            overwrite=arguments.overwrite,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _tell(arguments.root, result)
    write_result(result, arguments.json)
    return 0


def _synth_parser() -> ArgumentParser:
    parser = make_parser("data synth", "Make a synthetic COCO-format data set of people, as real files.")
    parser.add_argument("root", type=str, help="folder to make, in COCO's layout")
    parser.add_argument("--train_images", type=int, default=3000, help="images in train2017")
    parser.add_argument("--val_images", type=int, default=200, help="images in val2017")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same files")
    parser.add_argument("--overwrite", action="store_true", help="replace another synthetic set in that folder")
    return parser


def _tell(root: str, result: dict[str, Any]) -> None:
    how = "was there already" if result["reused"] else "made"
    for split in ("train2017", "val2017"):
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in result[split].items())
        logger.info("%s/%s %s: %s", root, split, how, counts)
