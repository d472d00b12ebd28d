"""`personlab fit` from end to end: what it leaves behind, and that a resumed run goes on where it stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from personlab.cli.main import main
from personlab.experiments import RunDirectory
from personlab.training import PersonLabTask

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(p for folder in ("experiment", "debug") for p in (ROOT / "configs" / folder).glob("*.yaml"))
SMALL = [
    "--data.batch_size=2",
    "--data.workers=0",
    "--data.val_images=3",
    "--run.wandb=off",
    "--trainer.accelerator=cpu",
    "--contact_sheet.images=1",
]
TRAINED = ["--model.initial_weights=embedded", "--data.eval_size=321"]
"""A network that finds people, so that equal scores are not all zero."""
TWO_PROCESSES = ["--trainer.devices=2", "--trainer.strategy=ddp"]


def fit(synthetic: Path, runs: Path, *words: str, config: str = "experiment/demo.yaml") -> RunDirectory:
    """Run `personlab fit` on small images and return its run directory."""
    where = [f"--data.root={synthetic}", f"--run.root={runs}", "--run.name=test"]
    assert main(["fit", "--config", str(ROOT / "configs" / config), *SMALL, *where, *words]) == 0
    return RunDirectory(max((runs / "test").iterdir(), key=lambda p: p.stat().st_mtime))


def steps(count: int) -> list[str]:
    return [f"--trainer.max_steps={count}", f"--trainer.val_check_interval={count}", "--trainer.log_every_n_steps=1"]


@pytest.fixture(scope="module")
def finished(synthetic, tmp_path_factory) -> RunDirectory:
    runs = tmp_path_factory.mktemp("runs")
    return fit(synthetic, runs, *TRAINED, *steps(4), "--data.view.init_args.crop_size=129")


def test_a_run_leaves_everything_in_its_directory(finished):
    card = json.loads(finished.card.read_text())
    assert (card["status"], card["seed"]) == ("finished", 0)
    report = json.loads((finished.path / "evaluation.json").read_text())
    also = {"images", "images_unreadable", "people", "only_with_keypoints", "seconds", "step", "weights"}
    assert set(report) == {"keypoints", "segmentation"} | also
    assert report["images"] == 3
    assert min(report[kind]["AP"] for kind in ("keypoints", "segmentation")) > 0.3
    assert set(card["data_hash"]) == {"train", "val"}
    assert set(report["seconds"]) == {"read", "network", "decode"}
    assert (finished.figures / "val-step4.png").stat().st_size > 10_000
    assert len(json.loads((finished.predictions / "val-step4.json").read_text())) == report["people"] > 0
    header = (finished.path / "metrics.csv").read_text().splitlines()[0]
    assert {"step", "train/loss/total", "val/keypoints/AP"} <= set(header.split(","))


def test_the_ledger_has_every_term_and_the_samples_seen(finished):
    lines = [json.loads(line) for line in finished.ledger.read_text().splitlines()]
    training = [line for line in lines if "train/loss/total" in line]
    assert [line["samples_seen"] for line in training] == [2, 4, 6, 8]
    assert {f"train/loss/{term}" for term in ("heatmap", "segmentation", "short", "mid", "long")} <= training[0].keys()
    assert any("val/keypoints/AP" in line and "val/segmentation/AP" in line for line in lines)


def test_checkpoints_hold_tensors_and_plain_values_only(finished):
    checkpoint = torch.load(finished.checkpoints / "last.ckpt", weights_only=True)
    raw, averaged = checkpoint["current_model_state"], checkpoint["state_dict"]
    assert raw.keys() == averaged.keys()
    moved = [name for name in raw if name.endswith("weight") and not torch.equal(raw[name], averaged[name])]
    assert moved, "the average is the raw weights"


def test_the_saved_config_is_the_whole_run_again(finished, synthetic, tmp_path):
    assert main(["fit", "--config", str(finished.config), f"--run.root={tmp_path}"]) == 0
    again = RunDirectory(next((tmp_path / "test").iterdir()))
    assert again != finished
    last = [torch.load(run.checkpoints / "last.ckpt", weights_only=True)["state_dict"] for run in (finished, again)]
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])


def test_the_last_checkpoint_is_the_last_also_if_others_were_better(synthetic, tmp_path):
    words = ["--trainer.max_steps=4", "--trainer.val_check_interval=1", "--data.view.init_args.crop_size=65"]
    # The count of samples rises, so the first two validations are the best.
    run = fit(synthetic, tmp_path, *TRAINED, *words, "--checkpoint.monitor=samples_seen", "--checkpoint.mode=min")
    assert {p.name for p in run.checkpoints.iterdir()} == {"step=1.ckpt", "step=2.ckpt", "last.ckpt"}
    assert torch.load(run.checkpoints / "last.ckpt", weights_only=True)["global_step"] == 4


def equal(a: Any, b: Any) -> bool:
    """Whether two parts of checkpoints are the same to the bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def logged(run: RunDirectory) -> list[dict[str, Any]]:
    """The ledger without its clock."""
    lines = [json.loads(line) for line in run.ledger.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "wall_s"} for line in lines]


