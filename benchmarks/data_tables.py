"""The table of what the doctor can find, from the code."""

from __future__ import annotations

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
