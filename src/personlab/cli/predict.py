"""`personlab predict`: people in images, folders, videos and cameras."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2

from personlab.cli.evaluate import add_network_options, predictor_of
from personlab.cli.options import make_parser, write_result
from personlab.errors import InputError
from personlab.evaluation.results import people_to_results, write_results
from personlab.files import write_json
from personlab.inference import Prediction, Predictor, Stopwatch
from personlab.inference.sources import Frame, expand, frames
from personlab.visualization import write_image

logger = logging.getLogger("personlab")


def run(words: list[str]) -> int:
    """Run `personlab predict`."""
    parser = make_parser(
        "predict",
        "Find people in images, folders, patterns, videos or camera:N. Ends with 1 if something had to be skipped; "
        "everything else is done all the same.",
    )
    parser.add_argument("sources", type=str, nargs="+", help="files, folders, patterns with *, camera:N")
    parser.add_argument("-o", "--output", type=str, default="predictions", help="folder for results and pictures")
    add_network_options(parser)
    parser.add_argument("--batch", type=int, default=1, help="images of one size that go through the network together")
    parser.add_argument("--draw", type=bool, default=True, help="draw people into pictures and videos")
    parser.add_argument("--max_frames", type=int | None, default=None, help="of each video or camera")
    options = parser.parse_args(words[1:])
    for name in ("batch", "max_frames"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise InputError(f"predict: --{name} must be at least 1, got {value}")
    files = expand(options.sources)
    predictor = predictor_of(options)
    predictor.decoder.warm_up()
    work = Work(predictor, Path(options.output), options.draw, options.batch, options.max_frames)
    try:
        work.run(files)
    finally:
        summary = work.finish()
    write_result(summary, options.json)
    return 1 if summary["skipped"] else 0


class Work:
    """What is done with each frame, and what came of it."""

    def __init__(self, predictor: Predictor, output: Path, draw: bool, batch: int, max_frames: int | None) -> None:
        """Nothing is read or written yet."""
        self.predictor = predictor
        self.output = output
        self.draw = draw
        self.batch = batch
        self.max_frames = max_frames
        self.watch = Stopwatch()
        self.images: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []
        self.skipped: list[dict[str, str]] = []
        self._videos: dict[str, cv2.VideoWriter] = {}
        self._ids: set[int] = set()

    def run(self, files: Iterable[tuple[str, str]]) -> None:
        """Find, draw and note the people of all files."""
        for batch in self._batches(files):
            for frame, prediction in zip(batch, self._predict(batch), strict=True):
                self._note(frame, prediction)

    def finish(self) -> dict[str, Any]:
        """Close the videos, write the results and tell what was done."""
        for writer in self._videos.values():
            writer.release()
        write_results(self.output / "results.json", self.results)
        write_json(self.output / "images.json", self.images)
        for row in self.skipped:
            logger.warning("skipped: %s", row["problem"])
        count = max(len(self.images), 1)
        times = ", ".join(f"{stage} {1e3 * spent / count:.1f}" for stage, spent in self.watch.seconds.items())
        logger.info(
            "%d images, %d people, %d skipped; milliseconds an image: %s", len(self.images), len(self.results),
            len(self.skipped), times,
        )  # fmt: skip
        logger.info("results: %s", self.output / "results.json")
        return {
            "images": self.images,
            "people": len(self.results),
            "skipped": self.skipped,
            "seconds": self.watch.seconds,
        }

    def _batches(self, files: Iterable[tuple[str, str]]) -> Iterator[list[Frame]]:
        """Readable frames in order, neighbours of one size together; what cannot be read is noted."""
        batch: list[Frame] = []
        for path, name in files:
            coming = frames(path, name)
            while True:
                with self.watch.stage("read"):
                    frame = next(coming, None)
                if frame is None:
                    break
                if frame.image is None:
                    self.skipped.append({"file": path, "problem": str(frame.problem)})
                    continue
                if batch and (len(batch) == self.batch or batch[0].image.shape != frame.image.shape):  # type: ignore[union-attr]
                    yield batch
                    batch = []
                batch.append(frame)
                if frame.position is not None and frame.position + 1 == self.max_frames:
                    break
        if batch:
            yield batch

    def _predict(self, batch: list[Frame]) -> list[Prediction]:
        predictions = self.predictor.predict_batch([frame.image for frame in batch if frame.image is not None])
        for prediction in predictions:
            self.watch.add(prediction.seconds)
        return predictions

    def _note(self, frame: Frame, prediction: Prediction) -> None:
        height, width = prediction.image.shape[:2]
        image_id = self._image_id(frame)
        row: dict[str, Any] = {"id": image_id, "file_name": frame.path, "height": height, "width": width}
        row["people"] = len(prediction.people)
        if frame.position is not None:
            row["frame"] = frame.position
        self.results += people_to_results(prediction.people, image_id)
        self.images.append(row)
        if not self.draw:
            return
        with self.watch.stage("draw"):
            drawn = prediction.draw()
        target = self.output / "pictures" / f"{frame.name}{'.jpg' if frame.position is None else '.mp4'}"
        with self.watch.stage("write"):
            if frame.position is None:
                write_image(target, drawn)
            else:
                self._video(target, frame, (width, height)).write(drawn[..., ::-1])

    def _image_id(self, frame: Frame) -> int:
        """The number that COCO's files have for a name, where no other image has it; else the next free one."""
        stem = Path(frame.path).stem
        wanted = int(stem) if stem.isdecimal() and frame.position is None and len(stem) < 18 else len(self._ids) + 1
        while wanted in self._ids:
            wanted += 1
        self._ids.add(wanted)
        return wanted

    def _video(self, target: Path, frame: Frame, size: tuple[int, int]) -> cv2.VideoWriter:
        if frame.name not in self._videos:
            target.parent.mkdir(parents=True, exist_ok=True)
            writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), frame.rate, size)
            if not writer.isOpened():
                raise InputError(f"{target}: cannot write the video; give --draw false or another --output")
            self._videos[frame.name] = writer
        return self._videos[frame.name]
