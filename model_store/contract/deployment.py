"""How a deployment is found: the names that ``cdk deploy`` gives and everybody else looks up.

Every name follows from the stage and the model, so no ARN is ever copied by hand. Functions of the
platform itself begin with a capital letter after the stage; model names are lower case, so the two
cannot collide.
"""

from __future__ import annotations

import re

from model_store.contract.errors import InvalidNameError
from model_store.contract.names import check_name

DEFAULT_ALIAS = "live"

_PIN = re.compile(r"v([1-9][0-9]{0,8})")
_STAGE = re.compile(r"[a-z][a-z0-9]{0,11}")


def check_stage(stage: str) -> str:
    """Return ``stage`` if it can name a stage (it goes into every resource name)."""
    if _STAGE.fullmatch(stage):
        return stage
    raise InvalidNameError(
        f"`{stage}` is not a stage name",
        hint="Use 1 to 12 lower-case letters and digits, starting with a letter, for example `prod`.",
    )


def function_name(stage: str, model: str) -> str:
    """The Lambda function that serves ``model`` (at most 64 characters, Lambda's limit)."""
    return f"switchyard-{check_stage(stage)}-{check_name(model)}"


def pin_alias(version: int) -> str:
    """The Lambda alias under which ``version`` is asked for by number. No alias of the catalog reads so."""
    return f"v{version}"


def pinned_version(alias: str) -> int | None:
    """The model version that a Lambda alias pins; ``None`` for an alias of the catalog."""
    found = _PIN.fullmatch(alias)
    return int(found[1]) if found else None


def shadow_alias(alias: str) -> str:
    """The Lambda alias that leads to the shadow of ``alias``. No alias of the catalog has an underscore."""
    return f"shadow_{alias}"


def shadowed_alias(alias: str) -> str | None:
    """The alias of the catalog that a Lambda alias is the shadow of; ``None`` for any other."""
    prefix, _, of = alias.partition("shadow_")
    return of if of and not prefix else None


def is_declarable(alias: str) -> bool:
    """Whether a Lambda alias is one of the catalog's, and not one that the release controller keeps."""
    return pinned_version(alias) is None and shadowed_alias(alias) is None


def metrics_namespace(stage: str) -> str:
    """Where a stage's functions count; of its own, since stages may share an account."""
    return f"Switchyard/{check_stage(stage)}"


def alarms_prefix(stage: str, model: str, alias: str) -> str:
    """What the names of all alarms on releases of an alias begin with."""
    return f"switchyard/{check_stage(stage)}/{check_name(model)}/{alias}/"


UNDOING_ALARMS = ("errors", "errors-while-shifting", "faults", "latency")
TELLING_ALARMS = ("p99", "start-failures", "throttles-while-shifting")
"""The alarms on a released version, by the ends of their names: those that take it back, and those that tell
people of it and take nothing back (ADR 51)."""

ALARMS_OF_A_RELEASE = 5
"""So many an alias has: three that undo, two that tell. While it is shifted, one more."""


def model_alarms_prefix(stage: str, model: str) -> str:
    """What the names of all alarms on a model begin with, whoever made them."""
    return f"switchyard/{check_stage(stage)}/{check_name(model)}/"


def queries_prefix(stage: str, model: str) -> str:
    """What the names of a model's saved queries begin with; Logs Insights shows the parts as folders."""
    return f"switchyard/{check_stage(stage)}/{check_name(model)}/"


def cannot_answer_alarm_name(stage: str, model: str) -> str:
    """The alarm that fires when what a model serves, or would roll back to, could not answer."""
    return f"switchyard/{check_stage(stage)}/{check_name(model)}/cannot-answer"


def model_alarm_name(stage: str, model: str, what: str) -> str:
    """An alarm on a model, whichever alias or version of it: ``switchyard/prod/digits/faults``."""
    return f"switchyard/{check_stage(stage)}/{check_name(model)}/{what}"


def alias_alarm_name(stage: str, model: str, alias: str, what: str) -> str:
    """An alarm on an alias that ``cdk deploy`` makes: ``switchyard/prod/digits/Alias/live/user-pain``.

    Not under ``alarms_prefix``, where the release controller deletes what is of no release.
    """
    return f"switchyard/{check_stage(stage)}/{check_name(model)}/Alias/{alias}/{what}"


