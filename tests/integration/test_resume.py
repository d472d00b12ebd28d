"""A run that is cut off and goes on equals one that was not, to the bit: weights, averages, optimiser, ledger."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from personlab.cli.main import main
from personlab.experiments import RunDirectory
from personlab.experiments.lock import is_held
from personlab.experiments.requeue import requeue
from personlab.experiments.runs import start_card
from personlab.network import PersonLab
from personlab.training import PersonLabTask
from tests.integration.cut_runs import WORDS, assert_same, run_of
from tests.integration.faults import fault
from tests.integration.test_training import TWO_PROCESSES


@fault("SIGTERM or SIGUSR1", "the step is finished and saved, exit code 75 (or SLURM queues the job again)")
@pytest.mark.parametrize("stops", [[1], [3], [5], [6, 7], [2, 4, 9]])
def test_signals_at_any_step_change_nothing(
    stops: list[int], whole: RunDirectory, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = PersonLabTask.training_step
    left = list(stops)

    def signalled(self: PersonLabTask, *arguments: Any) -> Any:
        if left and self.trainer.global_step == left[0] - 1:  # in the middle of the step that ends with `stop` steps
            left.pop(0)
            os.kill(os.getpid(), signal.SIGTERM if len(left) % 2 else signal.SIGUSR1)
        return train(self, *arguments)

    monkeypatch.setattr(PersonLabTask, "training_step", signalled)
    words = [*WORDS, f"--data.root={synthetic}", f"--run.root={tmp_path}"]
    before = signal.getsignal(signal.SIGTERM)
    asked: list[str] = []

    def asks(*arguments: Any) -> int:  # SLURM may end the job at once: all must be written by then
        asked.append(json.loads(run_of(tmp_path).card.read_text())["status"])
        assert not is_held(run_of(tmp_path).path)
        return requeue(*arguments)

    monkeypatch.setattr("personlab.cli.trainer.requeue", asks)
    for number in range(len(stops)):
        assert main([*words, f"--data.workers={number % 2}"]) == 75
        assert signal.getsignal(signal.SIGTERM) == before
        card = json.loads(run_of(tmp_path).card.read_text())
        assert card["status"] == "preempted"
        assert (run_of(tmp_path).checkpoints / f"recovery-step={stops[number]}.ckpt").is_file()
    assert asked == ["preempted"] * len(stops)
    assert main(words) == 0
    assert_same(run_of(tmp_path), whole)


@fault("SIGTERM or SIGUSR1 before the first step", "the first step is done and saved, exit code 75", "nothing")
def test_a_signal_before_the_first_step_is_not_lost(
    whole: RunDirectory, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*arguments: Any) -> None:  # the directory is there, and the Trainer has not begun
        os.kill(os.getpid(), signal.SIGTERM)
        start_card(*arguments)

    words = [*WORDS, f"--data.root={synthetic}", f"--run.root={tmp_path}"]
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr("personlab.cli.trainer.start_card", asked)
        assert main(words) == 75
    assert signal.getsignal(signal.SIGTERM) == before
    assert json.loads(run_of(tmp_path).card.read_text())["status"] == "preempted"
    assert main(words) == 0
    assert_same(run_of(tmp_path), whole)


@fault("SIGTERM to all processes while `torch.compile` works, which ends the compiler", "exit code 75")
@fault(
    "`torch.compile` fails, as without a compiler",
    "one line with the cause and the mend, exit code 2",
    "the steps since the last save",
)
@pytest.mark.parametrize("asked", [False, True])
def test_a_failing_compiler_is_told_in_one_line_and_a_stopped_one_is_no_failure(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: bool
) -> None:
    from torch._inductor.exc import CppCompileError, InductorError

    def compiled(*_: Any) -> Any:  # compiled when it is called first
        if asked:
            os.kill(os.getpid(), signal.SIGTERM)
        output = "note: in this file\nkernel.cpp:1: error: no such thing\n" + "note: and so on\n" * 5000
        raise InductorError(CppCompileError(["g++", "kernel.cpp"], output), None)

    def compile_supervised(network: PersonLab) -> None:
        network.forward_supervised = compiled  # type: ignore[method-assign]

    words = [*WORDS, f"--data.root={synthetic}", f"--run.root={tmp_path}"]
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(PersonLab, "compile_supervised", compile_supervised)
        assert main([*words, "--model.compile_network=true"]) == (75 if asked else 2)
    assert signal.getsignal(signal.SIGTERM) == before
    last = capsys.readouterr().err.splitlines()[-1]
    if asked:
        assert last == (
            "SIGTERM: came while the network was compiled, so nothing new is saved; the same command with --resume "
            "auto goes on (exit code 75)"
        )
    else:
        assert last == (
            "personlab: error: --model.compile_network: torch.compile failed (CppCompileError: C++ compile error: "
            "kernel.cpp:1: error: no such thing); install a C++ compiler that works, such as g++, or name it by CXX, "
            "or train without this option"
        )
    assert json.loads(run_of(tmp_path).card.read_text())["status"] == ("preempted" if asked else "failed")
    if asked:
        assert main(words) == 0


def test_a_run_killed_before_its_first_checkpoint_hides_no_older_one(
    whole: RunDirectory, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = PersonLabTask.training_step

    def signalled(self: PersonLabTask, *arguments: Any) -> Any:
        if self.trainer.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return train(self, *arguments)

    words = [*WORDS, f"--data.root={synthetic}", f"--run.root={tmp_path}"]
    with monkeypatch.context() as patch:
        patch.setattr(PersonLabTask, "training_step", signalled)
        assert main(words) == 75
    older = run_of(tmp_path)
    newer = older.path.with_name("99990101-000000-ffffff")
    shutil.copytree(older.path, newer, ignore=shutil.ignore_patterns("*.ckpt"))
    os.utime(newer / "run.json", (time.time() + 60, time.time() + 60))
    assert main(words) == 0
    assert json.loads((newer / "run.json").read_text())["status"] == "preempted"
    assert_same(older, whole)


def killed(words: list[str], after: str, delay: int, number: int = signal.SIGKILL) -> int:
    """Start a run in a process of its own, and send it a signal at a place that `personlab` passes."""
    code = f"""
