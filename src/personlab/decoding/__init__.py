"""Fields -> people: Hough voting, greedy grouping, scores and instance masks."""

from personlab.decoding.decoder import PaperDecoder

__all__ = ["PaperDecoder"]
