"""`personlab predict`: people in images, folders, videos and cameras."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from personlab.cli.evaluate import add_network_options, predictor_of
from personlab.cli.options import make_parser, progress_bar, write_result
from personlab.cli.quiet import quiet_libraries
from personlab.errors import InputError
from personlab.evaluation.results import people_to_results, write_results
from personlab.files import check_writable, write_json
from personlab.inference import Prediction, Predictor, Stopwatch
from personlab.inference.sources import CAMERA, Frame, expand, frames, in_one_line, open_camera
from personlab.visualization import SCORE_THRESHOLD, Film, write_image

logger = logging.getLogger("personlab")

_FILES = ("results.json", "images.json", "skipped.json")
"""What stands in the output folder, beside the pictures."""
_JPEG_SIDE = 65_000
"""A longer side is more than a JPEG can have."""


def run(words: list[str]) -> int:
    """Run `personlab predict`."""
    parser = make_parser(
        "predict",
        "Find people in images, folders, patterns, videos or camera:N. Writes results.json (COCO results), images.json "
        "and pictures into the output folder. Ends with 0 if all was done, 1 if files were skipped (each is told, with "
        "the reason, and listed in skipped.json; everything else is done all the same), 2 after bad options, a source "
        "that does not exist or an output that cannot be written, 130 after Ctrl-C (what was done till then is kept).",
    )
    parser.add_argument("sources", type=str, nargs="+", help="files, folders, patterns with *, camera:N")
    parser.add_argument("-o", "--output", type=str, default="predictions", help="folder for results and pictures")
    add_network_options(parser)
    parser.add_argument("--batch", type=int, default=1, help="images of one size that go through the network together")
    parser.add_argument("--draw", type=bool, default=True, help="draw people into pictures and (silent) videos")
    parser.add_argument(
        "--draw_threshold", type=float, default=SCORE_THRESHOLD, help="minimum score drawn; the results keep everybody"
    )
    parser.add_argument("--max_frames", type=int | None, default=None, help="of each video or camera")
    options = parser.parse_args(words[1:])
    for name in ("batch", "max_frames"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise InputError(f"predict: --{name} must be at least 1, got {value}")
    if not 0 <= options.draw_threshold <= 1:
        raise InputError(f"predict: --draw_threshold must be from 0 to 1, got {options.draw_threshold}")
    output = Path(options.output)
    files = expand(options.sources, leave_out=output)
    _check_cameras(files)
    predictor = predictor_of(options)
    _check_output(output, files, options.draw)
    if options.json not in (None, "-") and Path(options.json).resolve() in [(output / n).resolve() for n in _FILES]:
        raise InputError(f"{options.json}: is a file of the results; give another --json")
    predictor.decoder.warm_up()
    work = Work(predictor, output, options.draw_threshold if options.draw else None, options.batch, options.max_frames)
    stopped: KeyboardInterrupt | None = None
    try:
        work.run(files)
    except KeyboardInterrupt as stop:
        stopped = stop
    finally:
        summary = work.finish()
        write_result(summary, options.json)
    if stopped is not None:
        raise KeyboardInterrupt(f"interrupted; {len(work.images)} images were done before") from stopped
    return 1 if summary["skipped"] else 0


class Work:
    """What is done with each frame, and what came of it.

    Args:
        predictor: Finds the people.
        output: Folder for everything written.
        draw_threshold: Least score of people drawn; None draws no pictures at all.
        batch: Images that go through the network together.
        max_frames: Of each video or camera; None takes all.
    """

    def __init__(
        self, predictor: Predictor, output: Path, draw_threshold: float | None, batch: int, max_frames: int | None
    ) -> None:
        """Nothing is read or written yet."""
        self.predictor = predictor
        self.output = output
        self.draw_threshold = draw_threshold
        self.batch = batch
        self.max_frames = max_frames
        self.watch = Stopwatch()
        self.images: list[dict[str, Any]] = []
        self.results: list[list[dict[str, Any]]] = []
        self.skipped: list[dict[str, str]] = []
        self._film: Film | None = None
        self._filmed = ""
        self._ids: set[int] = set()

    def run(self, files: Sequence[tuple[str, str]]) -> None:
        """Find, draw and note the people of all files."""
        with closing(self._batches(files)) as batches:
            for batch in batches:
                for frame, prediction in zip(batch, self._predict(batch), strict=True):
                    self._note(frame, prediction)

    def finish(self) -> dict[str, Any]:
        """Close the video, write the results and tell what was done."""
        self._end_film()
        done = len(self.images)
        results = [person for people in self.results[:done] for person in people]
        write_results(self.output / "results.json", results)
        write_json(self.output / "images.json", self.images)
        if self.skipped:
            write_json(self.output / "skipped.json", self.skipped)
        else:
            (self.output / "skipped.json").unlink(missing_ok=True)  # that of an earlier run
        for row in self.skipped:
            logger.warning("skipped: %s", row["problem"])
        times = ", ".join(f"{stage} {1e3 * spent / max(done, 1):.1f}" for stage, spent in self.watch.seconds.items())
        logger.info(
            "%d images, %d people, %d skipped; milliseconds an image: %s", done, len(results), len(self.skipped), times
        )
        logger.info("results: %s", self.output / "results.json")
        return {"images": self.images, "people": len(results), "skipped": self.skipped, "seconds": self.watch.seconds}

    def _batches(self, files: Sequence[tuple[str, str]]) -> Generator[list[Frame]]:
        """Readable frames in order, neighbours of one size together; what cannot be read is noted."""
        batch: list[Frame] = []
        for index in progress_bar("predicting")(range(len(files))):
            for frame in self._readable(*files[index]):
                if batch and batch[0].image.shape != frame.image.shape:  # type: ignore[union-attr]
                    yield batch
                    batch = []
                batch.append(frame)
                if len(batch) == self.batch:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _readable(self, path: str, name: str) -> Generator[Frame]:
        with closing(frames(path, name)) as coming:
            while True:
                with self.watch.stage("read"), quiet_libraries():
                    frame = next(coming, None)
                if frame is None:
                    return
                if frame.image is None:
                    self.skipped.append({"file": path, "problem": str(frame.problem)})
                    continue
                yield frame
                if frame.position is not None and frame.position + 1 == self.max_frames:
                    return

    def _predict(self, batch: list[Frame]) -> list[Prediction]:
        predictions = self.predictor.predict_batch([frame.image for frame in batch if frame.image is not None])
        for prediction in predictions:
            self.watch.add(prediction.seconds)
        return predictions

    def _note(self, frame: Frame, prediction: Prediction) -> None:
        height, width = prediction.image.shape[:2]
        row: dict[str, Any] = {"id": self._image_id(frame), "file_name": frame.path, "height": height, "width": width}
        row["people"] = len(prediction.people)
        if frame.position is not None:
            row["frame"] = frame.position
        picture = self._picture(frame, prediction) if self.draw_threshold is not None else None
        if picture is not None:
            row["picture"] = str(picture.relative_to(self.output))
        # Only what is in both lists counts: an interruption may come between these lines, too.
        self.results.append(people_to_results(prediction.people, row["id"]))
        self.images.append(row)

    def _picture(self, frame: Frame, prediction: Prediction) -> Path | None:
        """Draw the people; returns the file, or None where there is no video to draw into."""
        with self.watch.stage("draw"):
            drawn = prediction.draw(score_threshold=self.draw_threshold or 0.0)
        with self.watch.stage("write"):
            if frame.position is not None:
                return self._add_to_film(frame, drawn)
            # Not with_suffix: a name may have dots.
            target = self.output / "pictures" / f"{frame.name}{'.jpg' if max(drawn.shape) <= _JPEG_SIDE else '.png'}"
            write_image(target, drawn)
            return target

    def _add_to_film(self, frame: Frame, drawn: Any) -> Path | None:
        target = self.output / "pictures" / f"{frame.name}.mp4"
        if self._filmed != frame.name:
            self._end_film()
            self._filmed = frame.name
            try:
                with quiet_libraries():
                    self._film = Film(target, frame.rate, drawn.shape[:2])
            except InputError as error:
                self.skipped.append({"file": frame.path, "problem": in_one_line(str(error))})
        if self._film is None:
            return None
        with quiet_libraries():
            self._film.write(drawn)
        return target

    def _end_film(self) -> None:
        film, self._film = self._film, None
        if film is None:
            return
        try:
            with quiet_libraries():
                film.close()
        except InputError as error:
            self.skipped.append({"file": str(film.path), "problem": in_one_line(str(error))})

    def _image_id(self, frame: Frame) -> int:
        """The number that COCO's files have for a name, where no other image has it; else the next free one."""
        stem = Path(frame.path).stem
        wanted = int(stem) if stem.isdecimal() and frame.position is None and len(stem) < 18 else len(self._ids) + 1
        while wanted in self._ids:
            wanted += 1
        self._ids.add(wanted)
        return wanted


def _check_cameras(files: Sequence[tuple[str, str]]) -> None:
    """Tell of a missing camera before anything is loaded."""
    for path, _ in files:
        if CAMERA.fullmatch(path) and not os.path.lexists(path):
            with quiet_libraries():
                open_camera(path).release()


def _check_output(output: Path, files: Sequence[tuple[str, str]], draws: bool) -> None:
    """Tell before the work that its results cannot be written, or would replace what they were made of."""
    pictures = (output / "pictures").resolve()
    for path, _ in files:
        if Path(path).parent.resolve().is_relative_to(pictures):
            raise InputError(f"{path}: is where pictures of the results go; give another --output than {output}")
    for name in (*_FILES, *(["pictures/any.jpg"] if draws else [])):
        check_writable(output / name, "give another --output")
