"""What breaks while training runs: what happens, and what is lost. The marks make docs/reliability.md."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from personlab import files
from personlab.augmentation import TrainingView
from personlab.cli.main import main
from personlab.experiments import RunDirectory
from personlab.experiments.lock import RunLock, is_held
from personlab.training import PersonLabTask, checkpoint_files
from personlab.training.checkpoint_files import damage, newest_whole
from tests.integration import faults
from tests.integration.cut_runs import STEPS, WORDS, assert_same, last, run_of
from tests.integration.faults import fault
from tests.integration.test_training import SMALL, TWO_PROCESSES


def words_for(synthetic: Path, runs: Path, *words: str) -> list[str]:
    return [*WORDS, f"--data.root={synthetic}", f"--run.root={runs}", *words]


def failing_step(monkeypatch: pytest.MonkeyPatch, step: int, failure: BaseException) -> None:
    """Let one step raise, once."""
    train, left = PersonLabTask.training_step, [failure]

    def failing(self: PersonLabTask, *arguments: Any) -> Any:
        if left and self.trainer.global_step == step:
            raise left.pop()
        return train(self, *arguments)

    monkeypatch.setattr(PersonLabTask, "training_step", failing)


@fault(
    "any error in a step",
    "one line, exit code 1, status `failed`; `--resume auto` goes on",
    "steps since the last checkpoint",
)
def test_an_error_in_a_step(
    whole: RunDirectory,
    synthetic: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    failing_step(monkeypatch, 7, RuntimeError("a device fell off the bus"))
    words = words_for(synthetic, tmp_path)
    assert main([*words, "--recovery.every_steps=2"]) == 1
    assert "RuntimeError: a device fell off the bus" in capsys.readouterr().err
    assert json.loads(run_of(tmp_path).card.read_text())["status"] == "failed"
    assert main(words) == 0
    assert_same(run_of(tmp_path), whole)


@fault(
    "full disk while a checkpoint is saved",
    "older checkpoints stay; one line names the file and the mend, exit code 2",
    "steps since the last checkpoint",
)
def test_a_full_disk(
    whole: RunDirectory,
    synthetic: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    save, calls = torch.save, []

    def full(content: Any, file: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            file.write(b"a part")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(content, file)

    monkeypatch.setattr(checkpoint_files.torch, "save", full)
    words = words_for(synthetic, tmp_path, "--recovery.every_steps=2")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "could not be saved (No space left on device); those from before are untouched: make room" in error
    left = {p.name for p in run_of(tmp_path).checkpoints.iterdir()}
    assert left == {"recovery-step=2.ckpt", "recovery-step=4.ckpt"}
    assert all(damage(run_of(tmp_path).checkpoints / name) is None for name in left)
    assert main(words) == 0
    assert_same(run_of(tmp_path), whole)


@fault("full disk while the picture of a validation is drawn", "one line; the run goes on without the picture")
def test_a_picture_that_finds_no_room_ends_no_training(
    whole: RunDirectory, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    replace = files._replace

    def full(path: Path, content: bytes, lasting: bool) -> None:
        if path.suffix == ".png":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(path, content, lasting)

    monkeypatch.setattr(files, "_replace", full)
    assert main(words_for(synthetic, tmp_path)) == 0
    error = capsys.readouterr().err
    assert "val-step5.png: cannot be written (No space left on device); make room; the run goes on without" in error
    assert not list(run_of(tmp_path).figures.iterdir())
    assert_same(run_of(tmp_path), whole)


@fault("unwritable run folder", "refused before anything is built, one line, exit code 2")
def test_an_unwritable_directory(synthetic: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").touch()
    assert main(words_for(synthetic, tmp_path / "file" / "runs")) == 2
    assert "cannot make the run directory" in capsys.readouterr().err


@fault("newest checkpoint truncated", "told and passed over; the one before is taken", "steps between the two")
@fault("newest checkpoint with a flipped bit", "told and passed over, by its check sums", "steps between the two")
@pytest.mark.parametrize("harm", ["truncated", "flipped", "empty"])
def test_a_damaged_checkpoint(
    harm: str,
    whole: RunDirectory,
    synthetic: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    failing_step(monkeypatch, 9, RuntimeError("stop"))
    words = words_for(synthetic, tmp_path, "--recovery.every_steps=2")
    assert main(words) == 1
    newest = run_of(tmp_path).checkpoints / "recovery-step=8.ckpt"
    content = bytearray(newest.read_bytes())
    if harm == "flipped":
        content[len(content) // 2] ^= 16
    newest.write_bytes({"truncated": content[:-1000], "flipped": content, "empty": b""}[harm])
    assert main(words) == 0
    error = capsys.readouterr().err
    assert "recovery-step=8.ckpt: passed over: " in error
    assert "goes on from " in error
    assert "recovery-step=6.ckpt" in error
    assert_same(run_of(tmp_path), whole)


class _Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@fault("checkpoint that holds code", "refused; the code is not run")
def test_a_malicious_checkpoint(whole: RunDirectory, tmp_path: Path) -> None:
    target = tmp_path / "canary"
    bad = tmp_path / "recovery-step=99.ckpt"
    torch.save({**last(whole), "extra": _Canary(target)}, bad, pickle_module=pickle)
    assert "refused" in str(damage(bad))
    good = tmp_path / "recovery-step=10.ckpt"
    shutil.copy(whole.checkpoints / "last.ckpt", good)
    assert newest_whole([bad, good]) == good
    assert main([*WORDS[:-2], f"--data.root={tmp_path}", "--resume=none", f"--ckpt_path={bad}"]) == 2
    assert not target.exists()


@fault("two jobs on one run directory", "the second is refused, with the first one's process and host, exit code 2")
def test_two_jobs(
    whole: RunDirectory,
    synthetic: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    failing_step(monkeypatch, 3, RuntimeError("stop"))
    words = words_for(synthetic, tmp_path, "--recovery.every_steps=2")
    assert main(words) == 1
    run = run_of(tmp_path)
    before = run.card.read_bytes(), run.ledger.read_bytes()
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys; from pathlib import Path; from personlab.experiments.lock import RunLock\n"
         "lock = RunLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True); sys.stdin.read()",
         str(run.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_held(run.path)
        assert main(words) == 2
        assert f"another job trains in this run directory (process {holder.pid} on " in capsys.readouterr().err
        assert (run.card.read_bytes(), run.ledger.read_bytes()) == before
    finally:
        holder.kill()  # a kill frees it
        holder.wait()
    assert not is_held(run.path)
    assert main(words) == 0
    assert_same(run, whole)


def test_a_lock_is_free_after_its_holder_let_it_go(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    lock = RunLock(tmp_path)
    lock.acquire()
    assert is_held(tmp_path)
    lock.release()
    assert not is_held(tmp_path)


def test_a_child_that_outlives_the_run_does_not_hold_its_lock(tmp_path: Path) -> None:
    code = (
        "import multiprocessing, sys, time; from pathlib import Path; from personlab.experiments.lock import RunLock\n"
        "lock = RunLock(Path(sys.argv[1])); lock.acquire()\n"
        "worker = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,)); worker.start()\n"
        "print(worker.pid, flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    worker = int(holder.stdout.readline())
    try:
        assert is_held(tmp_path), "the worker let go its copy only"
        holder.kill()
        holder.wait()
        deadline = time.monotonic() + 30  # it may still be on its way to letting go
        while is_held(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(worker, 0)  # it hangs on
        assert not is_held(tmp_path)
    finally:
        os.kill(worker, signal.SIGKILL)


def poison(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Losses that are not numbers at some steps."""
    train = PersonLabTask.training_step

    def poisoned(self: PersonLabTask, *arguments: Any) -> Any:
        loss = train(self, *arguments)
        return loss * float("nan") if self.trainer.global_step in steps else loss

    monkeypatch.setattr(PersonLabTask, "training_step", poisoned)


