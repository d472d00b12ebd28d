"""What each level of a decoder-only study comes to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from personlab.decoding import RULES, Decoder
from personlab.errors import InputError
from personlab.experiments.ablation.study import Cell, Study
from personlab.inference.predictor import EVERYBODY
from personlab.network import PersonLab


@dataclass(frozen=True)
class Setting:
    """How one level finds people.

    Attributes:
        decoder: Fields -> people.
        rules: Whose rules the decoder goes by.
        refinements: Steps of the mid offsets, of the long ones by themselves and of these by the short ones.
        stride: Output stride.
        size: Longer side of the input; None keeps the image's.
        scales: Further longer sides that fields are averaged over.
        flip: Whether the mirrored image is averaged in, too.
    """

    decoder: Decoder
    rules: str
    refinements: tuple[int, int, int]
    stride: int
    size: int | None
    scales: tuple[int, ...]
    flip: bool

    @property
    def views(self) -> list[tuple[int, int | None, bool]]:
        """(stride, size, mirrored) of all fields it needs, in the order in which they are merged."""
        return [(self.stride, side, m) for side in (self.size, *self.scales) for m in (False, True)[: 1 + self.flip]]

    def told(self) -> dict[str, Any]:
        """What decides the result, as JSON."""
        return {
            "rules": self.rules,
            "decoder": {n: v for n, v in self.decoder.options.items() if n != "engine"},
            "refinements": list(self.refinements),
            "views": [list(view) for view in self.views],
        }


def make_settings(study: Study, network: PersonLab, usual: Decoder) -> dict[str, Setting]:
    """The setting of each cell of a study, by its name.

    Args:
        study: Decoder-only.
        network: Whose fields are decoded; its output stride is set to each that is asked for, to see that it can.
        usual: The network's own decoder by the paper's rules.

    Raises:
        InputError: If a level is wrong, or changes nothing.
    """
    stride = network.output_stride
    found: dict[str, Setting] = {}
    for cell in study.cells():
        try:
            found[cell.name] = _build(_merged(study, cell), network, stride, usual)
        except InputError as error:
            raise InputError(f"{study.path}: {cell.name}: {error}") from None
    _refuse_equals(study, found)
    return found


def _merged(study: Study, cell: Cell) -> dict[str, Any]:
    """What the study and the levels of a cell say; a level with rules of its own begins with their options."""
    merged: dict[str, Any] = dict(study.settings)
    for level in cell.levels:
        options = {} if "rules" in level.settings else dict(merged.get("decoder") or {})
        if "rules" in level.settings and "refinements" not in level.settings:
            merged.pop("refinements", None)
        merged |= dict(level.settings)
        merged["decoder"] = options | _mapping(level.settings.get("decoder", {}))
    return merged


def _build(merged: Mapping[str, Any], network: PersonLab, own_stride: int, usual: Decoder) -> Setting:
    rules = merged.get("rules", "paper")
    if rules not in tuple(RULES):
        raise InputError(f"no rules {rules!r}; there are {', '.join(RULES)}")
    if rules == "paper":
        decoder = usual
        steps = (network.mid_refinements, network.long_refinements, network.long_short_refinements)
    else:
        kind: Any = RULES[rules]
        decoder, steps = kind(skeleton=network.skeleton, **EVERYBODY), (0, 0, 0)  # they refine as they go
    size, flip = merged.get("size", 801), merged.get("flip", False)
    scales, stride = merged.get("scales", []), merged.get("stride", own_stride)
    if not isinstance(flip, bool):
        raise InputError(f"flip is {flip!r}; give true or false")
    sides = [*scales, 2 if size is None else size] if isinstance(scales, list) else [scales]
    if any(type(s) is not int or s < 2 for s in sides) or type(stride) is not int or stride < 1:
        raise InputError(f"size {size}, scales {scales}, stride {stride}: give whole numbers of pixels")
    if scales and (size is None or len({size, *scales}) <= len(scales)):
        raise InputError(f"scales {scales} must differ from each other and from size, which must be given")
    if stride != network.output_stride:
        network.set_output_stride(stride)
    decoder = decoder.with_options(**_mapping(merged.get("decoder") or {}))
    steps = _steps(merged.get("refinements"), steps)
    return Setting(decoder, rules, steps, stride, size, tuple(scales), flip)


def _steps(given: Any, otherwise: tuple[int, int, int]) -> tuple[int, int, int]:
    """Refinement steps: one number for all three kinds, or `{mid: 1, long: 2, long_short: 2}`."""
    names = ("mid", "long", "long_short")
    if given is None:
        return otherwise
    if isinstance(given, dict) and given.keys() <= set(names):
        values = [given.get(name, usual) for name, usual in zip(names, otherwise, strict=True)]
    else:
        values = [given] * 3
    if any(type(value) is not int or value < 0 for value in values):
        raise InputError(f"refinements is {given!r}; give a whole number, or some of {', '.join(names)} with theirs")
    return values[0], values[1], values[2]


def _mapping(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InputError(f"decoder is {given!r}; give its options, such as {{expected_oks: false}}")
    return {str(key): value for key, value in given.items()}


def _refuse_equals(study: Study, settings: Mapping[str, Setting]) -> None:
    """A level that changes nothing is a mistake: its delta would be an exact 0."""
    seen: dict[str, str] = {}
    for name, setting in settings.items():
        told = json.dumps(setting.told(), sort_keys=True)
        if told in seen:
            raise InputError(
                f"{study.path}: {name!r} is the same as {seen[told]!r}; give it another value or leave it out"
            )
        seen[told] = name
