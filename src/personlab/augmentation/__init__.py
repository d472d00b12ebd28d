"""Random views of a sample: one matrix for image, keypoints and label map."""

from personlab.augmentation.view import TrainingView

__all__ = ["TrainingView"]
