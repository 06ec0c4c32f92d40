"""``telemetry.reading``: what is a line of ours, and who wrote it."""

from __future__ import annotations

import pytest

from telemetry.reading import Writers, lambda_version, read_line

STREAM = "2026/11/22/[7]5f0c2a9be1d44c07"


@pytest.mark.parametrize("text", ["plain words", "{not json", '["a", "list"]', ""])
def test_what_is_no_object_has_no_fields(text: str) -> None:
    line = read_line(1.0, "id", STREAM, f"{text}\n")
    assert (line.text, line.fields) == (text, {})


def test_a_line_of_ours_says_its_version_itself() -> None:
    writers = Writers(lambda _: 99)
    assert writers.version(read_line(1.0, "id", STREAM, '{"version": "3"}')) == 3


def test_another_line_is_of_the_version_whose_environment_wrote_it() -> None:
    asked = []

    def serves(number: str) -> int:
        asked.append(number)
        return 3 if number == "7" else 0

    writers = Writers(serves)
    timed_out = read_line(1.0, "id", STREAM, "Task timed out")
    assert [writers.version(timed_out) for _ in range(2)] == [3, 3]
    assert writers.version(read_line(1.0, "id", STREAM.replace("7]", "8]"), "gone")) is None
    assert asked == ["7", "8"]


def test_a_stream_of_something_else_names_no_lambda_version() -> None:
    line = read_line(1.0, "id", "i-0123456789", "words")
    assert lambda_version(line) is None
    assert Writers(lambda _: 1).version(line) is None
