"""Deploy into a real account, test, measure, take down: ``make test-aws ACCOUNT=111122223333``.

Costs money, so it begins only where ``SWITCHYARD_TEST_AWS`` says that it may, the account's number is typed
and is the one that the credentials are for, and the estimate is below the cap. After ``--minutes`` it is
stopped and taken down, whatever it was doing. AWS Budgets is not asked: it hears of costs hours later.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.trial import measure, page
from benchmarks.trial.cost import estimate
from benchmarks.trial.run import run
from benchmarks.trial.stage import ROOT, TrialError, TrialStage
from benchmarks.trial.sweep import Sweep
from model_store.contract.deployment import function_name
from model_store.contract.errors import SwitchyardError
from planning.prices import read_prices

CONSENT_VARIABLE = "SWITCHYARD_TEST_AWS"
CONSENT = "it-costs-money"

STAGES = ROOT / "build" / "trials"
"""A folder for each trial that is not taken down yet."""

STACKS_PATIENCE_S = 1_800.0

ROAD = "tests/end_to_end/test_road.py"
TESTS = (
    *(
        f"{ROAD}::test_{name}"
        for name in (
            "before_the_first_release_callers_hear_that_nothing_is_released",
            "a_rollback_before_the_first_release_is_refused",
            "publishing_gives_numbers_and_the_same_bytes_are_the_same_version",
            "a_release_serves_the_accuracy_that_was_recorded",
            "every_answer_names_the_version_and_the_digest",
            "the_protocol_routes_answer",
            "a_release_and_a_rollback_under_load_lose_no_request",
            "a_deploy_with_another_memory_size_keeps_the_rollback",
            "a_deploy_that_changes_nothing_moves_nothing",
            "two_rollbacks_go_back_two_steps",
            "of_releases_at_once_the_losers_say_so_and_the_ledger_is_whole",
        )
    ),
    "tests/contract/test_monitoring.py",
    "tests/contract/test_quotas.py::test_lambda_says_what_is_allowed_and_what_is_used",
    "tests/contract/test_quotas.py::test_alarms_are_counted_and_ours_among_them",
    "tests/contract/test_quotas.py::test_endpoints_are_counted",
)
"""Tests whose fixtures ask for nothing that only the embedded cloud has. Others reach behind AWS's interfaces
(bad days, addresses, clocks), make what no sweep would find, or need minutes that cost more than they
tell."""


def main() -> int:
    """Exit code 0: nothing failed and nothing is left; 1: something is; 2: it did not begin."""
    options = _options()
    try:
        check_consent(options.account)
        if options.teardown:
            return _report(_take_down(TrialStage(options.teardown, STAGES / options.teardown)))
        cost = check_cost(options.minutes, options.most_dollars)
        return _try(options, cost)
    except SwitchyardError as error:
        _say(f"error: {error}")
        _say(f"hint: {error.hint}" if error.hint else "")
        return 2


def check_consent(account: str, environment: dict[str, str] | None = None) -> None:
    """Refuse to begin unless somebody wants this account to be charged."""
    said = (os.environ if environment is None else environment).get(CONSENT_VARIABLE)
    if said != CONSENT:
        raise TrialError(
            f"a trial costs money, and `{CONSENT_VARIABLE}` does not say that it may",
            hint=f"Read docs/deploy-to-aws.md, then set {CONSENT_VARIABLE}={CONSENT}.",
        )
    try:
        found = boto3.client("sts").get_caller_identity()["Account"]
    except (ClientError, BotoCoreError) as error:
        raise TrialError(
            f"AWS did not say which account this is: {error}", hint="Check AWS_PROFILE and AWS_REGION."
        ) from error
    if found != account:
        raise TrialError(
            f"the credentials are for account `{found}`, and `{account}` was typed",
            hint="Type the number of the account that is to be charged, or use its credentials.",
        )


def check_cost(minutes: float, most_dollars: float) -> float:
    """Refuse a trial whose estimate is above the cap; return the estimate."""
    prices = read_prices()
    cost = estimate(prices, minutes)
    if cost > most_dollars:
        raise TrialError(
            f"{minutes:g} minutes may cost ${cost:.2f} ({prices.where}), and ${most_dollars:.2f} are allowed",
            hint="Give it fewer `--minutes`, or allow more with `--most-dollars`.",
        )
    return cost


def _try(options: argparse.Namespace, cost: float) -> int:
    from tests.conftest import catalog_text

    name = f"t{secrets.token_hex(3)}"
    stage = TrialStage(name, STAGES / name)
    _say(f"stage {stage.name}, at most {options.minutes:g} minutes and about ${cost:.2f}")
    _say(f"if this machine dies: python -m benchmarks.trial --account {options.account} --teardown {name}")
    stage.write(catalog_text())
    began = time.time()
    results = page.Results(
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        region=boto3.Session().region_name or "",
        estimate_dollars=round(cost, 2),
        minutes=0.0,
        tests="not reached",
    )
    steps: list[tuple[str, Callable[[], None]]] = [
        ("deploying", stage.deploy),
        ("testing", lambda: _test(stage, options.tests or TESTS, results)),
        ("measuring", lambda: _measure(stage, results, began)),
    ]
    outcome = run(steps, lambda: _take_down(stage), limit_s=options.minutes * 60, say=_say)
    results.minutes = round((time.time() - began) / 60, 1)
    for failed in outcome.failed:
        _say(f"failed: {failed}")
    if not outcome.failed and options.write:
        page.write(results)
    return max(_report(outcome.left), 0 if outcome.good else 1)


def _test(stage: TrialStage, tests: tuple[str, ...], results: page.Results) -> None:
    code = stage.pytest("-m", "cloud", *tests)
    results.tests = "all passed" if code == 0 else f"pytest ended with {code}"
    if code:
        raise TrialError(f"tests failed: pytest ended with exit code {code}")


def _measure(stage: TrialStage, results: page.Results, began: float) -> None:
    from tests.end_to_end.digits import DIGITS, telling

    def publish(name: str) -> int:
        return int(stage.yard("publish", "digits", str(DIGITS / name / "model.onnx"), "--new")["version"])

    one, two = publish("v1"), publish("v2")
    results.release_ms = measure.releases(stage.yard, (one, two))
    url = stage.yard("status", "digits")["api_url"]
    questions = telling({str(one): "v1", str(two): "v2"})
    results.flip_ms, heard = measure.flips(
        stage.yard, f"{url}/v2/models/digits/infer", questions, versions=(one, two)
    )
    results.flip_requests = len(heard)
    results.flip_failures = sum(each.status != 200 or not each.true for each in heard)
    group = f"/aws/lambda/{function_name(stage.name, 'digits')}"
    results.restore_ms = measure.restores(group, began)


def _take_down(stage: TrialStage) -> list[str]:
    """Everything of the stage, in an order in which it goes; what is left, by name."""
    sweep = Sweep(stage.name)
    sweep.wait_for_stacks(STACKS_PATIENCE_S)
    sweep.empty_buckets()
    if stage.catalog.is_file():
        try:
            stage.destroy()
        except TrialError as error:
            _say(f"{error}; CloudFormation is asked directly")
    sweep.delete_stacks()
    sweep.wait_for_stacks(STACKS_PATIENCE_S)
    sweep.take_the_rest()
    left = sweep.left()
    if not left:
        shutil.rmtree(stage.folder, ignore_errors=True)
    for arn in sweep.tagged():
        _say(f"AWS still lists {arn} (a key goes after its waiting time)")
    return left


def _report(left: list[str]) -> int:
    for each in left:
        _say(f"left in the account, and costs money: {each}")
    if not left:
        _say("nothing is left")
    return 1 if left else 0


def _say(text: str) -> None:
    if text:
        print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trial", description=__doc__)
    parser.add_argument("--account", required=True, help="the number of the account that is charged")
    parser.add_argument("--minutes", type=float, default=90.0, help="when it is stopped and taken down")
    parser.add_argument("--most-dollars", type=float, default=5.0, help="refuse if the estimate is above")
    parser.add_argument("--teardown", metavar="STAGE", help="only take down what an earlier trial left")
    parser.add_argument("--write", action="store_true", help="write docs/aws-results.md")
    parser.add_argument("tests", nargs="*", help="other tests than those that are known to fit")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
