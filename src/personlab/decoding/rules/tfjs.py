"""PoseNet's decoder in the browser: poses from heatmaps and offsets read at the nearest cell."""

from __future__ import annotations

import numpy as np

from personlab.decoding.base import Decoder, Poses, array, check_options, people_in_image
from personlab.decoding.grouping import group_keypoints, walk_orders
from personlab.decoding.rules.cells import cell_seeds
from personlab.decoding.suppression import unexplained_means
from personlab.geometry.affine import Affine
from personlab.skeleton import COCO, Skeleton
from personlab.structures import Fields, People

SHORT_REFINEMENTS = 2
"""How often the released decoder corrects a keypoint by the short offsets."""


class TfjsDecoder(Decoder):
    """Decode poses as PoseNet 2.2 and BodyPix 2.2 do in the browser: no Hough voting, no Expected-OKS, nothing sorted.

    Source: released decoder `@tensorflow-models/posenet` 2.2.2, several people. Poses come in the order of their seeds.
    """

    def __init__(
        self,
        skeleton: Skeleton = COCO,
        max_people: int = 5,
        score_threshold: float = 0.5,
        nms_radius_px: float = 20.0,
    ) -> None:
        """Set the options, by default those of PoseNet.

        Args:
            skeleton: Keypoints and tree of the fields.
            max_people: Stop after so many people.
            score_threshold: Smallest heatmap probability of a seed.
            nms_radius_px: Keypoints of one type this near are the same one, for seeds and for scores.

        Raises:
            InputError: If an option is out of range.
        """
        check_options({}, {"max_people": max_people, "nms_radius_px": nms_radius_px})
        self.skeleton = skeleton
        self.max_people = max_people
        self.score_threshold = score_threshold
        self.nms_radius_px = nms_radius_px
        self._orders = walk_orders(skeleton)

    def decode_image(self, fields: Fields, image_to_crop: Affine, image_size: tuple[int, int]) -> People:
        """Decode one image, people in the order of their seeds."""
        return people_in_image(self.poses(fields), None, image_to_crop)

    def poses(self, fields: Fields) -> Poses:
        """People of one image."""
        heatmaps, short_offsets, stride = array(fields.heatmaps), array(fields.short_offsets), fields.stride
        seeds = cell_seeds(heatmaps, short_offsets, stride, self.score_threshold)
        crop_xy, used = group_keypoints(
            seeds, heatmaps, short_offsets, array(fields.mid_offsets), stride, self._orders, self.nms_radius_px,
            SHORT_REFINEMENTS, edge_read="displaced", short_read="nearest", max_people=self.max_people,
        )  # fmt: skip
        _, height, width = heatmaps.shape
        cells = np.floor(crop_xy / stride + 0.5)
        columns, rows = (np.clip(cells[..., n], 0, size - 1).astype(int) for n, size in ((0, width), (1, height)))
        keypoint_scores = np.nan_to_num(heatmaps[np.arange(len(heatmaps)), rows, columns].astype(np.float64))
        # A seed keeps the score of the cell it was found at.
        keypoint_scores[np.arange(len(used)), seeds.keypoints[used]] = seeds.scores[used]
        scores = unexplained_means(crop_xy, keypoint_scores, self.nms_radius_px)
        return Poses(crop_xy, keypoint_scores, keypoint_scores, scores)
