"""Pictures of fields and people."""

from personlab.visualization.contact_sheet import contact_sheet, sheet_row, write_image
from personlab.visualization.fields import draw_heatmaps
from personlab.visualization.film import Film
from personlab.visualization.people import SCORE_THRESHOLD, draw_people, draw_skeleton

__all__ = [
    "SCORE_THRESHOLD",
    "Film",
    "contact_sheet",
    "draw_heatmaps",
    "draw_people",
    "draw_skeleton",
    "sheet_row",
    "write_image",
]
