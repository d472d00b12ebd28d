"""Ablations: a baseline and what changes when one thing about it does."""
