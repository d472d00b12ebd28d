"""`personlab predict` given what it should never be given: every good image done, the rest told, nothing else said."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from personlab.cli.main import main
from personlab.data.images import read_image
from tests.cli import hostile

_TOLERANCE = 10
"""Of colours, after a JPEG or two."""


_PROGRAM = """
import pathlib, sys
from personlab.cli.main import main
code = main(sys.argv[1:])
status = pathlib.Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
print(*(line.split()[1] for line in lines if line.startswith("VmHWM")))
sys.exit(code)
"""


def _start(words: Sequence[str | Path], **options: object) -> subprocess.Popen[str]:
    """The program in a process of its own, so that what C libraries write is seen; its output is its peak of memory."""
    command = [sys.executable, "-c", _PROGRAM, "predict", "--size", "129", *map(str, words)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload]


def _corners(image: np.ndarray) -> list[np.ndarray]:
    height, width = image.shape[:2]
    return [image[y, x] for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]


def _check_corners(image: np.ndarray, corners: tuple, name: str) -> None:
    for seen, wanted in zip(_corners(image), corners, strict=True):
        if wanted is not None:
            assert np.abs(seen.astype(int) - wanted).max() <= _TOLERANCE, (name, seen, wanted)


def test_every_kind_of_image_has_its_colours_and_stands_upright(tmp_path) -> None:
    good = hostile.make_good(tmp_path)
    assert len(good) > 60
    for name, corners in good.items():
        image = read_image(tmp_path / name, upright=True)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        _check_corners(image, corners, name)


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory):
    """A run over a folder of everything, once for all tests: code, terminal, peak of memory in KiB."""
    root = tmp_path_factory.mktemp("hostile")
    folder = root / "folder"
    folder.mkdir()
    good, bad = hostile.make_good(folder), hostile.make_bad(folder)
    pixels = cv2.resize(hostile.quarters(), (8000, 6000), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(folder / "eight_thousand.jpg"), pixels[..., ::-1])
    good["eight_thousand.jpg"] = hostile.CORNERS
    hostile.film(folder / "walk.avi", 6)
    process = _start([folder, "-o", root / "out", "--json", root / "summary.json"])
    peak_kib, told = process.communicate(timeout=300)
    return root, good, bad, process.returncode, told, peak_kib.strip()


def test_good_images_are_done_and_the_rest_is_told_in_one_line_each(hostile_run) -> None:
    root, good, bad, code, told, _ = hostile_run
    assert len(good) + len(bad) > 100
    assert code == 1
    summary = json.loads((root / "summary.json").read_text())
    done = {str(Path(row["file_name"]).relative_to(root / "folder")) for row in summary["images"] if "frame" not in row}
    assert done == set(good)
    problems = {str(Path(row["file"]).relative_to(root / "folder")): row["problem"] for row in summary["skipped"]}
    assert set(problems) == set(bad)
    for name, problem in problems.items():
        assert re.search(bad[name], problem), (name, problem)
        assert problem.isprintable()
    assert json.loads((root / "out" / "skipped.json").read_text()) == summary["skipped"]
    lines = told.splitlines()  # nothing else is said: no traceback, and no word of any library
    assert lines[: len(problems)] == [f"skipped: {row['problem']}" for row in summary["skipped"]]
    assert re.match(rf"{len(good) + 6} images, \d+ people, {len(bad)} skipped; milliseconds an image: ", lines[-2])
    assert lines[-1].startswith("results: ")
    assert len(lines) == len(problems) + 2
    for stage in ("read", "network", "decode", "draw", "write"):
        assert f"{stage} " in lines[-2]


def test_pictures_of_odd_images_are_right(hostile_run) -> None:
    root, good, *_ = hostile_run
    rows = [row for row in json.loads((root / "out" / "images.json").read_text()) if "frame" not in row]
    assert len({row["picture"].casefold() for row in rows}) == len(rows) == len(good)
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        name = str(Path(row["file_name"]).relative_to(root / "folder"))
        drawn = read_image(root / "out" / row["picture"])
        assert drawn.shape == (row["height"], row["width"], 3)
        if row["people"] == 0:
            _check_corners(drawn, good[name], name)
    film = cv2.VideoCapture(str(root / "out" / "pictures" / "walk.mp4"))
    assert (film.get(cv2.CAP_PROP_FRAME_COUNT), film.get(cv2.CAP_PROP_FPS)) == (6, 10)
    unfinished = [path for path in (root / "out").rglob("*") if ".part" in path.name]
    assert not unfinished


def test_memory_stays_bounded(hostile_run) -> None:
    if not hostile_run[-1]:
        pytest.skip("this system does not tell how much memory a process has had")
    assert int(hostile_run[-1]) < 1500 * 2**10  # 8000x6000 pixels are 137 MiB; network and libraries take 500 MiB


def _listen_to_interruptions() -> None:
    """What is started in the background by a shell ignores Ctrl-C, and so does all that it starts in turn."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interruption_keeps_what_was_done(synthetic, tmp_path) -> None:
    pictures = sorted((synthetic / "val2017").iterdir())
    for number in range(1000):
        (tmp_path / "many" / f"{number}.jpg").parent.mkdir(exist_ok=True)
        (tmp_path / "many" / f"{number}.jpg").symlink_to(pictures[number % 5])
    words = [tmp_path / "many", "-o", tmp_path / "out", "--json", tmp_path / "summary.json"]
    process = _start(words, preexec_fn=_listen_to_interruptions)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out" / "pictures").glob("*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
    rows = json.loads((tmp_path / "out" / "images.json").read_text())
    assert 0 < len(rows) < 1000
    assert told.splitlines()[-1] == f"personlab: error: interrupted; {len(rows)} images were done before"
    people = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(people) == sum(row["people"] for row in rows)
    assert {person["image_id"] for person in people} <= {row["id"] for row in rows}
    assert len(json.loads((tmp_path / "summary.json").read_text())["images"]) == len(rows)


