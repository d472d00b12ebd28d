"""Study files: what they come to, and one clear line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from personlab.errors import InputError
from personlab.experiments.ablation.study import read_study

ROOT = Path(__file__).resolve().parents[3]
TRAINS = {
    "name": "steps", "base": "recipe.yaml", "seeds": [3, 4],
    "factors": [
        {"name": "refinement", "levels": [{"name": 0, "overlay": "zero.yaml"}, {"name": 1, "set": {"a.b": 1}}]},
        {"name": "stride", "levels": [{"name": 8, "set": {"c": 8}}]},
    ],
}  # fmt: skip
DECODES = {
    "name": "d", "fields": "cached", "weights": "embedded", "size": 257,
    "factors": [{"name": "scores", "levels": [{"name": "plain", "decoder": {"soft_nms": False}}]}],
}  # fmt: skip


@pytest.fixture
def write(tmp_path: Path):
    for name in ("recipe.yaml", "zero.yaml"):
        (tmp_path / name).write_text("{}\n")

    def write(content: object) -> Path:
        path = tmp_path / "study.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


def test_one_factor_at_a_time(write, tmp_path) -> None:
    study = read_study(write(TRAINS | {"baseline": "two", "budget": {"max_hours": 2}}))
    assert [cell.name for cell in study.cells()] == ["two", "refinement: 0", "refinement: 1", "stride: 8"]
    assert (study.seeds, study.budget.max_hours, study.base) == ((3, 4), 2, tmp_path / "recipe.yaml")
    assert study.cells()[1].levels[0].overlay == tmp_path / "zero.yaml"


def test_names_are_of_one_line(write) -> None:
    levels = [{"name": "a\nb", "set": {"x": 1}}]
    study = read_study(write(TRAINS | {"factors": [{"name": "f\n g", "levels": levels}]}))
    assert [cell.name for cell in study.cells()] == ["baseline", "f g: a b"]


def test_all_combinations(write) -> None:
    names = [cell.name for cell in read_study(write(TRAINS | {"design": "full"})).cells()]
    assert names == [
        "baseline", "stride: 8", "refinement: 0", "refinement: 0, stride: 8", "refinement: 1",
        "refinement: 1, stride: 8",
    ]  # fmt: skip


def test_a_study_that_only_decodes(write) -> None:
    study = read_study(write(DECODES | {"rules": "paper"}))
    assert (study.weights, study.settings, study.seeds) == ("embedded", {"rules": "paper", "size": 257}, ())
    assert study.cells()[1].levels[0].settings == {"decoder": {"soft_nms": False}}


@pytest.mark.parametrize("name", ["quickstart", "decoder"])
def test_the_studies_of_the_project_are_read(name) -> None:
    assert read_study(ROOT / "configs" / "ablation" / f"{name}.yaml").name == name


LEVEL = {"name": 0, "set": {"a": 1}}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[1", "is no YAML"),
        ([1], "must be a mapping"),
        (TRAINS | {"name": "../x"}, "name is '../x'"),
        (TRAINS | {"seed": 1}, "a study has no 'seed'; it has name"),
        (TRAINS | {"seeds": [0, 0]}, "seeds is [0, 0]"),
        (TRAINS | {"seeds": 1}, "seeds is 1"),
        (TRAINS | {"seeds": [2**32]}, "give different whole numbers below 2^32"),
        (TRAINS | {"name": "n" * 65}, "give up to 64 letters"),
        (TRAINS | {"base": "n" * 300}, "which is neither beside the study"),
        (TRAINS | {"set": {"seed_everything": 7}}, "set: seed_everything is the study's to give"),
        (TRAINS | {"factors": [{"name": "x", "levels": [{"name": 0, "set": {"run.name": "a"}}]}]}, "run.name is the"),
        (TRAINS | {"base": "none.yaml"}, "base names none.yaml"),
        ({k: v for k, v in TRAINS.items() if k != "base"}, "base is missing"),
        (TRAINS | {"design": "grid"}, "use one_at_a_time or full"),
        (TRAINS | {"factors": []}, "factors is no list"),
        (TRAINS | {"factors": [{"name": "x", "levels": [LEVEL, LEVEL]}]}, "'x: 0' is there twice"),
        (TRAINS | {"factors": [{"name": "x", "levels": [{"name": 0}]}]}, "level 0 of x changes nothing"),
        (TRAINS | {"factors": [{"name": "x", "levels": [{"name": 0, "rules": "tfjs"}]}]}, "has no 'rules'"),
        (TRAINS | {"factors": [{"name": "x", "levels": [{"set": {"a": 1}}]}]}, "a level of x has no name"),
        (TRAINS | {"budget": {"max_hours": 0}}, "budget.max_hours is 0; give a positive number"),
        (TRAINS | {"budget": {"hours": 1}}, "a budget has no 'hours'"),
        (DECODES | {"fields": "fresh"}, "needs both fields: cached and weights"),
        (DECODES | {"max_images": 0}, "max_images is 0"),
        (DECODES | {"seeds": [0]}, "a decoder-only study has no 'seeds'"),
        (DECODES | {"only_with_keypoints": "yes please"}, "only_with_keypoints is 'yes please'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line(write, content, told) -> None:
    path = write(content)
    with pytest.raises(InputError) as refused:
        read_study(path)
    assert told in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_told(tmp_path) -> None:
    with pytest.raises(InputError, match="cannot read the study"):
        read_study(tmp_path / "none.yaml")
