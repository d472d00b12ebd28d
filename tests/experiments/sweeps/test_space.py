"""What a sweep file means, and how each wrong field is told."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.errors import InputError
from personlab.experiments.sweeps.parameters import DISTRIBUTIONS, Parameter, read_parameter
from personlab.experiments.sweeps.space import Sweep, read_sweep

SHARES = st.floats(0, 1)
NUMBERS = st.floats(-1e3, 1e3)


def read(folder: Path, **content: Any) -> Sweep:
    path = folder / "sweep.yaml"
    default = {"program": "train.py", "method": "random", "run_cap": 2, "parameters": {"lr": {"value": 1}}}
    kept = {key: value for key, value in (default | content).items() if value is not ...}
    path.write_text(yaml.safe_dump(kept, sort_keys=False))
    return read_sweep(path)


def parameter(**spec: Any) -> Parameter:
    return read_parameter("p", spec, "sweep.yaml: parameters.p")


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["uniform", "log_uniform_values", "inv_log_uniform_values"]), NUMBERS, NUMBERS, SHARES)
def test_values_stay_between_min_and_max(kind: str, one: float, other: float, share: float) -> None:
    if "log" in kind:
        one, other = math.exp(one / 100), math.exp(other / 100)
    low, high = sorted((one, other))
    assert low <= parameter(distribution=kind, min=low, max=high).at(share) <= high


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["q_uniform", "q_log_uniform_values", "q_normal", "q_log_normal"]),
    st.sampled_from([0.1, 0.25, 1, 3, 5.0]),
    SHARES,
)
def test_quantised_values_are_multiples_of_q_half_a_step_from_the_range(kind: str, q: float, share: float) -> None:
    bounds = {"mu": 1, "sigma": 0.5} if "normal" in kind else {"min": 2, "max": 40}
    value = parameter(distribution=kind, q=q, **bounds).at(share)
    assert value / q == pytest.approx(round(value / q), abs=1e-9)
    assert isinstance(value, int) == isinstance(q, int)
    if "normal" not in kind:
        assert 2 - q / 2 - 1e-9 <= value <= 40 + q / 2 + 1e-9


@settings(deadline=None, max_examples=40)
@given(st.integers(-5, 5), st.integers(0, 5), SHARES)
def test_whole_numbers_include_both_ends(low: int, width: int, share: float) -> None:
    whole = parameter(min=low, max=low + width)
    assert whole.distribution == "int_uniform"
    assert whole.at(0) == low
    assert whole.at(1) == low + width
    assert whole.at(share) in range(low, low + width + 1)


def test_even_shares_draw_by_the_distribution() -> None:
    shares = (np.arange(20_000) + 0.5) / 20_000
    drawn = {
        kind: np.array([parameter(distribution=kind, **keys).at(share) for share in shares])
        for kind, keys in {
            "normal": {"mu": 3, "sigma": 2},
            "log_normal": {"mu": 1, "sigma": 0.5},
            "log_uniform": {"min": -2, "max": 3},
            "inv_log_uniform": {"min": -2, "max": 3},
        }.items()
    }
    assert drawn["normal"].mean() == pytest.approx(3, abs=0.01)
    assert drawn["normal"].std() == pytest.approx(2, abs=0.01)
    assert np.log(drawn["log_normal"]).mean() == pytest.approx(1, abs=0.01)
    # The logarithm, and that of the inverse, is spread evenly between min and max.
    for kind, sign in (("log_uniform", 1), ("inv_log_uniform", -1)):
        logarithms = sign * np.log(drawn[kind])
        assert np.quantile(logarithms, [0, 0.5, 1]) == pytest.approx([-2, 0.5, 3], abs=0.01)


def test_probabilities_are_shares_of_the_draws() -> None:
    choice = parameter(values=["a", "b", "c"], probabilities=[0.5, 0.0, 0.5])
    assert Counter(choice.at(share / 100) for share in range(100)) == {"a": 50, "c": 50}
    assert choice.at(1.0) == "c"


def test_the_distribution_follows_from_the_keys() -> None:
    told = [parameter(value=3), parameter(values=[1]), parameter(min=1, max=2), parameter(min=1.0, max=2)]
    assert [p.distribution for p in told] == ["constant", "categorical", "int_uniform", "uniform"]


def test_nested_parameters_have_dotted_names(tmp_path: Path) -> None:
    inner = {"parameters": {"lr": {"value": 1}, "deep": {"parameters": {"er": {"values": [1, 2]}}}}}
    sweep = read(tmp_path, parameters={"model": inner, "data.seed": {"value": 0}})
    assert [p.name for p in sweep.parameters] == ["model.lr", "model.deep.er", "data.seed"]


def test_a_grid_is_all_combinations_once(tmp_path: Path) -> None:
    spec = {
        "a": {"values": [1, 2, 3]},
        "b": {"value": "x"},
        "c": {"min": 0, "max": 1},
        "d": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.5},
    }
    sweep = read(tmp_path, method="grid", run_cap=..., parameters=spec)
    assert sweep.trials(None) == 3 * 2 * 3
    assert sweep.trials(4) == 4
    found = [tuple(sweep.combination(number).items()) for number in range(18)]
    assert len(set(found)) == 18
    assert found[1] == (("a", 1), ("b", "x"), ("c", 0), ("d", 0.5))


def test_draws_follow_from_seed_and_number(tmp_path: Path) -> None:
    sweep = read(tmp_path, parameters={"a": {"min": 0.0, "max": 1.0}, "b": {"min": 0.0, "max": 1.0}})
    assert sweep.draw(1, 5) == sweep.draw(1, 5)
    assert len({tuple(sweep.draw(seed, n).values()) for seed in (0, 1) for n in range(5)}) == 10


def test_brackets(tmp_path: Path) -> None:
    metric = {"name": "val/AP", "goal": "maximize"}
    sweep = read(tmp_path, metric=metric, early_terminate={"type": "hyperband", "max_iter": 27, "s": 2})
    assert sweep.hyperband is not None
    assert sweep.hyperband.bands == (3, 9)
    sweep = read(tmp_path, metric=metric, early_terminate={"type": "hyperband", "min_iter": 3, "eta": 2})
    assert sweep.hyperband is not None
    assert sweep.hyperband.bands[:4] == (3, 6, 12, 24)
    sweep = read(tmp_path, metric=metric, early_terminate={"type": "hyperband", "max_iter": 9, "s": 10**9, "eta": 1.5})
    assert sweep.hyperband is not None
    assert sweep.hyperband.bands == (1, 2, 4, 6)


def test_scientific_notation_without_a_point_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("program: p\nmethod: random\nrun_cap: 1\nparameters: {lr: {min: 1e-5, max: 1e-3}}\n")
    assert read_sweep(path).parameters[0].high == 1e-3


HYPERBAND = {"type": "hyperband", "min_iter": 1}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"method": "genetic"}, "method: expected grid, random, bayes, got 'genetic'"),
    ({"method": ...}, "method: expected"),
    ({"colour": 1}, "colour: no key of a sweep"),
    ({"program": ...}, "program: missing"),
    ({"method": "bayes"}, "metric: missing; bayes needs one"),
    ({"early_terminate": HYPERBAND}, "metric: missing; early_terminate needs one"),
    ({"metric": "AP"}, "metric: expected a mapping"),
    ({"metric": {"goal": "maximize"}}, "metric.name: expected"),
    ({"metric": {"name": "m", "goal": "up"}}, "metric.goal: expected minimize or maximize, got 'up'"),
    ({"metric": {"name": "m", "target": "x"}}, "metric.target: expected a number"),
    ({"metric": {"name": "m", "target": math.nan}}, "metric.target: expected a number"),
    ({"project": "a:b"}, "project: W&B takes up to 128 characters without"),
    ({"parameters": {"x": {"min": 0, "max": 10**400}}}, "parameters.x.max: expected a number"),
    ({"parameters": {"x": {"min": -1e308, "max": 1e308}}}, "parameters.x: there are no numbers for all that lies"),
    ({"metric": {"name": "val/keypoints/AP"}}, "metric.goal: missing, and W&B takes minimize for it"),
    ({"metric": {"name": "m", "aim": 1}}, "metric.aim: unknown"),
    ({"metric": {"name": "m"}, "early_terminate": {"type": "median"}}, "early_terminate.type: expected hyperband"),
    ({"metric": {"name": "m"}, "early_terminate": HYPERBAND | {"eta": 1}}, "early_terminate.eta: expected"),
    ({"metric": {"name": "m"}, "early_terminate": HYPERBAND | {"min_iter": 0}}, "early_terminate.min_iter: expected"),
    ({"metric": {"name": "m"}, "early_terminate": {"type": "hyperband", "max_iter": 9}}, "early_terminate.s: missing"),
    ({"metric": {"name": "m"}, "early_terminate": {"type": "hyperband"}}, "early_terminate: give min_iter"),
    ({"early_terminate": HYPERBAND | {"min_iter": None}}, "early_terminate.min_iter: expected a whole number from 1"),
    ({"early_terminate": {"type": "hyperband", "max_iter": None, "s": 2}}, "early_terminate.max_iter: expected a"),
    ({"early_terminate": {"type": "hyperband", "max_iter": 9, "s": None}}, "early_terminate.s: expected a whole"),
    ({"early_terminate": HYPERBAND | {"min_iter": 10**400}}, "early_terminate.min_iter: expected a whole number from"),
    ({"early_terminate": HYPERBAND | {"max_iter": 9, "s": 2}}, "early_terminate.min_iter: changes nothing beside"),
    ({"early_terminate": HYPERBAND | {"s": 2}}, "early_terminate.s: changes nothing beside min_iter"),
    ({"run_cap": 0}, "run_cap: expected a whole number"),
    ({"run_cap": True}, "run_cap: expected a whole number"),
    ({"command": "python train.py"}, "command: expected a list of words"),
    ({"command": ["a", {"b": 1}]}, "command: expected words"),
    ({"name": "a/b"}, "name: 'a/b' is not that of one folder"),
    ({"description": 3}, "description: expected text"),
    ({"parameters": {}}, "parameters: expected a mapping"),
    ({"parameters": {"1x": {"value": 1}}}, "parameters.1x: no name of a parameter"),
    ({"parameters": {"run.name": {"values": ["a", "b"]}}}, "parameters.run.name: every trial has one of its own"),
    ({"parameters": {"x": 3}}, "parameters.x: expected a mapping such as {value: 3}"),
    ({"parameters": {"x": {}}}, "parameters.x: give value, values, min and max"),
    ({"parameters": {"x": {"min": 1}}}, "parameters.x: give value, values, min and max"),
    ({"parameters": {"x": {"min": 2, "max": 1}}}, "parameters.x: min 2 is above max 1"),
    ({"parameters": {"x": {"min": "a", "max": 1}}}, "parameters.x.min: expected a number, got 'a'"),
    ({"parameters": {"x": {"min": 0, "max": 1, "q": 1}}}, "parameters.x.q: a parameter with the distribution"),
    ({"parameters": {"x": {"values": 3}}}, "parameters.x.values: expected a list"),
    ({"parameters": {"x": {"values": []}}}, "parameters.x.values: expected a list"),
    ({"parameters": {"x": {"values": [1, 2], "probabilities": [1]}}}, "parameters.x.probabilities: expected a list of"),
    ({"parameters": {"x": {"values": [1, 2], "probabilities": [1, 1]}}}, "parameters.x.probabilities: they must"),
    ({"parameters": {"x": {"distribution": "poisson"}}}, "parameters.x.distribution: 'poisson' is none of"),
    ({"parameters": {"x": {"distribution": "uniform", "min": 0}}}, "parameters.x: a parameter with the distribution"),
    ({"parameters": {"x": {"distribution": "int_uniform", "min": 0.5, "max": 2}}}, "parameters.x: int_uniform needs"),
    ({"parameters": {"x": {"distribution": "log_uniform_values", "min": 0, "max": 2}}}, "parameters.x.min: log_uni"),
    ({"parameters": {"x": {"distribution": "log_uniform", "min": 0, "max": 1e4}}}, "use log_uniform_values"),
    ({"parameters": {"x": {"distribution": "normal", "sigma": -1}}}, "parameters.x.sigma: must be at least 0"),
    ({"parameters": {"x": {"distribution": "q_normal", "q": 0}}}, "parameters.x.q: must be above 0"),
    ({"parameters": {"x": {"min": 0, "max": 3_000_000_000}}, "method": "grid"}, "more than 100000 combinations"),
    ({"parameters": {"x": {"distribution": "log_normal", "mu": 700}}}, "mu and sigma give numbers that are too large"),
    ({"parameters": {"x": {"distribution": "q_normal", "q": 1e-320}}}, "parameters.x.q: 1e-320 is too small a step"),
    ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1e300}}, "early_terminate.eta: expected a number"),
    ({"name": "a\nb"}, "leave out slashes and line breaks"),
    ({"parameters": {"x": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 1e-9}}}, "parameters.x.q: 1e-09 is"),
    ({"parameters": {"x": {"parameters": {"y": {}}}}}, "parameters.x.parameters.y: give value"),
    ({"parameters": {"x": {"parameters": {"y": {"value": 1}}, "min": 1}}}, "parameters.x.min: cannot stand beside"),
    ({"parameters": {"x": {"parameters": {"y": {"value": 1}}}, "x.y": {"value": 2}}}, "x.y is given twice"),
    ({"method": "grid", "parameters": {"x": {"min": 0.0, "max": 1.0}}}, "parameters.x: a grid needs"),
    ({"method": "grid", "parameters": {"x": {"min": 0, "max": 10**7}}}, "more than 100000 combinations"),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=[message for _, message in BAD])
def test_a_wrong_field_is_told_by_file_and_key(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as told:
        read(tmp_path, **content)
    assert str(told.value).startswith(f"{tmp_path / 'sweep.yaml'}: ")
    assert message in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "method: [", "method: grid\nmethod: random", "\x00"])
def test_a_file_that_is_no_sweep(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"sweep\.yaml: "):
        read_sweep(path)
    with pytest.raises(InputError, match="cannot read the sweep"):
        read_sweep(tmp_path / "absent.yaml")


def test_a_search_without_an_end_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give run_cap, or --trials N"):
        read(tmp_path, run_cap=...).trials(None)
    assert read(tmp_path).trials(None) == 2


def test_every_distribution_can_be_read() -> None:
    values = {
        "value": 1,
        "values": [1, 2],
        "probabilities": [0.5, 0.5],
        "min": 1,
        "max": 2,
        "mu": 0,
        "sigma": 1,
        "q": 1,
    }
    for kind, (needed, further) in DISTRIBUTIONS.items():
        made = parameter(distribution=kind, **{key: values[key] for key in needed | further})
        assert made.at(0.5) == made.at(0.5)
