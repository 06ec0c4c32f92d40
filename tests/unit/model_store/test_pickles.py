"""``model_store.pickles``: what a pickle would import, told without loading it."""

import collections
import os
import pickle
import pickletools
from fractions import Fraction

import pytest

from model_store.contract.errors import InvalidArtifactError
from model_store.pickles import UNKNOWN, imports, looks_like_pickle, promises_pickle


class Evil:
    """Executes a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch /tmp/executed",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_import_is_named_in_every_protocol(protocol: int) -> None:
    """Law 12: what would be executed is known before anything is."""
    data = pickle.dumps([Evil(), Fraction(1, 3)], protocol)
    found = imports(data, "data.pkl")
    assert {f"{os.system.__module__}.system", "fractions.Fraction"} <= found


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_import_nothing(protocol: int) -> None:
    assert imports(pickle.dumps({"a": [1, 2.5, "text", None, (True, b"")]}, protocol), "x") <= {
        "_codecs.encode",
        "__builtin__.bytes",
    }


def test_an_import_named_through_the_memo_is_followed() -> None:
    data = pickle.dumps([collections.OrderedDict(), collections.Counter(), collections.OrderedDict()], 4)
    assert imports(data, "x") == {"collections.OrderedDict", "collections.Counter"}


def test_an_import_whose_name_is_put_together_on_the_way_counts_as_code() -> None:
    """Law 12: what cannot be followed with certainty is not trusted."""
    pushed = b"\x8c\x02os\x8c\x06system"
    hidden = b"\x80\x04" + pushed + b"N0\x93."  # something is pushed and popped in between
    assert [op.name for op, _, _ in pickletools.genops(hidden)][-2] == "STACK_GLOBAL"
    assert imports(hidden, "x") == {UNKNOWN}
    assert imports(b"\x80\x04" + pushed + b"\x93.", "x") == {"os.system"}


def test_an_import_by_number_counts_as_code() -> None:
    assert imports(b"\x80\x02\x82\x01.", "x") == {UNKNOWN}


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x04\x8c\xff", b"\xff\xfe", b"cos\n"])
def test_what_is_not_a_whole_pickle_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArtifactError, match=r"`data\.pkl` is not a whole pickle"):
        imports(data, "data.pkl")


def test_pickles_are_known_by_their_first_bytes_and_by_their_names() -> None:
    for protocol in (2, 3, 4, 5):
        assert looks_like_pickle(pickle.dumps({"a": 1}, protocol))
    assert not looks_like_pickle(b"\x08\x07\x12\x07pytorch")
    assert promises_pickle("model.PKL")
    assert not promises_pickle("model.onnx")
