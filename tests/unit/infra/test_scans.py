"""``infra.scans``: reports are read, reasons are needed, and reasons that nobody needs are found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.errors import PreflightError
from infra.scans import (
    Accepted,
    Found,
    audited,
    needless,
    read_accepted,
    read_bandit,
    read_checkov,
    read_pip_audit,
    unexplained,
)

WEAK = Found(
    "checkov", "CKV_AWS_26", "Switchyard-prod-Operations:AWS::SNS::Topic.Alarms04B5", "not encrypted"
)
TOPICS = Accepted("checkov", "CKV_AWS_26", ("*-Operations:AWS::SNS::Topic.Alarms*",), "it carries names only")


def test_a_finding_without_a_reason_stands() -> None:
    assert unexplained([WEAK], []) == [WEAK]


def test_a_reason_accepts_its_rule_in_its_places_and_nothing_else() -> None:
    elsewhere = Found(WEAK.scanner, WEAK.rule, "Switchyard-prod-Api:AWS::SNS::Topic.Other", WEAK.text)
    another = Found(WEAK.scanner, "CKV_AWS_27", WEAK.place, WEAK.text)
    of_bandit = Found("bandit", WEAK.rule, WEAK.place, WEAK.text)
    assert unexplained([WEAK, elsewhere, another, of_bandit], [TOPICS]) == [elsewhere, another, of_bandit]


def test_a_reason_that_no_finding_needs_is_found() -> None:
    assert needless([WEAK], [TOPICS]) == []
    (left,) = needless([], [TOPICS])
    assert str(left) == (
        "checkov: CKV_AWS_26 *-Operations:AWS::SNS::Topic.Alarms*: is accepted in `accepted.toml`, and not found"
    )


@pytest.mark.parametrize("why", ["", 'why = "  "'], ids=["missing", "empty"])
def test_a_finding_cannot_be_accepted_without_a_reason(tmp_path: Path, why: str) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(f'[[bandit]]\nrule = "B101"\nwhere = ["*"]\n{why}\n')
    with pytest.raises(PreflightError, match="accepts bandit's B101 without a reason"):
        read_accepted(path)


def test_every_reason_of_the_project_is_a_sentence() -> None:
    accepted = read_accepted()
    assert {one.scanner for one in accepted} <= {"checkov", "bandit", "pip-audit"}
    assert [one.rule for one in accepted if len(one.why.split()) < 5] == []


def test_checkov_s_report_names_stack_and_resource() -> None:
    check = {
        "check_id": "CKV_AWS_26",
        "check_name": "not encrypted",
        "file_path": "/prod/Switchyard-prod-Operations.template.json",
        "resource": "AWS::SNS::Topic.Alarms04B5",
    }
    report = {"check_type": "cloudformation", "results": {"failed_checks": [check]}}
    assert list(read_checkov(json.dumps(report))) == [WEAK]
    assert list(read_checkov(json.dumps([report, report]))) == [WEAK, WEAK]
    assert list(read_checkov('{"passed": 0, "failed": 0}')) == []


def test_bandit_s_report_names_file_and_line() -> None:
    result = {"filename": "./yard/stacks.py", "line_number": 7, "test_id": "B404", "issue_text": "subprocess"}
    (found,) = read_bandit(json.dumps({"results": [result]}))
    assert str(found) == "bandit: B404 yard/stacks.py:7: subprocess"


def test_pip_audit_s_report_names_package_and_correction() -> None:
    package = {
        "name": "urllib3",
        "version": "1.0",
        "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]}, {"id": "PYSEC-2"}],
    }
    first, second = read_pip_audit({"dependencies": [package, {"name": "h11", "version": "1", "vulns": []}]})
    assert str(first) == "pip-audit: PYSEC-1 urllib3 1.0: is vulnerable; corrected in 1.1, 2.0"
    assert second.text == "is vulnerable; corrected in no version yet"


def test_an_index_that_does_not_tell_is_a_sentence_and_not_a_clean_bill() -> None:
    unknown = {"name": "boto3", "version": "1", "skip_reason": "not found on the index"}
    assert audited(json.dumps({"dependencies": [unknown]}), "") == "not found on the index"
    assert (
        audited("", "Traceback\nConnectionError: no route to host\n") == "ConnectionError: no route to host"
    )
    known = {"name": "h11", "version": "1", "vulns": []}
    report = {"dependencies": [unknown, known]}
    assert audited(json.dumps(report), "") == report
