"""Runs: directory, run card and ledger."""

from personlab.experiments.ledger import Ledger
from personlab.experiments.runs import RunDirectory, finish_card, start_card

__all__ = ["Ledger", "RunDirectory", "finish_card", "start_card"]