def test_a_full_disk_ends_in_one_line_and_leaves_nothing_half_written(synthetic, tmp_path) -> None:
    def allow_4_kib() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    process = _start([synthetic / "val2017", "-o", tmp_path / "out"], preexec_fn=allow_4_kib)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 2
    errors = [line for line in told.splitlines() if not re.match(r"\d images, |results: ", line)]
    assert len(errors) == 1
    assert "cannot be written (File too large)" in errors[0]
    for path in (tmp_path / "out").rglob("*.*"):
        assert path.stat().st_size < 4096, path


@pytest.mark.parametrize("output", ["file", "file/below"])
def test_an_output_that_cannot_be_written_is_told_before_the_work(synthetic, tmp_path, capsys, output) -> None:
    (tmp_path / "file").write_text("x")
    assert main(["predict", str(synthetic / "val2017"), "-o", str(tmp_path / output)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "give another --output" in told[0]


def test_results_are_no_input_and_pictures_never_replace_it(synthetic, tmp_path, capsys) -> None:
    (tmp_path / "a.jpg").symlink_to(sorted((synthetic / "val2017").iterdir())[0])
    for _ in range(2):  # the second run finds the first one's results in the folder it searches
        command = ["predict", str(tmp_path), "--size", "129", "-o", str(tmp_path / "out")]
        assert main([*command, "--json", str(tmp_path.with_suffix(".json"))]) == 0
        assert len(json.loads(tmp_path.with_suffix(".json").read_text())["images"]) == 1
    before = (tmp_path / "out" / "pictures" / "a.jpg").read_bytes()
    assert main(["predict", str(tmp_path / "out" / "pictures"), "-o", str(tmp_path / "out")]) == 2
    assert "give another --output" in capsys.readouterr().err
    assert (tmp_path / "out" / "pictures" / "a.jpg").read_bytes() == before


def test_the_list_of_an_earlier_run_does_not_stay(synthetic, tmp_path) -> None:
    (tmp_path / "bad.jpg").write_text("x")
    good = str(sorted((synthetic / "val2017").iterdir())[0])
    command = ["predict", "--size", "129", "-o", str(tmp_path / "out"), "--draw", "false", good]
    assert main([*command, str(tmp_path / "bad.jpg")]) == 1
    assert (tmp_path / "out" / "skipped.json").is_file()
    assert main(command) == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["images.json", "results.json"]


def test_help_tells_the_exit_codes(capsys) -> None:
    assert main(["predict", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert all(text in told for text in ("with 0 if", "1 if files were skipped", "2 after bad options", "130 after"))
