"""Tables of ablations, from `personlab ablate`."""

from __future__ import annotations

from benchmarks.tables import Row, markdown, shown_ap
from personlab.experiments.ablation.table import markdown as study_table

PAPER = {
    "refinement steps: 0": "2 steps bring +.033 keypoint AP and +.022 mask AP, more for large people",
    "scores: no Expected-OKS": "Expected-OKS is clearly better than the alternatives",
    "scores: hard NMS": "soft-NMS is clearly better than the alternatives",
    "stride: 8": "slightly better than 16",
    "longer side: 601 px": "smaller inputs suffice for large people only",
}
"""What the paper found, by the level here that leaves it out or changes it; the paper trained each, here nothing is."""
BETTER_HERE = ("stride: 8",)
"""Levels that the paper has above the baseline; the others it has below."""


def levels_table(result: Row) -> str:
    """Levels against the baseline, with intervals."""
    return study_table(result["rows"])


def directions_table(result: Row) -> str:
    """What the paper found beside what came out here, for keypoints."""
    rows = []
    levels = {row["level"]: row for row in result["rows"]}
    for level, told in PAPER.items():
        found = levels.get(level, {}).get("keypoints")
        if found is not None:
            delta = found["by_image"]
            expected = 1 if level in BETTER_HERE else -1
            same = "same direction" if delta["value"] * expected > 0 else "other direction"
            rows.append(
                {"level here": level, "the paper": told, "keypoint AP here": shown_ap({"AP": found["ap"]}),
                 "Δ": f"{delta['value']:+.3f}".replace("0.", ".", 1).replace("-", "−"),
                 "verdict": same if delta["conclusive"] else f"inconclusive ({same})"}
            )  # fmt: skip
    return markdown(rows)


def reference(result: Row) -> str:
    """What was studied, in a sentence."""
    return (
        f"`{result['weights']}` on {result['images']} images of {result['split']}; every Δ is to the first row, with "
        "its 95 % interval paired by image."
    )


def seeds(result: Row) -> str:
    """How many trainings, in a sentence."""
    runs = sum(len(row["runs"]) for row in result["rows"])
    failed = sum(row["failed"] for row in result["rows"])
    minutes = sum(run["minutes"] for row in result["rows"] for run in row["runs"])
    return (
        f"{runs} trainings with the seeds {' and '.join(map(str, result['seeds']))}, {failed} failed, {minutes:.1f} "
        "minutes together; every Δ is to the first row, with 95 % intervals paired by image and by seed."
    )
