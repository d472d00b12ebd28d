"""The command line: exit codes, and one clear line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from personlab.cli.configs import expand_configs
from personlab.cli.main import COMMANDS, main
from personlab.errors import InputError
from personlab.weights import load_weights, save_weights
from personlab.weights.network_file import embedded_path
from tests.data.tiny_coco import write_root

ROOT = Path(__file__).resolve().parents[2]
TRAINER = ("fit", "validate", "test")
DEMO = str(ROOT / "configs/experiment/demo.yaml")
SAMPLE = str(ROOT / "configs/experiment/coco_sample.yaml")
FIT = ["fit", "--config", DEMO, "--data.root", "."]


def refused(capsys: pytest.CaptureFixture[str], words: list[str], code: int = 2) -> str:
    """The one line that a refused command prints."""
    assert main(words) == code
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("personlab: error: ")]
    assert len(told) == 1, captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    return told[0]


def test_without_a_command_the_commands_are_listed(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in COMMANDS)


def test_a_misspelt_command_names_the_nearest(capsys):
    assert "did you mean 'oracle'?" in refused(capsys, ["oracel"])


@pytest.mark.parametrize(("group", "command"), [("data", "synth"), ("weights", "extract")])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_a_group_lists_its_commands(capsys, group, command, option):
    assert main([group, option]) == 0
    assert f"personlab {group} {command}" in capsys.readouterr().out
    assert main([group, command, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data", "snyth"], "did you mean 'synth'?"),
        (["oracle", "--data.root", "x", "--strid", "8"], "did you mean '--stride'?"),
        (["data", "synth", "x", "--sede=3"], "did you mean '--seed'? (personlab data synth --help"),
        (["oracle", "--data.root", "x", "--nothing_like_it", "8"], "--nothing_like_it 8 (personlab oracle --help"),
        ([*FIT, "--trainer.max_step=4"], "did you mean '--trainer.max_steps'?"),
        ([*FIT, "--model.decoder.init_args.score_thresold", "3"], "did you mean 'score_threshold'?"),
    ],
)
def test_misspelt_names_bring_the_nearest(capsys, words, told):
    assert told in refused(capsys, words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--trainer.precision", "8"], "error: trainer.precision: '8' is none of 64, 32, 16, transformer-engine, "),
        (["--trainer.limit_val_batches", "many"], "trainer.limit_val_batches: 'many' is none of "),
        (["--trainer.max_steps", "abc"], "error: trainer.max_steps: expected int, got abc "),
        (["--trainer.logger", "foo"], "trainer.logger: 'foo' is none of Logger, Iterable[Logger], bool, null "),
        (["--trainer.callbacks", "os.system"], "trainer.callbacks: 'os.system' is not allowed; name a class of "),
        (
            ["--trainer.callbacks", "[{class_path: lightning.pytorch.callbacks.EarlyStopping}]"],
            "the following arguments are required: monitor",
        ),
    ],
)
def test_wrong_values_are_told_readably(capsys, words, told):
    line = refused(capsys, [*FIT, *words])
    assert told in line
    assert len(line) < 400
    assert "<class" not in line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["oracle", "--data.root", "nowhere"], "nowhere"),
        (["oracle", "--data.root", "x", "--strid", "8"], "--strid"),
        (["oracle", "--data.root", "x", "--stride", "eight"], "stride"),
        (["oracle"], "data.root"),
        (["data"], "synth"),
        (["weights", "extract", "nowhere.ckpt", "-o", "x.safetensors"], "nowhere.ckpt"),
        (["fit", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["fit", "--config", DEMO, "--data.root", "nowhere"], "nowhere"),
        (["fit", "--config", DEMO, "--model.strid", "4"], "model.strid"),
        (["fit", "--config", DEMO, "--trainer.max_step", "4"], "max_step"),
        (["fit", "--config", DEMO, "--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt"),
        (["fit", "--config", DEMO, "--ckpt_path", "last"], "checkpoints/last.ckpt"),
        (["validate", "--config", DEMO, "--ckpt_path", "best"], "checkpoints/last.ckpt"),
        (["test", "--config", DEMO, "--ckpt_path", "registry:a:version:1"], "checkpoints/last.ckpt"),
        (["validate", "--config", DEMO], "no weights to score"),
        (["test", "--config", DEMO], "no weights to score"),
        (["validate", "--config", DEMO, "--model.initial_weights", "{half}"], "first heads."),
        (["fit", "--config", DEMO, "--trainer.val_check_interval", "1000"], "--trainer.max_steps 2000"),
        (["fit", "--config", DEMO, "--run.wandb", "sometimes"], "sometimes"),
        (["fit", "--config", DEMO, "--run.name", "../elsewhere"], "--run.name '../elsewhere': give the name of one"),
        (["fit", "--config", SAMPLE, "--model.initial_weights", "null"], "batch norm is frozen"),
        (["fit", "--config", DEMO, "--model.encoder.disk_radius_px", "20"], "disk_radius_px"),
        (["fit", "--config", DEMO, "--model.initial_weights", "nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_bad_usage_is_told_in_one_line_with_exit_code_2(capsys, tmp_path, monkeypatch, words, told):
    if words[0] in TRAINER and "--data.root" not in words:
        words = [*words, "--data.root", str(write_root(tmp_path / "coco"))]
    if words[0] in TRAINER:
        words = [*words, "--run.root", str(tmp_path)]
    if "{half}" in words:
        state, _ = load_weights(embedded_path())
        half = tmp_path / "half.safetensors"
        save_weights(half, {name: t for name, t in state.items() if name.startswith("backbone.")})
        words[words.index("{half}")] = str(half)
    assert told in refused(capsys, words)
    runs = [path for name in ("demo", "coco_sample", "personlab") for path in (tmp_path / name).glob("*")]
    assert all((path / "run.json").is_file() for path in runs), "a directory without a card"


def test_an_unwritable_run_directory_is_told(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    root = str(write_root(tmp_path / "coco"))
    words = ["fit", "--config", DEMO, "--data.root", root, "--data.batch_size", "2"]
    line = refused(capsys, [*words, "--run.root", str(tmp_path / "file")])
    assert "--run.root" in line


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not JSON"),
        ('{"images": []}', "annotations"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}', "image"),
        (
            '{"images": [{"id": 1, "file_name": "a.jpg", "height": 9, "width": 9}], "annotations": [], '
            '"categories": [{"id": 1, "name": "dog"}]}',
            "person",
        ),
    ],
)
def test_bad_annotation_files_name_the_file(capsys, tmp_path, content, told):
    (tmp_path / "annotations").mkdir()
    path = tmp_path / "annotations" / "person_keypoints_val2017.json"
    path.write_text(content)
    line = refused(capsys, ["oracle", "--data.root", str(tmp_path)])
    assert str(path) in line
    assert told in line


def test_results_go_where_json_says(capsys, tmp_path):
    assert (
        main(["data", "synth", str(tmp_path / "set"), "--train_images", "2", "--val_images", "2", "--json", "-"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["val2017"]["images"] == 2
    target = tmp_path / "oracle.json"
    assert main(["oracle", "--data.root", str(tmp_path / "set"), "--json", str(target)]) == 0
    report = json.loads(target.read_text())
    assert report["images"] == 2
    assert report["keypoints"]["AP"] > 0.9
    assert "oracle.json/x.json" in refused(
        capsys, ["oracle", "--data.root", str(tmp_path / "set"), "--json", str(target / "x.json")]
    )


def test_a_flag_needs_no_value(capsys, tmp_path):
    words = ["data", "synth", str(tmp_path / "set"), "--train_images", "1", "--val_images", "1"]
    assert main(words) == 0
    assert "seed" in refused(capsys, [*words, "--seed", "1"])
    assert main([*words, "--seed", "1", "--overwrite"]) == 0


def test_configs_are_merged_after_those_they_build_on(tmp_path):
    (tmp_path / "a.yaml").write_text("x: 1\n")
    (tmp_path / "b.yaml").write_text("base: [a.yaml]\ny: 2\n")
    (tmp_path / "c.yaml").write_text("base: [a.yaml, b.yaml]\n")
    words = expand_configs(["fit", "--config", str(tmp_path / "c.yaml"), "--z", "3"])
    files = [Path(w).name for w in words if w.endswith(".yaml")]
    assert files == ["a.yaml", "b.yaml", "c.yaml"]
    assert words[-2:] == ["--z", "3"]
    assert expand_configs(["fit", f"--config={tmp_path / 'b.yaml'}"])[1::2] == ["--config", "--config"]


def test_a_base_that_was_merged_before_does_not_undo_what_came_after_it(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "base.yaml").write_text("lr: 1\n")
    (tmp_path / "recipe.yaml").write_text("base: [base.yaml]\nlr: 2\n")
    (tmp_path / "extra.yaml").write_text("z: 1\n")
    (tmp_path / "sub/overlay.yaml").write_text("base: [../base.yaml, ../extra.yaml, ../sub/../recipe.yaml]\ny: 1\n")
    recipe, overlay = str(tmp_path / "recipe.yaml"), str(tmp_path / "sub/overlay.yaml")

    def merged(*configs: str) -> list[str]:
        return [Path(w).name for w in expand_configs([f"--config={c}" for c in configs]) if w.endswith(".yaml")]

    assert merged(recipe, overlay) == ["base.yaml", "recipe.yaml", "extra.yaml", "overlay.yaml"]
    assert merged(overlay) == ["base.yaml", "extra.yaml", "recipe.yaml", "overlay.yaml"]
    # What is asked for by name is merged where it is asked for, even again.
    assert merged(recipe, overlay, recipe)[-2:] == ["overlay.yaml", "recipe.yaml"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("base: [me.yaml]\n", "builds on itself"),
        ("base: other.yaml\n", "list"),
        ("base: [missing.yaml]\n", "missing.yaml"),
        ("a: [\n", "not a YAML config"),
        ("- 1\n", "mapping"),
        ("model: {network: {class_path: os.system, init_args: {}}}\n", "not allowed"),
        ("trainer: {callbacks: [{class_path: subprocess.Popen}]}\n", "not allowed"),
        ("model: other.yaml\n", "list it under base"),
        ("model: {network: net.yml}\n", "list it under base"),
    ],
)
def test_bad_configs_are_refused_before_anything_is_imported(tmp_path, text, told):
    (tmp_path / "me.yaml").write_text(text)
    with pytest.raises(InputError, match=told):
        expand_configs(["fit", "--config", str(tmp_path / "me.yaml")])


HUB = "init_args: {repo_or_dir: ., model: Net, source: local}"
"""What makes torch.hub.load import hubconf.py from the working directory."""


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file that importing the module `foreign_module` would make."""
    made = tmp_path / "imported"
    code = f"import pathlib\npathlib.Path({str(made)!r}).touch()\nclass Net: pass\n"
    (tmp_path / "foreign_module.py").write_text(code)
    (tmp_path / "hubconf.py").write_text(code)
    (tmp_path / "section").write_text("network: {class_path: foreign_module.Net}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize(
    "text",
    [
        "model: {network: {class_path: foreign_module.Net}}",
        "model: {network: foreign_module.Net}",
        "model: {network: '{class_path: foreign_module.Net}'}",
        "run: {name: foreign_module.Net}\nmodel: {network: {class_path: '${..run.name}'}}",
        "trainer: {callbacks: foreign_module.Net}",
        "trainer: {callbacks: [foreign_module.Net]}",
        "model: section",
        f"model: {{optimizer: {{class_path: torch.hub.load, {HUB}}}}}",
        "model: {optimizer: {class_path: lightning.pytorch.callbacks.lr_monitor.torch.load, init_args: {f: x}}}",
        "model: {optimizer: {class_path: personlab.files.write_json, init_args: {path: imported, content: 1}}}",
        "model: {optimizer: {class_path: personlab.cli.main.main, init_args: {argv: []}}}",
    ],
)
def test_nothing_foreign_is_imported_however_a_config_names_it(capsys, tmp_path, canary, text):
    (tmp_path / "me.yaml").write_text(f"base: [{DEMO}]\n{text}\n")
    line = refused(capsys, ["fit", "--config", "me.yaml", "--data.root", ".", "--run.root", "runs"])
    assert "is not allowed" in line
    assert not canary.exists()


@pytest.mark.parametrize("words", [["--model.network", "foreign_module.Net"], ["--model", "section"]])
def test_nothing_foreign_is_imported_from_the_command_line(capsys, canary, words):
    line = refused(capsys, ["fit", "--config", DEMO, "--data.root", ".", "--run.root", "runs", *words])
    assert "is not allowed" in line
    assert not canary.exists()


def test_every_image_is_looked_for_before_training(capsys, tmp_path):
    root = write_root(tmp_path / "coco")
    last = sorted((root / "val2017").iterdir())[-1]
    last.unlink()
    words = ["fit", "--config", DEMO, "--data.root", str(root), "--run.root", str(tmp_path / "runs")]
    assert last.name in refused(capsys, words)
    assert not (tmp_path / "runs").exists()


def test_a_recipe_without_its_data_set_asks_for_it(capsys):
    assert "arguments are required: fit.data.root" in refused(capsys, ["fit", "--config", SAMPLE])
