"""The report: one file that asks the network for nothing and takes names for text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from personlab.experiments.catalogue import read_run
from personlab.experiments.comparison import Comparison, compare_runs
from personlab.experiments.evidence import Judge
from personlab.experiments.report import to_latex, to_markdown, write_report
from personlab.experiments.report.charts import _sweep
from personlab.experiments.report.curves import learning_curves, thin
from personlab.experiments.report.differences import MISSING, difference_tables
from personlab.experiments.report.gallery import MOST, Gallery, make_gallery, most_changed
from personlab.experiments.report.importance import FEWEST, LIKELY, SHUFFLES, importances, varying

from .fake_runs import make_run

EVIL = "<script>document.title='evil'</script>&|_$%"
LR = "model.optimizer.init_args.lr"


class Page(HTMLParser):
    """Elements with their attributes, and the text of scripts and of everything else."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif not self._inside:
            self.text += data


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, people: Path) -> tuple[Comparison, Gallery | None]:
    """Two settings of two seeds, one run with evil names and values, one that failed."""
    root = tmp_path_factory.mktemp("runs")
    paths = [make_run(root, people, "base", f"s{seed}", skill=0.5, seed=seed) for seed in (0, 1)]
    paths += [make_run(root, people, f"good_s{s}", skill=0.9, seed=s, settings={LR: 0.5}) for s in (0, 1)]
    evil = {LR: "</script><script>document.title='evil'</script>"}
    paths += [make_run(root, people, "evil", card={"name": EVIL}, settings=evil)]
    paths += [make_run(root, people, "dead", status="failed", scored=False)]
    runs = [read_run(path) for path in paths]
    judge = Judge.of(runs[0], None, 50)
    comparison = compare_runs(runs, runs[0], judge.hear)
    return comparison, make_gallery(comparison, judge, comparison.rows[2], 6)


