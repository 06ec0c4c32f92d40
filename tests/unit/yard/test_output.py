"""``yard.output``: data on stdout, people on stderr, nothing by colour alone."""

from __future__ import annotations

import json

import pytest

from yard import output


def test_json_is_data_and_nothing_else_is(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"a": "ü"})
    said = capsys.readouterr()
    assert (json.loads(said.out), said.err) == ({"a": "ü"}, "")


def test_an_error_names_itself_its_evidence_and_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.fail("`digits` [is] not there", hint="Publish it.", evidence=("Traceback", "boom"))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "  log | Traceback",
        "  log | boom",
        "error: `digits` [is] not there",
        "hint: Publish it.",
    ]


def test_brackets_in_data_are_text_and_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.data.print(output.table("t", ["reason"], [["[bold]really[/]"]]))
    assert "[bold]really[/]" in capsys.readouterr().out


def test_without_a_terminal_progress_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with output.working("releasing") as steps:
        steps("packing")
    assert capsys.readouterr().err == "packing\n"
