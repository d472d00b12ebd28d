"""Fields -> people: Hough voting, greedy grouping, scores and instance masks, by four sets of rules."""

from personlab.decoding.base import Decoder
from personlab.decoding.paper import PaperDecoder
from personlab.decoding.rules import BodyPixDecoder, CoralDecoder, TfjsDecoder

RULES: dict[str, type[Decoder]] = {
    "paper": PaperDecoder,
    "tfjs": TfjsDecoder,
    "bodypix": BodyPixDecoder,
    "coral": CoralDecoder,
}
"""The decoders by the names of their rules."""

__all__ = ["RULES", "BodyPixDecoder", "CoralDecoder", "Decoder", "PaperDecoder", "TfjsDecoder"]