import os, signal, sys
from personlab.cli.main import main
from personlab.training import PersonLabTask, checkpoint_files
seen = 0
def passed(function):
    def wrapped(*arguments, **named):
        global seen
        seen += 1
        if seen == {delay}:
            os.kill(os.getpid(), {int(number)})
        return function(*arguments, **named)
    return wrapped
{after}
sys.exit(main(sys.argv[1:]))
"""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, timeout=300)
    return done.returncode


IN_A_STEP = "PersonLabTask.training_step = passed(PersonLabTask.training_step)"
WHILE_SAVING = "checkpoint_files.os.fsync = passed(os.fsync)"


def test_mixed_precision_goes_on_to_the_bit(synthetic: Path, tmp_path: Path) -> None:
    words = [*WORDS, f"--data.root={synthetic}", "--trainer.precision=bf16-mixed", "--recovery.every_steps=2"]
    words += ["--trainer.max_steps=6", "--trainer.val_check_interval=6"]
    assert main([*words, f"--run.root={tmp_path / 'whole'}"]) == 0
    assert killed([*words, f"--run.root={tmp_path / 'cut'}", "--data.workers=1"], IN_A_STEP, 4) == -signal.SIGKILL
    assert main([*words, f"--run.root={tmp_path / 'cut'}"]) == 0
    assert_same(run_of(tmp_path / "cut"), run_of(tmp_path / "whole"), steps=6)


@fault("SIGKILL, power cut, out of memory", "`--resume auto` goes on from the newest checkpoint", "steps since then")
@fault(
    "SIGKILL while a checkpoint is written",
    "the half-written file is removed, the one before is taken",
    "steps since then",
)
def test_kills_lose_only_what_is_done_again(whole: RunDirectory, synthetic: Path, tmp_path: Path) -> None:
    words = [*WORDS, f"--data.root={synthetic}", f"--run.root={tmp_path}", "--recovery.every_steps=2"]
    assert killed([*words, "--data.workers=2"], IN_A_STEP, 4) == -signal.SIGKILL
    assert killed(words, WHILE_SAVING, 3) == -signal.SIGKILL
    assert list(run_of(tmp_path).checkpoints.glob(".*.part")), "the kill came while a file was being written"
    assert main([*words, "--data.workers=1"]) == 0
    assert_same(run_of(tmp_path), whole)
    assert not list(run_of(tmp_path).checkpoints.glob(".*.part"))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75)])
def test_twenty_kills(number: int, code: int, synthetic: Path, tmp_path: Path) -> None:
    words = [*WORDS, f"--data.root={synthetic}", "--trainer.max_steps=60"]
    assert main([*words, f"--run.root={tmp_path / 'whole'}"]) == 0
    words += [f"--run.root={tmp_path / 'cut'}", "--recovery.every_steps=1"]
    generator = random.Random(0)
    for _ in range(20):
        place, count = generator.choice([(IN_A_STEP, 1), (IN_A_STEP, 2), (WHILE_SAVING, 1), (WHILE_SAVING, 3)])
        workers = f"--data.workers={generator.randrange(3)}"
        assert killed([*words, workers], place, count, number) == code
    assert main(words) == 0
    # What was killed before its first checkpoint is left behind, and a run of its own began.
    runs = [RunDirectory(path) for path in (tmp_path / "cut" / "test").iterdir()]
    cards = [(run, json.loads(run.card.read_text())) for run in runs if run.card.is_file()]
    (done,) = (run for run, card in cards if card["status"] == "finished")
    assert_same(done, run_of(tmp_path / "whole"), steps=60)


@fault(
    "SIGKILL of all processes of a training with several, also while they save",
    "as with one",
    "steps since the last checkpoint",
)
@fault("SIGTERM to one or all processes of a training", "all agree on the step, one checkpoint, exit code 75")
@pytest.mark.parametrize(
    ("kills", "precision"),
    [
        (["saving"], "32-true"),
        pytest.param(["saving"], "bf16-mixed", marks=pytest.mark.slow),
        pytest.param(["step", "saving"] * 5, "32-true", marks=pytest.mark.slow),
    ],
)
def test_two_processes_stopped_and_killed_equal_two_that_were_not(
    kills: list[str], precision: str, synthetic: Path, tmp_path: Path
) -> None:
    steps = 10 if len(kills) == 1 else 30
    words = [*WORDS, *TWO_PROCESSES, f"--data.root={synthetic}", "--recovery.agree_every_steps=1"]
    words += [f"--trainer.precision={precision}"]
    words += ["--trainer.val_check_interval=5", f"--trainer.max_steps={steps}", "--recovery.every_steps=2"]
    first, second = ([*words, f"--run.root={tmp_path / name}"] for name in ("whole", "cut"))
    assert finished(first) == 0
    assert stopped(second, tmp_path / "cut", 3, signal.SIGTERM, process=1) == 75
    assert json.loads(run_of(tmp_path / "cut").card.read_text())["status"] == "preempted"
    script = tmp_path / "train.py"  # a file, which the second process is started from, too
    script.write_text(KILLED_WHILE_SAVING)
    for number, kill in enumerate(kills):
        again = [*second, f"--data.workers={number % 3}"]
        if kill == "step":
            assert stopped(again, tmp_path / "cut", 5 + 2 * number, signal.SIGKILL) == -signal.SIGKILL
        else:
            assert started(again, str(script)).wait(timeout=300) == -signal.SIGKILL
            unfinished = list(run_of(tmp_path / "cut").checkpoints.glob(".*.part"))
            assert unfinished, "the kill came while a file was being written"
    assert finished(second) == 0
    assert_same(run_of(tmp_path / "cut"), run_of(tmp_path / "whole"), steps=steps)


KILLED_WHILE_SAVING = """
import os, signal, sys
from personlab.cli.main import main
from personlab.training import checkpoint_files
save = checkpoint_files.torch.save
def killed(content, file, **named):
    save(content, file, **named)
    if str(getattr(file, "name", "")).endswith(".part"):
        os.killpg(0, signal.SIGKILL)
