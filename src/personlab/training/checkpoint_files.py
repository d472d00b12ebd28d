"""Checkpoint files that are whole or not there: written aside, read back, then renamed."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from personlab.errors import InputError

logger = logging.getLogger("personlab")
_UNFINISHED = ".part"
_STATE = ("pytorch-lightning_version", "state_dict", "loops", "global_step")
"""What a checkpoint to go on from has, beside much else."""


class VerifiedCheckpointIO(TorchCheckpointIO):
    """Saves so that a kill, a crash or a full disk at any time leaves the older file, whole.

    A checkpoint is written to a file beside its place, forced to the disk, read back and compared by the sums that it
    carries, and only then renamed; the folder is forced to the disk last.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save.

        Raises:
            InputError: If it cannot be written, or what was written is not what is read; nothing is lost then.
        """
        path = Path(path)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if (problem := damage(unfinished)) is not None:
                raise OSError(None, f"what was written cannot be read back: {problem}")
            unfinished.replace(path)
            _force(path.parent)
        except (OSError, RuntimeError) as error:  # torch's own writer raises the latter on a full disk
            reason = getattr(error, "strerror", None) or str(error).split("\n", 1)[0]
            raise InputError(
                f"{path}: this checkpoint could not be saved ({reason}); those from before are untouched: make room, "
                "then go on with --resume auto"
            ) from error
        finally:
            unfinished.unlink(missing_ok=True)


def damage(path: str | Path) -> str | None:
    """What is wrong with a checkpoint file, in a few words; None if it is whole.

    Every byte is read: a checkpoint is a zip archive, each part of which has a sum that a flipped bit does not fit.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken is not None:
            return f"its part {broken} is damaged"
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, zipfile.BadZipFile, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        return str(error).split("\n", 1)[0] or type(error).__name__
    except Exception as error:  # pickle's errors, refused code among them
        return f"refused: {str(error).split(chr(10), 1)[0]}"
    missing = [name for name in _STATE if not isinstance(content, dict) or name not in content]
    return f"has no {missing[0]}" if missing else None


def newest_whole(checkpoints: Iterable[Path]) -> Path | None:
    """The checkpoint of the most steps that is whole; damaged ones are told and passed over.

    Of those with equally many steps, the one written last.
    """
    ranked = []
    for path in checkpoints:
        problem = damage(path)
        if problem is None:
            step = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"]
            ranked.append((int(step), path.stat().st_mtime, str(path), path))
        else:
            logger.warning("%s: passed over: %s", path, problem)
    return max(ranked)[-1] if ranked else None


def remove_unfinished(folder: Path) -> None:
    """Remove what kills left half written; only for who has the run directory alone."""
    for path in folder.glob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def _force(folder: Path) -> None:
    """Have a renaming on the disk: without this, a power cut may undo it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
