"""From image to people: a trained network, a decoder, test-time augmentation."""

from personlab.inference.predictor import Prediction, Predictor, load
from personlab.inference.stopwatch import Stopwatch
from personlab.inference.tta import flip_fields, merge_fields

__all__ = ["Prediction", "Predictor", "Stopwatch", "flip_fields", "load", "merge_fields"]
