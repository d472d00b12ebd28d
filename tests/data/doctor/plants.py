"""Faults to plant into a data set in COCO's layout, and the code that each must be found by."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

TRAIN, VAL = "train2017", "val2017"
FILE = "annotations/person_keypoints_{}.json"


@dataclass
class Set:
    """A data set that faults are planted into: the documents of both splits, and the files."""

    root: Path
    train: dict[str, Any]
    val: dict[str, Any]

    @classmethod
    def read(cls, root: Path) -> Set:
        train, val = (json.loads((root / FILE.format(split)).read_text()) for split in (TRAIN, VAL))
        return cls(root, train, val)

    def write(self) -> None:
        for split, content in ((TRAIN, self.train), (VAL, self.val)):
            (self.root / FILE.format(split)).write_text(json.dumps(content))

    @property
    def image(self) -> dict[str, Any]:
        """An image of the training split, not the first."""
        return self.train["images"][3]

    @property
    def person(self) -> dict[str, Any]:
        """A person of the training split with a mask, and the most keypoints."""
        single = [a for a in self.train["annotations"] if not a["iscrowd"]]
        return max(single, key=lambda a: (a["num_keypoints"], a["id"]))

    def image_of(self, annotation: dict[str, Any]) -> dict[str, Any]:
        return next(i for i in self.train["images"] if i["id"] == annotation["image_id"])

    def path(self, image: dict[str, Any]) -> Path:
        return self.root / TRAIN / image["file_name"]

    def place(self, keypoint: int, *values: float) -> None:
        """Set x, y, v of a keypoint of the person, and count again."""
        person = self.person
        person["keypoints"][3 * keypoint : 3 * keypoint + 3] = values
        person["num_keypoints"] = sum(v > 0 for v in person["keypoints"][2::3])

    def crowd(self) -> dict[str, Any]:
        """A new crowd region with a run-length code of the size of its image."""
        height, width = self.image["height"], self.image["width"]
        code = {"size": [height, width], "counts": [0, 50 * height, (width - 50) * height]}
        row = {
            "id": 777777, "image_id": self.image["id"], "category_id": 1, "iscrowd": 1, "segmentation": code,
            "area": 50 * height, "bbox": [0, 0, 50, height], "keypoints": [0] * 51, "num_keypoints": 0,
        }  # fmt: skip
        self.train["annotations"].append(row)
        return row

    def category(self) -> dict[str, Any]:
        return self.train["categories"][0]


PLANTS: dict[str, tuple[str, Callable[[Set], Any]]] = {}
"""Name of the fault -> code, and what plants it."""
STATISTICAL: dict[str, tuple[str, Callable[[Set], Any]]] = {}
"""Faults of a whole file, which take some dozens of people to be told."""


def plant(code: str, many: bool = False) -> Callable[[Callable[[Set], Any]], Callable[[Set], Any]]:
    def keep(function: Callable[[Set], Any]) -> Callable[[Set], Any]:
        (STATISTICAL if many else PLANTS)[function.__name__] = (code, function)
        return function

    return keep


def _simple(name: str, code: str, function: Callable[[Set], Any]) -> None:
    PLANTS[name] = (code, function)


_simple("no keypoints list", "not-coco", lambda s: s.train.pop("categories"))
_simple("an image that is no object", "not-coco", lambda s: s.train["images"].append(3))
_simple("no images", "no-images", lambda s: s.train.update(images=[]))
_simple("id as text", "field-wrong", lambda s: s.image.update(id="x"))
_simple("two bad fields are both told", "field-wrong", lambda s: s.image.update(id="x", height=1.5))
_simple("file name is no text", "field-wrong", lambda s: s.image.update(file_name=None))
_simple("crowd flag", "field-wrong", lambda s: s.person.update(iscrowd="no"))
_simple("area as text", "field-wrong", lambda s: s.person.update(area="100"))
_simple("no person", "category-missing", lambda s: s.category().update(name="dog"))
_simple("category twice", "category-duplicate", lambda s: s.train["categories"].append(dict(s.category())))
_simple("unknown category", "category-unknown", lambda s: s.person.update(category_id=77))
_simple("only dogs", "category-empty", lambda s: [
    s.train["categories"].append({"id": 2, "name": "dog"}), [a.update(category_id=2) for a in s.train["annotations"]]
])  # fmt: skip
_simple("no names", "keypoint-names-missing", lambda s: s.category().pop("keypoints"))
_simple("16 names", "keypoint-names", lambda s: s.category()["keypoints"].pop())
_simple("unknown name", "keypoint-names", lambda s: s.category()["keypoints"].__setitem__(0, "beak"))
_simple("names in another order", "keypoint-order", lambda s: s.category()["keypoints"].reverse())
_simple("edge to nowhere", "category-edges", lambda s: s.category()["skeleton"].append([3, 18]))
_simple("16 sigmas", "category-sigmas", lambda s: s.category().update(sigmas=[0.05] * 16))
_simple("other sigmas", "category-sigmas", lambda s: s.category().update(sigmas=[0.05] * 17))
_simple("image id twice", "image-id-duplicate", lambda s: s.train["images"].append(dict(s.image)))
_simple("file named twice", "file-name-duplicate", lambda s: s.train["images"].append({**s.image, "id": 999_999_999}))
_simple("path upwards", "path-unsafe", lambda s: s.image.update(file_name="../val2017/x.jpg"))
_simple("absolute path", "path-unsafe", lambda s: s.image.update(file_name="/etc/hostname"))
_simple("path of another system", "path-unsafe", lambda s: s.image.update(file_name="..\\x.jpg"))
_simple("height 0", "image-size", lambda s: s.image.update(height=0))
_simple("nobody", "image-unannotated", lambda s: s.train.update(
    annotations=[a for a in s.train["annotations"] if a["image_id"] != s.person["image_id"]]
))  # fmt: skip
_simple("255 people", "too-many-people", lambda s: s.train["annotations"].extend(
    {**s.person, "id": 10**7 + i} for i in range(255)
))  # fmt: skip
_simple("annotation id twice", "annotation-id-duplicate", lambda s: s.train["annotations"][1].update(
    id=s.train["annotations"][0]["id"]
))  # fmt: skip
_simple("no annotation id", "annotation-id-missing", lambda s: s.person.pop("id"))
_simple("unknown image", "annotation-image-unknown", lambda s: s.person.update(image_id=123456789))
_simple("person twice", "annotation-duplicate", lambda s: s.train["annotations"].append({**s.person, "id": 10**7}))
_simple("mask twice", "mask-duplicate", lambda s: s.train["annotations"].append(
    {**s.person, "id": 10**7, "keypoints": [0] * 51, "num_keypoints": 0}
))  # fmt: skip
_simple("crowd with polygons", "crowd-polygons", lambda s: s.person.update(iscrowd=1))
_simple("crowd with keypoints", "crowd-keypoints", lambda s: s.person.update(iscrowd=1))
_simple("single person by runs", "person-rle", lambda s: s.crowd().update(iscrowd=0))
_simple("detection file", "no-keypoints", lambda s: [
    s.category().pop("keypoints"), [a.pop("keypoints") for a in s.train["annotations"]]
])  # fmt: skip
_simple("keypoint is NaN", "number-not-finite", lambda s: s.place(0, float("nan"), 5, 2))
_simple("area is infinite", "number-not-finite", lambda s: s.person.update(area=float("inf")))
_simple("polygon of NaN", "number-not-finite", lambda s: s.person["segmentation"].append([float("nan")] * 6))
_simple("box is NaN", "number-not-finite", lambda s: s.person.update(bbox=[1, 2, float("nan"), 3]))
_simple("16 keypoints", "keypoint-count", lambda s: s.person.update(keypoints=s.person["keypoints"][:-3]))
_simple("keypoints as text", "keypoint-count", lambda s: s.person.update(keypoints=["1"] * 51))
_simple("visibility 3", "visibility", lambda s: s.place(0, 5, 5, 3))
_simple("place of an unlabelled one", "unlabelled-place", lambda s: s.place(0, 5, 5, 0))
_simple("wrong count", "num-keypoints", lambda s: s.person.update(num_keypoints=3))
_simple("count 0", "num-keypoints", lambda s: s.person.update(num_keypoints=0))
_simple("right of the image", "keypoint-outside", lambda s: s.place(0, s.image_of(s.person)["width"] + 2, 5, 2))
_simple("above the image", "keypoint-outside", lambda s: s.place(0, 5, -3, 1))
_simple("another's box", "bbox-elsewhere", lambda s: s.person.update(bbox=[0, 0, 5, 5]))
_simple("box too large", "bbox-unlike-mask", lambda s: s.person.update(
    bbox=[*s.person["bbox"][:2], s.person["bbox"][2] + 6, 1.6 * s.person["bbox"][3] + 6]
))  # fmt: skip
_simple("no box", "bbox-missing", lambda s: s.person.pop("bbox"))
_simple("box of three numbers", "bbox-wrong", lambda s: s.person.update(bbox=[1, 2, 3]))
_simple("empty box", "bbox-empty", lambda s: s.person.update(bbox=[1, 2, 0, 5]))
_simple("box leaves the image", "bbox-outside", lambda s: s.person.update(
    bbox=[*s.person["bbox"][:3], s.image_of(s.person)["height"]]
))  # fmt: skip
_simple("no area", "area-missing", lambda s: s.person.pop("area"))
_simple("area 0", "area-zero", lambda s: s.person.update(area=0))
_simple("negative area", "area-zero", lambda s: s.person.update(area=-5.0))
_simple("area tenfold", "area-unlike-mask", lambda s: s.person.update(area=10 * s.person["area"]))
_simple("area a third", "area-unlike-mask", lambda s: s.person.update(area=s.person["area"] / 3))
_simple("area as a share", "area-unlike-mask", lambda s: s.person.update(area=0.1))
_simple("no segmentation", "segmentation-missing", lambda s: s.person.pop("segmentation"))
_simple("empty segmentation", "segmentation-empty", lambda s: s.person.update(segmentation=[]))
_simple("segmentation as text", "segmentation-wrong", lambda s: s.person.update(segmentation="x"))
_simple("odd polygon", "segmentation-wrong", lambda s: s.person["segmentation"][0].append(3))
_simple("polygon of text", "segmentation-wrong", lambda s: s.person.update(segmentation=[["a"] * 6]))
_simple("two points", "polygon-degenerate", lambda s: s.person["segmentation"].append([1, 1, 5, 5]))
_simple("polygon leaves the image", "polygon-outside", lambda s: s.person["segmentation"].append(
    [*s.person["segmentation"][0][:4], -40, 10]
))  # fmt: skip
_simple("polygon beside the image", "mask-nothing", lambda s: s.person.update(
    segmentation=[[-40, -40, -30, -40, -30, -30, -40, -30]]
))  # fmt: skip
_simple("crowd without pixels", "mask-nothing", lambda s: s.crowd()["segmentation"].update(
    counts=[s.image["height"] * s.image["width"]]
))  # fmt: skip
_simple("runs of another size", "rle-size", lambda s: s.crowd()["segmentation"].update(
    size=[s.image["width"] + 1, s.image["height"]]
))  # fmt: skip
_simple("too few runs", "rle-sum", lambda s: s.crowd()["segmentation"]["counts"].pop())
_simple("runs of shares", "rle-corrupt", lambda s: s.crowd()["segmentation"].update(counts=[0.5, 10]))
_simple("runs cut short", "rle-corrupt", lambda s: s.crowd()["segmentation"].update(counts="P"))
_simple("negative run", "rle-corrupt", lambda s: s.crowd()["segmentation"].update(counts=[-1, 601]))
_simple("image file is gone", "image-missing", lambda s: s.path(s.image).unlink())
_simple("image file of text", "image-unreadable", lambda s: s.path(s.image).write_text("<html>not found</html>"))
_simple("image file is empty", "image-unreadable", lambda s: s.path(s.image).write_bytes(b""))
_simple("image file is cut short", "image-unreadable", lambda s: s.path(s.image).write_bytes(
    s.path(s.image).read_bytes()[: s.path(s.image).stat().st_size // 2]
))  # fmt: skip
_simple("image file with foreign bytes", "image-damaged", lambda s: s.path(s.image).write_bytes(
    (data := s.path(s.image).read_bytes())[: len(data) // 2] + bytes([255, 90]) * 3 + data[len(data) // 2 :]
))  # fmt: skip
_simple(
    "file that nobody names", "file-unnamed", lambda s: shutil.copy(s.path(s.image), s.path(s.image).with_name("x.jpg"))
)
_simple("no image folder", "folder-missing", lambda s: shutil.rmtree(s.root / TRAIN))


@plant("annotation-duplicate")
def same_pose_other_mask(s: Set) -> None:
    """A person annotated again, by another polygon."""
    again = copy.deepcopy({**s.person, "id": 10**7})
    again["segmentation"][0][0] += 1
    s.train["annotations"].append(again)


@plant("keypoints-elsewhere")
def keypoints_of_another(s: Set) -> None:
    """All keypoints in the corner that is farthest from the person."""
    person, image = s.person, s.image_of(s.person)
    x, y, w, h = person["bbox"]
    far_x = 1 if x > image["width"] - x - w else image["width"] - 2
    far_y = 1 if y > image["height"] - y - h else image["height"] - 2
    person["keypoints"] = [v for n in range(17) for v in (far_x, far_y - (n % 2 if far_y > 1 else 0), 2)]
    person["num_keypoints"] = 17
    w, h = max(w / 8, 2), max(h / 8, 2)
    person["bbox"], person["area"] = [x + 3.5 * w, y + 3.5 * h, w, h], w * h
    left, top, right, bottom = x + 3.5 * w, y + 3.5 * h, x + 4.5 * w, y + 4.5 * h
    person["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]


@plant("face-mirrored")
def mirrored_face(s: Set) -> None:
    """One person whose eyes are each other's."""
    x, y = s.person["bbox"][0] + 10, s.person["bbox"][1] + 10
    s.place(0, x, y + 6, 2)
    s.place(1, x - 5, y, 2)
    s.place(2, x + 5, y, 2)


