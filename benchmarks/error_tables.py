"""Tables of what is wrong with the people found, from `personlab errors`."""

from __future__ import annotations

from benchmarks.tables import Row, markdown

LABELS = ("good", "jitter", "inversion", "swap", "miss")


def parts_table(result: Row, kind: str) -> str:
    """The types of error of keypoints or masks: how often, and the AP that each costs; in the order of correction."""
    found = result[kind]
    rows = [
        {"type": part["type"].replace("_", " "), "count": f"{part['count']}", "of": f"{part['of']} {part['unit']}",
         "share": _percent(part["share"]), "AP it costs": _ap(part["ap_cost"]), "AP alone": _ap(part["ap_alone"]),
         "AP after it": _ap(part["ap_after"])}
        for part in found["parts"]
    ]  # fmt: skip
    told = (
        f"{found['people']} people in {found['images']} images of {result['split']}, {found['detections']} detections "
        f"that count: AP {_ap(found['ap'])}, so {_ap(1 - found['ap'])} are missing; with ideal confidences it would be "
        f"{_ap(found['ap_ideal_scores'])}."
    )
    return f"{told}\n\n{markdown(rows)}"


def labels_table(result: Row) -> str:
    """What found keypoints are, in percent of those labelled, left and right together."""
    counts: dict[str, dict[str, int]] = {}
    for name, found in result["keypoints"]["keypoints"].items():
        both = counts.setdefault(name.replace("left_", "").replace("right_", ""), dict.fromkeys(LABELS, 0))
        for label in LABELS:
            both[label] += found[label]
    rows = []
    for name, found in counts.items():
        total = sum(found.values())
        shares = {label: _percent(found[label] / total if total else None) for label in LABELS}
        rows.append({"keypoint": name, "compared": f"{total}", **shares})
    return markdown(rows)


def sizes_table(result: Row) -> str:
    """Errors by COCO's sizes of people."""
    poses, masks = result["keypoints"]["sizes"], result["segmentation"]["sizes"]
    rows = []
    for size in poses:
        pose, mask = poses[size], masks[size]
        total = sum(pose[label] for label in LABELS)
        rows.append(
            {"people": size, "with keypoints": f"{pose['people']}",
             **{label: _percent(pose[label] / total if total else None) for label in LABELS},
             "not found": _percent(_share(pose, "false_negative")), "with a mask": f"{mask['people']}",
             "mask missed": _percent(_share(mask, "missed")), "masks of another, or of two":
             _percent((mask["another"] + mask["merged"]) / mask["people"] if mask["people"] else None)}
        )  # fmt: skip
    return markdown(rows)


def _share(size: Row, name: str) -> float | None:
    return size[name] / size["people"] if size["people"] else None


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} %"


def _ap(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if value < 1 else "1"
