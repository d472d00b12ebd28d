"""A folder that nobody wants to be given: a few good images of many kinds among files that only look like some."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 48, 64
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
CORNERS = (RED, GREEN, BLUE, WHITE)
"""Colours of the quarters: above left, above right, below left, below right."""
GREYS = tuple(3 * (round(0.299 * r + 0.587 * g + 0.114 * b),) for r, g, b in CORNERS)
UPRIGHT = {1: "0123", 2: "1032", 3: "3210", 4: "2301", 5: "0213", 6: "2031", 7: "3120", 8: "1302"}
"""Which quarter of the stored image is seen in each quarter, by EXIF orientation."""

Good = dict[str, tuple[tuple[int, int, int], ...]]
"""Names of images that can be read, and the colours that their quarters must have."""
Bad = dict[str, str]
"""Names that cannot be read, and what must be said of each."""


def quarters() -> np.ndarray:
    """`(48, 64, 3)` uint8, RGB: a colour a quarter."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:24, :32], image[:24, 32:], image[24:, :32], image[24:, 32:] = CORNERS
    return image


def jpeg(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_that_claims(width: int, height: int) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")


def jpeg_that_claims(width: int, height: int) -> bytes:
    data = bytearray(jpeg(Image.fromarray(quarters())))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def bmp(bits: int, rows: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, bits, 0, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows


def inks(kind: str) -> bytes:
    """A JPEG of four inks: `adobe` upside down as Photoshop writes it, `plain` as it should be, `ycck`."""
    cmyk = np.asarray(Image.fromarray(quarters()).convert("CMYK"))
    if kind == "adobe":  # Pillow writes inks upside down, and Adobe's marker beside them
        return jpeg(Image.fromarray(cmyk, "CMYK"))
    if kind == "plain":
        data = jpeg(Image.fromarray(255 - cmyk, "CMYK"))
        start = data.index(b"\xff\xee")
        return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
    rest = cv2.cvtColor(np.ascontiguousarray(cmyk[..., :3]), cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    data = jpeg(Image.fromarray(255 - np.dstack([rest, 255 - cmyk[..., 3]]), "CMYK"))
    transform = data.index(b"Adobe") + 11
    return data[:transform] + b"\x02" + data[transform + 1 :]


def film(path: Path, frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    for _ in range(frames):
        writer.write(quarters()[..., ::-1].copy())
    writer.release()


def make_good(folder: Path) -> Good:
    """Write images of every kind that can be read."""
    plain = Image.fromarray(quarters())
    grey = plain.convert("L")
    deep = quarters().astype(np.uint16) * 257
    clear = np.dstack([quarters(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    clear[:24, :32] = (9, 200, 9, 0)  # nothing of this colour may be seen
    clear[:24, 32:, 3] = 128
    seen = (WHITE, (127, 255, 127), BLUE, WHITE)
    steps = plain.convert("P")
    good: Good = {}

    def save(name: str, image: Image.Image, corners: tuple = CORNERS, **options: object) -> None:
        image.save(folder / name, **options)
        good[name] = corners

    def write(name: str, data: bytes, corners: tuple = CORNERS) -> None:
        (folder / name).write_bytes(data)
        good[name] = corners

    save("plain.png", plain)
    save("plain.bmp", plain)
    save("lossless.webp", plain, lossless=True)
    save("progressive.jpg", plain, progressive=True, quality=95)
    save("grey.jpg", grey, GREYS)
    save("grey.png", grey, GREYS)
    save("grey_alpha.png", grey.convert("LA"), GREYS)
    save("palette.png", steps)
    save("palette_clear.png", steps, (WHITE, GREEN, BLUE, WHITE), transparency=steps.getpixel((0, 0)))
    save("colour_clear.png", plain, (WHITE, GREEN, BLUE, WHITE), transparency=RED)
    save("clear.png", Image.fromarray(clear), seen)
    save("clear.webp", Image.fromarray(clear), seen, lossless=True)
    save("clear.tif", Image.fromarray(clear), seen)
    write("deep_grey.png", cv2.imencode(".png", np.asarray(grey).astype(np.uint16) * 257)[1].tobytes(), GREYS)
    write("deep.png", cv2.imencode(".png", deep[..., ::-1])[1].tobytes())
    write("deep_grey.tif", cv2.imencode(".tif", np.asarray(grey).astype(np.uint16) * 257)[1].tobytes(), GREYS)
    write("inks_adobe.jpg", inks("adobe"))
    write("inks_plain.jpg", inks("plain"))
    write("inks_ycck.jpg", inks("ycck"))
    save("inks.tif", plain.convert("CMYK"))
    save("one_bit.png", plain.convert("1"), (None, WHITE, None, WHITE))
    save("one_bit.tif", plain.convert("1"), (None, WHITE, None, WHITE))
    save("fractions.tif", Image.fromarray(np.asarray(grey).astype(np.float32) / 255), GREYS)
    save("pages.tif", plain, save_all=True, append_images=[Image.new("RGB", (9, 9))])
    for extension in ("gif", "webp", "png"):
        options = {"lossless": True} if extension == "webp" else {}
        save(f"moves.{extension}", plain, save_all=True, append_images=[Image.new("RGB", plain.size)], **options)
    write("sixteen.bmp", bmp(16, _five_bits(quarters())[::-1].tobytes()))
    for turn, order in UPRIGHT.items():
        exif = Image.Exif()
        exif[0x0112] = turn
        corners = tuple(CORNERS[int(place)] for place in order)
        save(f"turn{turn}.jpg", plain, corners, exif=exif, quality=95)
        save(f"turn{turn}.png", plain, corners, exif=exif)
        save(f"turn{turn}.tif", plain, corners, exif=exif)
    save("bad_exif.jpg", plain, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f garbage", quality=95)
    save("bad_exif.png", plain, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f garbage")
    save("bad_profile.jpg", plain, icc_profile=b"junk" * 20, quality=95)
    save("bad_profile.png", plain, icc_profile=b"junk" * 20)
    write("junk_behind.jpg", jpeg(plain) + b"junk" * 100)
    write("junk_inside.jpg", jpeg(plain)[:-2] + b"junk" * 9 + b"\xff\xd9")  # libjpeg warns on the terminal
    write("a_png.jpg", cv2.imencode(".png", quarters()[..., ::-1])[1].tobytes())
    write("odd name\nof two lines \u4eba \x1b[31m.png", (folder / "plain.png").read_bytes())
    write(os.fsdecode(b"bytes \xff\xfe.png"), (folder / "plain.png").read_bytes())
    write("l" * 251 + ".png", (folder / "plain.png").read_bytes())
    write("l" * 251 + ".bmp", (folder / "plain.bmp").read_bytes())
    write("PLAIN.png", (folder / "plain.png").read_bytes())
    save("one.png", Image.new("RGB", (1, 1), RED), (RED, RED, RED, RED))
    save("thin.png", Image.new("RGB", (1, 4000), BLUE), (BLUE, BLUE, BLUE, BLUE))
    save("flat.png", Image.new("RGB", (4000, 1), BLUE), (BLUE, BLUE, BLUE, BLUE))
    # Its picture must not have the name of this folder.
    (folder / "film.jpg").mkdir()
    save("film.png", plain)
    save("film.jpg/inside.png", plain)
    return good


def _five_bits(image: np.ndarray) -> np.ndarray:
    red, green, blue = (image[..., channel].astype(np.uint16) >> 3 for channel in range(3))
    return (red << 10) | (green << 5) | blue


def _encoded() -> dict[str, bytes]:
    """One image by the name of its format's extension."""
    small = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = Image.fromarray(np.asarray(cv2.resize(small, (300, 200))))
    kinds = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP", "gif": "GIF", "ppm": "PPM"}
    files = {extension: io.BytesIO() for extension in kinds}
    for extension, file in files.items():
        image.save(file, kinds[extension])
    return {extension: file.getvalue() for extension, file in files.items()}


def _cut() -> dict[str, bytes]:
    whole = _encoded()
    cut = {f"cut.{kind}": whole[kind][: len(whole[kind]) // 2] for kind in ("webp", "tif", "bmp", "gif", "ppm")}
    for kind in ("jpg", "png"):
        length = len(whole[kind])
        cut |= {f"cut{share}.{kind}": whole[kind][: length * share // 100] for share in (1, 30, 60, 97)}
        cut[f"cut_filled.{kind}"] = cut[f"cut60.{kind}"].ljust(length, b"\0")
    damaged = bytearray(whole["png"])
    damaged[len(damaged) // 2] ^= 0xFF
    return cut | {"damaged.png": bytes(damaged)}


def _files() -> dict[str, tuple[bytes, str]]:
    cut = {name: (content, "cut short or damaged|not an image") for name, content in _cut().items()}
    noise = np.random.default_rng(1).bytes(20_000)
    return cut | {
        "text.jpg": (b"no image at all", "not an image"),
        "page.png": (b"<html><body>404</body></html>", "not an image"),
        "zero.jpg": (b"", "empty"),
        "bomb.png": (png_that_claims(100_000, 100_000), "pixels"),
        "bomb30k.png": (png_that_claims(30_000, 30_000), "pixels"),
        "bomb.jpg": (jpeg_that_claims(65_500, 65_500), "65500x65500 pixels"),
        "no_size.jpg": (jpeg_that_claims(0, 0), "cut|decoded"),
        "seven.bmp": (bmp(7, bytes(HEIGHT * WIDTH)), "decoded"),
        "program.jpg": (noise, "not an image"),
        "markers.jpg": (b"\xff\xd8" + b"\xff" * 50_000, "cut|decoded"),
        "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0", "not an image"),
        "notes.txt": (b"x", "by its extension"),
        "list.json": (b"{}", "by its extension"),
        "all.zip": (b"PK", "by its extension"),
        "zero.mp4": (b"", "no frame"),
        "text.avi": (b"no film", "no frame"),
        "bytes.mkv": (noise, "no frame"),
    }


def make_bad(folder: Path) -> Bad:
    """Write what cannot be read."""
    bad: Bad = {}
    for name, (content, told) in _files().items():
        (folder / name).write_bytes(content)
        bad[name] = told
    Image.fromarray(np.array([[-5.0, 3e9]], np.float32)).save(folder / "heights.tif")
    film(folder / "none.avi", 0)
    film(folder / "cut.avi", 20)
    whole = (folder / "cut.avi").read_bytes()
    (folder / "cut.avi").write_bytes(whole[: len(whole) // 5])
    (folder / os.fsdecode(b"bytes \xff.avi")).write_bytes(whole)
    bad |= {"heights.tif": "no image's", "none.avi": "no frame", "cut.avi": "no frame"}
    bad[os.fsdecode(b"bytes \xff.avi")] = "cannot take this name"
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    (folder / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    bad |= {"loop.jpg": "symbolic links", "dangling.png": "No such file", "dangling.mp4": "leads nowhere"}
    (folder / "empty").mkdir()
    (folder / "empty" / "round").symlink_to(folder)  # a folder that is searched anyway: no word about it
    (folder / "elsewhere").symlink_to(folder.parent)
    bad["elsewhere"] = "link to a folder"
    for name in ("pipe.jpg", "pipe.mp4"):
        os.mkfifo(folder / name)
        bad[name] = "plain file"
    if os.geteuid() != 0:
        (folder / "secret.png").write_bytes((folder / "notes.txt").read_bytes())
        (folder / "secret.png").chmod(0)
        (folder / "locked").mkdir(mode=0)
        bad |= {"secret.png": "Permission denied", "locked": "cannot be listed"}
    return bad