@plant("image-size-unlike")
def small_copy(s: Set) -> None:
    """A thumbnail in place of the image."""
    image = cv2.imread(str(s.path(s.image)))
    cv2.imwrite(str(s.path(s.image)), cv2.resize(image, None, fx=0.5, fy=0.5))


def _turn(s: Set, orientation: int, swap_size: bool) -> None:
    image = s.image
    pixels = Image.open(s.path(image)).convert("RGB").crop((0, 0, image["width"] - 9, image["height"]))
    image["width"] -= 9
    tags = Image.Exif()
    tags[0x0112] = orientation
    pixels.save(s.path(image), format="JPEG", exif=tags.tobytes(), quality=95)
    if swap_size:
        image["width"], image["height"] = image["height"], image["width"]


@plant("exif-rotated")
def annotated_as_it_is_looked_at(s: Set) -> None:
    """Width and height of the turned image."""
    _turn(s, 6, True)


@plant("exif-orientation")
def stored_upside_down(s: Set) -> None:
    """An orientation that does not change the size."""
    _turn(s, 3, False)


@plant("image-duplicate-split")
def leak(s: Set) -> None:
    """A training image among those that are scored."""
    copied = {**s.image, "id": 999_999_999, "file_name": "leak.jpg"}
    shutil.copy(s.path(s.image), s.root / VAL / "leak.jpg")
    s.val["images"].append(copied)


