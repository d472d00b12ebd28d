"""Settings by dotted name: short names, and values as people write them."""

from __future__ import annotations

import json

import pytest

from personlab.experiments.settings import differing, flat, is_called, is_value, read_yaml, short_name, short_value

LR, SIZE = "model.optimizer.init_args.lr", "data.view.init_args.crop_size"


def test_flat_gives_plain_values():
    content = read_yaml("{a: {b: 1e-3, c: null, d: [1, .inf]}, e: 2026-01-01, f: .nan, 3: yes}")
    assert flat(content) == {"a.b": 0.001, "a.d": [1, "inf"], "e": "2026-01-01", "f": "nan", "3": True}
    json.dumps(flat(content), allow_nan=False)
    assert flat(content, ["a"]).keys() == {"e", "f", "3"}
    assert flat(content, nulls=True)["a.c"] is None


def test_differing_tells_one_from_true_and_missing_from_there():
    assert differing([{"a": 1, "b": 2, "c": "nan"}, {"a": True, "c": "nan"}]) == ["a", "b"]
    assert differing([]) == differing([{"a": 1}]) == []


def test_the_shortest_end_that_is_nobody_elses_names_a_setting():
    names = [LR, "model.encoder.radius", "model.network.init_args.radius", "model.network.class_path"]
    assert [short_name(n, names) for n in names] == ["lr", "encoder.radius", "network.radius", "network"]
    assert short_name("a.b", ["a.b", "x.a.b"]) == "a.b"


def test_long_values_are_cut_and_classes_bare():
    assert short_value("model.network.class_path", "personlab.network.PersonLab") == "PersonLab"
    assert short_value("data.root", "a.b") == "a.b"
    assert len(short_value("x", "y" * 100)) == 40


@pytest.mark.parametrize(("given", "meant"), [
    (LR, True), ("lr", True), ("optimizer.lr", True), ("optimizer.init_args.lr", True), ("model.lr", False),
    ("r", False), ("", False),
])  # fmt: skip
def test_a_setting_may_be_called_by_its_end(given, meant):
    assert is_called(LR, given) is meant


@pytest.mark.parametrize(("value", "given", "same"), [
    (8, "8", True), (8, "8.0", True), (8, "9", False), (0.001, "1e-3", True), (None, "null", True),
    (True, "true", True), (True, "1", False), (1, "true", False), ("off", "off", True),
    ([0.5, 1.5], "[0.5, 1.5]", True), ("a", "[", False),
])  # fmt: skip
def test_values_are_compared_as_people_write_them(value, given, same):
    assert is_value(SIZE, value, given) is same


def test_a_class_may_be_meant_without_its_package():
    assert is_value("model.schedule.class_path", "personlab.training.Schedule", "Schedule")
