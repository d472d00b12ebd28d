"""The table of a comparison as Markdown and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

from personlab.evaluation.coco_ap import Kind
from personlab.experiments.comparison import Comparison, Row, Setting, verdict
from personlab.experiments.evidence import KINDS

NAMES: dict[Kind, str] = {"keypoints": "keypoint AP", "segmentation": "mask AP"}
NO_VALUE = "–"
MARKS = {"better": "better", "worse": "worse", "inconclusive": "inconclusive", "unknown": NO_VALUE}
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", NO_VALUE: "--", "±": r"$\pm$", "<": r"$<$", ">": r"$>$",
}  # fmt: skip


def cells(comparison: Comparison, only: Kind | None = None) -> tuple[list[str], list[list[str]]]:
    """Heading and rows: settings where any was run with several seeds, else runs.

    Args:
        comparison: What to show.
        only: Show scores of this kind and nothing else.
    """
    kinds = [only] if only else kinds_of(comparison)
    headings = ["setting" if comparison.has_seeds else "run"]
    headings += ["runs"] if comparison.has_seeds else []
    for kind in kinds:
        headings += [NAMES[kind], "delta by image"]
        headings += ["delta by seed"] if comparison.has_seeds else []
        headings += ["verdict"]
    scores = len(headings)
    headings += ["images seen", "hours", "parameters", "ms an image"]
    if comparison.has_seeds:
        rows = [_setting(setting, kinds) for setting in comparison.settings]
    else:
        rows = [_run(row, kinds) for row in comparison.rows]
    width = scores if only else len(headings)
    return headings[:width], [row[:width] for row in rows]


def kinds_of(comparison: Comparison) -> list[Kind]:
    """What any run has scores of."""
    return [kind for kind in KINDS if any(row.run.ap(kind) is not None for row in comparison.rows)]


def to_markdown(comparison: Comparison) -> str:
    """A table in GitHub's Markdown, with the notes below."""
    headings, rows = cells(comparison)
    table = [[_markdown(cell) for cell in row] for row in (headings, *rows)]
    rule = ["---"] + ["---:"] * (len(headings) - 1)
    lines = [f"| {' | '.join(row)} |" for row in (table[0], rule, *table[1:])]
    return "\n".join([*lines, "", *(f"* {_markdown(note)}" for note in footnotes(comparison))]) + "\n"


def to_latex(comparison: Comparison) -> str:
    """A `tabular` for a paper, with the notes as comments above; it needs no package."""
    headings, rows = cells(comparison)
    body = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in rows]
    notes = [f"% {' '.join(note.split())}" for note in footnotes(comparison)]
    start = rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}"
    head = " & ".join(_latex(cell) for cell in headings) + r" \\"
    return "\n".join([*notes, start, r"\hline", head, r"\hline", *body, r"\hline", r"\end{tabular}"]) + "\n"


def footnotes(comparison: Comparison) -> list[str]:
    """What must stand below a table so that nobody takes it for more than it is."""
    baseline = comparison.settings[0].label if comparison.has_seeds else comparison.rows[0].label
    notes = [
        f"Deltas are to {baseline}, with 95 % intervals: by image, bootstrap over the images; by seed, "
        "Student's t over pairs of runs with the same seed.",
        *comparison.notes,
    ]
    alike: dict[tuple[str, ...], list[str]] = {}
    for row in comparison.rows:
        alike.setdefault(row.marks, []).append(row.label)
    notes += [f"{', '.join(labels)}: {'; '.join(marks)}." for marks, labels in alike.items() if marks]
    if comparison.unscored:
        told = ", ".join(f"{run.name}/{run.run_id} ({run.status})" for run, _ in comparison.unscored)
        notes.append(f"Without scores: {told}.")
    return notes


def runs_and_seeds(setting: Setting) -> str:
    """How many runs a setting has, and of how many seeds if several have the same."""
    runs, seeds = len(setting.rows), len({row.seed for row in setting.rows})
    return str(runs) if runs == seeds else f"{runs} ({seeds} seed{'s' * (seeds > 1)})"


def shown(value: float | None, digits: int = 3) -> str:
    """A number, or a dash."""
    return NO_VALUE if value is None else f"{value:.{digits}f}"


def shown_count(value: float | None) -> str:
    """A large number in four letters or so: 1.27 M."""
    if value is None:
        return NO_VALUE
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def shown_hours(seconds: float | None) -> str:
    """Hours with two digits after the point; of less than six minutes, two digits that are not 0."""
    if seconds is None:
        return NO_VALUE
    hours = seconds / 3600
    return f"{hours:.2f}" if hours >= 0.1 else f"{float(f'{hours:.2g}'):.4f}"


def _run(row: Row, kinds: Sequence[Kind]) -> list[str]:
    texts = [row.label]
    for kind in kinds:
        delta = row.deltas.get(kind, {}).get("all")
        texts += [shown(row.run.ap(kind)), delta.text() if delta else NO_VALUE]
        texts.append("baseline" if row.partner is None else MARKS[verdict([delta])])
    return [
        *texts, shown_count(row.spent.images_seen), shown_hours(row.spent.seconds), shown_count(row.parameters),
        shown(row.latency_ms, 1),
    ]  # fmt: skip


def _setting(setting: Setting, kinds: Sequence[Kind]) -> list[str]:
    first = setting.rows[0]
    texts = [setting.label, runs_and_seeds(setting)]
    for kind in kinds:
        spread = setting.spread[kind]
        texts.append(shown(setting.ap[kind]) + (f" ± {spread:.3f}" if spread is not None else ""))
        deltas = (setting.by_image[kind], setting.by_seed[kind])
        texts += [delta.text() if delta else NO_VALUE for delta in deltas]
        grounds = f" ({setting.grounds(kind)})" if setting.grounds(kind) else ""
        texts.append("baseline" if first.setting == 0 else MARKS[setting.verdict(kind)] + grounds)
    seen = {row.spent.images_seen for row in setting.rows}
    images = " to ".join(map(shown_count, sorted({min(seen), max(seen)})))
    hours = [row.spent.seconds for row in setting.rows if row.spent.seconds is not None]
    latencies = [row.latency_ms for row in setting.rows if row.latency_ms is not None]
    return [
        *texts, images, shown_hours(sum(hours) if hours else None),
        shown_count(first.parameters), shown(min(latencies, default=None), 1),
    ]  # fmt: skip


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_|<>]|\](?=\())", r"\\\1", " ".join(text.split()))


def _latex(text: str) -> str:
    plain = "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))
    return f"{{}}{plain}" if plain.startswith(("[", "*")) else plain  # which the end of the row before would take
