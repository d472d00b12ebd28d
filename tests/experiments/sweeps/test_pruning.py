"""Hyperband's rule against one written out, and the commands of trials."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personlab.errors import InputError
from personlab.experiments.sweeps.command import begun_command, trial_command
from personlab.experiments.sweeps.pruning import should_stop
from personlab.experiments.sweeps.space import Hyperband, Metric, read_sweep
from personlab.experiments.sweeps.trial import LedgerFollower, _values_of
from tests.experiments.sweeps.conftest import Write

HISTORIES = st.lists(st.floats(-10, 10), max_size=12)


@settings(deadline=None, max_examples=150)
@given(HISTORIES, st.lists(HISTORIES, max_size=6), st.booleans(), st.booleans(), st.sampled_from([2.0, 3.0]))
def test_the_rule_is_that_of_a_literal_loop(
    values: list[float], others: list[list[float]], maximize: bool, strict: bool, eta: float
) -> None:
    expected = False
    for band in (1, 3, 9):
        if len(values) < band:
            continue
        at_band = sorted((h[band - 1] for h in [*others, values] if len(h) >= band), reverse=maximize)
        threshold = at_band[int(len(at_band) / eta)]
        own = values[band - 1] if strict else max(values) if maximize else min(values)
        expected = own < threshold if maximize else own > threshold
    metric = Metric("m", maximize)
    assert should_stop(values, others, metric, Hyperband((1, 3, 9), eta, strict)) == expected


def test_a_ledger_is_read_as_it_grows(tmp_path: Path) -> None:
    follower = LedgerFollower(tmp_path, "val/AP")
    assert follower.values() == []
    ledger = tmp_path / "run-1" / "metrics.jsonl"
    ledger.parent.mkdir()
    ledger.write_text('{"step": 1, "val/AP": 0.5}\n{"step": 2, "loss": 1}\n{"step": 3, "val/AP": nu')
    assert follower.values() == [0.5]
    ledger.write_text('{"step": 1, "val/AP": 0.5}\n{"step": 3, "val/AP": null}\n{"step": 4, "val/AP": 0.25}\n')
    assert follower.values() == [0.5, 0.25]


def test_odd_lines_of_a_ledger_are_left_out(tmp_path: Path) -> None:
    lines = [
        '{"val/AP": 0.5, "note": "a\u2028b"}'.encode(),
        b'{"val/AP": 0.25, "note": "\xff"}',
        b'{"val/AP": ' + b"9" * 400 + b"}",
        b'{"val/AP": ' + b"[" * 100_000,
        b'{"val/AP": true}',
        b'["val/AP"]',
        b'{"val/AP": 0.75}',
        '{"val/AP": 1, "x": "\u4eba'.encode()[:-1],
    ]
    ledger = tmp_path / "run-1" / "metrics.jsonl"
    ledger.parent.mkdir()
    ledger.write_bytes(b"\n".join(lines))
    assert LedgerFollower(tmp_path, "val/AP").values() == [0.5, 0.75]
    ledger.write_text('{"val/\u4eba": 0.5}\n{"val/\\u4eba": 0.25}\n', encoding="utf-8")
    assert LedgerFollower(tmp_path, "val/\u4eba").values() == [0.5, 0.25]


MACROS = {
    "${args}": ["--a.lr=0.1", "--on=True", "--off=False"],
    "${args_no_equals}": ["--a.lr", "0.1", "--on", "True", "--off", "False"],
    "${args_no_hyphens}": ["a.lr=0.1", "on=True", "off=False"],
    "${args_no_boolean_flags}": ["--a.lr=0.1", "--on"],
    "${args_append_hydra}": ["+a.lr=0.1", "+on=True", "+off=False"],
    "${args_override_hydra}": ["++a.lr=0.1", "++on=True", "++off=False"],
    "${env}": ["/usr/bin/env"],
    "${interpreter}": [sys.executable],
    "${program}": ["train.py"],
    "a-${envvar:COLOUR}": ["a-blue"],
    "plain": ["plain"],
}
GIVEN = {"a.lr": 0.1, "on": True, "off": False}


@pytest.mark.parametrize("macro", MACROS)
def test_macros(write_sweep: Write, monkeypatch: pytest.MonkeyPatch, macro: str) -> None:
    monkeypatch.setenv("COLOUR", "blue")
    sweep = read_sweep(write_sweep(program="train.py", command=[macro] if "args" in macro else [macro, "${args}"]))
    words = trial_command(sweep, GIVEN, Path("runs/trial-0001"))
    assert words[: len(MACROS[macro])] == MACROS[macro]
    rest = words[len(MACROS[macro]) :]
    assert [word.lstrip("-+") for word in rest if "run" in word and "=" in word] == (
        ["run.root=runs", "run.name=trial-0001"] if "equals" not in macro and "json" not in macro else []
    )


def test_a_variable_that_is_not_set_is_told(write_sweep: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLOUR", raising=False)
    sweep = read_sweep(write_sweep(command=["${program}", "--in=${envvar:COLOUR}", "${args}"]))
    with pytest.raises(InputError, match=r"\$\{envvar:COLOUR\} is not set: COLOUR=\.\.\. personlab sweep"):
        trial_command(sweep, GIVEN, Path("runs/t"))


@pytest.mark.parametrize("macro", ["args", "args_no_hyphens", "args_no_boolean_flags", "args_no_equals"])
def test_nothing_is_null_as_our_parser_reads_it(write_sweep: Write, macro: str) -> None:
    sweep = read_sweep(write_sweep(command=[f"${{{macro}}}"]))
    words = trial_command(sweep, {"data.train_images": None}, Path("runs/t"))
    assert "data.train_images=null" in "=".join(words[:2])


def test_arguments_as_json_and_what_fit_is_given(write_sweep: Write) -> None:
    sweep = read_sweep(write_sweep(command=["${program}", "fit", "${args_json}"]))
    told = json.loads(trial_command(sweep, GIVEN, Path("runs/t"))[-1])
    assert told == GIVEN | {"run.root": "runs", "run.name": "t", "resume": "auto"}
    with pytest.raises(InputError, match=r"command: no macro \$\{arguments\}"):
        trial_command(read_sweep(write_sweep(command=["${arguments}"])), GIVEN, Path("runs/t"))


def test_arguments_in_a_file(tmp_path: Path, write_sweep: Write) -> None:
    sweep = read_sweep(write_sweep(command=["${program}", "${args_json_file}"]))
    words = begun_command(sweep, GIVEN, tmp_path / "sweep" / "t")
    assert words == trial_command(sweep, GIVEN, tmp_path / "sweep" / "t")
    assert json.loads(Path(words[-1]).read_text()) == GIVEN | {"run.root": str(tmp_path / "sweep"), "run.name": "t"}


@pytest.mark.parametrize("word", ["${program}", "x ${args}", "${ARGS}"])
def test_a_command_that_gives_no_arguments_is_refused(write_sweep: Write, word: str) -> None:
    sweep = read_sweep(write_sweep(command=[word]))
    told = r"no macro \$\{ARGS\}" if "ARGS" in word else r"the parameters reach no trial; add \$\{args\}"
    with pytest.raises(InputError, match=f"command: {told}"):
        trial_command(sweep, GIVEN, Path("runs/t"))
    if "ARGS" not in word:
        assert trial_command(sweep, GIVEN, None), "W&B's client tells the parameters, too"


def test_values_that_are_no_numbers_are_left_out() -> None:
    told = ['{"acc": 0.5}', '["acc", 3]', '{"acc": NaN}', '{"acc": Infinity}', '{"acc": null}', '{"acc": 0.25}']
    assert _values_of("\n".join(told).encode(), "acc") == [0.5, 0.25]
