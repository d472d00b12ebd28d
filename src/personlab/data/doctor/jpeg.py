"""JPEG data that no encoder writes: decoders make grey or coloured bars of it, and say nothing."""

from __future__ import annotations

_SCAN, _END = 0xDA, 0xD9
_BETWEEN = frozenset({0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
"""Segments that may follow a scan: tables, the next scan, a comment, data of an application."""
_INSIDE = frozenset({0x00, 0xFF, *range(0xD0, 0xD8)})
"""What may follow a byte FF within a scan: it is FF itself, filling, or a restart."""


def damage(data: bytes) -> str | None:
    """Where the first marker is that no encoder writes.

    A byte FF in compressed data is always followed by 00, so bytes that came by accident betray themselves when one of
    them is FF: one in 256.

    Args:
        data: A file's content.

    Returns:
        What is wrong, in a few words; None for sound data, and for files that are no JPEG.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    place, inside = 2, False
    while True:
        place = data.find(b"\xff", place) if inside else place
        if place < 0 or place + 1 >= len(data):
            return None  # cut short, which the decoder tells
        marker = data[place + 1]
        if inside and marker in _INSIDE:
            place += 1 if marker == 0xFF else 2
        elif data[place] == 0xFF and marker == 0xFF:
            place += 1
        elif marker == _END and data[place] == 0xFF:
            return None
        elif data[place] != 0xFF or (inside and marker not in _BETWEEN):
            return f"byte {place} of {len(data)} is no part of a JPEG"
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4])
            inside = marker == _SCAN
