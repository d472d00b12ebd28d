"""What the doctor can find, from the code, and how long it takes."""

from __future__ import annotations

import statistics
from typing import Any

from personlab.data.doctor import CODES

_USES = {("training", "scoring"): "both", ("training",): "training", ("scoring",): "scoring"}


def codes_table() -> str:
    """All codes: errors first, in the order of the code; for errors, the use that they spoil."""
    lines = ["| code | level | spoils | what is so | mend |", "|---|---|---|---|---|"]
    for level in ("error", "warning", "info"):
        for name, code in CODES.items():
            if code.level == level:
                spoils = _USES[code.spoils] if code.spoils else ""
                lines.append(f"| `{name}` | {level} | {spoils} | {code.means} | {code.mend} |")
    return "\n".join(lines)


def doctor_time(result: dict[str, Any]) -> str:
    """How long it took, in a sentence."""
    rows = result["rows"]
    seconds, first = sorted(row["seconds"] for row in rows), rows[0]
    return (
        f"{first['images']} images of COCO, every one decoded, take {statistics.median(seconds):.1f} s, start of the "
        f"program included (median of {len(rows)} runs, {seconds[0]:.1f} to {seconds[-1]:.1f}); the doctor finds "
        f"{first['errors']} errors, {first['warnings']} warnings and {first['infos']} remarks there."
    )
