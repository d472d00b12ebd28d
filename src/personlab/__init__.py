"""PersonLab: multi-person pose estimation and person instance segmentation, bottom-up.

Source: Papandreou, Zhu, Chen, Gidaris, Tompson, Murphy, "PersonLab: Person Pose Estimation and Instance Segmentation
with a Bottom-Up, Part-Based, Geometric Embedding Model", ECCV 2018.
"""

__version__ = "0.1.0"
