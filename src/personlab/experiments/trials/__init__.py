"""Trials: trainings that a sweep or a study starts as processes."""
