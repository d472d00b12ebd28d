"""The report in a real browser: no complaint, no request, works by mouse and by keys, on a desk and on a phone."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from personlab.experiments.catalogue import read_run
from personlab.experiments.comparison import compare_runs
from personlab.experiments.evidence import Judge
from personlab.experiments.report import write_report
from personlab.experiments.report.gallery import MOST, make_gallery

from .browser import Tab, browse, find_browser
from .fake_runs import make_run

EVIL = "<script>document.title='evil'</script><b>"
LR = "model.optimizer.init_args.lr"
DECAY = "model.optimizer.init_args.weight_decay"
SEEN = "[...document.querySelectorAll('#run-table tbody tr')].filter((row) => !row.hidden)"
CHARTS = ("curve", "latency", "parameter", "size", "keypoint", "error", "parallel")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with browse(program, tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, people: Path) -> Path:
    root = tmp_path_factory.mktemp("runs")
    paths = [
        make_run(root, people, f"{name}_s{seed}", skill=skill, seed=seed, settings={LR: lr}, points=300)
        for name, skill, lr in (("base", 0.5, 1e-3), ("good", 0.8, 2e-3), ("fair", 0.6, 3e-3))
        for seed in (0, 1)
    ]
    paths += [make_run(root, people, "odd", skill=0.6, card={"name": EVIL}, settings={LR: EVIL}, status="failed")]
    paths += [make_run(root, people, "last", skill=0.4, settings={LR: 0.1})]
    runs = [read_run(path) for path in paths]
    judge = Judge.of(runs[0], None, 40)
    comparison = compare_runs(runs, runs[0], judge.hear)
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, comparison, make_gallery(comparison, judge, comparison.rows[2], 4), 40)
    return path


def opened(tab: Tab, report: Path, width: int = 1280, scheme: str = "light") -> Tab:
    tab.complaints.clear()
    tab.requests.clear()
    tab.size(width)
    tab.scheme(scheme)
    tab.open(report)
    return tab


def at_peace(tab: Tab, report: Path) -> None:
    assert tab.complaints == []
    others = [url for url in tab.requests if not url.startswith(("data:", "blob:"))]
    assert others == [report.resolve().as_uri()]


def is_drawn(tab: Tab, chart: str) -> None:
    assert tab.ask(f"document.querySelectorAll('#{chart}-chart .main-svg').length") >= 1, chart
    drawn = "path.point, path.js-line, .points path, .bars path"
    assert tab.ask(f"document.querySelectorAll('#{chart}-chart :is({drawn})').length") >= 1, chart
    assert tab.ask(f"document.querySelector('#{chart}-chart').getBoundingClientRect().width") > 250


def test_what_matters_is_drawn_where_enough_was_tried(tab: Tab, people: Path, tmp_path: Path) -> None:
    paths = []
    for lr, decay in itertools.product((1e-4, 1e-3, 1e-2, 1e-1), (0.0, 1e-4)):
        settings = {LR: lr, DECAY: decay}
        paths.append(make_run(tmp_path, people, f"lr{lr}-{decay}", skill=0.9 - 5 * lr, settings=settings))
    runs = [read_run(path) for path in paths]
    report = tmp_path / "report.html"
    write_report(report, compare_runs(runs, runs[0], lambda run: None), None, 0)
    opened(tab, report)
    is_drawn(tab, "importance")
    names = tab.ask("document.querySelector('#importance-chart').layout.yaxis.ticktext")
    assert names == ["optimizer.weight_decay", "optimizer.lr"], "the most at the top"
    at_peace(tab, report)


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_complaint_or_request(tab: Tab, report: Path, tmp_path: Path, width: int, scheme: str) -> None:
    opened(tab, report, width, scheme)
    assert tab.ask("document.documentElement.scrollWidth") <= width
    for name in CHARTS:
        is_drawn(tab, name)
    assert "With fewer than 8 settings it cannot be told which settings matter" in tab.ask("document.body.innerText")
    assert tab.ask("document.querySelector('#importance-chart')") is None
    ground = tab.ask("getComputedStyle(document.body).backgroundColor")
    paper = tab.ask("document.querySelector('#curve-chart').layout.paper_bgcolor")
    levels = [int(part) for part in re.findall(r"\d+", ground)]
    assert paper == "#" + "".join(f"{level:02x}" for level in levels)
    assert (sum(levels) < 200) == (scheme == "dark")
    picture = tab.screenshot(tmp_path / "page.png")
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 50_000
    at_peace(tab, report)


def test_names_stay_text(tab: Tab, report: Path) -> None:
    opened(tab, report)
    assert tab.ask("document.title") == "8 runs compared"
    assert EVIL in tab.ask("document.querySelector('#run-table').textContent")
    # Plotly takes text for a kind of HTML, and drops elements that it does not know.
    assert EVIL in tab.ask("document.querySelector('#curve-chart .legend').textContent")
    assert tab.ask("document.querySelectorAll('#curve-chart .legend b, #run-table b').length") == 0
    at_peace(tab, report)


def test_filter_and_kinds_and_axes_change_the_charts(tab: Tab, report: Path) -> None:
    opened(tab, report)
    tab.click("#filter")
    tab.write("GOOD")
    assert tab.ask(f"{SEEN}.map((row) => row.querySelector('th').innerText.trim())") == ["good_s0", "good_s1"]
    assert tab.ask("document.querySelector('#count').textContent") == "2 of 8 runs in the charts"
    tab.wait("document.querySelector('#error-chart').data[0].x.length === 2")
    names = "document.querySelector('#curve-chart').data.map((trace) => trace.name)"
    assert tab.ask(names) == ["band of good", "good (2 seeds)"]
    tab.click("#bands")
    assert tab.ask(names) == ["good_s0", "good_s1"]
    tab.click("input[name=axis][value=hours]")
    assert tab.ask("document.querySelector('#curve-chart .xtitle').textContent") == "hours of training"
    tab.click("input[name=kind][value=segmentation]")
    tab.wait("document.querySelector('#error-chart .xtitle').textContent === 'mask AP'")
    assert tab.ask("document.querySelector('#metric').value") == "val/segmentation/AP"
    tab.click("input[name=images][value=loss]")
    shown = "[...document.querySelectorAll('.exhibit')].filter((one) => !one.hidden).map((one) => one.dataset.change)"
    assert set(tab.ask(shown)) <= {"loss"}
    at_peace(tab, report)


def test_a_band_is_least_mean_and_greatest_of_the_seeds(tab: Tab, report: Path) -> None:
    opened(tab, report)
    lines = "document.querySelector('#curve-chart').data"
    mean = tab.ask(f"{lines}.find((trace) => trace.name === 'base (2 seeds)')")
    area = tab.ask(f"{lines}.find((trace) => trace.name === 'band of base')")
    tab.click("#bands")
    seeds = [tab.ask(f"{lines}.find((trace) => trace.name === 'base_s{n}')")["y"] for n in (0, 1)]
    assert mean["x"] == [149, 299]
    assert mean["y"] == pytest.approx([(a + b) / 2 for a, b in zip(*seeds, strict=True)])
    high, low = area["y"][:2], area["y"][:1:-1]
    assert high == pytest.approx([max(pair) for pair in zip(*seeds, strict=True)])
    assert low == pytest.approx([min(pair) for pair in zip(*seeds, strict=True)])


def test_a_single_evaluation_can_be_seen(tab: Tab, people: Path, tmp_path: Path) -> None:
    names = (("base_s0", 0), ("base_s1", 1), ("alone", 2))
    paths = [
        make_run(tmp_path, people, name, settings={LR: seed // 2}, seed=seed, evaluated=(1.0,)) for name, seed in names
    ]
    runs = [read_run(path) for path in paths]
    write_report(tmp_path / "report.html", compare_runs(runs, runs[0], Judge.of(runs[0], None, 20).hear), None, 20)
    opened(tab, tmp_path / "report.html")
    mean = tab.ask("document.querySelector('#curve-chart').data.find((trace) => trace.name === 'base (2 seeds)')")
    assert mean["x"] == [5]
    assert mean["error_y"]["visible"]
    assert tab.ask("document.querySelectorAll('#curve-chart .scatterlayer .points path').length") == 2
    at_peace(tab, tmp_path / "report.html")


def test_keys_are_enough(tab: Tab, report: Path) -> None:
    opened(tab, report)
    tab.ask("document.body.focus()")
    reached = []
    for _ in range(60):
        tab.key("Tab")
        reached.append(tab.ask("document.activeElement.id || document.activeElement.textContent.trim().slice(0, 12)"))
    assert reached[0] == "Skip to the "
    for name in ("filter", "show-all", "keypoint AP", "metric", "bands"):
        assert name in reached
    tab.ask("document.querySelector('.sort[data-column=\"2\"]').focus()")
    scores = f"{SEEN}.map((row) => Number(row.cells[2].dataset.value))"
    tab.key("Enter")
    assert tab.ask(scores) == sorted(tab.ask(scores))
    assert tab.ask("document.activeElement.closest('th').getAttribute('aria-sort')") == "ascending"
    tab.key("Enter")
    assert tab.ask(scores) == sorted(tab.ask(scores), reverse=True)
    tab.ask("document.querySelector('#run-table tbody input').focus()")
    tab.key(" ")
    assert tab.ask("document.querySelector('#count').textContent") == "7 of 8 runs in the charts"
    # Behind each chart stands a table with its numbers, and what scrolls can be scrolled by keys.
    assert tab.ask("[...document.querySelectorAll('.chart')].every((chart) => chart.querySelector('details table'))")
    assert tab.ask("[...document.querySelectorAll('.scroll')].every((place) => place.tabIndex === 0)")
    at_peace(tab, report)


def test_it_prints_on_white_paper(tab: Tab, report: Path, tmp_path: Path) -> None:
    opened(tab, report, scheme="dark")
    tab.print(tmp_path / "report.pdf")
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 30
    # Afterwards everything is as it was.
    tab.wait("document.querySelector('#curve-chart').layout.paper_bgcolor === '#14171c'")
    at_peace(tab, report)


def big_report(root: Path, people: Path, points: int) -> Path:
    """Thirty runs; all have the same predictions, which are looked at once."""
    paths = [
        make_run(root, people, f"run{n}_s{seed}", seed=seed, settings={LR: 1e-4 * (n + 1)}, points=points, found=[])
        for n in range(10)
        for seed in range(3)
    ]
    first = make_run(root, people, "first", points=points, skill=0.6)
    runs = [read_run(path) for path in (first, *paths)]
    judge = Judge.of(runs[0], None, 20)
    heard = {True: judge.hear(runs[1]), False: judge.hear(runs[0])}
    comparison = compare_runs(runs, runs[0], lambda run: heard[run is not runs[0]])
    report = root / "report.html"
    write_report(report, comparison, make_gallery(comparison, judge, comparison.rows[1], MOST), 20)
    return report


def quickly_interactive(tab: Tab, report: Path) -> None:
    """Twice within two seconds, which a busy machine may not hold: for tests that are run by hand."""
    times = []
    for _ in range(3):  # the first time, the browser looks for its fonts
        opened(tab, report)
        times.append(float(tab.ask("document.documentElement.dataset.ready")))
    assert min(times) < 2000
    started = time.monotonic()
    tab.click("input[name=axis][value=samples]")
    assert tab.ask("document.querySelector('#curve-chart .xtitle').textContent") == "samples seen"
    assert time.monotonic() - started < 2
    at_peace(tab, report)


def test_thirty_runs_of_50_000_points_are_small_and_whole(tab: Tab, people: Path, tmp_path: Path) -> None:
    report = big_report(tmp_path, people, 50_000 // 30)
    assert report.stat().st_size < 8_000_000
    opened(tab, report)
    tab.click("input[name=axis][value=samples]")
    assert tab.ask("document.querySelector('#curve-chart .xtitle').textContent") == "samples seen"
    at_peace(tab, report)
    tab.ask("document.querySelector('#metric').value = 'train/loss/total'")
    tab.click("#log")
    drawn = "document.querySelector('#curve-chart').data.reduce((sum, trace) => sum + trace.x.length, 0)"
    assert tab.ask(drawn) > 5_000


@pytest.mark.slow
@pytest.mark.parametrize("points", [50_000 // 30, 50_000])
def test_thirty_runs_of_many_points_are_small_and_quick(tab: Tab, people: Path, tmp_path: Path, points: int) -> None:
    report = big_report(tmp_path, people, points)
    assert report.stat().st_size < 8_000_000
    quickly_interactive(tab, report)
