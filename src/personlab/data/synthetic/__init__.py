"""Synthetic people as a data set in COCO's layout, with keypoints, masks and crowds."""

from personlab.data.synthetic.files import generate

__all__ = ["generate"]
