"""Tables of trainings, fine-tuning, bounds, imputation and the stages of `personlab predict`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from benchmarks.commands import retold
from benchmarks.tables import markdown, shown_ap, shown_commit
from personlab.evaluation.bootstrap import Difference

Row = dict[str, Any]
WAYS = {"as_they_are": "as they are", "as_small_as_imputed": "as small as imputed"}
_ALWAYS_TOLD = (
    "trainer.max_steps", "trainer.val_check_interval", "model.optimizer.init_args.lr", "data.view.init_args.crop_size",
)  # fmt: skip
"""Options that have a column of their own, and the interval of validations, which the steps tell."""


def trainings_table(result: Row) -> str:
    """Trainings by the run directories that they left."""
    return markdown(
        {"run": row["name"], "steps": row["steps"], "minutes": _minutes(row["seconds"]), "images scored": row["images"],
         "keypoint AP": shown_ap(row["keypoints"]), "mask AP": shown_ap(row["segmentation"]),
         "commit": shown_commit(row), "command": f"`{retold(row['command'])}`"}
        for row in result["rows"]
    )  # fmt: skip


def bounds_table(result: Row) -> str:
    """AP of true fields, by decoder, stride and scale."""
    return markdown(
        {"decoder": row["decoder"], "stride": row["stride"], "images": row["images"],
         "size": "their own" if row["scale"] == 1 else f"{row['scale']} times as large",
         "keypoint AP": shown_ap(row["keypoints"]), "mask AP": shown_ap(row["segmentation"]),
         "command": f"`{retold(row['command'])}`"}
        for row in result["rows"]
    )  # fmt: skip


def finetune_summary(result: Row) -> str:
    """Whether anything became better, in a sentence."""
    better = [row for row in result["rows"] if _difference(row, "keypoints").low > 0]
    told = f"{len(better) or 'None'} of the {len(result['rows'])} runs"
    return (
        f"{told} improved the keypoint AP beyond doubt, on {result['images']} images of {result['split']}; differences "
        f"have {_difference(result['rows'][0], 'keypoints').level:.0%} intervals by a bootstrap over the images."
    )


def finetune_table(result: Row) -> str:
    """What training a network further came to; what each run changed is told by its options."""
    before = result["before"]
    first = {"run": "before", "learning rate": None, "crop": None, "steps": None, "changed from the recipe": None,
             "keypoint AP": shown_ap(before["keypoints"]), "difference": None, "mask AP":
             shown_ap(before["segmentation"]), "difference ": None, "commit": shown_commit(before)}  # fmt: skip
    rows = [
        {"run": row["run"].split("/")[1], "learning rate": f"{row['learning_rate']:g}", "crop": row["crop_size"],
         "steps": f"{row['steps']} of {row['planned_steps']}", "changed from the recipe": overrides(row["overrides"]),
         "keypoint AP": shown_ap(row["keypoints"]), "difference": str(_difference(row, "keypoints")),
         "mask AP": shown_ap(row["segmentation"]), "difference ": str(_difference(row, "segmentation")),
         "commit": shown_commit(row)}
        for row in result["rows"]
    ]  # fmt: skip
    return markdown([first, *rows])


def finetune_commands(result: Row) -> str:
    """What made each run."""
    lines = [retold(row["command"]) for row in (result["before"], *result["rows"])]
    return "```sh\n" + "\n".join(lines) + "\n```"


def overrides(changed: Row) -> str:
    """Options and their values, by the last part of their names where that says enough."""
    last = [name.rpartition(".")[2] for name in changed]
    shown = {name: name if last.count(name.rpartition(".")[2]) > 1 else _meaning(name) for name in changed}
    told = [f"`{shown[name]}` {_value(value)}" for name, value in changed.items() if name not in _ALWAYS_TOLD]
    return ", ".join(told) or "nothing"


def imputation_summary(result: Row) -> str:
    """What became of those without keypoints, in a sentence."""
    row = result["rows"][0]
    each = 1e3 * sum(row["seconds"].values()) / (row["imputed"] + row["refused"] + 2 * _checked(row))
    return (
        f"Of the {row['without_keypoints']} people without keypoints in {result['split']}, {row['imputed']} were "
        f"imputed, {row['refused']} refused, {row['too_small']} too small. A crop took {each:.0f} milliseconds."
    )


def imputation_table(result: Row) -> str:
    """How near imputed keypoints come to the true ones."""
    rows = []
    for row in result["rows"]:
        suffix = "" if row["tta"] == "none" else f", `--tta {row['tta']}`"
        for way, found in row["check"].items():
            rows.append(
                {"": WAYS[way] + suffix, "people": found["people"], "imputed": found["imputed"],
                 "mean OKS of these": shown_ap({"AP": found["mean_oks"]}),
                 "OKS above .5": _share(found["share_above_50"]), "keypoints labelled": _share(found["labelled"]),
                 "their similarity": shown_ap({"AP": found["mean_similarity"]})}
            )  # fmt: skip
    return markdown(rows)


def prediction_table(result: Row) -> str:
    """Milliseconds an image by stage, and memory."""
    stages = list(result["rows"][0]["milliseconds"])
    return markdown(
        {"source": row["source"], "images": row["images"],
         **{stage: _milliseconds(row["milliseconds"][stage]) for stage in stages},
         "most memory, MiB": f"{row['most_memory_mib']:.0f}"}
        for row in result["rows"]
    )  # fmt: skip


def _difference(row: Row, kind: str) -> Difference:
    found = row["against"][kind]
    return Difference(**{field.name: found[field.name] for field in fields(Difference)})


def _meaning(name: str) -> str:
    parts = [part for part in name.split(".") if part not in ("model", "init_args")]
    return ".".join(parts[-2:])


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _checked(row: Row) -> int:
    return int(next(iter(row["check"].values()))["people"]) if row["check"] else 0


def _milliseconds(value: float) -> str:
    return f"{value:.{1 if value < 100 else 0}f}"


def _minutes(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds / 60:.1f}"


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.0%}"
