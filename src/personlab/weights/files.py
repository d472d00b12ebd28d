"""Weight files: safetensors with metadata, written atomically; PyTorch files read as tensors only, never as code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from personlab.errors import InputError
from personlab.files import write_atomically
from personlab.weights.onnx_file import ONNX_SUFFIX

PYTORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin")
TASK_PREFIX = "network."
"""What a training task puts before the names of its network's tensors."""
_COUNTER = "num_batches_tracked"
_LACKING = "not in the file"


@dataclass(frozen=True)
class LoadReport:
    """What became of a file's tensors.

    Attributes:
        loaded: Names in the module that got their values.
        skipped: Names in the file that were not used, with the reason.
        missing: Names in the module that no tensor of the file fits; they keep their values.
        partial: Names in the module that got some of their channels, with how many; the others keep their values.
    """

    loaded: tuple[str, ...]
    skipped: dict[str, str]
    missing: tuple[str, ...]
    partial: dict[str, str] = field(default_factory=dict)

    @property
    def unfilled(self) -> tuple[str, ...]:
        """Names in the module that keep values of their own, some or all."""
        return (*self.missing, *self.partial)

    def summary(self) -> str:
        """One line with the counts and the first few names that did not match."""
        skipped = _first([f"{name} ({why})" for name, why in self.skipped.items()])
        partial = _first([f"{name} ({why})" for name, why in self.partial.items()])
        return (
            f"{len(self.loaded)} loaded, {f'{len(self.partial)} in part{partial}, ' if self.partial else ''}"
            f"{len(self.skipped)} skipped{skipped}, {len(self.missing)} missing{_first(self.missing)}"
        )

    def rows(self) -> list[tuple[str, int, int, int, int, str]]:
        """What became of each part of the network: its name, tensors loaded, in part, skipped, missing, and why.

        Parts are the backbone and each head (`heads.short_offsets`), in the order in which they came. A tensor that the
        file has, but not so that it fits, is both skipped and missing.
        """
        counts: dict[str, list[int]] = {}
        reasons: dict[str, dict[str, None]] = {}
        for column, names in enumerate((self.loaded, self.partial, self.skipped, self.missing)):
            for name in names:
                part = _part(name)
                counts.setdefault(part, [0, 0, 0, 0])[column] += 1
                why = self.partial.get(name) or self.skipped.get(name) or (_LACKING if names is self.missing else None)
                if why:
                    reasons.setdefault(part, {})[why] = None
        return [(part, *_four(row), "; ".join(reasons.get(part, ()))) for part, row in counts.items()]


def save_weights(
    path: str | Path, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, half: bool = False
) -> None:
    """Write a safetensors file; a reader never sees half of it.

    Args:
        path: The file, ending in `.safetensors`. Folders are made, an older file is replaced.
        state: Tensors by name.
        metadata: Text by name, kept in the file's header.
        half: Whether floating-point tensors are stored as float16, for half the size.

    Raises:
        InputError: If the name ends otherwise, a value does not fit float16 or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: weights are saved as safetensors, name the file {path.stem}.safetensors")
    # Cloned: safetensors refuses tensors that share memory or are not in the plain layout.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    if half:
        tensors = {name: _to_half(path, name, tensor) for name, tensor in tensors.items()}
    write_atomically(path, safetensors.torch.save(tensors, metadata=dict(metadata or {})))


def load_weights(
    path: str | Path, as_stored: bool = False, entry: str = "state_dict"
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors by name and the metadata of a weight file.

    Args:
        path: A `.safetensors` file, or a PyTorch file (`.pth`, `.pt`, `.ckpt`, `.bin`) of tensors; of a checkpoint with
            a `state_dict` entry, that entry is read.
        as_stored: Whether float16 and bfloat16 stay what they are; otherwise they become float32.
        entry: Which entry of a checkpoint is read, if it has any such.

    Returns:
        Tensors on the CPU and the metadata (empty for PyTorch files).

    Raises:
        InputError: If the file is missing, damaged, of another kind, or holds anything that could run code.
    """
    path = Path(path)
    check_weight_file(path)
    if path.suffix == ".safetensors":
        state, metadata = _read_safetensors(path)
    else:
        state, metadata = _read_pytorch(path, entry), {}
    if not as_stored:
        state = {n: t.float() if t.dtype in (torch.float16, torch.bfloat16) else t for n, t in state.items()}
    return state, metadata


