"""Sweeps: many runs from one file in W&B's format, by an engine that hands out their parameters."""
