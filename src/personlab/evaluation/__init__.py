"""People -> average precision, what their errors cost of it, and the bound that true fields set."""

from personlab.evaluation.coco_ap import CocoAP
from personlab.evaluation.error_parts import ErrorPart
from personlab.evaluation.keypoint_errors import KeypointErrors, keypoint_errors
from personlab.evaluation.mask_errors import MaskErrors, mask_errors
from personlab.evaluation.oracle import run_oracle, true_fields, true_fields_decoder
from personlab.evaluation.results import people_to_results, read_results, score_report, write_results

__all__ = [
    "CocoAP",
    "ErrorPart",
    "KeypointErrors",
    "MaskErrors",
    "keypoint_errors",
    "mask_errors",
    "people_to_results",
    "read_results",
    "run_oracle",
    "score_report",
    "true_fields",
    "true_fields_decoder",
    "write_results",
]
