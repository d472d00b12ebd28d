"""The check of a data set before training: every fault at once, each with its mend."""

from personlab.data.doctor.codes import CODES, Code
from personlab.data.doctor.examination import examine, examine_annotations
from personlab.data.doctor.findings import Finding, Findings
from personlab.data.doctor.gate import refuse_errors

__all__ = ["CODES", "Code", "Finding", "Findings", "examine", "examine_annotations", "refuse_errors"]