def keep_awake_rule_name(stage: str) -> str:
    """The rule that has them asked once a day."""
    return f"switchyard-{check_stage(stage)}-KeepAwake"


def alarm_topic_name(stage: str) -> str:
    """The topic where the alarms of releases report."""
    return f"switchyard-{check_stage(stage)}-Alarms"


def message_topic_name(stage: str) -> str:
    """The topic whose messages are written for people."""
    return f"switchyard-{check_stage(stage)}-Messages"


def messenger_function_name(stage: str) -> str:
    """The function that turns an alarm into messages for people."""
    return f"switchyard-{check_stage(stage)}-Messenger"


def fleet_dashboard_name(stage: str) -> str:
    """The CloudWatch dashboard of all models of a stage."""
    return f"switchyard-{check_stage(stage)}"


def model_dashboard_name(stage: str, model: str) -> str:
    """The CloudWatch dashboard of one model."""
    return f"switchyard-{check_stage(stage)}-{check_name(model)}"


def shifts_machine_name(stage: str) -> str:
    """The state machine that takes releases in steps."""
    return f"switchyard-{check_stage(stage)}-Shifts"


def operations_function_name(stage: str) -> str:
    """The function that CloudFormation's custom resources and the release controller run in."""
    return f"switchyard-{check_stage(stage)}-Operations"


def front_function_name(stage: str) -> str:
    """The function that answers what no single model can: the server's metadata and health."""
    return f"switchyard-{check_stage(stage)}-Front"


def authorizer_function_name(stage: str) -> str:
    """The function that checks tokens where the API is a REST API."""
    return f"switchyard-{check_stage(stage)}-Authorizer"


def api_key_name(stage: str, caller: str, label: str) -> str:
    """The name of a caller's key; ``api_key_prefix`` is where those of a stage begin."""
    return f"{api_key_prefix(stage)}{caller}.{label}"


def api_key_prefix(stage: str) -> str:
    """How the names of all keys of a stage begin. A dot ends each part: no part may hold one."""
    return f"switchyard.{check_stage(stage)}."


def model_layer_name(stage: str, model: str) -> str:
    """The Lambda layer whose versions carry the model's versions."""
    return f"{function_name(stage, model)}-model"


def runtime_layer_name(stage: str, model: str) -> str:
    """The Lambda layer that ``cdk deploy`` puts under the model: interpreter packages, no model."""
    return f"{function_name(stage, model)}-runtime"


def stack_name(stage: str, concern: str) -> str:
    """The stack of one concern: ``Switchyard-prod-Store``, ``Switchyard-prod-Model-digits``."""
    return f"Switchyard-{check_stage(stage)}-{concern}"


def parameters_path(stage: str) -> str:
    """SSM parameters of a deployed stage stand under this path."""
    return f"/switchyard/{check_stage(stage)}/"


def bucket_parameter(stage: str) -> str:
    """Name of the SSM parameter that holds the model store's bucket."""
    return f"{parameters_path(stage)}bucket"


def copy_bucket_name(stage: str, account: str, region: str) -> str:
    """The bucket that holds a copy of a stage's store in another region. Known without asking anybody there:
    a rule in the one region names it, and who restores has lost that region."""
    return f"switchyard-{check_stage(stage)}-copy-{account}-{region}"


def copy_key_alias(stage: str) -> str:
    """The alias of the key that encrypts that copy."""
    return f"alias/switchyard-{check_stage(stage)}-copy"


def bucket_key_parameter(stage: str) -> str:
    """Name of the SSM parameter that holds the ARN of the key that encrypts the bucket."""
    return f"{parameters_path(stage)}bucket-key"


def collector_role_parameter(stage: str) -> str:
    """Name of the SSM parameter that holds the ARN of the only role that may delete from the bucket."""
    return f"{parameters_path(stage)}collector-role"


def role_name(stage: str, who: str, region: str) -> str:
    """The role (and the managed policy) of ``who``: ``Publisher``, ``Releaser``, ``OnCall`` and so on.

    With the region, because names of roles hold for a whole account and a stage may stand in two regions.
    """
    return f"switchyard-{check_stage(stage)}-{who}-{region}"