def test_a_resumed_run_equals_an_uninterrupted_one(finished, synthetic, tmp_path):
    view = "--data.view.init_args.crop_size=129"
    # Both run to step 4, since the schedule depends on it; the second from what the first had saved at step 2.
    halves = ["--trainer.max_steps=4", "--trainer.val_check_interval=2", "--trainer.log_every_n_steps=1", view]
    first = fit(synthetic, tmp_path, *TRAINED, *halves)
    ledger = logged(first)
    middle = first.checkpoints / "step=2.ckpt"
    whole = torch.load(first.checkpoints / "last.ckpt", weights_only=True)
    resumed = fit(synthetic, tmp_path, *TRAINED, *halves, f"--ckpt_path={middle}")
    assert resumed == first, "a resumed run goes on in its own directory"
    assert sorted(p.name for p in first.checkpoints.iterdir()) == ["last.ckpt", "step=2.ckpt", "step=4.ckpt"]
    again = torch.load(first.checkpoints / "last.ckpt", weights_only=True)
    assert again["global_step"] == whole["global_step"] == 4
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"):
        assert whole[part]
        assert equal(whole[part], again[part]), part
    assert logged(first) == ledger, "no step twice, and the same figures"
    card = json.loads(first.card.read_text())
    assert card["status"] == "finished"
    assert len(card["resumed"]) == 1