@plant("image-similar-split")
def leak_by_other_compression(s: Set) -> None:
    """The same at another quality and size."""
    image = cv2.resize(cv2.imread(str(s.path(s.image))), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(s.root / VAL / "leak.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 70])
    height, width = image.shape[:2]
    s.val["images"].append({"id": 999_999_999, "file_name": "leak.jpg", "height": height, "width": width})


@plant("image-duplicate")
def copy_of_a_file(s: Set) -> None:
    """A copy under another name."""
    shutil.copy(s.path(s.image), s.path(s.image).with_name("copy.jpg"))
    s.train["images"].append({**s.image, "id": 999_999_999, "file_name": "copy.jpg"})


@plant("image-similar")
def copy_by_other_compression(s: Set) -> None:
    """A copy at another quality."""
    image = cv2.imread(str(s.path(s.image)))
    cv2.imwrite(str(s.path(s.image).with_name("copy.jpg")), image, [cv2.IMWRITE_JPEG_QUALITY, 70])
    s.train["images"].append({**s.image, "id": 999_999_999, "file_name": "copy.jpg"})


def _swap(s: Set, *pairs: int) -> None:
    for row in s.train["annotations"]:
        places = np.array(row["keypoints"], dtype=object).reshape(-1, 3)
        for k in pairs:
            places[[k, k + 1]] = places[[k + 1, k]]
        row["keypoints"] = places.reshape(-1).tolist()


@plant("sides-swapped", many=True)
def swapped_hips(s: Set) -> None:
    """One pair in the whole file."""
    _swap(s, 11)


@plant("sides-swapped", many=True)
def swapped_ankles(s: Set) -> None:
    """The pair that agrees least."""
    _swap(s, 15)


@plant("faces-mirrored", many=True)
def everything_mirrored(s: Set) -> None:
    """All pairs, as after mirroring images without swapping sides."""
    _swap(s, *range(1, 17, 2))


@plant("coordinates-normalised", many=True)
def shares_of_the_size(s: Set) -> None:
    """Keypoints as shares of width and height."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in s.train["images"]}
    for row in s.train["annotations"]:
        places = np.array(row["keypoints"], dtype=float).reshape(-1, 3)
        places[:, :2] /= sizes[row["image_id"]]
        row["keypoints"] = places.reshape(-1).tolist()


@plant("coordinates-swapped", many=True)
def y_before_x(s: Set) -> None:
    """Keypoints as y, x, v."""
    for row in s.train["annotations"]:
        places = np.array(row["keypoints"]).reshape(-1, 3)
        row["keypoints"] = places[:, [1, 0, 2]].reshape(-1).tolist()


@plant("boxes-are-corners", many=True)
def corners_for_boxes(s: Set) -> None:
    """Boxes as left, top, right, bottom."""
    for row in s.train["annotations"]:
        x, y, w, h = row["bbox"]
        row["bbox"] = [x, y, x + w, y + h]