def handoff_bucket_parameter(stage: str) -> str:
    """Name of the SSM parameter that holds the bucket that large payloads pass through."""
    return f"{parameters_path(stage)}handoff-bucket"


def handoff_key_parameter(stage: str) -> str:
    """Name of the SSM parameter that holds the ARN of the key that encrypts that bucket."""
    return f"{parameters_path(stage)}handoff-bucket-key"


def inbox_bucket_parameter(stage: str) -> str:
    """SSM parameter: the bucket where requests are put and answers are found."""
    return f"{parameters_path(stage)}inbox-bucket"


def inbox_key_parameter(stage: str) -> str:
    """SSM parameter: the key of that bucket."""
    return f"{parameters_path(stage)}inbox-bucket-key"


def signed_by_parameter(stage: str) -> str:
    """SSM parameter: the key that must have signed what is released. None without ``signed_by``."""
    return f"{parameters_path(stage)}signed-by"


def capture_bucket_parameter(stage: str) -> str:
    """SSM parameter: the bucket where captured requests, labels and reports of drift stand."""
    return f"{parameters_path(stage)}capture-bucket"


def capture_key_parameter(stage: str) -> str:
    """SSM parameter: the key of that bucket."""
    return f"{parameters_path(stage)}capture-bucket-key"


def monitor_function_name(stage: str) -> str:
    """The function that compares what was captured with what was trained on, once an hour."""
    return f"switchyard-{check_stage(stage)}-Monitor"


def marks_function_name(stage: str) -> str:
    """The function that CloudWatch's pages ask who moved which alias when."""
    return f"switchyard-{check_stage(stage)}-Marks"


def monitor_rule_name(stage: str) -> str:
    """The rule that has it do so."""
    return f"switchyard-{check_stage(stage)}-CompareHourly"


def training_parameter(stage: str) -> str:
    """SSM parameter: where training jobs run and as whom, a JSON object. None without ``training``."""
    return f"{parameters_path(stage)}training"


def pipeline_machine_name(stage: str, model: str) -> str:
    """The state machine that trains and releases ``model``."""
    return f"switchyard-{check_stage(stage)}-Pipeline-{check_name(model)}"


def pipeline_parameter(stage: str, model: str) -> str:
    """SSM parameter: the ARN of that machine."""
    return f"{parameters_path(stage)}pipeline-{check_name(model)}"


def new_data_prefix(model: str) -> str:
    """Where in the training bucket new data of ``model`` are put."""
    return f"data/{check_name(model)}/"


DATA_COMPLETE = "_SUCCESS"
"""The object that is written last below that prefix, as Spark does: then the data are whole."""


def shifts_machine_parameter(stage: str) -> str:
    """Name of the SSM parameter that holds the ARN of the state machine for releases in steps."""
    return f"{parameters_path(stage)}shifts"


def alarm_topic_parameter(stage: str) -> str:
    """Name of the SSM parameter that holds the ARN of the topic where alarms of releases report."""
    return f"{parameters_path(stage)}alarm-topic"


def alarm_period_parameter(stage: str) -> str:
    """Name of the SSM parameter that holds the period of those alarms in seconds."""
    return f"{parameters_path(stage)}alarm-period-s"


def lease_parameter(stage: str) -> str:
    """Name of the SSM parameter that holds how many seconds a lease lasts whose holder died."""
    return f"{parameters_path(stage)}lease-s"


def api_url_parameter(stage: str) -> str:
    """Name of the SSM parameter that holds the API's address, without a slash at the end."""
    return f"{parameters_path(stage)}api-url"


def api_id_parameter(stage: str) -> str:
    """Name of the SSM parameter that holds the API's id, which permissions to call it name."""
    return f"{parameters_path(stage)}api-id"


def api_kind_parameter(stage: str) -> str:
    """Name of the SSM parameter that says which kind of API it is: ``http`` or ``rest``."""
    return f"{parameters_path(stage)}api-kind"


def api_key_parameter(stage: str) -> str:
    """Name of the SSM parameter that says whether callers send a key: ``required`` or ``none``."""
    return f"{parameters_path(stage)}api-key"


def api_auth_parameter(stage: str) -> str:
    """Name of the SSM parameter that says how the API authorises: ``iam`` or ``none``."""
    return f"{parameters_path(stage)}api-auth"
