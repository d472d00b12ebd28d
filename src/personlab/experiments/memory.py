"""How much memory a process takes, as Linux tells it."""

from __future__ import annotations

from pathlib import Path

FIELDS = {"rss_mib": ("Rss",), "pss_mib": ("Pss",), "private_mib": ("Private_Clean", "Private_Dirty")}
"""What is told, and the fields of `smaps_rollup` that add up to it."""


def process_memory(process: int | str = "self", proc: Path = Path("/proc")) -> dict[str, float] | None:
    """Memory of a process in MiB.

    Args:
        process: Its id.
        proc: Where Linux tells of processes.

    Returns:
        `rss_mib`: all pages it sees, shared ones too; `pss_mib`: every page divided by the number of processes that see
        it, so that those of several processes add up; `private_mib`: pages that nobody else sees. None where the system
        does not tell, or the process is gone.
    """
    try:
        lines = (proc / str(process) / "smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
        kib = {name: int(value.split()[0]) for name, value in (line.split(":", 1) for line in lines)}
        return {told: sum(kib[name] for name in names) / 1024 for told, names in FIELDS.items()}
    except (OSError, KeyError, ValueError, IndexError):
        return None
