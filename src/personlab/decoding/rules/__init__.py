"""Rules of the released decoders, and the layout of their fields. Only here are vectors (dy, dx)."""

from personlab.decoding.rules.bodypix import BodyPixDecoder
from personlab.decoding.rules.coral import CoralDecoder
from personlab.decoding.rules.tfjs import TfjsDecoder

__all__ = ["BodyPixDecoder", "CoralDecoder", "TfjsDecoder"]
