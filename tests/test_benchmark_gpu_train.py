"""The benchmark of training on a GPU, tried on the CPU with as little as it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import EventList, FunctionEvent

from benchmarks import gpu_step, gpu_train, report, speed_tables
from personlab.evaluation.scenes import crowds

WORDS = ["gpu_train", "--device", "cpu", "--depth", "50", "--crop", "65", "--batch", "1", "--steps", "1"]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict:
    path = tmp_path_factory.mktemp("gpu") / "gpu_train.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [*WORDS, "--matrix", "64", "--no-compile", "--json", str(path)])
        gpu_train.main()
    found: dict = json.loads(path.read_text())
    return found


def test_every_way_of_training_is_timed_and_its_kernels_named(result: dict) -> None:
    assert [(row["channels_last"], row["compiled"]) for row in result["rows"]] == [(False, False), (True, False)]
    for row in result["rows"]:
        assert row["images_per_s"] == pytest.approx(1e3 / row["step_ms"])
        share = row["images_per_s"] * result["flops_per_image"] / result["matrix_flops_per_s"]
        assert row["share_of_rate"] == pytest.approx(share)
    assert len(result["kernels"]) == 10
    assert any("convolution" in row["kernel"] for row in result["kernels"])
    assert sum(row["share"] for row in result["kernels"]) <= 1


def test_what_fails_is_told_and_the_rest_is_measured_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, measure = tmp_path / "gpu_train.json", gpu_train.measure

    def short_of_memory(options: Any, batch: Any, channels_last: bool, compiled: bool) -> Any:
        if channels_last:
            assert len(json.loads(path.read_text())["rows"]) == 1, "written already"
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nand more of it")
        return measure(options, batch, channels_last, compiled)

    monkeypatch.setattr(gpu_train, "measure", short_of_memory)
    words = ["--matrix", "64", "--no-compile", "--json", str(path), "--data-root", str(tmp_path / "nowhere")]
    monkeypatch.setattr(sys, "argv", [*WORDS, *words])
    assert gpu_train.main() == 1
    result = json.loads(path.read_text())
    assert [row["channels_last"] for row in result["rows"]] == [False]
    assert len(result["kernels"]) == 10
    memory, images = result["failed"]
    assert memory["what"] == "training with channels last True, compiled False"
    assert memory["reason"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB."
    assert images["what"] == "training on images"
    assert "nowhere: no such folder" in images["reason"]
    assert "Traceback" not in capsys.readouterr().err
    assert "could not be measured: training with channels last True" in speed_tables.gpu_summary(result)


def test_a_device_short_of_memory_from_the_first_step_on_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def short_of_memory(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    path = tmp_path / "gpu_train.json"
    monkeypatch.setattr(gpu_train, "operations", short_of_memory)
    monkeypatch.setattr(gpu_train, "matrix_rate", short_of_memory)
    monkeypatch.setattr(sys, "argv", [*WORDS, "--no-compile", "--json", str(path)])
    assert gpu_train.main() == 1
    result = json.loads(path.read_text())
    assert [failure["what"] for failure in result["failed"]] == ["the rate of the matrices", "the operations of a step"]
    assert [row["share_of_rate"] for row in result["rows"]] == [None, None]
    assert all(row["images_per_s"] > 0 for row in result["rows"])
    assert "Traceback" not in capsys.readouterr().err
    assert "65×65 pixels, batches of 1" in speed_tables.gpu_summary(result)
    assert "share of the matrix rate" not in speed_tables.gpu_table(result), "a column without a number is left out"


def test_memory_is_given_back_before_another_process_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images: list[weakref.ref[torch.Tensor]] = []
    done: list[str] = []

    def made_up(_: Any) -> Any:
        batch = crowds(1, 1, (65, 65))
        images.append(weakref.ref(batch.images))
        return batch

    def on_images(_: Any) -> dict[str, Any]:
        done.append("on images")
        return {}

    def give_back(_: Any) -> None:
        done.append("give back" if images and images[0]() is not None else "give back all")

    monkeypatch.setattr(gpu_train, "made_up", made_up)
    monkeypatch.setattr(gpu_train, "matrix_rate", lambda *_: 1.0)
    monkeypatch.setattr(gpu_train, "operations", lambda *_: 1.0)
    monkeypatch.setattr(gpu_train, "measure", lambda *_: done.append("measure") or {"images_per_s": 1.0})
    monkeypatch.setattr(gpu_train, "kernels", lambda *_: done.append("kernels") or [])
    monkeypatch.setattr(gpu_train, "on_images", on_images)
    monkeypatch.setattr(gpu_train, "give_back", give_back)
    words = ["--no-compile", "--json", str(tmp_path / "a.json"), "--data-root", "COCO"]
    monkeypatch.setattr(sys, "argv", [*WORDS, *words])
    assert gpu_train.main() == 0
    assert done[1:] == [
        "give back", "measure", "give back", "measure", "give back", "kernels", "give back",
        "give back all", "on images", "give back all",
    ]  # fmt: skip


def test_a_device_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_train", "--device", "nonsense", "--json", str(tmp_path / "a.json")])
    with pytest.raises(SystemExit) as ended:
        gpu_train.main()
    assert ended.value.code == 2
    assert "device nonsense cannot be used" in capsys.readouterr().err


def test_a_step_has_what_the_result_says_that_it_has(result: dict) -> None:
    assert (result["step_has"], result["step_lacks"]) == (list(gpu_step.HAS), list(gpu_step.LACKS))
    assert "A step has the network, " in speed_tables.gpu_summary(result)
    batch = crowds(1, 1, (65, 65))
    step = gpu_step.Step(torch.device("cpu"), 50, channels_last=False, compiled=False)
    step(batch)
    assert int(step.averages.n_averaged) == 1
    momenta = [state["momentum_buffer"] for state in step.optimizer.state.values()]
    assert len(momenta) == sum(p.requires_grad for p in step.network.parameters())
    kept = dict(zip((name for name, _ in step.network.named_buffers()), step.kept, strict=True))
    assert kept, "batch norm has measured something"
    for name, buffer in step.network.named_buffers():
        assert kept[name] is not buffer
        torch.testing.assert_close(kept[name], buffer)


def test_a_step_that_is_not_finite_is_not_timed() -> None:
    step = gpu_step.Step(torch.device("cpu"), 50, channels_last=False, compiled=False)
    with torch.no_grad():
        next(p for p in step.network.parameters() if p.requires_grad).fill_(torch.nan)
    with pytest.raises(ValueError, match="the gradient is not finite"):
        step(crowds(1, 1, (65, 65)))
    assert int(step.averages.n_averaged) == 0


@pytest.mark.parametrize(("codes", "worst"), [((0, 0, 0, 0), 0), ((5, 1, 0, 0), 5), ((1, 0, 3, 1), 3)])
def test_the_script_measures_all_and_ends_with_the_worst_code(
    codes: tuple[int, ...], worst: int, tmp_path: Path
) -> None:
    python, asked = tmp_path / "python", tmp_path / "asked"
    cases = "\n".join(
        f"  *{what}*) exit {code};;"
        for what, code in zip(("pytest", "decode_gpu", "gpu_train", "report"), codes, strict=True)
    )
    python.write_text(f'#!/usr/bin/env bash\necho "$*" >> "{asked}"\ncase "$*" in\n{cases}\nesac\n')
    python.chmod(0o755)
    script = report.ROOT / "benchmarks" / "gpu.sh"
    done = subprocess.run([script], env={**os.environ, "PYTHON": str(python), "DATA": "some where"}, check=False)
    assert done.returncode == worst
    lines = asked.read_text().splitlines()
    assert len(lines) == 5, "the look for a GPU, and four commands"
    assert lines[3] == "-m benchmarks.gpu_train --data-root some where"


def test_a_kernel_counts_once_and_not_for_the_operation_that_launched_it() -> None:
    def event(number: int, name: str, device: DeviceType, start_us: float, end_us: float) -> FunctionEvent:
        made = FunctionEvent(
            number, name, 1, start_us, end_us, device_type=device, use_device="cuda", is_legacy=False, is_async=False
        )
        made.stack = []
        return made

    operation = event(1, "aten::cudnn_convolution", DeviceType.CPU, 0, 10)
    operation.append_kernel("xmma_fprop", 0, 900)
    kernels = [event(2, "xmma_fprop", DeviceType.CUDA, 20, 920), event(3, "add", DeviceType.CUDA, 930, 1230)]
    events = EventList([operation, *kernels], use_device="cuda")
    events._build_tree()
    assert gpu_train.slowest(events.key_averages(), on_gpu=True) == [
        {"kernel": "xmma_fprop", "calls": 0, "ms": 0.3, "share": 0.75},
        {"kernel": "add", "calls": 0, "ms": 0.1, "share": 0.25},
    ]


def test_operations_are_those_of_the_convolutions() -> None:
    # One convolution, forward; backward takes its weights and its input, which twice as many again are.
    convolution = torch.nn.Conv2d(3, 4, 3, padding=1)

    class Step:
        @staticmethod
        def loss(images: torch.Tensor) -> torch.Tensor:
            return convolution(images).sum()

    images = torch.zeros(2, 3, 8, 8, requires_grad=True)
    assert gpu_train.operations(Step(), images) == 3 * (2 * 2 * 8 * 8 * 4 * 3 * 3 * 3)  # type: ignore[arg-type]


def test_the_tables_tell_what_was_measured(result: dict) -> None:
    assert "ResNet-50, 65×65 pixels, batches of 1" in speed_tables.gpu_summary(result)
    real = {"images_per_s": 9.0, "wait_share": 0.02, "workers": 3, "step_ms": 100.0,
            "parts_ms": {"forward": 30.0, "wait": 2.0, "backward": 60.0}}  # fmt: skip
    told = speed_tables.gpu_summary(result | {"on_images": real})
    assert "2.0% of the time is spent waiting for data, and most of a step on backward (60%) and forward (30%)" in told
    table = speed_tables.gpu_table(result).splitlines()
    assert len(table) == 4
    assert table[-1].startswith("| no | yes | ")
    rows = [row | {"peak_bytes": 2**21} for row in result["rows"]]
    assert speed_tables.gpu_table(result | {"rows": rows}).endswith(" | 2 |")
    assert len(speed_tables.kernels_table(result).splitlines()) == 12
