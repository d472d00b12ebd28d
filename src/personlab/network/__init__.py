"""Backbones, heads and refinement: image -> Fields."""

from personlab.network.backbone import Backbone
from personlab.network.heads import HEAD_NAMES, Heads
from personlab.network.mobilenet_v1 import MobileNetV1
from personlab.network.mobilenet_v2 import MobileNetV2
from personlab.network.normalization import FrozenBatchNorm2d, Norm, make_norm
from personlab.network.personlab import PersonLab
from personlab.network.pyramid import Pyramid
from personlab.network.refinement import refine, refine_long_offsets, refine_mid_offsets
from personlab.network.resnet import ResNet

__all__ = [
    "HEAD_NAMES",
    "Backbone",
    "FrozenBatchNorm2d",
    "Heads",
    "MobileNetV1",
    "MobileNetV2",
    "Norm",
    "PersonLab",
    "Pyramid",
    "ResNet",
    "make_norm",
    "refine",
    "refine_long_offsets",
    "refine_mid_offsets",
]
