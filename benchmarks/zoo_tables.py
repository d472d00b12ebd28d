"""Tables of docs/model-zoo.md, from what `benchmarks.zoo` wrote."""

from __future__ import annotations

from typing import Any

from benchmarks.commands import retold
from benchmarks.tables import markdown, origin, shown_ap, shown_commit, times_faster

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
    counts = {row["images"] for row in result["rows"]}
    rows = (_row(result, row) for row in sorted(result["rows"], key=_order))
    return markdown(rows, without=("images",) if len(counts) == 1 else ())


def readme_table(result: Row, network: str = "bodypix_075", size: int = 801) -> str:
    """The same of one network at one size."""
    rows = [row for row in sorted(result["rows"], key=_order) if row["network"] == network]
    rows = [row for row in rows if row["setting"]["size"] == size and "stride" not in row["setting"]]
    most = max((row["images"] for row in rows), default=0)  # a trial run stands in the zoo's own table, with its count
    columns = ("rules", "augmentation", "keypoint AP", "mask AP", "decoding, ms")
    return markdown(
        {name: value for name, value in _row(result, row).items() if name in columns}
        for row in rows if row["images"] == most
    )  # fmt: skip


def origins(result: Row) -> str:
    """Where the rows come from: a sentence for each run, code and machine that made some of them."""
    found: dict[str, list[Row]] = {}
    for row in result["rows"]:
        found.setdefault(origin(row.get("made") or {**result, "commit": row.get("commit")}), []).append(row)
    if len(found) == 1:
        return next(iter(found))
    return "\n".join(f"* {len(rows)} row{'s' * (len(rows) > 1)}: {text}" for text, rows in found.items())


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


def commands(result: Row) -> str:
    """What made each row."""
    lines = [f"{retold(row['command'])}  # {row['network']}" for row in sorted(result["rows"], key=_order)]
    return "```sh\n" + "\n".join(lines) + "\n```"


def images(result: Row) -> str:
    """On what the scores were measured."""
    counts = sorted({(row["split"], row["images"]) for row in result["rows"]})
    return "Scored on " + " and ".join(f"{count} images of {split}" for split, count in counts) + "."


def _row(result: Row, row: Row) -> Row:
    setting, seconds = row["setting"], row["seconds"]
    return {
        "network": f"`{row['network']}`",
        "rules": setting["rules"],
        "stride": setting.get("stride", result["networks"][row["network"]]["output_stride"]),
        "longer side": setting["size"],
        "augmentation": _augmentation(setting),
        "keypoint AP": shown_ap(row["keypoints"], "AP"),
        "medium": shown_ap(row["keypoints"], "AP_medium"),
        "large": shown_ap(row["keypoints"], "AP_large"),
        "mask AP": shown_ap(row["segmentation"], "AP"),
        "decoding, ms": f"{1e3 * seconds['decode'] / row['images']:.1f}",
        "images": row["images"],
        "commit": shown_commit(row.get("made") or row),
    }


def _augmentation(setting: Row) -> str:
    parts = ["flip"] if setting.get("tta") == "flip" else []
    sides = [str(side) for side in [setting["size"], *setting.get("scales", [])]]
    parts += [f"{' and '.join(sides)} px"] if len(sides) > 1 else []
    return ", ".join(parts) or "none"


def _order(row: Row) -> tuple[Any, ...]:
    setting = row["setting"]
    rules = ("paper", "tfjs", "bodypix", "coral").index(setting["rules"])
    finer = -setting.get("stride", 1000)
    scales = len(setting.get("scales", []))
    return row["network"], rules, finer, setting["size"], scales, setting.get("tta", ""), row["images"]


def _millions(count: int | None) -> str | None:
    return None if count is None else f"{count / 1e6:.2f} M"
