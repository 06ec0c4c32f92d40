"""``functions.protocol.encoded``: an answer is text, unless binary data follow its JSON."""

from __future__ import annotations

from functions.protocol.encoded import Encoded


def test_an_answer_is_text_unless_binary_data_follow_its_json() -> None:
    assert Encoded(b"{}").is_text
    assert not Encoded(b"{}\x00", 2).is_text
    assert not Encoded(b"\x00", 0).is_text, "a length of 0 is a body without JSON"
