"""The steps of the paper's rules on tensors: a whole batch at once, on any device.

Each function does what its namesake for one image does (`hough`, `seeds`, `grouping`, `scoring`), where its rule is
told. Places are float64, maps float32, as there; people of all images stand in one list, each with its image.
"""

from personlab.decoding.batched.masks import person_masks
from personlab.decoding.batched.scores import score_keypoints
from personlab.decoding.batched.votes import find_seeds, hough_maps
from personlab.decoding.batched.walks import Walker, walk_levels

__all__ = ["Walker", "find_seeds", "hough_maps", "person_masks", "score_keypoints", "walk_levels"]
