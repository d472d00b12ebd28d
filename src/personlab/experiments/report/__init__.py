"""A comparison as one HTML file that needs neither network nor server, and as tables for papers."""

from personlab.experiments.report.page import write_report
from personlab.experiments.report.tables import to_latex, to_markdown

__all__ = ["to_latex", "to_markdown", "write_report"]
