"""Another skeleton from a small file goes through data, model, decoder and metric, and is named once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import Namespace
from omegaconf import OmegaConf

from personlab.cli.main import main
from personlab.cli.skeletons import share_skeleton
from personlab.experiments import RunDirectory
from personlab.skeleton import COCO, Skeleton
from personlab.weights.network_file import load_network

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["head", "left_hand", "right_hand", "left_foot", "right_foot"]
TAKEN = (0, 9, 10, 15, 16)
DOCS = ROOT / "docs" / "data.md"
"""Its example is the file."""


@pytest.fixture(scope="module")
def five(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The synthetic people with five keypoints, and their skeleton file."""
    root = Path(shutil.copytree(synthetic, tmp_path_factory.mktemp("five") / "set"))
    for path in (root / "annotations").glob("*.json"):
        content = json.loads(path.read_text())
        content["categories"][0] |= {"keypoints": NAMES, "skeleton": []}
        for row in content["annotations"]:
            row["keypoints"] = [v for k in TAKEN for v in row["keypoints"][3 * k : 3 * k + 3]]
            row["num_keypoints"] = sum(v > 0 for v in row["keypoints"][2::3])
        path.write_text(json.dumps(content))
    skeleton = root / "five.yaml"
    skeleton.write_text(DOCS.read_text(encoding="utf-8").split("```yaml\n# five.yaml\n")[1].split("```")[0])
    return root, skeleton


@pytest.fixture(scope="module")
def finished(five: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Two steps of the demo's recipe."""
    root, skeleton = five
    runs = tmp_path_factory.mktemp("runs")
    words = [f"--data.root={root}", f"--data.skeleton={skeleton}", f"--run.root={runs}", "--trainer.max_steps=2"]
    more = ["--data.batch_size=2", "--data.workers=0", "--data.val_images=2", "--trainer.val_check_interval=2"]
    further = ["--trainer.accelerator=cpu", "--run.wandb=off", "--data.view.init_args.crop_size=129"]
    mirrors = ["--data.view.init_args.flip_probability=0.5", "--contact_sheet.images=1"]
    sees_ghosts = ["--model.decoder.init_args.seed_threshold=0.0001"]  # so that two steps find somebody
    config = ["--config", str(ROOT / "configs/experiment/demo.yaml")]
    assert main(["fit", *config, *words, *more, *further, *mirrors, *sees_ghosts]) == 0
    return RunDirectory(next((runs / "demo").iterdir()))


def test_the_skeleton_named_once_is_that_of_every_part(finished: RunDirectory, five: tuple[Path, Path]) -> None:
    skeleton = Skeleton.from_file(five[1])
    config: Any = OmegaConf.load(finished.config)
    assert config.data.view.init_args.skeleton == config.data.skeleton == str(five[1])
    for part in (config.model.network.init_args, config.model.encoder, config.model.decoder.init_args):
        told = part.skeleton
        assert list(told.keypoint_names) == list(skeleton.keypoint_names)
        assert list(told.sigmas) == list(skeleton.sigmas)


def test_its_results_have_as_many_keypoints(finished: RunDirectory) -> None:
    report = json.loads((finished.path / "evaluation.json").read_text())
    assert report["images"] == 2
    results = json.loads(next(finished.predictions.glob("*-step*[0-9].json")).read_text())
    assert {len(row["keypoints"]) for row in results} == {15}


def test_validate_and_evaluate_take_it_from_config_and_weights(
    finished: RunDirectory, five: tuple[Path, Path], tmp_path: Path
) -> None:
    root, _ = five
    checkpoint = finished.checkpoints / "last.ckpt"
    words = ["--config", str(finished.config), "--run.root", str(tmp_path / "runs")]
    assert main(["validate", *words, "--ckpt_path", str(checkpoint)]) == 0
    weights, target = tmp_path / "five.safetensors", tmp_path / "scores.json"
    assert main(["weights", "extract", str(checkpoint), "-o", str(weights)]) == 0
    assert load_network(weights)[0].skeleton == Skeleton.from_file(five[1])
    command = ["evaluate", "--weights", str(weights), "--data.root", str(root), "--max_images", "2", "--size", "257"]
    assert main([*command, "--tta", "flip", "--json", str(target)]) == 0
    assert json.loads(target.read_text())["keypoints"].keys() >= {"AP", "AR"}


def test_true_fields_of_it_are_decoded_and_scored(five: tuple[Path, Path], tmp_path: Path) -> None:
    root, skeleton = five
    target = tmp_path / "oracle.json"
    command = ["oracle", "--data.root", str(root), "--data.skeleton", str(skeleton), "--stride", "8", "--scale", "2"]
    assert main([*command, "--json", str(target)]) == 0
    assert json.loads(target.read_text())["keypoints"]["AP"] > 0.9


def test_doctor_stats_and_browse_take_it(five: tuple[Path, Path], tmp_path: Path) -> None:
    root, skeleton = five
    target = tmp_path / "out.json"
    data = ["--data.root", str(root), "--data.skeleton", str(skeleton), "--json", str(target)]
    assert main(["data", "doctor", *data]) == 0
    assert json.loads(target.read_text())["skeleton"] == "five"
    assert main(["data", "doctor", *data[:2]]) == 1, "without the file, 5 keypoints are not COCO's"
    assert main(["data", "stats", *data]) == 0
    assert list(json.loads(target.read_text())["splits"]["val2017"]["keypoints"]) == NAMES
    picture = tmp_path / "sheet.png"
    assert main(["data", "browse", *data, "-o", str(picture), "--count", "2", "--data.view.crop_size", "129"]) == 0
    assert picture.stat().st_size > 1000


def test_a_part_with_a_skeleton_of_its_own_keeps_it(five: tuple[Path, Path]) -> None:
    own = Namespace(name="own", keypoint_names=["a"], edges=[], sigmas=[0.1])
    config = Namespace(
        data=Namespace(skeleton=str(five[1]), view=Namespace(class_path="x", init_args=Namespace(skeleton="b.yaml"))),
        model=Namespace(network=Namespace(init_args=Namespace(skeleton=COCO)), encoder=Namespace(skeleton=own)),
    )
    share_skeleton(config)
    assert config.data.view.init_args.skeleton == "b.yaml"
    assert config.model.encoder.skeleton == own
    assert config.model.network.init_args.skeleton.name == "five"
