"""Pretrained and embedded weights."""

from personlab.weights.files import LoadReport, load_into, load_weights, save_weights
from personlab.weights.imagenet import load_imagenet
from personlab.weights.initial import load_initial, source_file

__all__ = ["LoadReport", "load_imagenet", "load_initial", "load_into", "load_weights", "save_weights", "source_file"]
