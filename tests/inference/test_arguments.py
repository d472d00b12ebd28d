"""What the Python API refuses, and with what mend; and what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from personlab.errors import InputError
from personlab.inference import Predictor, load

RGB = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
GREY = RGB[..., 0]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load("embedded", size=129)


REFUSED = {
    "float 0 to 1": (RGB / 255.0, "float64", "(255 * image).round().astype(numpy.uint8)"),
    "float32 0 to 255": (RGB.astype(np.float32), "float32", "image.astype(numpy.uint8)"),
    "16 bits": (RGB.astype(np.uint16) * 257, "uint16", "(image // 257).astype(numpy.uint8)"),
    "bool": (RGB > 127, "bool", "255 * image.astype(numpy.uint8)"),
    "int64": (RGB.astype(np.int64), "int64", "image.astype(numpy.uint8)"),
    "grey": (GREY, "(70, 90)", "numpy.stack([image] * 3, axis=-1)"),
    "grey with an axis": (GREY[..., None], "(70, 90, 1)", "image.repeat(3, axis=-1)"),
    "alpha": (np.dstack([RGB, GREY]), "(70, 90, 4)", "image[..., :3]"),
    "channels first": (RGB.transpose(2, 0, 1), "(3, 70, 90)", "image.transpose(1, 2, 0)"),
    "a stack": (RGB[None], "(1, 70, 90, 3)", "predict_batch"),
    "two channels": (RGB[..., :2], "(70, 90, 2)", "(height, width, 3)"),
    "no rows": (RGB[:0], "(0, 90, 3)", "empty"),
    "no columns": (RGB[:, :0], "(70, 0, 3)", "empty"),
    "PIL": (Image.fromarray(RGB), "PIL.Image", 'numpy.asarray(image.convert("RGB"))'),
    "tensor": (torch.from_numpy(RGB), "torch.Tensor of shape (70, 90, 3)", "permute(1, 2, 0)"),
    "None": (None, "NoneType", "path of a file"),
    "bytes": (b"\xff\xd8", "bytes", "path of a file"),
    "list": (RGB.tolist(), "list", "such an array"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_rgb_image_is_refused_with_the_mend(predictor: Predictor, name: str) -> None:
    image, *told = REFUSED[name]
    with pytest.raises(InputError) as single:
        predictor(image)
    with pytest.raises(InputError) as second:
        predictor.predict_batch([RGB, image])
    with pytest.raises(InputError):
        predictor.fields([image])
    for text in told:
        assert text in str(single.value)
        assert text in str(second.value)
    assert "\n" not in str(single.value)
    assert str(single.value).startswith("images[0] ")
    assert str(second.value).startswith("images[1] ")


@pytest.mark.parametrize("mend", ["float", "16 bits", "grey", "PIL", "channels first"])
def test_the_mends_mend(predictor: Predictor, mend: str) -> None:
    # As the messages say; the pixels are those that were meant.
    made = {
        "float": (255 * (RGB / 255.0)).round().astype(np.uint8),
        "16 bits": ((RGB.astype(np.uint16) * 257) // 257).astype(np.uint8),
        "grey": np.stack([GREY] * 3, axis=-1),
        "PIL": np.asarray(Image.fromarray(RGB).convert("RGB")),
        "channels first": RGB.transpose(2, 0, 1).transpose(1, 2, 0),
    }
    image = predictor(made[mend]).image
    np.testing.assert_array_equal(image, RGB if mend != "grey" else np.dstack([GREY] * 3))


@pytest.mark.parametrize("images", [RGB, "photo.jpg", Path("photo.jpg"), None, 3, torch.zeros(1, 3, 9, 9)])
def test_a_batch_is_a_list(predictor: Predictor, images: object) -> None:
    with pytest.raises(InputError, match=r"a batch is a list of images or paths, got .*give \[image\]"):
        predictor.predict_batch(images)  # type: ignore[arg-type]


def test_a_batch_of_nothing_finds_nobody(predictor: Predictor) -> None:
    assert predictor.predict_batch([]) == []
    with pytest.raises(InputError, match="no image"):
        predictor.fields([])


def test_views_of_images_files_and_stacks_are_images(predictor: Predictor, synthetic: Path) -> None:
    path = next((synthetic / "val2017").iterdir())
    prediction = predictor(path)
    assert len(prediction.people)
    bgr = np.ascontiguousarray(prediction.image[..., ::-1])
    bgr.setflags(write=False)
    backwards = bgr[..., ::-1]  # what cv2.imread gives, turned to RGB: strides are negative
    stack = np.stack([prediction.image] * 2)
    for found in [*predictor.predict_batch([str(path), backwards]), *predictor.predict_batch(stack)]:
        # Sums of a batch may be taken in another order.
        np.testing.assert_allclose(found.people.keypoints, prediction.people.keypoints, atol=0.01)
        assert found.draw().shape == prediction.image.shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": 5}, "path must be the name of a file, got 5"),
        ({"path": b"people.png"}, r"path must be the name of a file, got b'people\.png'"),
        ({"path": ""}, "path must be the name of a file, got ''"),
        ({"path": "a\0b.png"}, r"path must be the name of a file, got 'a\\x00b\.png'"),
        ({"path": "people"}, r"people: a picture is named by its kind, give people\.png or \.jpg"),
        ({"path": "people.foo"}, r"people\.foo: a picture is named by its kind, give people\.png or \.jpg"),
        ({"score_threshold": "a"}, "score_threshold must be a number, got 'a'"),
        ({"score_threshold": None}, "score_threshold must be a number, got None"),
        ({"score_threshold": True}, "score_threshold must be a number, got True"),
        ({"score_threshold": float("nan")}, "score_threshold must be a number, got nan"),
    ],
)
def test_bad_arguments_of_draw_are_told(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    prediction = predictor(np.zeros((65, 65, 3), np.uint8))
    with pytest.raises(InputError, match=message) as refused:
        prediction.draw(**arguments)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_what_people_draw_with(predictor: Predictor, tmp_path: Path) -> None:
    prediction = predictor(np.zeros((65, 65, 3), np.uint8))
    for name, threshold in (("a.png", 0), ("b.JPG", np.float32(0.5))):
        prediction.draw(tmp_path / name, threshold)
        assert (tmp_path / name).is_file()


def test_a_name_that_no_file_can_have_is_told(predictor: Predictor) -> None:
    with pytest.raises(InputError, match=r"^'a\\x00b': embedded null byte; check the path$"):
        predictor("a\0b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scales": 961}, r"scales must be a list of whole numbers, such as \[961\], got 961"),
        ({"scales": "961"}, "scales must be a list of whole numbers, got '961'"),
        ({"scales": None}, "scales must be a list of whole numbers, got None"),
        ({"scales": [193, "961"]}, r"scales\[1\] must be a whole number, got '961'"),
        ({"scales": [961.5]}, r"scales\[0\] must be a whole number, got 961.5"),
        ({"scales": [1]}, "2 pixels at least"),
        ({"size": "801"}, "size must be a whole number, got '801'"),
        ({"size": 801.5}, "size must be a whole number, got 801.5"),
        ({"size": True}, "size must be a whole number, got True"),
        ({"size": None, "scales": [193]}, "need a size"),
        ({"flip": "none"}, "flip must be True or False, got 'none'"),
        ({"stride": "8"}, "stride must be a whole number, got '8'"),
        ({"stride": 8.0}, "stride must be a whole number, got 8.0"),
        ({"stride": 5}, "output_stride 5"),
        ({"rules": "nobody's"}, 'no rules "nobody\'s"; there are paper, tfjs, bodypix, coral'),
        ({"rules": ["tfjs"]}, r"no rules \['tfjs'\]; there are paper"),
        ({"device": "abacus"}, "device abacus cannot be used .*; give another, such as cpu"),
        ({"device": 99}, "device 99 cannot be used"),
        ({"device": None}, "device None cannot be used"),
        ({"device": "meta"}, "device meta cannot be used"),
        ({"scale": [961]}, "load has no argument 'scale'; did you mean 'scales'"),
        ({"weight": "x.safetensors"}, "load has no argument 'weight'; did you mean 'weights'"),
        ({"people": 3}, "no option 'people'; it has disk_radius_px"),
        ({"skeleton": None}, "no option 'skeleton'"),
        ({"max_people": "3"}, "max_people='3' is no whole number"),
        ({"rules": "tfjs", "nms_radius_px": [20]}, "nms_radius_px=.* is no number"),
    ],
)
def test_bad_arguments_of_load_are_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        load(**arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_that_is_not_there_is_told() -> None:
    for name in ("cuda", "cuda:1", torch.device("cuda")):
        with pytest.raises(InputError, match=r"device cuda.* cannot be used .*; give another, such as cpu"):
            load("embedded", device=name)


def test_numbers_of_numpy_are_numbers() -> None:
    predictor = load(
        size=np.int64(129), scales=np.array([193, 97]), flip=np.bool_(True), device=torch.device("cpu"),
        max_people=np.int64(2), score_threshold=np.float32(0.5),
    )  # fmt: skip
    assert (predictor.size, predictor.scales, predictor.flip) == (129, (193, 97), True)
    options = predictor.decoder.options
    assert options["max_people"] == 2
    assert options["score_threshold"] == 0.5
    assert [type(options[name]) for name in ("max_people", "score_threshold")] == [int, float]
