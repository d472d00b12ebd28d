"""What the doctor can find: how bad it is, what it means, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from personlab.structures import MAX_PEOPLE

Level = Literal["error", "warning", "info"]
"""An error makes training or scoring fail, or teaches or measures something wrong; a warning is odd and may be meant;
an info is to be known."""
Use = Literal["training", "scoring"]
"""What a split is for."""


@dataclass(frozen=True)
class Code:
    """One kind of finding.

    Attributes:
        level: How bad it is.
        means: What is so.
        mend: What to do about it.
        spoils: Uses that an error spoils: a training file without areas is fine, a file that is scored against is not.
    """

    level: Level
    means: str
    mend: str
    spoils: tuple[Use, ...] = ("training", "scoring")


def _error(means: str, mend: str, *spoils: Use) -> Code:
    return Code("error", means, mend, spoils or ("training", "scoring"))


def _warning(means: str, mend: str) -> Code:
    return Code("warning", means, mend, ())


def _info(means: str, mend: str) -> Code:
    return Code("info", means, mend, ())


CODES: dict[str, Code] = {
    # The file
    "file-missing": _error(
        "The annotation file is not there.", "Check `--data.root`, the split, `--data.annotations`."
    ),
    "file-broken": _error("The annotation file is not JSON, or cut short.", "Copy, download or export it again."),
    "not-coco": _error(
        "The lists `images`, `annotations` and `categories`, or objects in them, are missing.",
        "Export in COCO's format.",
    ),
    "no-images": _error("No image is listed.", "Use a file that lists its images."),
    "field-wrong": _error(
        "A field is missing or of another type: ids and sizes are whole numbers, names are text, flags 0 or 1.",
        "Give the field as COCO has it.",
    ),
    "refused": _error("The reader refuses the file for a reason that no other code names.", "As the message says."),
    "skeleton-broken": _error(
        "The skeleton file is none: not one sigma a keypoint, edges that are no tree, or a side without partner.",
        "One name and one sigma a keypoint, one edge fewer, `left` beside `right`.",
    ),
    # Categories
    "category-missing": _error("There is no category `person`.", "Rename the category that means people."),
    "category-duplicate": _error("Two categories have the same id or name.", "Give each its own."),
    "category-unknown": _error(
        "An annotation has a category that is not listed, so it would be left out.",
        "List the category, or mend the id.",
    ),
    "category-empty": _error("No annotation is of the category `person`.", "Mend the annotations' `category_id`."),
    "keypoint-names-missing": _warning(
        "The category `person` does not name its keypoints, so their order cannot be checked.",
        "Add `keypoints`, the names in order, to the category.",
    ),
    "keypoint-names": _error(
        "The keypoints of the file are not those of the skeleton, in number or in name.",
        "Give a skeleton file with these names (`--data.skeleton`), or rename them.",
    ),
    "keypoint-order": _error(
        "The keypoints have the skeleton's names in another order.", "Reorder names and keypoints, or the skeleton."
    ),
    "category-edges": _warning(
        "The category's `skeleton` is no list of pairs of keypoints, counted from 1.",
        "Mend or drop it; training takes the tree of the skeleton file.",
    ),
    "category-sigmas": _error(
        "The category's `sigmas` are not one a keypoint, or not those of the skeleton.",
        "Make the sigmas of file and skeleton the same: they decide the score.",
        "scoring",
    ),
    # Images in the file
    "image-id-duplicate": _error("Two images have the same id.", "Give every image its own."),
    "file-name-duplicate": _error(
        "Two images name the same file; to each, the people of the other are background.",
        "Merge them into one image with all annotations.",
    ),
    "path-unsafe": _error(
        "`file_name` is absolute or leads out of the folder of the split.", "Name files inside the folder, with `/`."
    ),
    "image-size": _error(
        "Height or width of an image is not positive, or too large for any image.", "Give the size of the file."
    ),
    "image-unannotated": _info("An image has no annotation.", "Nothing, if nobody is in it; else annotate it."),
    "too-many-people": _error(
        f"An image has more than {MAX_PEOPLE} people.", "Make some of them one crowd region (`iscrowd: 1`)."
    ),
    # Annotations
    "annotation-id-duplicate": _error("Two annotations have the same id.", "Number them anew."),
    "annotation-id-missing": _error("An annotation has no id.", "Number the annotations.", "scoring"),
    "annotation-image-unknown": _error(
        "An annotation is of an image that is not listed.", "Add the image or drop the annotation."
    ),
    "annotation-duplicate": _error(
        "An annotation is there twice: same image, same keypoints.", "Drop one; nobody can find a person twice."
    ),
    "mask-duplicate": _warning("Two people of an image have the very same mask.", "Look whether one is too many."),
    "crowd-polygons": _warning(
        "A crowd region has polygons; COCO's have a run-length code.", "Check that `iscrowd` is meant."
    ),
    "crowd-keypoints": _warning(
        "A crowd region has keypoints, which nobody will learn.", "Set `iscrowd: 0` if it is one person."
    ),
    "person-rle": _info(
        "A single person has a run-length code; COCO's have polygons.", "Nothing, unless it is a crowd."
    ),
    # Keypoints
    "no-keypoints": _error(
        "No annotation has keypoints (a detection file?), so there is nothing to train on.",
        "Use `person_keypoints_*.json`.",
        "training",
    ),
    "number-not-finite": _error("A number is NaN, infinite or beyond all images.", "Give the true number."),
    "keypoint-count": _error(
        "An annotation's `keypoints` are not three numbers a keypoint of the skeleton.",
        "Give x, y, v for each, 0, 0, 0 where unlabelled; or the right `--data.skeleton`.",
    ),
    "visibility": _error("Visibility is not 0, 1 or 2.", "0: not labelled, 1: labelled and hidden, 2: visible."),
    "unlabelled-place": _warning(
        "A keypoint with visibility 0 has a place, which nobody will learn.",
        "Set v to 1 or 2 if it is labelled, else x and y to 0.",
    ),
    "num-keypoints": _error(
        "`num_keypoints` is not how many keypoints have v > 0.", "Count again; COCO's tools leave out people with 0."
    ),
    "keypoint-outside": _error(
        "A labelled keypoint lies outside its image by more than a pixel.",
        "Set it to 0, 0, 0, or mend scale or size of the image.",
    ),
    "keypoints-elsewhere": _warning(
        "No keypoint of a person lies in or near the person's box.", "Check that they belong to the same person."
    ),
    "coordinates-normalised": _error(
        "All keypoints lie between 0 and 1: shares of the image's size, not pixels.", "Multiply by width and height."
    ),
    "coordinates-swapped": _error("Keypoints fit the boxes far better with x and y swapped.", "Write x first, then y."),
    "sides-swapped": _error(
        "The left and the right one of a pair are swapped in most people, measured by the other pairs.",
        "Swap the pair in the file, or in the order of the skeleton's names.",
    ),
    "faces-mirrored": _error(
        "In too many faces seen from the front, the left eye is where the right one must be.",
        "Left is the person's own left. Images that were mirrored need their pairs swapped.",
    ),
    "face-mirrored": _warning(
        "In one face seen from the front, the left eye is where the right one must be.",
        "Look at the person; left is the person's own left.",
    ),
    # Boxes, areas and masks
    "bbox-missing": _error("An annotation has no `bbox`.", "Add the box of its mask: x, y, width, height.", "scoring"),
    "bbox-wrong": _error("`bbox` is not four numbers.", "Give x, y, width, height in pixels."),
    "bbox-empty": _error(
        "A box has no width or no height.", "Add the box of its mask: x, y, width, height.", "scoring"
    ),
    "bbox-outside": _warning("A box reaches beyond its image by more than a pixel.", "Cut it at the border."),
    "bbox-elsewhere": _error(
        "A box and the box of the person's mask hardly overlap.", "Mend whichever is another person's."
    ),
    "bbox-unlike-mask": _warning("A box is not that of the person's mask.", "Nothing, if it holds hidden parts too."),
    "boxes-are-corners": _error(
        "Boxes fit the masks far better as two corners.", "Write x, y, width, height, not x, y, x, y."
    ),
    "area-missing": _error(
        "An annotation has no `area`, by which COCO's score measures distances.", "Add the mask's area.", "scoring"
    ),
    "area-zero": _error(
        "An area is not positive: no distance would be small enough, and AP would be 0.",
        "Add the area of its mask, in pixels.",
    ),
    "area-unlike-mask": _error(
        "An area is more than twice or less than half of the mask's (of a crowd: ten times).",
        "Add the area of its mask, in pixels of the image.",
    ),
    "segmentation-missing": _error(
        "An annotation has no `segmentation`. Training leaves its box out; there is no mask to score.",
        "Add one, or score keypoints only.",
        "scoring",
    ),
    "segmentation-empty": _error(
        "A segmentation has no polygon. Training leaves its box out; there is no mask to score.",
        "Add one, or drop the annotation.",
        "scoring",
    ),
    "segmentation-wrong": _error(
        "A segmentation is neither a list of polygons x, y, x, y, … nor a run-length code.",
        "Export it again as COCO has it.",
    ),
    "polygon-degenerate": _error(
        "A polygon has fewer than three points, so it covers nothing.", "Drop the polygon.", "scoring"
    ),
    "polygon-outside": _warning("A polygon reaches beyond its image by more than two pixels.", "Cut it at the border."),
    "mask-nothing": _error(
        "A mask covers no pixel of its image.", "Mend its places or the image's size, or drop it.", "scoring"
    ),
    "rle-size": _error("The size of a run-length code is not that of its image.", "Encode height and width anew."),
    "rle-sum": _error(
        "The runs of a run-length code do not cover its image exactly once.", "Encode the mask anew, column by column."
    ),
    "rle-corrupt": _error("The counts of a run-length code cannot be read.", "Encode the mask anew."),
    # Image files
    "folder-missing": _error("The image folder of the split is not there.", "Put the images into `{root}/{split}`."),
    "image-missing": _error("An image file is not there.", "Copy it, or drop the image from the file."),
    "image-unreadable": _error(
        "An image file cannot be decoded, or is cut short.", "Copy or download it again, or drop the image."
    ),
    "image-damaged": _warning(
        "A JPEG file has bytes that no encoder writes; decoders make bars of some colour of them.",
        "Look at it; copy or download it again.",
    ),
    "image-size-unlike": _error(
        "An image file has another size than the annotations say.", "Use the original file, or scale the annotations."
    ),
    "exif-rotated": _error(
        "The annotations have the size of the image as its EXIF orientation turns it. Pixels are read as stored.",
        "Turn the pixels and drop the EXIF tag (`jpegtran`, `exiftran -a`).",
    ),
    "exif-orientation": _warning(
        "An image's EXIF orientation turns or mirrors it. Pixels are read as stored.",
        "Check that the annotations were made on the stored pixels; then drop the tag.",
    ),
    "image-duplicate-split": _error(
        "The same image is in two splits: what is scored was trained on.", "Drop it from one of them."
    ),
    "image-duplicate": _warning("The same image is in a split twice.", "Drop one, or merge their annotations."),
    "image-similar-split": _warning(
        "Images of two splits look the same (other compression or size).", "Look at both; drop one."
    ),
    "image-similar": _info("Two images of a split look the same.", "Nothing, or drop one."),
    "file-unnamed": _info("A file of the image folder is named by no image.", "Nothing, or annotate or remove it."),
}
"""Every kind of finding. `docs/data.md` shows this table."""