checkpoint_files.torch.save = killed
sys.exit(main(sys.argv[1:]))
"""


def started(words: list[str], *program: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, *(program or ("-m", "personlab.cli.main")), *words]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)


def finished(words: list[str]) -> int:
    return started(words).wait(timeout=300)


def stopped(words: list[str], runs: Path, steps: int, number: int, process: int | None = None) -> int:
    """Start a run, and send a signal to all its processes, or to one, once so many steps are in its ledger."""
    first = started(words)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and first.poll() is None:
        ledgers = list(runs.glob("test/*/metrics.jsonl"))
        if ledgers and any(f'"step": {steps - 1},' in line for line in ledgers[0].read_text().splitlines()):
            break
        time.sleep(0.02)
    if process is None:
        os.killpg(first.pid, number)
    else:
        os.kill(_process(first.pid, process), number)
    return first.wait(timeout=100)


def _process(first: int, rank: int) -> int:
    """The process of a rank among those that the first one started, by what the system tells of its environment."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "environ").read_bytes().split(b"\0")
            if os.getpgid(int(folder.name)) == first and b"LOCAL_RANK=%d" % rank in words:
                return int(folder.name)
        except OSError:  # it has ended by now, or is somebody else's
            continue
    return pytest.skip("this system does not tell which process is which")
