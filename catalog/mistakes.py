"""What is wrong with a value of the catalog: a fact about its key, and the remedy."""

from __future__ import annotations

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def mistake(fact: str, hint: str) -> PydanticCustomError:
    """Make an error whose message completes the sentence "`key` …" and whose hint is the remedy."""
    return PydanticCustomError("mistake", "{fact}", {"fact": fact, "hint": hint})


def between(low: int, high: int, unit: str, why: str) -> AfterValidator:
    """Hold a whole number to a range, and say why it is that range."""

    def check(value: int) -> int:
        if low <= value <= high:
            return value
        what = f"`{value}`, outside {low} to {high} {unit}".rstrip()
        raise mistake(f"is {what}: {why}", f"Write a whole number from {low} to {high}.")

    return AfterValidator(check)
