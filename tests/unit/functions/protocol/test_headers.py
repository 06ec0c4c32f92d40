"""``functions.protocol.headers``: the extension's header, read and written."""

from __future__ import annotations

import pytest

from functions.protocol.answers import Encoded
from functions.protocol.errors import BadRequestError
from functions.protocol.headers import content_headers, json_length


@pytest.mark.parametrize("name", ["inference-header-content-length", "Inference-Header-Content-Length"])
def test_the_length_of_the_json_is_read_whatever_the_case_of_its_name(name: str) -> None:
    assert json_length([("content-type", "text/plain"), (name, "17")]) == 17
    assert json_length([(name, " 0 ")]) == 0


def test_without_the_header_there_is_no_binary_data() -> None:
    assert json_length([("content-length", "17")]) is None


@pytest.mark.parametrize("value", ["", "-1", "1.5", "0x11", "many", "²", "9" * 20, None, "1,2"])
def test_a_length_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(BadRequestError, match="has to be a whole number of bytes"):
        json_length([("inference-header-content-length", value)])


def test_a_compressed_body_is_told_that_it_is_read_as_it_is() -> None:
    with pytest.raises(BadRequestError, match="the body is compressed"):
        json_length([("Content-Encoding", "gzip")])
    assert json_length([("Content-Encoding", "identity")]) is None


def test_an_answer_with_binary_data_says_where_they_begin() -> None:
    assert content_headers(Encoded(b"{}")) == {"content-type": "application/json"}
    assert content_headers(Encoded(b"{}1", 2)) == {
        "content-type": "application/octet-stream",
        "inference-header-content-length": "2",
    }