@fault(
    "loss that is not finite",
    "weights and optimiser stay as they are, the images are written to `nonfinite/`",
    "that step",
)
def test_a_loss_that_is_not_finite(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    poison(monkeypatch, {3})
    assert main(words_for(synthetic, tmp_path, "--recovery.every_steps=1", "--recovery.keep=20")) == 0
    run = run_of(tmp_path)
    assert "step 4 is not finite and was left out, 1 of 10" in capsys.readouterr().err
    told = json.loads((run.path / "nonfinite" / "step-4-rank-0.json").read_text())
    assert (told["losses"], len(told["image_ids"]), len(told["image_to_crop"])) == (["nan"], 2, 2)
    before, after, next_one = (
        torch.load(run.checkpoints / f"recovery-step={step}.ckpt", weights_only=True)["current_model_state"]
        for step in (3, 4, 6)
    )
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(not torch.equal(before[name], next_one[name]) for name in before)
    assert all(bool(torch.isfinite(t).all()) for t in last(run)["state_dict"].values() if t.is_floating_point())


def test_images_of_a_gradient_that_is_not_finite_are_written_down_too(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = PersonLabTask.training_step

    def steep(self: PersonLabTask, *arguments: Any) -> Any:
        loss = train(self, *arguments)
        if self.trainer.global_step == 3:  # the square root's slope at 0 is infinite, its value is not
            loss = loss + torch.sqrt(0 * next(self.parameters()).sum())
        return loss

    monkeypatch.setattr(PersonLabTask, "training_step", steep)
    assert main(words_for(synthetic, tmp_path, "--trainer.max_steps=5")) == 0
    told = json.loads((run_of(tmp_path).path / "nonfinite" / "step-4-rank-0.json").read_text())
    assert len(told["image_ids"]) == 2
    assert torch.isfinite(torch.tensor([float(loss) for loss in told["losses"]])).all()


POISONED_SECOND = """
import os, sys
from personlab.cli.main import main
from personlab.training import PersonLabTask
train = PersonLabTask.training_step
def poisoned(self, *arguments):
    loss = train(self, *arguments)
    return loss * float("nan") if self.trainer.global_step == 3 and self.trainer.global_rank == 1 else loss
PersonLabTask.training_step = poisoned
sys.exit(main(sys.argv[1:]))
"""


@fault(
    "loss that is not finite in one of several processes",
    "all leave out the step; the process whose loss it was writes down its images",
    "that step",
)
def test_a_loss_that_is_not_finite_in_one_process(synthetic: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"  # a file, which the second process is started from, too
    script.write_text(POISONED_SECOND)
    words = words_for(synthetic, tmp_path, *TWO_PROCESSES, "--trainer.max_steps=5", "--recovery.every_steps=1")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), *words, "--recovery.keep=20"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("step 4 is not finite and was left out, 1 of 10") >= 1
    run = run_of(tmp_path)
    assert [path.name for path in (run.path / "nonfinite").iterdir()] == ["step-4-rank-1.json"]
    told = json.loads((run.path / "nonfinite" / "step-4-rank-1.json").read_text())
    assert (told["losses"], len(told["image_ids"])) == (["nan"], 2)
    before, after = (
        torch.load(run.checkpoints / f"recovery-step={step}.ckpt", weights_only=True)["current_model_state"]
        for step in (3, 4)
    )
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(bool(torch.isfinite(t).all()) for t in last(run)["state_dict"].values() if t.is_floating_point())


@fault(
    "losses that are not finite again and again",
    "the run ends after `finite.max_left_out` steps, exit code 1",
    "steps since the last checkpoint",
)
def test_losses_that_stay_not_finite(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    poison(monkeypatch, set(range(2, 99)))
    assert main(words_for(synthetic, tmp_path, "--finite.max_left_out=2")) == 1
    assert "NotFinite: 3 steps were not finite, the last step 5: the images are in " in capsys.readouterr().err


def test_random_numbers_of_a_users_network_go_on_too(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = PersonLabTask.training_step

    def noisy(self: PersonLabTask, *arguments: Any) -> Any:
        return train(self, *arguments) * (1 + torch.rand(()))

    monkeypatch.setattr(PersonLabTask, "training_step", noisy)
    short = ["--trainer.max_steps=5"]
    assert main(words_for(synthetic, tmp_path / "whole", *short)) == 0
    words = words_for(synthetic, tmp_path / "cut", *short, "--recovery.every_steps=2")
    failing_step(monkeypatch, 3, RuntimeError("stop"))
    assert main(words) == 1
    torch.manual_seed(123)
    assert main(words) == 0
    a, b = (last(run_of(tmp_path / name))["current_model_state"] for name in ("whole", "cut"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_finished_run_or_another_config_is_not_gone_on_with(
    whole: RunDirectory,
    synthetic: Path,
    tmp_path: Path,
    capsys: Any,
) -> None:
    shutil.copytree(whole.path.parent.parent, tmp_path / "runs")
    run = RunDirectory(next((tmp_path / "runs" / "test").iterdir()))
    words = words_for(synthetic, tmp_path / "runs", "--trainer.max_steps=5")
    card = json.loads(run.card.read_text())
    run.card.write_text(json.dumps(card | {"status": "failed"}))
    assert main(words) == 0
    error = capsys.readouterr().err
    assert f"not gone on with, since its trainer.max_steps is {STEPS} and not 5" in error
    assert "nothing to go on with: a run of its own begins" in error
    assert len(list((tmp_path / "runs" / "test").iterdir())) == 2
    assert main(["validate", *words[1:], "--model.initial_weights=embedded"]) == 2
    assert "--resume auto: is for fit" in capsys.readouterr().err


def test_a_run_that_goes_on_tells_what_is_not_as_it_was(
    whole: RunDirectory, synthetic: Path, tmp_path: Path, capsys: Any
) -> None:
    shutil.copytree(whole.path.parent.parent, tmp_path / "runs")
    run = RunDirectory(next((tmp_path / "runs" / "test").iterdir()))
    run.card.write_text("{")
    assert main([*words_for(synthetic, tmp_path / "runs"), "--trainer.precision=bf16-mixed"]) == 0
    error = capsys.readouterr().err
    assert "goes on in precision bf16-mixed in place of 32-true" in error
    assert f"{STEPS} steps are done, and trainer.max_steps is {STEPS}: none is left to do" in error
    assert "run.json: is damaged" in error
    assert json.loads(run.card.read_text())["status"] == "finished"
    run.card.write_text(json.dumps({"status": "failed"}))
    run.config.write_text("")
    assert main([*words_for(synthetic, tmp_path / "runs"), "--trainer.max_steps=5"]) == 0
    assert f"{run.path}: not gone on with, since config.yaml: is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data.batch_size=99"], "6 images do not fill one step; lower data.batch_size from 99"),
        (["--data.global_batch_size=99"], "6 images do not fill one step; lower data.global_batch_size from 99"),
        (
            ["--data.val_images=1", *TWO_PROCESSES],
            "1 images to evaluate are too few for 2 processes; raise data.val_im",
        ),
        (["--evaluation.max_unreadable_share=-1"], "evaluation.max_unreadable_share -1"),
        (["--trainer.precision=bf16-true"], "--trainer.precision bf16-true: weights, their averages and losses are"),
    ],
)
def test_what_cannot_be_trained_leaves_no_run_behind(
    synthetic: Path, tmp_path: Path, words: list[str], told: str, capsys: Any
) -> None:
    assert main(words_for(synthetic, tmp_path, *words)) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_page_says_what_the_tests_say() -> None:
    assert faults.page() == faults.PAGE.read_text(encoding="utf-8"), "run python -m tests.integration.faults"


def failing_view(monkeypatch: pytest.MonkeyPatch, position: int, what: Callable[[], Any]) -> None:
    """Let the loader worker that makes one sample fail."""
    view = TrainingView.__call__
    calls: list[int] = []

    def failing(self: TrainingView, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == position:
            what()
        return view(self, *arguments)

    monkeypatch.setattr(TrainingView, "__call__", failing)


@fault("a loader worker dies (out of memory)", "one line, exit code 1", "steps since the last checkpoint")
def test_a_dead_worker(synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    failing_view(monkeypatch, 13, lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert main(words_for(synthetic, tmp_path, "--data.workers=1", "--recovery.every_steps=1")) == 1
    error = capsys.readouterr().err
    assert "DataLoader worker" in error
    assert "Traceback" not in error
    assert list(run_of(tmp_path).checkpoints.glob("recovery-step=*.ckpt"))


@fault(
    "a loader worker hangs", "one line after `data.loader_timeout_s`, exit code 1", "steps since the last checkpoint"
)
def test_a_hanging_worker(synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    failing_view(monkeypatch, 5, lambda: time.sleep(60))
    words = words_for(synthetic, tmp_path, "--data.workers=1", "--data.loader_timeout_s=3")
    assert main(words) == 1
    assert "timed out after 3" in capsys.readouterr().err


@fault("image that cannot be read, in training", "told once; a stand-in that counts in no loss; too many end the run")
def test_a_corrupt_image(synthetic: Path, tmp_path: Path, capsys: Any) -> None:
    root = tmp_path / "data"
    shutil.copytree(synthetic, root)
    (root / "train2017" / sorted(p.name for p in (root / "train2017").iterdir())[1]).write_bytes(b"no image")
    assert main(words_for(root, tmp_path / "runs", "--samples.patience_samples=100")) == 0
    assert "a stand-in that counts in no loss takes its place" in capsys.readouterr().err
    lines = [json.loads(line) for line in run_of(tmp_path / "runs").ledger.read_text().splitlines()]
    assert max(line.get("train/samples_broken", 0) for line in lines) >= 1
    assert (
        main(words_for(root, tmp_path / "more", "--samples.patience_samples=2", "--samples.check_every_steps=1")) == 2
    )
    assert "training images could not be read" in capsys.readouterr().err
    for path in (root / "train2017").iterdir():
        path.write_bytes(b"no image")
    shutil.copy(next((synthetic / "train2017").iterdir()), root / "train2017")
    assert main(words_for(root, tmp_path / "few", "--trainer.max_steps=5")) == 0, "too short to be judged, and told"
    assert "of 10 training images could not be read: what was learnt is of the others" in capsys.readouterr().err


@fault(
    "image that cannot be read, in a validation of a training",
    "told; it is left out of scores and losses; too many (5 %) end the run",
    "its part in the scores",
)
def test_a_corrupt_image_to_validate_on(
    whole: RunDirectory, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    root = tmp_path / "data"
    shutil.copytree(synthetic, root)
    images = sorted((root / "val2017").iterdir())
    images[0].write_bytes(b"no image")  # also a run that goes on must get over it
    words = words_for(root, tmp_path / "runs", "--recovery.every_steps=2")
    failing_step(monkeypatch, 7, RuntimeError("stop"))
    assert main(words) == 1
    assert main(words) == 0
    run = run_of(tmp_path / "runs")
    error = capsys.readouterr().err
    assert "1 of 3 images to validate on could not be read and are not in the scores of step 10, first image" in error
    report = json.loads((run.path / "evaluation.json").read_text())
    assert (report["images"], report["images_unreadable"]) == (2, 1)
    assert len(json.loads((run.predictions / "val-step10.images.json").read_text())["image_ids"]) == 2
    mine, theirs = (last(r) for r in (run, whole))
    assert all(torch.equal(mine["state_dict"][name], tensor) for name, tensor in theirs["state_dict"].items())
    images[1].write_bytes(b"no image")
    assert main(words_for(root, tmp_path / "more")) == 2
    assert f"2 of 3 images to validate on could not be read; check {root / 'val2017'}, or" in capsys.readouterr().err
    scored = ["--model.initial_weights=embedded", "--data.eval_size=321", *SMALL, f"--data.root={root}"]
    assert main(["validate", *WORDS[1:3], *scored, f"--run.root={tmp_path / 'scored'}"]) == 2
    assert f"{images[0]}: " in capsys.readouterr().err.splitlines()[-1]


@fault("corrupt annotation", "refused before training, one line that names it and the mend, exit code 2")
def test_a_corrupt_annotation(synthetic: Path, tmp_path: Path, capsys: Any) -> None:
    root = tmp_path / "data"
    shutil.copytree(synthetic, root)
    file = root / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["keypoints"] = [1, 2, 3]
    file.write_text(json.dumps(content))
    assert main(words_for(root, tmp_path / "runs")) == 2
    assert str(file) in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@fault("W&B cannot be reached", "one line; the run is mirrored offline and trains on", "nothing: `wandb sync` sends it")
def test_wandb_is_out_of_reach(synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    monkeypatch.setenv("WANDB_MODE", "online")  # put back after the fallback has changed it
    words = words_for(synthetic, tmp_path, "--run.wandb=online", "--trainer.max_steps=5")
    assert main(words) == 0
    assert "W&B cannot be reached (" in capsys.readouterr().err
    assert list(run_of(tmp_path).path.glob("wandb/offline-run-*/*.wandb"))
    assert "train/loss/total" in run_of(tmp_path).ledger.read_text()