@pytest.fixture(scope="module")
def page(compared: tuple[Comparison, Gallery | None], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert write_report(path, *compared, resamples=50) == path.stat().st_size < 8_000_000
    return path.read_text(encoding="utf-8")


def test_nothing_is_loaded(page: str) -> None:
    told = Page(page)
    for tag, attributes in told.elements:
        for name in ("src", "href", "srcset", "poster", "action", "data", "formaction"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
        assert tag not in ("iframe", "object", "embed", "base", "audio", "video")
        assert not [name for name in attributes if name.startswith("on")]
    [policy] = [a["content"] for t, a in told.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "http" not in policy
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_names_stay_text(page: str) -> None:
    told = Page(page)
    assert len(told.scripts) == 3  # data, plotly, ours
    assert EVIL in told.text
    assert "</script><script>document.title='evil'</script>" in told.text
    data = json.loads(told.scripts[0])
    assert EVIL in [run["label"] for run in data["runs"]]
    assert "<" not in told.scripts[0]
    assert re.fullmatch(r"[A-Za-z0-9+/=\s]*", told.scripts[1])


def test_tables_hold_what_charts_show(page: str, compared: tuple[Comparison, Gallery | None]) -> None:
    text = Page(page).text
    comparison, gallery = compared
    for section in ("Settings", "Learning curves", "Accuracy and cost", "What is wrong", "Images that changed most",
                    "What differs besides scores", "Runs that did not finish, or have no scores"):  # fmt: skip
        assert section in text
    good = comparison.rows[2]
    assert good.deltas["keypoints"]["all"].text().replace("-", "−") in text
    assert good.keypoints["left_knee"].text() in text
    assert "left knee" in text
    assert "1 of 6 runs" in text
    assert gallery is not None
    assert page.count("data:image/jpeg;base64,") == 3 * len(gallery.exhibits)


def test_markdown_and_latex_escape_names(compared: tuple[Comparison, Gallery | None]) -> None:
    markdown, latex = to_markdown(compared[0]), to_latex(compared[0])
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {15}
    assert len(table) == 2 + 3
    assert r"\<script\>" in markdown
    assert re.search(r"\| good \| 2 \| 0\.\d{3} ± 0\.\d{3} \| \+0\.", markdown)
    rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {13}
    assert r"\&|\_\$\%" in latex
    assert "Without scores: dead/1 (failed)." in markdown


@pytest.mark.parametrize("name", ["[x] y", "*star"])
def test_latex_takes_no_name_for_a_part_of_the_row_before(
    compared: tuple[Comparison, Gallery | None], name: str
) -> None:
    comparison = compared[0]
    told = to_latex(replace(comparison, settings=tuple(replace(s, label=name) for s in comparison.settings)))
    assert f"{{}}{name}" in told
    assert not re.search(r"^[\[*]", told, re.MULTILINE)


def test_runs_of_one_setting_count_once_for_what_matters(compared: tuple[Comparison, Gallery | None]) -> None:
    """Seeds are no evidence of a setting: three settings stay too few, however many runs each has."""
    many = replace(compared[0], rows=compared[0].rows * 4)
    assert len(many.rows) >= FEWEST > len(many.settings) == 3
    told = _sweep(many)
    assert told is not None
    assert told["importance"] == {"keypoints": [], "segmentation": []}


def test_marks_of_its_runs_stand_with_a_setting(tmp_path: Path, people: Path) -> None:
    paths = [make_run(tmp_path, people, "base", str(seed), seed=seed) for seed in (0, 1)]
    newer = {"git": {"commit": "1" * 40, "dirty": False}}
    lr = {LR: 0.5}
    paths += [
        make_run(tmp_path, people, "other", str(s), seed=s, settings=lr, card=newer, points=6 - s) for s in (0, 1)
    ]
    runs = [read_run(path) for path in paths]
    comparison = compare_runs(runs, runs[0], lambda _: None)
    path = tmp_path / "report.html"
    write_report(path, comparison)
    table = path.read_text(encoding="utf-8").partition('id="setting-table"')[2].partition("</table>")[0]
    marks = re.findall("<li>(.*?)</li>", table)
    assert "other code" in marks
    assert "other/1: steps 5, not 6" in marks
    assert "40 to 48" in to_markdown(comparison)


def test_differences_besides_scores(compared: tuple[Comparison, Gallery | None]) -> None:
    tables = {table.title: table for table in difference_tables(compared[0])}
    [(name, values)] = tables["Config"].rows
    assert name == LR
    assert values[:2] == ("0.001", "0.5")
    assert set(tables) == {"Config", "Environment and seeds"}
    assert MISSING not in values


def test_the_gallery_goes_from_gains_to_losses(compared: tuple[Comparison, Gallery | None]) -> None:
    gallery = compared[1]
    assert gallery is not None
    changes = [one.change for one in gallery.exhibits]
    assert changes == sorted(changes, reverse=True)
    assert 0 not in changes
    assert gallery.better > gallery.worse
    assert gallery.better + gallery.worse + gallery.equal == 24
    change = np.array([0.1, np.nan, -0.3, 0.0, 0.5, -0.1, 0.2])
    assert most_changed(change, 4).tolist() == [4, 6, 5, 2]
    assert most_changed(change, 40).tolist() == [4, 6, 0, 5, 2]
    assert most_changed(-np.abs(change), 3).tolist() == [6, 2, 4]
    assert MOST * 3 * 40_000 < 5_000_000


def test_thinned_curves_keep_ends_and_extremes() -> None:
    values = np.random.default_rng(0).normal(size=50_000)
    values[12_345], values[40_000] = 30, -30
    kept = thin(values, 500)
    assert len(kept) <= 500
    assert {0, 12_345, 40_000, 49_999} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert thin(values[:10], 500).tolist() == list(range(10))


def test_curves_share_the_points_that_a_report_may_have() -> None:
    long = [{"step": n, "samples_seen": 8 * n, "wall_s": 0.5 * n, "train/loss": 1.0 / (n + 1)} for n in range(3000)]
    short = [{"step": 0, "wall_s": 1.0, "val/keypoints/AP": 0.5, "train/loss": None}, {"step": 7, "train/loss": 2.0}]
    short.append({"train/loss": 3.0})  # of a step that nobody knows
    told = learning_curves([long, short], points=1000)
    assert told["metrics"] == ["val/keypoints/AP", "train/loss"]
    first, second = told["curves"]["train/loss"]
    assert 900 < len(first["value"]) <= 998
    assert first["all"] == 3000
    assert first["hours"][-1] == pytest.approx(0.5 * 2999 / 3600, rel=1e-4)
    assert first["samples"][-1] == 8 * 2999
    assert (second["step"], second["value"], second["samples"]) == ([7], [2.0], [None])


def test_importance_is_the_share_of_variance() -> None:
    generator = np.random.default_rng(0)
    settings = [{"lr": 10.0 ** -(n % 4), "width": n % 2, "same": 1} for n in range(32)]
    scores = [0.1 * (n % 4) + 0.001 * generator.normal() for n in range(32)]
    names = varying(settings)
    assert names == ["lr", "width"]
    found = importances(settings, scores, names)
    assert [one.name for one in found] == ["lr", "width"]
    assert found[0].share > 0.99
    # Width goes with a fifth of it, as it is the last digit of what decides.
    assert found[1].share == pytest.approx(0.2, abs=0.04)
    assert importances(settings[: FEWEST - 1], scores[: FEWEST - 1], names) == []
    chance = [
        importances([{"a": int(generator.integers(5))} for _ in range(20)], generator.normal(size=20).tolist(), ["a"])
        for _ in range(200)
    ]
    assert np.mean([found[0].share for found in chance if found]) < 0.08
    assert np.mean([found[0].chance <= LIKELY for found in chance if found]) < 0.1, "rarely taken for more than chance"
    assert found[0].chance == pytest.approx(1 / (1 + SHUFFLES))
    assert found[1].chance < LIKELY
    few = [importances([{"a": n % 4} for n in range(8)], scores, ["a"]) for scores in generator.normal(size=(4000, 8))]
    assert np.mean([found[0].share for found in few]) == pytest.approx(0.17, abs=0.015)  # docs/compare.md says so
    assert importances([{"a": n} for n in range(8)], [0.5] * 8, ["a"]) == []
    many = importances([{"a": n} for n in range(40)], [float(n) for n in range(40)], ["a"])
    assert many[0].groups == 4
    # A number that some run does not set stays a number: not set is one more group.
    some = importances([{"a": n} if n else {} for n in range(40)], [float(n) for n in range(40)], ["a"])
    assert some[0].groups == 5
    assert some[0].share > 0.8


def test_a_setting_that_a_run_lacks_differs() -> None:
    assert varying([{"a": 1}, {"a": 1, "b": None}]) == ["b"]
    assert varying([{"a": 1}, {"a": 2}], but=["a"]) == []
