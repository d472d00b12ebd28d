"""Tables of docs/training-speed.md: loader, targets, training step, annotations, processes."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.tables import markdown, times_faster

Row = dict[str, Any]


def loader_summary(result: Row) -> str:
    """What limits the loader, in a sentence."""
    return f"{result['images']} images, batches of {result['batch_size']}: {result['limit']}."


def stages_table(result: Row) -> str:
    """Where the time of an image goes in one process."""
    told = {
        "read": "read and decode",
        "labels": "draw the label map",
        "view": "crop and colours",
        "collate": "to a batch",
    }
    total = sum(result["stages_ms"].values())
    return markdown(
        {"stage": told[name], "ms an image": f"{ms:.2f}", "share": f"{ms / total:.0%}"}
        for name, ms in result["stages_ms"].items()
    )


def loader_table(result: Row) -> str:
    """Images a second and memory by workers and epoch."""
    return markdown(
        {"workers": row["workers"], "epoch": row["epoch"], "images/s": f"{row['images_per_s']:.0f}", **_memory(row)}
        for row in result["rows"]
    )


def encode_table(result: Row) -> str:
    """Targets by people, batch and threads."""
    return markdown(
        {"people": row["people"], "batch": row["batch"], "threads": row["threads"],
         "ms an image": f"{row['encode_ms']:.2f}", "fastest": f"{row['fastest_ms']:.2f}",
         "openpifpaf, quoted": _shown(row["quoted_ms"], "{:.0f}"),
         "times less": None if row["times_quoted"] is None else times_faster(row["times_quoted"])}
        for row in result["rows"]
    )  # fmt: skip


def train_table(result: Row) -> str:
    """The parts of a training step."""
    told = {"wait": "waiting for a batch", "forward": "network, forward", "encode": "targets", "losses": "losses",
            "backward": "backward", "optimizer": "optimiser and averages", "other": "the rest"}  # fmt: skip
    return markdown(
        {"part of a step": told[name], "ms": f"{ms:.1f}", "share": f"{ms / result['step_ms']:.1%}"}
        for name, ms in result["parts_ms"].items()
    )


def train_summary(result: Row) -> str:
    """Speed, and the two shares that have an aim."""
    threads = f"{result['threads']} thread{'s' * (result['threads'] > 1)}"
    return (
        f"{result['images_per_s']:.1f} images/s in batches of {result['batch']} on {result['device']} ({threads}, "
        f"loader workers: {result['workers']}). Targets take {result['encode_share']:.1%} of a step's work, and "
        f"{result['wait_share']:.1%} of the time is spent waiting for data."
    )


def opened_table(result: Row) -> str:
    """How long it takes to open a large annotation file."""
    opened = result["opened"]
    again = statistics.median(entry["seconds"] for entry in opened["again"])
    return markdown(
        {"annotations": name, "open, s": f"{seconds:.2f}"}
        for name, seconds in (
            ("read for the first time, and kept", opened["first"]["seconds"]), ("mapped, every time after", again),
            ("read without a cache", opened["without the cache"]["seconds"]),
        )
    )  # fmt: skip


def annotations_summary(result: Row) -> str:
    """What the file is."""
    return (
        f"{result['images']} images with {result['people']} people, a JSON file of {result['json_mib']:.0f} MiB that "
        f"becomes {result['opened']['first']['arrays_mib']:.0f} MiB of arrays."
    )


def workers_table(result: Row) -> str:
    """Memory of the workers that read all annotations."""
    return markdown(
        {"annotations": "mapped" if row["mapped"] else "in memory", "workers": row["workers"], "epoch": row["epoch"],
         **_memory(row)}
        for row in result["rows"]
    )  # fmt: skip


def times_one_process(rows: list[Row], processes: int) -> float:
    """How many times as fast as one process several are: the median of the turns, whose runs follow each other."""
    one, several = ([row["images_per_s"] for row in rows if row["processes"] == n] for n in (1, processes))
    return statistics.median(fast / slow for slow, fast in zip(one, several, strict=True))


def processes_table(result: Row) -> str:
    """Training with one and two processes: medians, and what each second of processor time gave."""
    rows = []
    for count in sorted({row["processes"] for row in result["rows"]}):
        same = [row for row in result["rows"] if row["processes"] == count]
        rows.append({"processes": count, "speed": _median(same, "images_per_s"),
                     "times": times_one_process(result["rows"], count),
                     "cores": statistics.median(row["cpu_s"] / row["seconds"] for row in same),
                     "work": statistics.median(row["images"] / row["cpu_s"] for row in same),
                     "load": _median(same, "load")})  # fmt: skip
    return markdown(
        {"processes": row["processes"], "images/s": f"{row['speed']:.2f}",
         "times one process, by turns": f"{row['times']:.2f}", "cores that the run got": f"{row['cores']:.2f}",
         "images a second of processor time": f"{row['work']:.2f}",
         "processes that wanted a core": f"{row['load']:.1f}"}
        for row in rows
    )  # fmt: skip


def sizes_table(result: Row) -> str:
    """Time of an image against batch, workers and processes: medians of the turns."""
    ways: dict[tuple[int, int, int], list[float]] = {}
    for row in result["rows"]:
        ways.setdefault((row["batch"], row["workers"], row["processes"]), []).append(row["images_per_s"])
    return markdown(
        {"images a process and step": batch, "loader workers of each": workers, "processes": processes,
         "images/s": f"{statistics.median(speeds):.2f}", "ms an image": f"{1e3 / statistics.median(speeds):.0f}",
         "slowest and fastest turn, images/s": f"{min(speeds):.2f} to {max(speeds):.2f}"}
        for (batch, workers, processes), speeds in ways.items()
    )  # fmt: skip


def gpu_summary(result: Row) -> str:
    """What was trained, against which rate, and what limits it on real images."""
    told = (
        f"ResNet-{result['depth']}, {result['crop']}×{result['crop']} pixels, batches of {result['batch']} on "
        f"{result['gpu'] or result['cpu']}"
    )
    flops, rate = result["flops_per_image"], result["matrix_flops_per_s"]
    rates = [
        None if flops is None else f"{flops / 1e9:.0f} GFLOP an image, forward and backward",
        None if rate is None else f"a product of large matrices reaches {rate / 1e12:.1f} TFLOP/s",
    ]
    told += f"{': ' * any(rates)}{'; '.join(filter(None, rates))}."
    told += f" A step has {', '.join(result['step_has'])}; it lacks {', '.join(result['step_lacks'])}."
    for failure in result["failed"]:
        told += f" What could not be measured: {failure['what']} ({failure['reason']})."
    real = result["on_images"]
    if real is None:
        return told
    shares = {name: ms / real["step_ms"] for name, ms in real["parts_ms"].items()}
    most = [f"{name} ({share:.0%})" for name, share in sorted(shares.items(), key=lambda item: -item[1])[:2]]
    return (
        f"{told} On real images, with {real['workers']} loader workers, {real['images_per_s']:.1f} images/s; "
        f"{real['wait_share']:.1%} of the time is spent waiting for data, and most of a step on "
        f"{' and '.join(most)}."
    )


def gpu_table(result: Row) -> str:
    """Training of made-up images that lie on the device."""
    images = result["batch"]
    return markdown(
        {"compiled": "yes" if row["compiled"] else "no", "channels last": "yes" if row["channels_last"] else "no",
         "images/s": f"{row['images_per_s']:.1f}", "share of the matrix rate": _shown(row["share_of_rate"], "{:.0%}"),
         "peak memory, MiB an image": _shown(row["peak_bytes"] and row["peak_bytes"] / images / 2**20, "{:.0f}")}
        for row in result["rows"]
    )  # fmt: skip


def kernels_table(result: Row) -> str:
    """The kernels that take most of the fastest way's step."""
    return markdown(
        {"kernel": f"`{row['kernel'][:70]}`", "calls a step": row["calls"], "ms": f"{row['ms']:.2f}",
         "share": f"{row['share']:.1%}"}
        for row in result["kernels"]
    )  # fmt: skip


def _memory(row: Row) -> Row:
    """Of the main process and of the workers, in MiB; without the numbers where the system does not tell."""
    each = [memory for memory in row["each"] if memory]
    together = [*([row["main"]] if row["main"] else []), *each]
    return {
        "main process, private MiB": _shown(row["main"] and row["main"]["private_mib"], "{:.0f}"),
        "a worker, private MiB": _shown(max((memory["private_mib"] for memory in each), default=None), "{:.1f}"),
        "a worker, with shared": _shown(max((memory["rss_mib"] for memory in each), default=None), "{:.0f}"),
        "all together": _shown(sum(memory["pss_mib"] for memory in together) if together else None, "{:.0f}"),
    }


def _median(rows: list[Row], name: str) -> float:
    return statistics.median(row[name] for row in rows)


def _shown(value: float | None, form: str) -> str | None:
    return None if value is None else form.format(value)
