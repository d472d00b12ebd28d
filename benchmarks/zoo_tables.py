"""Tables of docs/model-zoo.md, from what `benchmarks.zoo` wrote."""

from __future__ import annotations

from typing import Any

from benchmarks.tables import markdown, times_faster

Row = dict[str, Any]


def networks_table(result: Row) -> str:
    """The networks: what they are and how large."""
    return markdown(
        {"network": f"`{name}`", "backbone": about.get("backbone"), "parameters": _millions(about.get("parameters")),
         "file, MB": f"{about['bytes'] / 1e6:.1f}", "licence": about.get("licence"),
         "SHA-256": f"`{about['sha256'][:12]}`"}
        for name, about in sorted(result["networks"].items())
    )  # fmt: skip


def scores_table(result: Row) -> str:
    """Scores and times by network, rules, size and test-time augmentation."""
    return markdown(_row(row) for row in sorted(result["rows"], key=_order))


def readme_table(result: Row, network: str = "bodypix_075", size: int = 801) -> str:
    """The same of one network at one size."""
    rows = [row for row in sorted(result["rows"], key=_order) if row["network"] == network]
    rows = [row for row in rows if row["setting"]["size"] == size]
    columns = ("rules", "augmentation", "keypoint AP", "mask AP", "decoding, ms")
    return markdown({name: value for name, value in _row(row).items() if name in columns} for row in rows)


def onnx_table(result: Row) -> str:
    """A network run by torch and by onnxruntime."""
    ours, theirs = (size / 1e6 for size in (result["weights"]["bytes"], result["onnx_bytes"]))
    sizes = f"Files: {theirs:.2f} MB (ONNX) and {ours:.2f} MB (safetensors)."
    table = markdown(
        {"image": "×".join(map(str, reversed(row["size"]))), "threads": row["threads"],
         "torch, ms": f"{row['torch_ms']:.0f}", "onnxruntime, ms": f"{row['onnxruntime_ms']:.0f}",
         "times faster": times_faster(row["ratio"])}
        for row in result["rows"]
    )  # fmt: skip
    return f"{sizes}\n\n{table}"


def finetune_table(result: Row) -> str:
    """What training a released network further came to."""

    def delta(row: Row, kind: str) -> str:
        found = row["against"][kind]
        told = f"{found['delta']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"
        return told if found["conclusive"] else f"{told}, inconclusive"

    first = {kind: _ap(result["before"][kind], "AP") for kind in ("keypoints", "segmentation")}
    before = {"learning rate": "before", "steps": None, "crop": None, "keypoint AP": first["keypoints"],
              "difference": None, "mask AP": first["segmentation"], "difference ": None}  # fmt: skip
    rows = [
        {"learning rate": f"{row['learning_rate']:g}", "steps": f"{row['steps']} {row['told']}",
         "crop": row["crop_size"], "keypoint AP": _ap(row["keypoints"], "AP"), "difference": delta(row, "keypoints"),
         "mask AP": _ap(row["segmentation"], "AP"), "difference ": delta(row, "segmentation")}
        for row in result["rows"]
    ]  # fmt: skip
    return markdown([before, *rows])


def commands(result: Row) -> str:
    """What made each row."""
    lines = [f"{row['command']}  # {row['network']}" for row in sorted(result["rows"], key=_order)]
    return "```sh\n" + "\n".join(lines) + "\n```"


def images(result: Row) -> str:
    """On what the scores were measured."""
    counts = sorted({(row["split"], row["images"]) for row in result["rows"]})
    return "Scored on " + " and ".join(f"{count} images of {split}" for split, count in counts) + "."


def _row(row: Row) -> Row:
    setting, seconds = row["setting"], row["seconds"]
    return {
        "network": f"`{row['network']}`",
        "rules": setting["rules"],
        "longer side": setting["size"],
        "augmentation": _augmentation(setting),
        "keypoint AP": _ap(row["keypoints"], "AP"),
        "medium": _ap(row["keypoints"], "AP_medium"),
        "large": _ap(row["keypoints"], "AP_large"),
        "mask AP": _ap(row["segmentation"], "AP"),
        "decoding, ms": f"{1e3 * seconds['decode'] / row['images']:.1f}",
    }


def _augmentation(setting: Row) -> str:
    parts = ["flip"] if setting.get("tta") == "flip" else []
    return ", ".join([*parts, *(f"and {side}" for side in setting.get("scales", []))]) or "none"


def _order(row: Row) -> tuple[Any, ...]:
    setting = row["setting"]
    rules = ("paper", "tfjs", "bodypix", "coral").index(setting["rules"])
    return row["network"], rules, setting["size"], len(setting.get("scales", [])), setting.get("tta", "")


def _ap(figures: Row, name: str) -> str | None:
    value = figures.get(name)
    return None if value is None else f"{value:.3f}".removeprefix("0")


def _millions(count: int | None) -> str | None:
    return None if count is None else f"{count / 1e6:.2f} M"
