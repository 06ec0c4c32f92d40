"""``functions.protocol.carried``: base64, the same with the quick library and without it."""

from __future__ import annotations

import base64
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.protocol import carried


@pytest.fixture(params=["pybase64", "standard library"], autouse=True, scope="module")
def _library(request: pytest.FixtureRequest) -> object:
    """Every test runs with both; without the import there is only one left to fall back on."""
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "standard library":
            patched.setitem(sys.modules, "pybase64", None)
        carried._decoder.cache_clear()
        carried._encoder.cache_clear()
        yield
    carried._decoder.cache_clear()
    carried._encoder.cache_clear()


@given(data=st.binary(max_size=200))
def test_what_was_written_is_read_back(data: bytes) -> None:
    text = carried.to_base64(data)
    assert text == base64.b64encode(data).decode()
    assert carried.from_base64(text) == data


@pytest.mark.parametrize("text", ["abc", "ab=c", "a b=", "é===", "YQ==YQ==", "YQ\n==", "="])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        carried.from_base64(text)


def test_a_megabyte_goes_through() -> None:
    data = bytes(range(256)) * 4096
    assert carried.from_base64(carried.to_base64(data)) == data