@pytest.mark.parametrize(("content", "message"), [
    (b"", "cut.ckpt: "), (b"PK no archive", "cut.ckpt: "), (b"weights", "no state of a training"),
    (b"other network", "is of another network than the config's"),
])  # fmt: skip
def test_a_checkpoint_that_does_not_do_leaves_its_run_alone(
    content: bytes, message: str, finished, synthetic, tmp_path, capsys
):
    run = RunDirectory(tmp_path / "test" / finished.run_id)
    shutil.copytree(finished.path, run.path)
    before = {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()}
    cut = run.checkpoints / "cut.ckpt"
    other = []
    if content == b"weights":
        whole = torch.load(run.checkpoints / "last.ckpt", weights_only=True)
        torch.save({"state_dict": whole["state_dict"]}, cut)
    elif content == b"other network":
        shutil.copy(run.checkpoints / "last.ckpt", cut)
        other = ["--model.network.init_args.mid_supervision=true"]
    else:
        cut.write_bytes(content)
    words = ["fit", "--config", str(ROOT / "configs/experiment/demo.yaml"), *SMALL, f"--data.root={synthetic}"]
    assert main([*words, *other, f"--ckpt_path={cut}"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().splitlines()[-1].startswith("personlab: error: ")
    assert "Traceback" not in error
    assert {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()} == before


def test_ctrl_c_is_told_with_the_way_on(finished, synthetic, tmp_path, capsys, monkeypatch):
    train, calls = PersonLabTask.training_step, []

    def interrupted(self: PersonLabTask, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return train(self, *arguments)

    monkeypatch.setattr(PersonLabTask, "training_step", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    words = [f"--data.root={synthetic}", f"--run.root={tmp_path}", *TRAINED, "--data.view.init_args.crop_size=129"]
    several = ["--trainer.max_steps=4", "--trainer.val_check_interval=2"]
    assert main(["fit", "--config", str(ROOT / "configs/experiment/demo.yaml"), *SMALL, *words, *several]) == 130
    signal.signal(signal.SIGINT, handler)  # Lightning leaves it ignored
    run = RunDirectory(next((tmp_path / "demo").iterdir()))
    assert json.loads(run.card.read_text())["status"] == "interrupted"
    assert f"interrupted; go on with --ckpt_path {run.checkpoints / 'last.ckpt'}" in capsys.readouterr().err


def test_a_stopped_evaluation_is_told_as_stopped(synthetic, tmp_path, capsys, monkeypatch):
    validate = PersonLabTask.validation_step

    def stopped(self: PersonLabTask, *arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(self, *arguments)

    monkeypatch.setattr(PersonLabTask, "validation_step", stopped)
    handler = signal.getsignal(signal.SIGTERM)
    words = [*SMALL, *TRAINED, f"--data.root={synthetic}", f"--run.root={tmp_path}", "--run.name=stopped"]
    assert main(["validate", "--config", str(ROOT / "configs/experiment/demo.yaml"), *words]) == 143
    assert signal.getsignal(signal.SIGTERM) == handler
    assert capsys.readouterr().err.splitlines()[-1].startswith("SIGTERM: stopped before the end; nothing is scored")
    run = RunDirectory(next((tmp_path / "stopped").iterdir()))
    assert json.loads(run.card.read_text())["status"] == "interrupted"


def test_accumulated_parts_make_the_steps_of_the_whole_batch(synthetic, tmp_path):
    words = [*TRAINED, *steps(3), "--data.view.init_args.crop_size=129", "--data.global_batch_size=4"]
    runs = [fit(synthetic, tmp_path / str(n), *words, f"--data.batch_size={n}") for n in (4, 2, 1)]
    for run, parts in zip(runs, (1, 2, 4), strict=True):
        card = json.loads(run.card.read_text())
        assert card["batch"] == {"global": 4, "processes": 1, "accumulated": parts, "at_once": 4 // parts}
        lines = [json.loads(line) for line in run.ledger.read_text().splitlines()]
        # Three optimisation steps each and one validation at the end, whatever the parts.
        assert max(line["step"] for line in lines) == 2
        assert [line["step"] for line in lines if "val/keypoints/AP" in line] == [2]
        assert lines[-1]["samples_seen"] == 12
    with pytest.raises(AssertionError):
        fit(synthetic, tmp_path / "both", *words, "--data.batch_size=2", "--trainer.accumulate_grad_batches=2")


def test_validate_scores_a_checkpoint_as_its_training_did(finished, synthetic, tmp_path):
    config = str(ROOT / "configs/experiment/demo.yaml")
    where = [f"--data.root={synthetic}", f"--run.root={tmp_path}", f"--ckpt_path={finished.checkpoints / 'last.ckpt'}"]
    assert main(["validate", "--config", config, *SMALL, "--data.eval_size=321", *where]) == 0
    report = next(tmp_path.glob("demo/*/evaluation.json"))
    scores = [json.loads(p.read_text()) for p in (report, finished.path / "evaluation.json")]
    assert scores[0]["keypoints"] == scores[1]["keypoints"]
    assert scores[0]["keypoints"]["AP"] > 0.3
    assert scores[0]["segmentation"] == scores[1]["segmentation"]


def in_another_process(words: list[str]) -> str:
    """Run a command that starts processes of its own, and return what it tells."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "personlab.cli.main", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "sync_dist" not in done.stderr
    return done.stderr


def test_the_raw_weights_are_scored_where_they_are_asked_for(finished, synthetic, tmp_path):
    words = [*TRAINED, *steps(4), "--data.view.init_args.crop_size=129", "--weights=raw"]
    run = fit(synthetic, tmp_path, *words)
    assert json.loads((run.path / "evaluation.json").read_text())["weights"] == "raw"
    states = [torch.load(r.checkpoints / "last.ckpt", weights_only=True) for r in (run, finished)]
    for part in ("state_dict", "current_model_state"):  # what is scored changes nothing of what is learnt and kept
        assert equal(states[0][part], states[1][part])
    raw, average = (val_loss(r) for r in (run, finished))
    assert raw != average
    again = []
    for which in ("raw", "ema"):
        words = ["validate", "--config", str(run.config), "--ckpt_path", str(run.checkpoints / "last.ckpt")]
        assert main([*words, f"--run.root={tmp_path}", f"--run.name={which}", f"--weights={which}"]) == 0
        again.append(val_loss(RunDirectory(next((tmp_path / which).iterdir()))))
    assert again == [raw, average]


def val_loss(run: RunDirectory) -> float:
    lines = [json.loads(line) for line in run.ledger.read_text().splitlines()]
    (value,) = (line["val/loss/total"] for line in lines if "val/loss/total" in line)
    return float(value)


COMPILED = """
import sys
from personlab.cli.main import main
from personlab.network import PersonLab
inner, calls = PersonLab.compile_supervised, []
PersonLab.compile_supervised = lambda self: (calls.append(1), inner(self))
code = main(sys.argv[1:])
assert calls
sys.exit(code)
"""


@pytest.mark.slow
def test_a_compiled_network_learns_the_same_and_fits_both_ways(synthetic, tmp_path):
    # In a process of its own: checks of shapes that only tests have stand in the compiler's way.
    words = ["fit", "--config", str(ROOT / "configs/experiment/demo.yaml"), *SMALL, *TRAINED, *steps(3)]
    words += [f"--data.root={synthetic}", "--data.view.init_args.crop_size=129"]
    compiled = [*words, "--run.name=compiled", "--model.compile_network=true", f"--run.root={tmp_path}"]
    subprocess.run([sys.executable, "-c", COMPILED, *compiled], check=True, timeout=900)
    assert main([*words, "--run.name=plain", f"--run.root={tmp_path}"]) == 0
    runs = {name: RunDirectory(next((tmp_path / name).iterdir())) for name in ("compiled", "plain")}
    states = {name: torch.load(r.checkpoints / "last.ckpt", weights_only=True) for name, r in runs.items()}
    assert states["compiled"]["state_dict"].keys() == states["plain"]["state_dict"].keys()
    for name, tensor in states["plain"]["current_model_state"].items():
        torch.testing.assert_close(states["compiled"]["current_model_state"][name], tensor, rtol=1e-3, atol=1e-4)
    more = ["--trainer.max_steps=5", "--trainer.val_check_interval=1"]
    last = {name: f"--ckpt_path={run.checkpoints / 'last.ckpt'}" for name, run in runs.items()}
    assert main([*words, *more, last["compiled"]]) == 0
    other = [*words, *more, "--model.compile_network=true", last["plain"]]
    subprocess.run([sys.executable, "-c", COMPILED, *other], check=True, timeout=900)
    for run in runs.values():
        assert torch.load(run.checkpoints / "last.ckpt", weights_only=True)["global_step"] == 5


def test_two_processes_train_one_run(synthetic, tmp_path):
    where = [f"--data.root={synthetic}", f"--run.root={tmp_path}", "--data.view.init_args.crop_size=129"]
    words = ["fit", "--config", str(ROOT / "configs/experiment/demo.yaml"), *SMALL, *TRAINED, *where, *steps(2)]
    told = in_another_process([*words, "--run.name=two", *TWO_PROCESSES])
    assert told.count("evaluating at step 2") == 1
    (run,) = (RunDirectory(path) for path in (tmp_path / "two").iterdir())
    assert json.loads(run.card.read_text())["status"] == "finished"
    training = [line for line in logged(run) if "train/loss/total" in line]
    assert [line["samples_seen"] for line in training] == [4, 8], "two images a step and process"
    assert json.loads((run.path / "evaluation.json").read_text())["keypoints"]["AP"] > 0.3
    assert (run.checkpoints / "last.ckpt").is_file()


@pytest.mark.slow
def test_two_nodes_of_torchrun_train_one_run(synthetic, tmp_path):
    """As docs/scaling.md has it, with both nodes on this machine; one process learns the same of the same parts."""
    where = [f"--data.root={synthetic}", "--data.view.init_args.crop_size=65", "--data.global_batch_size=2"]
    words = ["fit", "--config", str(ROOT / "configs/experiment/demo.yaml"), *SMALL, *TRAINED, *where, *steps(3)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d",
        "--rdzv-id=7", f"--rdzv-endpoint=127.0.0.1:{port}", "-m", "personlab.cli.main", *words,
        f"--run.root={tmp_path / 'two'}", "--run.name=test", "--trainer.num_nodes=2", "--trainer.devices=1",
        "--trainer.strategy=ddp",
    ]  # fmt: skip
    nodes = [subprocess.Popen(launch, env=os.environ | {"OMP_NUM_THREADS": "1"}) for _ in range(2)]
    assert [node.wait(timeout=300) for node in nodes] == [0, 0]
    (two,) = (RunDirectory(path) for path in (tmp_path / "two" / "test").iterdir())
    card = json.loads(two.card.read_text())
    assert card["status"] == "finished"
    assert card["batch"] == {"global": 2, "processes": 2, "accumulated": 1, "at_once": 1}
    assert main([*words, "--data.batch_size=1", f"--run.root={tmp_path / 'one'}", "--run.name=test"]) == 0
    one = RunDirectory(next((tmp_path / "one" / "test").iterdir()))
    a, b = (torch.load(run.checkpoints / "last.ckpt", weights_only=True)["current_model_state"] for run in (one, two))
    learnt = {name for name in a if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert len(learnt) > 50
    for name in learnt:  # batch norm's running averages are those of the first process's images
        torch.testing.assert_close(b[name], a[name], rtol=1e-3, atol=1e-5)
    losses = [[line["train/loss/total"] for line in logged(run) if "train/loss/total" in line] for run in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3), "of the whole step, not of a part"


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_several_processes_find_the_same_as_one(synthetic, tmp_path, count):
    """A prime number of images, so that the shares differ."""
    where = [f"--data.root={synthetic}", f"--run.root={tmp_path}", "--data.val_images=5"]
    words = ["validate", "--config", str(ROOT / "configs/experiment/demo.yaml"), *SMALL, *TRAINED, *where]
    assert main([*words, "--run.name=1"]) == 0
    in_another_process([*words, f"--run.name={count}", f"--trainer.devices={count}", "--trainer.strategy=ddp"])
    assert len(list((tmp_path / str(count)).iterdir())) == 1, "one directory for all processes"
    runs = [RunDirectory(next((tmp_path / name).iterdir())) for name in ("1", str(count))]
    assert len({(run.predictions / "val-step0.json").read_bytes() for run in runs}) == 1
    reports = [json.loads((run.path / "evaluation.json").read_text()) for run in runs]
    for report in reports:
        assert report["images"] == 5
        assert report["keypoints"] == reports[0]["keypoints"]
        assert report["segmentation"] == reports[0]["segmentation"]
    assert reports[0]["keypoints"]["AP"] > 0.3
    losses = [
        {key: value for line in logged(run) for key, value in line.items() if key.startswith("val/loss/")}
        for run in runs
    ]
    assert losses[0]["val/loss/total"] > 0
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "config",  # the largest has nothing but more layers
    [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] * (p.stem == "paper_r152")) for p in CONFIGS],
)
def test_every_shipped_config_runs_a_batch(config, synthetic, tmp_path):
    words = ["--trainer.max_steps=1", "--model.initial_weights=none", "--data.train_images=8"]
    words += ["--data.train_split=train2017", "--data.eval_size=129"]
    if config.parent.name == "experiment":
        words += ["--data.view.init_args.crop_size=129"]
    run = fit(synthetic, tmp_path, *words, config=f"{config.parent.name}/{config.name}")
    assert json.loads(run.card.read_text())["status"] == "finished"
    assert (run.path / "evaluation.json").is_file()


def test_overlays_of_imputed_keypoints_change_what_is_learnt(synthetic, tmp_path):
    content = json.loads((synthetic / "annotations" / "person_keypoints_train2017.json").read_text())
    for row in content["annotations"][::2]:
        row |= {"imputed": True}
    imputed = tmp_path / "imputed.json"
    imputed.write_text(json.dumps(content))
    overlays = sorted((ROOT / "configs" / "ablation").glob("imputed_*.yaml"))
    assert len(overlays) == 4
    losses = set()
    for overlay in overlays:
        words = ["--config", str(overlay), f"--data.train_annotations={imputed}", *TRAINED, *steps(1)]
        run = fit(synthetic, tmp_path / overlay.stem, *words, "--data.view.init_args.crop_size=129")
        assert f"imputed: {overlay.stem.removeprefix('imputed_')}\n" in run.config.read_text()
        row = next(r for r in map(json.loads, run.ledger.read_text().splitlines()) if "train/loss/total" in r)
        losses.add(tuple(row[f"train/loss/{term}"] for term in ("heatmap", "segmentation", "long")))
    assert len(losses) == 4
