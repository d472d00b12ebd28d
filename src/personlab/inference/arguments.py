"""What callers of the Python API may give: anything else is refused before it ends in silence or deep inside."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from personlab.errors import InputError

_WANTED = "an image is a (height, width, 3) array of uint8, RGB"


def checked_image(image: object, name: str) -> NDArray[np.uint8]:
    """An image in memory, if it is one.

    Args:
        image: What was given.
        name: What to call it in errors.

    Returns:
        The same pixels, `(height, width, 3)` uint8, contiguous.

    Raises:
        InputError: If it is no array, empty, or of another shape or type, with the mend: values are never guessed at,
            since 0.5 may be half of 1 or next to nothing of 255.
    """
    if not isinstance(image, np.ndarray):
        raise InputError(f"{name} is {_told(image)}; {_WANTED}: {_to_array(image)}")
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"{name} has shape {image.shape}; {_WANTED}{_to_three_channels(image.shape)}")
    if image.size == 0:
        raise InputError(f"{name} has shape {image.shape}, so it is empty; {_WANTED}")
    if image.dtype != np.uint8:
        raise InputError(f"{name} has values of type {image.dtype}; {_WANTED}: {_to_bytes(image)}")
    return np.ascontiguousarray(image)


def batch_of(images: object) -> list[Any]:
    """The images of a batch, as a list; what each of them is stays to be checked.

    Raises:
        InputError: If it is a single image or a path, or nothing that can be gone through.
    """
    single = isinstance(images, str | bytes | Tensor) or (isinstance(images, np.ndarray) and images.ndim != 4)
    if single or not isinstance(images, Iterable):
        raise InputError(f"a batch is a list of images or paths, got {_told(images)}; give [image] for a single one")
    return list(images)


def whole_number(value: object, name: str) -> int:
    """A whole number, of Python or NumPy.

    Raises:
        InputError: If it is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} must be a whole number, got {value!r}")
    return int(value)


def whole_numbers(values: object, name: str) -> tuple[int, ...]:
    """The whole numbers of a list.

    Raises:
        InputError: If it is no list, or holds anything else.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        example = f", such as [{values}]" if isinstance(values, int) else ""
        raise InputError(f"{name} must be a list of whole numbers{example}, got {values!r}")
    return tuple(whole_number(value, f"{name}[{i}]") for i, value in enumerate(values))


def switch(value: object, name: str) -> bool:
    """True or False.

    Raises:
        InputError: If it is anything else: "none" would be taken for True.
    """
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def number(value: object, name: str) -> float:
    """A finite number, of Python or NumPy.

    Raises:
        InputError: If it is anything else.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.integer | np.floating)
        or not math.isfinite(value)
    ):
        raise InputError(f"{name} must be a number, got {value!r}")
    return float(value)


def file_path(value: object, name: str) -> Path:
    """The path of a file, whether there is one or not.

    Raises:
        InputError: If it is no text and no path, empty, or holds a zero byte.
    """
    plain = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(plain, str) or not plain or "\0" in plain:
        raise InputError(f"{name} must be the name of a file, got {value!r}")
    return Path(plain)


def check_names(names: Iterable[str], known: Collection[str], elsewhere: Collection[str]) -> None:
    """Find misspelt arguments among names that are meant for somebody else.

    Args:
        names: What was given.
        known: The names of the arguments here.
        elsewhere: The names that somebody else knows.

    Raises:
        InputError: If a name that nobody knows is nearly one of those here.
    """
    for name in names:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        if name not in elsewhere and near:
            raise InputError(f"load has no argument {name!r}; did you mean {near[0]!r}?")


def _told(given: object) -> str:
    kind = f"{type(given).__module__.partition('.')[0]}.{type(given).__name__}".removeprefix("builtins.")
    shape = getattr(given, "shape", None)
    return f"{kind} of shape {tuple(shape)}" if isinstance(shape, tuple) else kind


def _to_array(image: object) -> str:
    if hasattr(image, "convert"):  # PIL's, which need not be installed
        return 'give numpy.asarray(image.convert("RGB"))'
    if isinstance(image, Tensor):
        return "give tensor.permute(1, 2, 0).cpu().numpy() of a (3, height, width) tensor"
    return "give such an array or the path of a file"


def _to_three_channels(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return ": give numpy.stack([image] * 3, axis=-1) of a grey one"
    if len(shape) == 4:
        return ": give several to predict_batch"
    if len(shape) == 3 and shape[2] == 1:
        return ": give image.repeat(3, axis=-1) of a grey one"
    if len(shape) == 3 and shape[2] == 4:
        return ": give image[..., :3], without the alpha channel"
    if len(shape) == 3 and shape[0] == 3:
        return ": give image.transpose(1, 2, 0)"
    return ""


def _to_bytes(image: NDArray[Any]) -> str:
    if image.dtype == np.bool_:
        return "give 255 * image.astype(numpy.uint8)"
    if image.dtype == np.uint16:
        return "give (image // 257).astype(numpy.uint8) of one with values up to 65535"
    if np.issubdtype(image.dtype, np.floating):
        return (
            "give (255 * image).round().astype(numpy.uint8) if its values are 0 to 1, "
            "image.astype(numpy.uint8) if 0 to 255"
        )
    return "give image.astype(numpy.uint8) if its values are 0 to 255"