def check_weight_file(path: str | Path) -> None:
    """Refuse what `load_weights` could not read by its name, without opening it.

    Raises:
        InputError: If there is no such file, or it is no file of tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weight file, check the path")
    if path.suffix == ONNX_SUFFIX:
        raise InputError(
            f"{path}: an ONNX file is for predict, evaluate and data impute only; here, give the .safetensors that it "
            "was exported from"
        )
    known = (".safetensors", *PYTORCH_SUFFIXES)
    if path.suffix not in known and path.suffix.lower() in (ONNX_SUFFIX, *known):
        lower = path.with_suffix(path.suffix.lower()).name
        raise InputError(f"{path}: endings of weight files are in small letters; rename it to {lower}")
    if path.suffix not in known:
        raise InputError(f"{path}: not a weight file, give .safetensors or one of {', '.join(PYTORCH_SUFFIXES)}")


def network_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors in the state of a whole training task, by the names they have in the network.

    Args:
        state: Tensors by name, such as a checkpoint's.

    Returns:
        Those under `network.`, without it; nothing if the state is not that of a task.
    """
    return {name.removeprefix(TASK_PREFIX): t for name, t in state.items() if name.startswith(TASK_PREFIX)}


def load_into(module: nn.Module, state: Mapping[str, Tensor], prefix: str = "") -> LoadReport:
    """Copy the tensors that fit by name and shape into a module, and tell what did not.

    Counters of batch norm (`num_batches_tracked`) are loaded where both have them and never reported; the `_orig_mod.`
    that `torch.compile` puts into names is ignored.

    Args:
        module: Changed in place.
        state: Tensors by name.
        prefix: What the names in `state` carry before the module's own (`"backbone."`); other names are skipped.

    Returns:
        Names loaded, skipped and missing.
    """
    own = module.state_dict()
    fitting: dict[str, Tensor] = {}
    skipped: dict[str, str] = {}
    for full_name, tensor in state.items():
        name = full_name.replace("_orig_mod.", "")
        if not name.startswith(prefix):
            skipped[full_name] = f"not under {prefix}"
            continue
        name = name.removeprefix(prefix)
        if name not in own:
            skipped[full_name] = "not in the network"
        elif own[name].shape != tensor.shape:
            skipped[full_name] = f"shape {tuple(tensor.shape)}, network has {tuple(own[name].shape)}"
        else:
            fitting[name] = tensor
    module.load_state_dict(fitting, strict=False)
    return LoadReport(
        loaded=tuple(name for name in fitting if not name.endswith(_COUNTER)),
        skipped={name: why for name, why in skipped.items() if not name.endswith(_COUNTER)},
        missing=tuple(name for name in own if name not in fitting and not name.endswith(_COUNTER)),
    )


def _part(name: str) -> str:
    """`backbone` of `backbone.conv1.weight`, `heads.heatmaps` of `heads.heatmaps.bias`."""
    first, _, rest = name.replace("_orig_mod.", "").partition(".")
    return f"{first}.{rest.partition('.')[0]}" if first.endswith("heads") and rest else first


def _four(row: list[int]) -> tuple[int, int, int, int]:
    loaded, partial, skipped, missing = row
    return loaded, partial, skipped, missing


def _first(names: list[str] | tuple[str, ...], count: int = 3) -> str:
    if not names:
        return ""
    return f" [{', '.join(names[:count])}{', ...' if len(names) > count else ''}]"


def _to_half(path: Path, name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if torch.isfinite(tensor).all() and not torch.isfinite(half).all():
        raise InputError(f"{path}: {name} has values too large for float16, save with half=False")
    return half


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a whole safetensors file, fetch or save it again: {error}") from error


def _read_pytorch(path: Path, entry: str) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: damaged, or holds more than tensors and could run code, so it was refused; "
            "fetch it again, or save its state dict alone"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise InputError(f"{path}: not a whole PyTorch file, fetch or save it again: {reason}") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        # A checkpoint without averages has the raw weights under the usual name.
        content = content.get(entry, content["state_dict"])
    if not isinstance(content, dict) or not content or not all(isinstance(t, Tensor) for t in content.values()):
        raise InputError(f"{path}: holds no tensors by name, save a module's state_dict()")
    return dict(content)
