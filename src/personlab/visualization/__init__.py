"""Pictures of data, fields, people and the decoder's steps; `data_figure` and `ladder` draw charts."""

from personlab.visualization.contact_sheet import contact_sheet, sheet_row, write_image
from personlab.visualization.fields import (
    direction_wheel,
    draw_arrows,
    draw_heatmaps,
    draw_long_offsets,
    draw_mid_offsets,
    draw_short_offsets,
    draw_valid,
)
from personlab.visualization.film import Film
from personlab.visualization.people import SCORE_THRESHOLD, draw_people, draw_skeleton, person_colour
from personlab.visualization.samples import LABEL_MAP_TITLES, draw_sample, label_map_tiles, sample_sheet
from personlab.visualization.steps import draw_nearness, draw_seeds, draw_votes, draw_walk

__all__ = [
    "LABEL_MAP_TITLES",
    "SCORE_THRESHOLD",
    "Film",
    "contact_sheet",
    "direction_wheel",
    "draw_arrows",
    "draw_heatmaps",
    "draw_long_offsets",
    "draw_mid_offsets",
    "draw_nearness",
    "draw_people",
    "draw_sample",
    "draw_seeds",
    "draw_short_offsets",
    "draw_skeleton",
    "draw_valid",
    "draw_votes",
    "draw_walk",
    "label_map_tiles",
    "person_colour",
    "sample_sheet",
    "sheet_row",
    "write_image",
]
