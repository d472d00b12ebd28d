"""Every planted fault is found by its code, a sound data set has none, and what the reader refuses is an error."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from personlab.cli.main import main
from personlab.data.coco import read_annotations
from personlab.data.doctor import CODES, Findings, examine, examine_annotations
from personlab.data.doctor.duplicates import similar
from personlab.data.doctor.jpeg import damage
from personlab.data.doctor.sides import mirrored_faces, pair_agreement
from personlab.errors import InputError
from personlab.skeleton import COCO
from tests.data.doctor.plants import FILE, PLANTS, STATISTICAL, TRAIN, VAL, Set
from tests.data.test_coco_reading import BAD
from tests.data.tiny_coco import document, person, write_json

NOT_PLANTED = {"file-missing", "file-broken", "refused", "skeleton-broken"}
"""Tested one by one."""


def _codes(findings: Findings, split: str | None = TRAIN) -> set[str]:
    return {f.code for f in findings if split is None or f.split == split}


def _examine(root: Path) -> Findings:
    return examine(root, (TRAIN, VAL))[0]


@pytest.fixture
def sound(synthetic: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(synthetic, tmp_path / "set"))


def test_a_sound_data_set_has_no_errors_and_no_warnings(synthetic: Path) -> None:
    findings, counts = examine(synthetic, (TRAIN, VAL))
    assert [f for f in findings if f.level != "info"] == []
    assert (counts[TRAIN]["images"], counts[VAL]["decoded"]) == (12, 5)


def test_every_code_is_planted() -> None:
    planted = {code for code, _ in (PLANTS | STATISTICAL).values()}
    assert planted | NOT_PLANTED == CODES.keys()
    assert not planted & NOT_PLANTED
    assert len(PLANTS) >= 25


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found_in_the_synthetic_set(sound: Path, name: str) -> None:
    code, plant = PLANTS[name]
    before = [f.as_json() for f in _examine(sound)]
    content = Set.read(sound)
    plant(content)
    content.write()
    findings = _examine(sound)
    new = [f for f in findings if f.as_json() not in before]
    assert code in {f.code for f in new}, [f.as_json() for f in new]
    assert "refused" not in _codes(findings, None), "the reader refuses what no check names"
    assert all(f.split in (TRAIN, VAL) for f in new)


def test_all_faults_are_told_and_not_the_first_alone(sound: Path) -> None:
    content = Set.read(sound)
    together = ("area 0", "visibility 3", "no box", "two points", "16 sigmas", "edge to nowhere")
    for name in together:
        PLANTS[name][1](content)
    content.write()
    assert {PLANTS[name][0] for name in together} <= _codes(_examine(sound))


@pytest.mark.parametrize("name", BAD)
def test_what_the_reader_refuses_is_an_error(tmp_path: Path, name: str) -> None:
    path = write_json(tmp_path / "bad.json", BAD[name][0])
    with pytest.raises(InputError):
        read_annotations(path)
    findings, _ = examine_annotations(path)
    assert findings.errors()
    assert "refused" not in _codes(findings, None)


WEIRD = [
    None, True, False, 0, 1, -1, 3, 0.5, -2.5, 10**30, 10**400, float("nan"), float("inf"), "", "x", "7", [], [1], [[]],
    [[1, 2, 3]], [1, [2]], {}, {"a": 1}, [None], [None] * 51, [[1.0] * 6], [[2, 2, 2, 2, 2, float("nan")]],
    [0, 0, 9, 9], [1, 2, 2] * 17,
    {"size": [20, 30], "counts": [600]}, {"size": [20, 30], "counts": "0"}, {"size": [20, 30]}, [True] * 51,
]  # fmt: skip


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    return [path] * bool(path) + [leaf for key, part in below for leaf in _leaves(part, (*path, key))]


def _document() -> dict[str, Any]:
    code = {"size": [20, 30], "counts": [100, 400, 100]}
    people = [person(1, 10, (1, 1, 15, 17)), person(2, 10, (3, 3, 9, 9)), person(3, 11, (0, 0, 9, 9), iscrowd=1)]
    people[2] |= {"segmentation": code, "keypoints": [0] * 51, "num_keypoints": 0}
    return document([(20, 30), (20, 30)], people)


def _refusal(file: Path) -> str:
    """What the reader says against a file; nothing if it reads it."""
    try:
        read_annotations(file)
    except InputError as error:
        return str(error)
    return ""


def test_whatever_stands_in_a_field_the_doctor_and_the_reader_agree(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    leaves = _leaves(_document())
    refused = 0
    for _ in range(600):
        content: Any = _document()
        path = leaves[generator.integers(len(leaves))]
        part = content
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = WEIRD[generator.integers(len(WEIRD))]
        file = write_json(tmp_path / "a.json", content)
        findings, _ = examine_annotations(file)
        if error := _refusal(file):
            refused += 1
            assert findings.errors("training"), (path, part[path[-1]], error)
            assert "refused" not in _codes(findings, None), (path, part[path[-1]], error)
        json.dumps([f.as_json() for f in findings], allow_nan=False)
    assert 200 < refused < 590


def test_files_that_are_missing_or_cut_short(tmp_path: Path) -> None:
    assert _codes(examine_annotations(tmp_path / "none.json")[0], None) == {"file-missing"}
    path = write_json(tmp_path / "a.json", document([(20, 30)], []))
    path.write_bytes(path.read_bytes()[:-9])
    assert _codes(examine_annotations(path)[0], None) == {"file-broken"}
    assert _codes(examine_annotations(tmp_path)[0], None) == {"file-broken"}


def test_the_reader_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise InputError(f"{path}: something new")

    monkeypatch.setattr("personlab.data.doctor.examination.read_annotations", refuse)
    path = write_json(tmp_path / "a.json", document([(20, 30)], [person(1, 10, (1, 1, 9, 9))]))
    findings = examine_annotations(path)[0]
    assert [f.what for f in findings if f.code == "refused"] == ["something new"]


def _people(count: int, seed: int, facing_away: float = 0.3) -> np.ndarray:
    """Random people with all keypoints, turned to the camera or away, legs now and then crossed."""
    generator = np.random.default_rng(seed)
    people = np.full((count, 17, 3), 2.0)
    for p in people:
        side = 1 if generator.random() > facing_away else -1
        p[0, :2] = 0, 10
        for n, left in enumerate(range(1, 17, 2)):
            half = side * generator.uniform(5, 20) * (-1 if generator.random() < 0.02 * n else 1)
            p[left, :2], p[left + 1, :2] = (half, 20.0 * n), (-half, 20.0 * n)
        p[1:5, 2] = 2 if side > 0 else 0
    return people


def test_sides_are_told_apart_by_the_other_pairs() -> None:
    people = _people(60, 0)
    for name, share, count in pair_agreement(people, COCO):
        assert share > 0.7, name
        assert count > 20
    swapped = people.copy()
    swapped[:, [13, 14]] = swapped[:, [14, 13]]
    shares = {name: share for name, share, _ in pair_agreement(swapped, COCO)}
    assert shares["knee"] < 0.3
    assert min(share for name, share in shares.items() if name != "knee") > 0.6


def test_faces_tell_left_from_right_however_they_are_tilted() -> None:
    face = np.array([[0.0, 6, 2], [5, 0, 2], [-5, 0, 2]])  # y points down: the nose is below the eyes
    people = np.zeros((12, 17, 3))
    for n in range(12):
        turn = np.array([[np.cos(n), -np.sin(n)], [np.sin(n), np.cos(n)]])
        people[n, :3] = np.c_[face[:, :2] @ turn.T, face[:, 2]]
    mirrored, faces = mirrored_faces(people, COCO)
    assert faces.all()
    assert not mirrored.any()
    people[:, [1, 2]] = people[:, [2, 1]]
    assert mirrored_faces(people, COCO)[0].all()
    people[:, 1, 2] = 1
    assert not mirrored_faces(people, COCO)[1].any(), "hidden eyes may be seen from behind"


def test_looks_are_compared_by_pairs_of_images() -> None:
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 255, (16, 16)).astype(np.uint8) for _ in range(40)]
    assert list(similar(images)) == []
    again = np.clip(images[7].astype(int) + generator.integers(-1, 2, (16, 16)), 0, 255).astype(np.uint8)
    assert list(similar([*images, again])) == [(7, 40)]


@pytest.mark.parametrize("flags", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]])
def test_sound_jpegs_of_all_kinds_are_sound_and_foreign_bytes_betray_themselves(flags: list[int]) -> None:
    generator = np.random.default_rng(0)
    image = cv2.resize(generator.integers(0, 255, (30, 40, 3)).astype(np.uint8), (400, 300))
    data = cv2.imencode(".jpg", image, flags)[1].tobytes()
    assert damage(data) is None
    assert damage(data + b"appended") is None
    assert damage(b"\x89PNG" + data) is None
    middle = len(data) // 2
    found = [damage(data[:middle] + generator.bytes(2000) + data[middle + 2000 :]) is not None for _ in range(20)]
    assert sum(found) >= 18


def test_images_behind_links_are_there(sound: Path) -> None:
    content = Set.read(sound)
    (sound / "elsewhere").mkdir()
    for image in content.train["images"][:3]:
        (sound / TRAIN / image["file_name"]).rename(sound / "elsewhere" / image["file_name"])
        image["file_name"] = f"linked/{image['file_name']}"
    (sound / TRAIN / "linked").symlink_to(sound / "elsewhere")
    content.write()
    assert [f for f in _examine(sound) if f.level != "info"] == []


def test_ten_thousand_equal_findings_are_one_line() -> None:
    findings = Findings("train2017", "a.json")
    for n in range(10_000):
        findings.add("area-zero", "area 0", image=n, annotation=n)
    (group,) = findings.groups()
    line = group.line()
    assert "10000 times" in line
    assert len(line) < 300
    assert "annotation 0, image 0" in line
    assert CODES["area-zero"].mend in line


def test_the_command_tells_json_and_ends_with_0_or_1_or_2(sound: Path, tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "out.json"
    words = ["data", "doctor", "--data.root", str(sound), "--json", str(target)]
    assert main(words) == 0
    assert json.loads(target.read_text())["errors"] == 0
    content = Set.read(sound)
    content.person["area"] = 0
    content.write()
    shutil.rmtree(sound / VAL)
    capsys.readouterr()
    assert main([*words, "--splits", TRAIN]) == 1
    told = json.loads(target.read_text())
    (finding,) = [f for f in told["findings"] if f["level"] == "error"]
    assert finding["code"] == "area-zero"
    assert finding["annotation_id"] == content.person["id"]
    assert finding["mend"]
    assert finding["file"].endswith(FILE.format(TRAIN))
    assert "error: area-zero: train2017: annotation" in capsys.readouterr().err
    assert main([*words, "--splits", f"{TRAIN},{VAL}", "--images", "false"]) == 1
    told = json.loads(target.read_text())
    assert "folder-missing" in {f["code"] for f in told["findings"]}
    assert told["splits"][TRAIN]["decoded"] == 0
    assert main([*words, "--splits", ","]) == 2
    assert main(["data", "doctor", "--data.root", str(tmp_path / "none")]) == 2
    assert main([*words, "--data.annotations", "none/{split}.json"]) == 2
    assert main([*words, "--data.skeleton", str(tmp_path / "none.yaml")]) == 2


def test_a_broken_skeleton_is_a_finding(sound: Path, tmp_path: Path) -> None:
    skeleton, target = tmp_path / "two.yaml", tmp_path / "out.json"
    lines = ["name: two", "keypoints: [left_end, right_end]", "edges: [[left_end, right_end]]", "sigmas: [0.1]"]
    skeleton.write_text("\n".join(lines))
    words = ["data", "doctor", "--data.root", str(sound), "--json", str(target), "--data.skeleton", str(skeleton)]
    assert main(words) == 1
    (finding,) = [f for f in json.loads(target.read_text())["findings"] if f["level"] == "error"]
    assert finding["code"] == "skeleton-broken"
    assert "2 positive sigmas" in finding["what"]


def _part_of_coco(shared: Path, target: Path, train: int, val: int) -> Path:
    """Copies of the first images with people of coco-sample."""
    source = shared / "data/coco-sample"
    for split, count in ((TRAIN, train), (VAL, val)):
        content = json.loads((source / FILE.format(split)).read_text())
        with_people = {a["image_id"] for a in content["annotations"] if a["num_keypoints"]}
        content["images"] = [i for i in content["images"] if i["id"] in with_people][:count]
        ids = {i["id"] for i in content["images"]}
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] in ids]
        write_json(target / FILE.format(split), content)
        (target / split).mkdir()
        for image in content["images"]:
            shutil.copy(source / split / image["file_name"], target / split)
    return target


@pytest.fixture(scope="module")
def coco_part(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _part_of_coco(shared, tmp_path_factory.mktemp("coco"), 60, 10)


@pytest.mark.coco
@pytest.mark.parametrize("name", [*PLANTS, *STATISTICAL])
def test_a_planted_fault_is_found_in_coco(coco_part: Path, tmp_path: Path, name: str) -> None:
    code, plant = (PLANTS | STATISTICAL)[name]
    content = Set.read(Path(shutil.copytree(coco_part, tmp_path / "set")))
    plant(content)
    content.write()
    findings = _examine(content.root)
    assert code in _codes(findings, None)
    assert "refused" not in _codes(findings, None)
    if name in STATISTICAL and code != "coordinates-normalised":
        systematic = {c for c, _ in STATISTICAL.values()}
        assert _codes(findings, None) & systematic == {code}


@pytest.mark.coco
def test_the_coco_sample_has_no_error_and_is_done_in_half_a_minute(shared: Path) -> None:
    started = time.perf_counter()
    findings, counts = examine(shared / "data/coco-sample", (TRAIN, VAL))
    assert time.perf_counter() - started < 30
    assert sum(c["decoded"] for c in counts.values()) == 1098
    assert [f.as_json() for f in findings if f.level != "info"] == []
