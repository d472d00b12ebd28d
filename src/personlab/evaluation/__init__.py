"""People -> average precision, and the bound that true fields set."""

from personlab.evaluation.coco_ap import CocoAP
from personlab.evaluation.oracle import run_oracle, true_fields, true_fields_decoder
from personlab.evaluation.results import people_to_results, read_results, score_report, write_results

__all__ = [
    "CocoAP",
    "people_to_results",
    "read_results",
    "run_oracle",
    "score_report",
    "true_fields",
    "true_fields_decoder",
    "write_results",
]
