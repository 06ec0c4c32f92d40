"""How bad the day is: what an account of the embedded cloud does besides the good case, set at run time.

Stock: everything settles at once, every call is answered, every metric is there when it happens.
AWS: each setting names the source of what it copies, below; times are to be scaled, minutes to seconds. All
are off (or as fast as a laptop allows) until somebody sets them: ``POST /_switchyard/bad-day`` with a JSON
object of the settings to change, ``GET`` reads them, ``DELETE`` restores what the cloud was started with
(``SWITCHYARD_CLOUD_BAD_DAY``, the same JSON). Settings belong to the account that the request is signed for,
or that its header ``x-switchyard-account`` names, else to the cloud's default one.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import threading
from dataclasses import dataclass

from ministack.core.responses import get_account_id


@dataclass(frozen=True, slots=True)
class BadDay:
    """The settings of one account; times in real seconds, rates from 0 to 1 (1: each call)."""

    minute_s: float = 60.0
    """How long a minute of CloudWatch lasts: alarm periods shrink with it. Not a fault, a faster clock."""

    pending_s: float = 0.0
    """A published version stays Pending so long, and refuses to run meanwhile. With SnapStart 2 to 3 minutes
    (pulumi/pulumi#15789, aws-lambda-power-tuning pull request 190)."""

    updating_s: float = 0.0
    """An update of ``$LATEST`` through the API stays InProgress so long, and further ones are refused.
    ("Lambda function states"; aws/aws-cli#6718). A stack's own update is over at once, as if waited for."""

    revision_churn: bool = True
    """The revision changes once more when an update settles (aws/aws-sdk#377). Not a fault, AWS's ordinary
    way."""

    alias_lag_s: float = 0.0
    """For so long after ``UpdateAlias`` calls by alias still reach the old version, fewer and fewer. AWS
    publishes no number; reads are "eventually consistent" (terraform-provider-aws pull request 14578), and
    aliases were seen missing during updates (DataBiosphere/azul#7883)."""

    undo_rate: float = 0.0
    """So many updates of a function's configuration are accepted, settle as Successful, and are not there.
    Seen for SageMaker endpoints (terraform-provider-aws#48997), never reported for Lambda; law 9 is for
    both."""

    services: str = "lambda"
    """Whose calls the next three meet, comma separated, as signatures name them: ``lambda,s3,states``."""

    throttle_rate: float = 0.0
    """So many calls are refused before they do anything: ``TooManyRequestsException``, 429, "Lambda quotas"
    (15 control plane calls a second); S3 says ``SlowDown``, 503."""

    error_rate: float = 0.0
    """So many calls fail before they do anything: ``ServiceException``, 500 (Lambda API, "Common errors")."""

    lost_rate: float = 0.0
    """So many calls do what they should and then fail: the answer is lost. "Error retries": the SDK repeats
    a call whose first attempt may have had its effect."""

    invoke_throttle_rate: float = 0.0
    """So many invocations are refused with 429 for want of concurrency ("Understanding Lambda function
    scaling")."""

    endpoint_creating_s: float = 0.0
    """An endpoint stays Creating or Updating so much longer than its container takes. On AWS that is 5 to 15
    minutes, and an hour was seen (aws/amazon-sagemaker-examples#3432)."""

    endpoint_undo_rate: float = 0.0
    """So many updates of an endpoint are accepted, end InService, and are not there
    (terraform-provider-aws#48997)."""

    endpoint_throttle_rate: float = 0.0
    """So many invocations of endpoints are refused: ``ThrottlingException`` (SageMaker Runtime API, "Common
    errors")."""

    endpoint_error_rate: float = 0.0
    """So many invocations of endpoints are a ``ModelError`` of status 500, as if the container had failed."""

    replication_s: float = 0.0
    """Copies in another region are there up to so much later than their objects, in no order. "Most objects
    replicate within 15 minutes" (S3 user guide, "Replicating objects within and across Regions")."""

    metrics_late_s: float = 0.0
    """Datapoints can be read so much later than they are dated. "Lambda sends metric data to CloudWatch in
    1-minute intervals" (Lambda developer guide, "Using CloudWatch metrics with Lambda")."""


class UnknownSettingError(ValueError):
    """A setting that does not exist, or a value that is not of its kind."""


_lock = threading.Lock()
_by_account: dict[str, BadDay] = {}


def today() -> BadDay:
    """Return the settings of the account that is served at the moment."""
    return today_of(get_account_id())


def today_of(account: str) -> BadDay:
    """Return the settings of an account."""
    return _by_account.get(account) or _at_start()


def change(account: str, settings: object) -> BadDay:
    """Set some settings of an account and return all of them."""
    with _lock:
        _by_account[account] = _changed(_by_account.get(account) or _at_start(), settings)
        return _by_account[account]


def restore(account: str) -> BadDay:
    """Return to what the cloud was started with."""
    with _lock:
        _by_account.pop(account, None)
        return _at_start()


def _changed(now: BadDay, settings: object) -> BadDay:
    if not isinstance(settings, dict):
        raise UnknownSettingError("a JSON object of settings is expected")
    kinds = {field.name: type(field.default) for field in dataclasses.fields(BadDay)}
    for name, value in settings.items():
        if name not in kinds:
            raise UnknownSettingError(f"`{name}` is none of {', '.join(sorted(kinds))}")
        given = float(value) if kinds[name] is float and type(value) is int else value
        if type(given) is not kinds[name] or (isinstance(given, float) and given < 0):
            raise UnknownSettingError(f"`{name}` is a {kinds[name].__name__} of at least 0, not {value!r}")
    return dataclasses.replace(now, **settings)


@functools.cache
def _at_start() -> BadDay:
    return _changed(BadDay(), json.loads(os.environ.get("SWITCHYARD_CLOUD_BAD_DAY") or "{}"))
