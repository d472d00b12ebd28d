"""Random changes of colour and sharpness; the only file that knows albumentations."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

# On import, albumentations would ask a host for its newest version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import cv2
from albumentations.augmentations.pixel import functional as pixel

_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = 0.3, 0.3, 0.4, 0.02
_BLUR_SIGMA_PX, _LEAST_SIGMA_PX, _JPEG_LOSS = 1.5, 0.1, 60
_BLUR_SHARE, _JPEG_SHARE = 0.1, 0.1


def photometric(image: NDArray[np.uint8], strength: float, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast, saturation and hue; now and then blur a little or compress as JPEG.

    The numbers are drawn here and given to albumentations' functions, since its own pipelines keep random state.

    Args:
        image: `(height, width, 3)` uint8, RGB; left as it is.
        strength: 0 changes nothing; 1 changes brightness and contrast by up to 30 %, saturation by up to 40 %, hue by
            up to 7 degrees, blurs one image in ten by up to 1.5 px and compresses one in ten down to quality 40.
        generator: Source of chance; eight numbers are drawn, whatever they lead to.

    Returns:
        The changed image, of the same shape; the given one itself where nothing changed.

    Source: none. Departure: the paper names no change of colours.
    """
    brightness, contrast, saturation, hue = generator.uniform(-strength, strength, 4)
    blurs, sigma, compresses, loss = generator.random(4)
    image = pixel.adjust_contrast_torchvision(image, 1 + _CONTRAST * contrast)
    image = pixel.adjust_brightness_torchvision(image, 1 + _BRIGHTNESS * brightness)
    image = pixel.adjust_saturation_torchvision(image, 1 + _SATURATION * saturation)
    image = pixel.adjust_hue_torchvision(image, _HUE * hue)
    sigma_px, quality = _BLUR_SIGMA_PX * strength * sigma, round(100 - min(_JPEG_LOSS * strength * loss, 99))
    if blurs < _BLUR_SHARE and sigma_px > _LEAST_SIGMA_PX:
        image = cv2.GaussianBlur(image, (0, 0), sigma_px).astype(np.uint8, copy=False)
    if compresses < _JPEG_SHARE and quality < 100:
        image = pixel.image_compression(image, quality, ".jpg")
    return image
