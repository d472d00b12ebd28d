"""`personlab compare`: runs side by side, as one HTML file and as tables."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from rich.table import Table

from personlab.cli.options import make_parser, progress_bar, write_result
from personlab.cli.tables import plain, table_console
from personlab.errors import InputError
from personlab.experiments.catalogue import Run, find_runs, read_run
from personlab.experiments.comparison import Comparison, Row, compare_runs, has_scores
from personlab.experiments.evidence import Evidence, Judge, predictions_of
from personlab.experiments.report import to_latex, to_markdown, write_report
from personlab.experiments.report.gallery import MOST, Gallery, make_gallery
from personlab.experiments.report.tables import cells, footnotes, kinds_of
from personlab.files import write_atomically

logger = logging.getLogger("personlab")
_IMAGES = 12
"""In a report, unless another number is given."""
_FEWEST = 100
"""Resamples below which the ends of a 95 % interval are a matter of luck."""


def run(words: list[str]) -> int:
    """Run `personlab compare`."""
    parser = make_parser(
        "compare", "Put runs side by side: scores with intervals, cost, learning curves, errors, images, differences."
    )
    parser.add_argument("runs", nargs="+", type=str, metavar="RUN", help="run directories, or folders of them")
    parser.add_argument("--baseline", type=str | None, default=None, help="run to compare with; default: the first")
    parser.add_output("-o", "--output", type=str | None, default=None, help="report to write, one HTML file")
    parser.add_output("--markdown", type=str | None, default=None, help="write the table as Markdown here")
    parser.add_output("--latex", type=str | None, default=None, help="write the table as LaTeX here")
    parser.add_argument("--title", type=str | None, default=None, help="heading of the report")
    parser.add_argument("--data.root", type=str | None, default=None, help="data set; default: where the runs had it")
    parser.add_argument("--resamples", type=int, default=1000, help="of the images, for intervals; 0: no predictions")
    parser.add_argument(
        "--images", type=int | None, default=None, help=f"images to show, {MOST} at most; 0: none; default: {_IMAGES}"
    )
    parser.add_argument(
        "--images_of", type=str | None, default=None, help="run whose images to show; default: the best"
    )
    options = parser.parse_args(words[1:])
    if options.resamples != 0 and options.resamples < _FEWEST:
        raise InputError(f"compare: --resamples {options.resamples}: give {_FEWEST} or more, or 0 for no intervals")
    if options.images is not None and not 0 <= options.images <= MOST:
        raise InputError(f"compare: --images {options.images}: give a number from 0 to {MOST}")
    _refuse_idle(options)
    runs = _runs(options.runs)
    baseline = _baseline(runs, options.baseline)
    # The annotations are those of all; a baseline that kept no predictions takes nothing from the others.
    telling = (one for one in (baseline, *runs) if has_scores(one) and predictions_of(one) is not None)
    judge, notes = _judge(next(telling, baseline), options)
    comparison = compare_runs(runs, baseline, _listener(judge, runs), notes)
    _print(comparison)
    for path, text in ((options.markdown, to_markdown), (options.latex, to_latex)):
        if path is not None:
            write_atomically(path, text(comparison).encode())
    if options.output is not None:
        gallery = _gallery(comparison, judge, options)
        size = write_report(options.output, comparison, gallery, options.resamples, options.title or "")
        logger.info("report: %s (%.1f MB)", options.output, size / 1e6)
    write_result(comparison.to_json(), options.json)
    return 0


def _refuse_idle(options: Any) -> None:
    """Refuse options that would change nothing.

    Raises:
        InputError: Naming the option and the one that it needs, or that it is at odds with.
    """
    of_report = {"title": options.title, "images": options.images, "images_of": options.images_of}
    of_predictions = {"data.root": options.data.root, "images": options.images, "images_of": options.images_of}
    for name, value in of_report.items():
        if value is not None and options.output is None:
            raise InputError(f"compare: --{name} is for a report; give -o FILE.html as well")
    for name, value in of_predictions.items():
        if value not in (None, 0) and options.resamples == 0:
            raise InputError(f"compare: --{name} needs the predictions, which --resamples 0 leaves alone; drop one")


def _runs(paths: list[str]) -> list[Run]:
    """All runs named or below a folder named, each once.

    Raises:
        InputError: If a path holds none.
    """
    found: dict[Path, Run] = {}
    for path in map(Path, paths):
        some = [read_run(path)] if (path / "run.json").is_file() else list(find_runs(path))
        if not some:
            raise InputError(f"{path}: holds no run; name a run directory (with a run.json) or a folder of them")
        found |= {one.path.resolve(): one for one in some}
    return list(found.values())


def _baseline(runs: list[Run], wanted: str | None) -> Run:
    """The run to compare with; put first among the runs if it is not one of them.

    Raises:
        InputError: If it cannot be found, or none has scores.
    """
    if wanted is None:
        first = next((one for one in runs if has_scores(one)), None)
        if first is None:
            raise InputError(f"{runs[0].path}: neither it nor another of the runs has scores; evaluate one at least")
        return first
    named = [one for one in runs if _is_called(one, wanted)]
    if len(named) > 1:
        raise InputError(f"--baseline {wanted}: {len(named)} of the runs are called so; give the run directory")
    if named:
        return named[0]
    own = read_run(Path(wanted))
    same = next((one for one in runs if one.path.resolve() == own.path.resolve()), None)
    if same is None:
        runs.insert(0, own)
    return same or own


def _judge(baseline: Run, options: Any) -> tuple[Judge | None, list[str]]:
    """Who tells image by image what runs found; without it, only the scores that runs hold are compared."""
    if options.resamples == 0 or baseline.evaluation is None:
        return None, []
    if options.data.root is None and predictions_of(baseline) is None:
        return None, []
    try:
        return Judge.of(baseline, options.data.root, options.resamples), []
    except InputError as error:
        if options.data.root is not None:
            raise
        return None, [f"No intervals over images, since the annotations cannot be read: {error}"]


def _listener(judge: Judge | None, runs: list[Run]) -> Any:
    told = iter(progress_bar("reading predictions")([one for one in runs if one.evaluation is not None]))

    def hear(one: Run) -> Evidence | None:
        next(told, None)
        return None if judge is None else judge.hear(one)

    return hear


def _gallery(comparison: Comparison, judge: Judge | None, options: Any) -> Gallery | None:
    """Images on which a run differs most from the baseline.

    Raises:
        InputError: If the run asked for is none of those compared.
    """
    others = [row for row in comparison.rows[1:] if row.label in comparison.evidence]
    if options.images_of is not None:
        wanted = options.images_of
        others = [
            row for row in others
            if wanted == row.label or _is_called(row.run, wanted) or Path(wanted).resolve() == row.run.path.resolve()
        ]  # fmt: skip
        if not others:
            raise InputError(f"--images_of {options.images_of}: no run but the baseline with predictions is called so")
    if judge is None or not others or options.images == 0:
        return None

    def score(row: Row) -> float:
        return row.run.ap("keypoints") or row.run.ap("segmentation") or 0.0

    gallery = make_gallery(
        comparison, judge, max(others, key=score), _IMAGES if options.images is None else options.images
    )
    if gallery is not None and not gallery.exhibits:
        logger.info("no images to show: those of the data set are not at %s", judge.images)
        return None
    return gallery


def _is_called(run: Run, wanted: str) -> bool:
    """Whether a run is meant by its name, its id or both."""
    return wanted in (run.run_id, run.name, f"{run.name}/{run.run_id}")


def _print(comparison: Comparison) -> None:
    """A table a kind on standard error, with what must be known to read them."""
    console = table_console()
    for kind in kinds_of(comparison):
        headings, rows = cells(comparison, kind)
        table = Table()
        for n, heading in enumerate(headings):
            least = len("inconclusive") if heading == "verdict" else None  # a word that must not be folded
            table.add_column(plain(heading), justify="right" if n else "left", overflow="fold", min_width=least)
        for row in rows:
            table.add_row(*map(plain, row))
        console.print(table)
    for note in footnotes(comparison):
        logger.info("%s", note)
