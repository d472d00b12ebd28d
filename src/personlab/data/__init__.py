"""COCO reading, samplers, data modules and the synthetic data set."""
