"""The sweeps that come with the project, against W&B's format.

Written from its documentation, https://docs.wandb.ai/guides/sweeps/sweep-config-keys: what each key may hold, and which
distribution has which keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from personlab.experiments.sweeps.command import trial_command
from personlab.experiments.sweeps.space import read_sweep

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted((ROOT / "sweeps").glob("*.yaml"))
NUMBER = (int, float)
RANGE = {"min", "max"}
BELL = {"mu", "sigma"}
# Distribution: keys that it must have, keys that it may have.
DISTRIBUTIONS: dict[str, tuple[set[str], set[str]]] = {
    "constant": ({"value"}, set()),
    "categorical": ({"values"}, {"probabilities"}),
    "int_uniform": (RANGE, set()),
    "uniform": (RANGE, set()),
    "q_uniform": (RANGE, {"q"}),
    "log_uniform": (RANGE, set()),
    "log_uniform_values": (RANGE, set()),
    "q_log_uniform": (RANGE, {"q"}),
    "q_log_uniform_values": (RANGE, {"q"}),
    "inv_log_uniform": (RANGE, set()),
    "inv_log_uniform_values": (RANGE, set()),
    "normal": (set(), BELL),
    "q_normal": (set(), BELL | {"q"}),
    "log_normal": (set(), BELL),
    "q_log_normal": (set(), BELL | {"q"}),
}
MACROS = {"${env}", "${interpreter}", "${program}"} | {
    f"${{{name}}}"
    for name in ("args", "args_no_equals", "args_no_boolean_flags", "args_no_hyphens", "args_json", "args_json_file")
}


def check_parameter(name: str, spec: dict[str, Any]) -> None:
    if "parameters" in spec:
        assert set(spec) == {"parameters"}
        for inner, value in spec["parameters"].items():
            check_parameter(inner, value)
        return
    whole = all(isinstance(spec.get(key), int) for key in RANGE)
    default = "constant" if "value" in spec else "categorical" if "values" in spec else "uniform"
    kind = spec.get("distribution", "int_uniform" if whole else default)
    needed, further = DISTRIBUTIONS[kind]
    assert needed <= set(spec) <= needed | further | {"distribution"}, name
    assert all(isinstance(spec[key], NUMBER) for key in (RANGE | BELL | {"q"}) & set(spec)), name


def check_sweep(content: dict[str, Any]) -> None:
    """Assert that this is a sweep as W&B documents it."""
    texts = {"program", "entity", "project", "description", "name"}
    assert {"program", "method", "parameters"} <= set(content)
    assert set(content) <= texts | {"method", "metric", "parameters", "early_terminate", "command", "run_cap"}
    assert all(isinstance(content[key], str) for key in texts & set(content))
    assert content["method"] in ("grid", "random", "bayes")
    assert isinstance(content.get("run_cap", 1), int)
    metric = content.get("metric")
    if metric is not None:
        assert {"name"} <= set(metric) <= {"name", "goal", "target"}
        assert metric.get("goal", "minimize") in ("minimize", "maximize")
        assert isinstance(metric.get("target", 0), NUMBER)
    else:
        assert content["method"] != "bayes"
    stop = content.get("early_terminate")
    if stop is not None:
        assert stop["type"] == "hyperband"
        assert metric is not None
        assert set(stop) <= {"type", "min_iter", "max_iter", "s", "eta", "strict"}
        assert "min_iter" in stop or {"max_iter", "s"} <= set(stop)
    for name, spec in content["parameters"].items():
        check_parameter(name, spec)
    for word in content.get("command", []):
        assert isinstance(word, str)
        assert not word.startswith("${") or word in MACROS, word


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_sweeps_of_the_project_are_in_the_format(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load(path.read_text())  # W&B's reader, to which 1e-4 is text
    check_sweep(content)
    sweep = read_sweep(path)
    assert sweep.content == content
    assert sweep.name == path.stem
    # What every trial would be run with exists: the program, and the configs that it names.
    monkeypatch.setenv("COCO", "coco")
    monkeypatch.setenv("WEIGHTS", "w.safetensors")
    words = trial_command(sweep, {p.name: p.at(0.5) for p in sweep.parameters}, Path("runs/trial-0000"))
    configs = [word.removeprefix("--config=") for word in words if word.startswith("--config=")]
    assert configs
    assert all((ROOT / config).is_file() for config in configs)
    assert sweep.program == "personlab" or (ROOT / sweep.program).is_file()
    assert not any("${" in word for word in words)
    # And the table tells of it.
    assert path.name in (ROOT / "sweeps" / "README.md").read_text()


def test_there_are_sweeps() -> None:
    assert {path.stem for path in FILES} >= {"quickstart", "learning_rate_and_losses", "decoder_thresholds"}


def test_every_documented_distribution_is_read(tmp_path: Path) -> None:
    example = {"value": 1, "values": [1, 2], "probabilities": [0.5, 0.5], "min": 1, "max": 4, "mu": 0, "sigma": 1}
    example["q"] = 2
    parameters = {}
    for kind, (needed, further) in DISTRIBUTIONS.items():
        for number, keys in enumerate((needed, needed | further)):
            parameters[f"{kind}_{number}"] = {"distribution": kind} | {key: example[key] for key in keys}
    content = {"program": "train.py", "method": "random", "run_cap": 1, "parameters": parameters}
    check_sweep(content)
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(content))
    assert len(read_sweep(path).parameters) == 2 * len(DISTRIBUTIONS)


@pytest.mark.parametrize("fault", [{"method": "genetic"}, {"colour": "red"}, {"parameters": {"x": {"min": 1}}}])
def test_the_check_finds_faults(fault: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, KeyError)):
        check_sweep({"program": "p", "method": "grid", "parameters": {"x": {"value": 1}}} | fault)
