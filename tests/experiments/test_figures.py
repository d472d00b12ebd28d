"""Runs as matplotlib figures: what is drawn is what was measured."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from personlab.errors import InputError
from personlab.experiments.catalogue import read_run
from personlab.experiments.comparison import Comparison, compare_runs
from personlab.experiments.evidence import Judge
from personlab.experiments.report.figures import curves_figure, deltas_figure, errors_figure, keypoints_figure
from tests.experiments.fake_runs import make_run


@pytest.fixture(scope="module")
def comparison(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    root = tmp_path_factory.mktemp("runs")
    skills = {"base": 0.4, "better": 0.9, "same": 0.4}
    runs = [read_run(make_run(root, people, name, skill=skill)) for name, skill in skills.items()]
    return compare_runs(runs, runs[0], Judge.of(runs[0], None, resamples=50).hear)


def test_curves_are_those_of_the_ledger(comparison: Comparison) -> None:
    runs = comparison.runs
    figure = curves_figure(runs, ["train/loss/total", "val/keypoints/AP"], axis="samples_seen")
    loss, ap = figure.axes
    assert [line.get_label() for line in loss.lines] == ["base", "better", "same"]
    for line, run in zip(loss.lines, runs, strict=True):
        np.testing.assert_allclose(line.get_xydata(), run.curve("train/loss/total", "samples_seen"))
    assert ap.get_xlabel() == "images seen"
    with pytest.raises(InputError, match=r"train/loss/no.*train/loss/total"):
        curves_figure(runs, ["train/loss/no"])


def test_deltas_have_their_intervals_and_grey_where_inconclusive(comparison: Comparison) -> None:
    figure = deltas_figure(comparison)
    panel = figure.axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["better", "same"]
    for place, row in enumerate(comparison.rows[1:]):
        delta = row.deltas["keypoints"]["all"]
        interval, point = panel.lines[2 * place : 2 * place + 2]
        assert list(interval.get_xdata()) == [delta.low, delta.high]
        assert list(point.get_xdata()) == [delta.value]
        assert (point.get_color() == "0.5") != delta.conclusive
    assert [row.deltas["keypoints"]["all"].conclusive for row in comparison.rows[1:]] == [True, False]


def test_errors_fill_what_is_missing(comparison: Comparison) -> None:
    for kind in ("keypoints", "segmentation"):
        panel = errors_figure(comparison, kind).axes[0]
        for place, row in enumerate(comparison.rows):
            bars = [
                bar for bar in panel.patches if math.isclose(bar.get_y() + bar.get_height() / 2, place, abs_tol=1e-6)
            ]
            assert bars[0].get_width() == comparison.evidence[row.label].errors[kind]["ap"]
            assert sum(bar.get_width() for bar in bars) == pytest.approx(1)


def test_keypoint_recalls_are_those_measured(comparison: Comparison) -> None:
    panel = keypoints_figure(comparison).axes[0]
    for line, row in zip(panel.lines, comparison.rows, strict=True):
        assert line.get_label() == row.label
        np.testing.assert_array_equal(line.get_ydata(), comparison.evidence[row.label].recalls)
    assert panel.get_xticklabels()[9].get_text() == "left\nwrist"


def test_without_predictions_there_is_nothing_to_draw(comparison: Comparison) -> None:
    runs = comparison.runs
    bare = compare_runs(runs, runs[0], lambda run: None)
    for draw in (deltas_figure, errors_figure, keypoints_figure):
        with pytest.raises(InputError, match="predictions"):
            draw(bare)
