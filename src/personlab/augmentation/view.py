"""The random crop that the network is trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from personlab.augmentation.geometric import corners, placement, swap_sides
from personlab.augmentation.photometric import photometric
from personlab.data.warp import check_sides, warp
from personlab.errors import InputError
from personlab.geometry import affine
from personlab.geometry.cells import valid_size
from personlab.skeleton import COCO, Skeleton
from personlab.structures import Sample


class TrainingView:
    """A square crop at random scale and place, perhaps mirrored and rotated, perhaps with other colours.

    The image is first fitted so that its longer side is `base_size`, then scaled by a random factor, rotated, shifted
    and mirrored, all in one matrix and one reading of the pixels. Nothing resizes it again afterwards, so the people in
    the crop really differ in size by the factor.

    Args:
        crop_size: Pixels of the crop's side, of the form n * 16 + 1.
        base_size: Longer side of the image at scale 1; None for `crop_size`.
        scale: Smallest and largest random factor, drawn uniformly.
        translation: How far the crop moves: 0 keeps it centred, 1 puts it anywhere in an image that is larger (or the
            image anywhere in a crop that is larger).
        person_probability: Share of the crops that are placed so that a randomly chosen labelled keypoint stays inside;
            the others fall where they fall.
        flip_probability: Share of the crops that are mirrored, with left and right keypoints swapped.
        rotation_degrees: Rotated by a uniform angle up to this, both ways.
        photometric_strength: Strength of colour changes, see `personlab.augmentation.photometric`; 0 for none.
        skeleton: A skeleton file, if the keypoints are not COCO's.

    Raises:
        InputError: If a value is out of its range.

    Source: PersonLab, section 4.1: 801 px crops, scale 0.5 to 1.5, translation, horizontal flip, no rotation.
    Departure: the paper does not say where crops are placed; `person_probability` keeps crops of large images from
    being empty.
    """

    def __init__(
        self,
        crop_size: int = 801,
        base_size: int | None = None,
        scale: tuple[float, float] = (0.5, 1.5),
        translation: float = 1.0,
        person_probability: float = 0.5,
        flip_probability: float = 0.5,
        rotation_degrees: float = 0.0,
        photometric_strength: float = 0.0,
        skeleton: str | None = None,
    ) -> None:
        """Check the options and keep them."""
        if crop_size < 17 or valid_size(crop_size, 16) != crop_size:
            near = valid_size(max(crop_size, 17), 32)
            raise InputError(f"crop_size {crop_size}: must be n * 16 + 1, and better n * 32 + 1; use {near}")
        check_sides([crop_size], "crop_size")
        if base_size is not None and base_size < 2:
            raise InputError(f"base_size {base_size}: must be 2 or more pixels")
        if not 0 < scale[0] <= scale[1]:
            raise InputError(f"scale {list(scale)}: must be two positive factors, the smaller first")
        shares = {
            "translation": translation,
            "person_probability": person_probability,
            "flip_probability": flip_probability,
        }
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise InputError(f"{name} {share}: must lie between 0 and 1")
        if not 0 <= rotation_degrees <= 180:
            raise InputError(f"rotation_degrees {rotation_degrees}: must lie between 0 and 180")
        if not 0 <= photometric_strength <= 2:
            raise InputError(f"photometric_strength {photometric_strength}: must lie between 0 (none) and 2")
        self.crop_size = crop_size
        self.base_size = crop_size if base_size is None else base_size
        self.scale = scale
        self.translation = translation
        self.person_probability = person_probability
        self.flip_probability = flip_probability
        self.rotation_degrees = rotation_degrees
        self.photometric_strength = photometric_strength
        self.skeleton = COCO if skeleton is None else Skeleton.from_file(skeleton)

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """One random crop of a sample.

        Args:
            sample: An image with its people.
            generator: All chance comes from it.

        Returns:
            A new sample of `crop_size` x `crop_size` pixels, with as many people as before.

        Raises:
            InputError: If the sample's keypoints are not those of the skeleton.
        """
        if sample.keypoints.shape[1] != self.skeleton.num_keypoints:
            raise InputError(
                f"image {sample.image_id} has {sample.keypoints.shape[1]} keypoints, skeleton {self.skeleton.name} "
                f"{self.skeleton.num_keypoints}; give the view and the data the same skeleton"
            )
        matrix, mirrored = self.matrix(sample, generator)
        sample = warp(sample, matrix, (self.crop_size, self.crop_size))
        if mirrored:
            sample = swap_sides(sample, self.skeleton)
        if self.photometric_strength:
            sample = replace(sample, image=photometric(sample.image, self.photometric_strength, generator))
        return sample

    def matrix(self, sample: Sample, generator: np.random.Generator) -> tuple[affine.Affine, bool]:
        """Draw where a sample goes.

        Returns:
            The matrix from the sample's frame to `crop_xy`, and whether it mirrors.
        """
        height, width = sample.image.shape[:2]
        scale = generator.uniform(*self.scale)
        angle = self.rotation_degrees * generator.uniform(-1, 1)
        seeks_person, mirrored = generator.random(2) < (self.person_probability, self.flip_probability)
        which = generator.random()
        resize = affine.compose(
            affine.fit_longer_side(height, width, self.base_size), affine.scaling(scale), affine.rotation(angle)
        )
        labelled_xy = sample.keypoints[sample.keypoints[..., 2] > 0][:, :2]
        focus_xy = None
        if seeks_person and len(labelled_xy):
            focus_xy = affine.apply(resize, labelled_xy[int(which * len(labelled_xy))])
        extent_xy = affine.apply(resize, corners(height, width))
        shift = placement(extent_xy, self.crop_size, self.translation, focus_xy, generator)
        steps = [resize, shift, *([affine.horizontal_flip(self.crop_size)] if mirrored else [])]
        return affine.compose(*steps), bool(mirrored)
