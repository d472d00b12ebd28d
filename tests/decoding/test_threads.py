"""A batch is decoded in threads, with the same result as without."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from personlab.decoding import RULES, PaperDecoder
from personlab.errors import InputError
from personlab.structures import Fields, People
from tests.decoding.scenes import empty, noisy, paint, standing
from tests.decoding.test_engines import stack

FIELDS = noisy(stack(
    paint(standing((70, 80), (90, 84), (140, 90)), 26, 32), empty(26, 32), paint(standing((120, 100)), 26, 32),
    paint(standing((60, 90), (180, 100)), 26, 32),
))  # fmt: skip


@pytest.fixture
def threads() -> Iterator[Any]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def decode(decoder: Any, fields: Fields = FIELDS) -> list[People]:
    images = len(fields.heatmap_logits)
    return decoder(fields, np.eye(2, 3)[None].repeat(images, axis=0), [(201, 249)] * images)


@pytest.mark.parametrize("rules", list(RULES))
def test_threads_do_not_change_what_is_found(rules: str, threads: Any) -> None:
    found = []
    for count in (1, 2, 3):
        threads(count)
        found.append(decode(RULES[rules]()))
    assert any(len(people) > 0 for people in found[0])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert np.array_equal(a.keypoints, b.keypoints)
            assert np.array_equal(a.scores, b.scores)
            assert a.masks == b.masks


class Watched(PaperDecoder):
    """Notes who decodes."""

    def __init__(self) -> None:
        super().__init__(masks=False)
        self.names: list[str] = []
        self.together = threading.Barrier(2)

    def decode_image(self, *image: Any) -> People:
        self.names.append(threading.current_thread().name)
        self.together.wait(timeout=30)
        return super().decode_image(*image)


def test_two_images_are_decoded_at_the_same_time(threads: Any) -> None:
    threads(2)
    decoder = Watched()
    decode(decoder, FIELDS[:2])  # the barrier breaks unless both images are under way at once
    assert len(set(decoder.names)) == 2


@pytest.mark.parametrize(("count", "images"), [(1, 2), (2, 1)])
def test_one_thread_or_one_image_needs_no_others(count: int, images: int, threads: Any) -> None:
    threads(count)
    decoder = Watched()
    decoder.together = threading.Barrier(1)
    decode(decoder, FIELDS[:images])
    assert set(decoder.names) == {threading.current_thread().name}


def test_what_goes_wrong_in_a_thread_is_told(threads: Any) -> None:
    class Failing(PaperDecoder):
        def decode_image(self, *image: Any) -> People:
            raise InputError("image: is bad")

    threads(2)
    with pytest.raises(InputError, match="is bad"):
        decode(Failing())


def _decode_in_child(answers: Any) -> None:
    answers.put([len(people) for people in decode(PaperDecoder(masks=False))])


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*")
def test_a_forked_process_has_threads_of_its_own(threads: Any) -> None:
    threads(2)
    wanted = [len(people) for people in decode(PaperDecoder(masks=False))]
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_decode_in_child, args=(answers,), daemon=True)
    child.start()
    assert answers.get(timeout=60) == wanted
    child.join(timeout=60)
    assert child.exitcode == 0
