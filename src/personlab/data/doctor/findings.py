"""What was found, collected and put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

from personlab.data.doctor.codes import CODES, Level, Use

LEVELS: tuple[Level, ...] = ("error", "warning", "info")
"""From bad to harmless."""
_EXAMPLES = 3


class Place(TypedDict, total=False):
    """Where something is, as `Findings.add` takes it: ids of image and annotation, and a file."""

    image: int | None
    annotation: int | None
    file: str | None


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        code: Key of `CODES`.
        what: What is so, in a few words with the numbers.
        split: Split that it is of, or None.
        file: Annotation or image file.
        image_id: Image that it is of, or None.
        annotation_id: Annotation that it is of, or None.
    """

    code: str
    what: str
    split: str | None = None
    file: str | None = None
    image_id: int | None = None
    annotation_id: int | None = None

    @property
    def level(self) -> Level:
        """How bad it is."""
        return CODES[self.code].level

    @property
    def mend(self) -> str:
        """What to do about it."""
        return CODES[self.code].mend

    @property
    def where(self) -> str:
        """The narrowest name of the place."""
        parts = []
        if self.annotation_id is not None:
            parts.append(f"annotation {self.annotation_id}")
        if self.image_id is not None:
            parts.append(f"image {self.image_id}")
        return ", ".join(parts) or (self.file or "")

    def as_json(self) -> dict[str, Any]:
        """Everything about it, as plain values."""
        place = {"split": self.split, "file": self.file, "image_id": self.image_id, "annotation_id": self.annotation_id}
        return {"level": self.level, "code": self.code, **place, "what": self.what, "mend": self.mend}


@dataclass(frozen=True)
class Group:
    """Findings of one kind in one split."""

    code: str
    split: str | None
    findings: tuple[Finding, ...]

    def line(self) -> str:
        """One line: level, code, how many, the first of them, the mend."""
        count = f" ({len(self.findings)} times)" if len(self.findings) > 1 else ""
        shown = "; ".join(f"{f.where}: {f.what}" if f.where else f.what for f in self.findings[:_EXAMPLES])
        more = "; …" if len(self.findings) > _EXAMPLES else ""
        split = f"{self.split}: " if self.split else ""
        code = CODES[self.code]
        return f"{code.level}: {self.code}{count}: {split}{shown}{more}. {code.mend}"


class Findings:
    """A list of findings that knows where it stands.

    Args:
        split: Split that the next findings are of.
        file: File that they are in, if they name no other.
    """

    def __init__(self, split: str | None = None, file: str | None = None) -> None:
        """Begin with none."""
        self.split = split
        self.file = file
        self._all: list[Finding] = []

    def __len__(self) -> int:
        """How many there are."""
        return len(self._all)

    def __iter__(self) -> Iterator[Finding]:
        """In the order they were found."""
        return iter(self._all)

    def add(
        self, code: str, what: str, *, image: int | None = None, annotation: int | None = None, file: str | None = None
    ) -> None:
        """Note something; `image` and `annotation` are ids."""
        self._all.append(Finding(code, what, self.split, file or self.file, image, annotation))

    def extend(self, others: Findings) -> None:
        """Take over those of another list."""
        self._all += others

    def count(self, level: Level) -> int:
        """How many are of a level."""
        return sum(f.level == level for f in self._all)

    def errors(self, use: Use | None = None) -> list[Finding]:
        """The errors; those alone that spoil a use, if one is given."""
        return [f for f in self._all if f.level == "error" and (use is None or use in CODES[f.code].spoils)]

    def groups(self) -> list[Group]:
        """Findings of one kind and split together: errors first, then warnings and infos, as found."""
        together: dict[tuple[str, str | None], list[Finding]] = {}
        for f in self._all:
            together.setdefault((f.code, f.split), []).append(f)
        groups = [Group(code, split, tuple(found)) for (code, split), found in together.items()]
        return sorted(groups, key=lambda g: LEVELS.index(CODES[g.code].level))
