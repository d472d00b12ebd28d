"""What is checked before a run begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from personlab.cli.configs import expand_configs
from personlab.cli.preflight import check_precision, end_with_a_validation
from personlab.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def trainer(**options: Any) -> Any:
    defaults = {"check_val_every_n_epoch": None, "fast_dev_run": False, "accumulate_grad_batches": 1}
    return OmegaConf.create(
        {"max_steps": -1, "val_check_interval": None, "limit_val_batches": None, **defaults, **options}
    )


@pytest.mark.parametrize(
    ("steps", "interval", "accumulated", "told"),
    [
        (2500, 1000, 1, "max_steps 2500 is no multiple of .*val_check_interval 1000.*give --trainer.max_steps 2000"),
        (2600, 1000, 1, "give --trainer.max_steps 3000"),
        (1200, 1000, 1, "give --trainer.max_steps 1000"),
        (5, 4, 2, r"5 \(of 2 batches each\).*give --trainer.max_steps 4"),
        (2, 3, 2, "give --trainer.max_steps 3"),
    ],
)
def test_steps_after_the_last_validation_are_refused(steps, interval, accumulated, told):
    with pytest.raises(InputError, match=told) as error:
        end_with_a_validation(
            trainer(max_steps=steps, val_check_interval=interval, accumulate_grad_batches=accumulated)
        )
    near = int(str(error.value).split()[-1])
    end_with_a_validation(trainer(max_steps=near, val_check_interval=interval, accumulate_grad_batches=accumulated))


def test_precisions_go_by_their_present_names_and_weights_stay_in_32_bits():
    assert [check_precision(name) for name in (32, "32-true", "bf16", "16-mixed")] == [
        "32-true", "32-true", "bf16-mixed", "16-mixed"
    ]  # fmt: skip
    for name in ("64-true", "bf16-true", "16-true", "transformer-engine"):
        with pytest.raises(InputError, match=f"--trainer.precision {name}: "):
            check_precision(name)


def test_a_training_shorter_than_the_interval_is_validated_at_its_end():
    short = trainer(max_steps=3, val_check_interval=1000, accumulate_grad_batches=2)
    end_with_a_validation(short)
    assert short.val_check_interval == 6


@pytest.mark.parametrize(
    "options",
    [
        {"max_steps": 2000, "val_check_interval": 1000},
        {"max_steps": -1, "val_check_interval": 1000},
        {"max_steps": 2500, "val_check_interval": 0.5},
        {"max_steps": 2500, "val_check_interval": 1000, "check_val_every_n_epoch": 1},
        {"max_steps": 2500, "val_check_interval": 1000, "fast_dev_run": True},
        {"max_steps": 2500, "val_check_interval": 1000, "limit_val_batches": 0},
    ],
)
def test_other_trainings_are_left_alone(options):
    config = trainer(**options)
    end_with_a_validation(config)
    assert config.val_check_interval == options["val_check_interval"]


RECIPES = pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("[ed]*/*.yaml")), ids=lambda p: p.stem)


@RECIPES
def test_no_recipe_names_a_data_set_that_only_its_author_has(config):
    """Those on synthetic people name where `personlab data synth` puts them; the others want --data.root."""
    files = expand_configs(["--config", str(config)])[1::2]
    roots = [(OmegaConf.load(file).get("data") or {}).get("root") for file in files]
    assert {root for root in roots if root is not None} <= {"data/synthetic"}


@RECIPES
def test_the_shipped_configs_end_with_a_validation(config):
    files = expand_configs(["--config", str(config)])[1::2]
    merged: Any = OmegaConf.merge(trainer(), *(OmegaConf.load(f).get("trainer") or {} for f in files))
    end_with_a_validation(merged)
    assert merged.max_steps == -1 or merged.max_steps % merged.val_check_interval == 0
