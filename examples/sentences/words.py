"""Sentences in, worth of words out: what a caller of this example sends, and how its explanation is read.

``python -m examples.sentences.words "i forgot my password" > request.json`` writes the request;
``… | python -m examples.sentences.words "i forgot my password" --read`` reads its explanation from stdin.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from training.data.declared import read_data
from training.data.prepared import tokens

DATA = Path(__file__).with_name("data.toml")
INPUT = "tokens"


def request(sentence: str) -> dict[str, Any]:
    """The inference request for one sentence, its words as the numbers that training gave them."""
    numbers = tokens(sentence, read_data(DATA).tokens)
    return {"inputs": [{"name": INPUT, "datatype": "INT64", "shape": [1, len(numbers)], "data": numbers}]}


def worths(sentence: str, explanation: dict[str, Any]) -> list[tuple[str, float]]:
    """Each word with what it was worth to the answer, what spoke for it most first."""
    (found,) = (output["data"] for output in explanation["outputs"] if output["name"] == INPUT)
    words = sentence.lower().split()
    return sorted(zip(words, found, strict=False), key=lambda pair: -pair[1])


def main() -> None:
    """Write a request, or read an explanation."""
    parser = argparse.ArgumentParser(
        description="What a caller of `sentences` sends, and how to read answers."
    )
    parser.add_argument("sentence")
    parser.add_argument("--read", action="store_true", help="read an explanation of it from stdin")
    given = parser.parse_args()
    if not given.read:
        print(json.dumps(request(given.sentence)))
        return
    for word, worth in worths(given.sentence, json.load(sys.stdin)):
        print(f"{worth:+.3f} {word}")


if __name__ == "__main__":
    main()
