"""Auto scaling groups whose machines are real: each is a process of the container that its script starts.

Stock: a group made by a stack has no machines, and its target groups are dropped. AWS: Amazon EC2 Auto
Scaling user guide ("Attach a load balancer": a machine is registered when it is in service and deregistered
before it is ended), Docker's ``--restart always`` (a program that ends is started again, each time after
twice as long a pause), CloudFormation user guide, "CreationPolicy attribute" (machines say how it went by
``SignalResource``).

No machine is emulated. The launch template's script is *read*, not run: where the files come from that it
copies, which image it runs, what that is told, which ports it publishes. Then the image's program runs here
(``containers``). Not there: scaling by itself, a warm pool's machines, replacing a machine that stays
unhealthy.
"""

from __future__ import annotations

import base64
import contextlib
import contextvars
import shlex
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ministack.core.responses import get_region
from ministack.services import alb, autoscaling, ec2, ssm

from local_cloud.extension import bad_day, containers, routing

STARTUP_S = 240.0
MOST_PAUSE_S = 5.0
_POLL_S = 0.05
_FIRST_PAUSE_S = 0.1
_AMI = "ami-0c2023a1b2c3d4e5f"
_IMAGES = (
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id",
    "/aws/service/deeplearning/ami/arm64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id",
)

_lock = threading.RLock()
_machines: dict[str, Machine] = {}


@dataclass(frozen=True)
class Script:
    """What a machine does when it starts, as its script has it."""

    image: str
    source: str
    environment: dict[str, str]
    ports: tuple[int, ...]
    log_group: str
    signals: bool

    @classmethod
    def read(cls, text: str) -> Script | None:
        """``None`` for a script that starts no container."""
        lines = text.replace("\\\n", " ").splitlines()
        run = next((line for line in lines if line.startswith("docker run ")), None)
        copy = next((line for line in lines if line.startswith("aws s3 cp ")), None)
        if run is None or copy is None:
            return None
        words = shlex.split(run.partition("||")[0])
        options = list(pairwise(words))
        told = (value.partition("=") for word, value in options if word == "--env")
        source = next(word for word in shlex.split(copy) if word.startswith("s3://"))
        group = next(
            (value.partition("=")[2] for _, value in options if value.startswith("awslogs-group=")), ""
        )
        return cls(
            image=words[-2],
            source=source,
            environment={name: value for name, _, value in told},
            ports=tuple(int(value.partition(":")[0]) for word, value in options if word == "--publish"),
            log_group=group,
            signals="signal-resource" in text,
        )


@dataclass(eq=False)
class Machine:
    """One machine of a group. ``said`` is what it signalled: SUCCESS, FAILURE, or nothing yet."""

    group: str
    script: Script
    template: str
    id: str = field(default_factory=lambda: f"i-{uuid.uuid4().hex[:17]}")
    container: containers.Container | None = None
    said: str = ""
    ending: bool = False

    def address(self, port: int) -> routing.Address | None:
        """Where a published port really is: the first is HTTP's, the second gRPC's."""
        container = self.container
        if container is None or port not in self.script.ports:
            return None
        first = self.script.ports.index(port) == 0
        return "127.0.0.1", container.port if first else container.grpc_port

    def run(self) -> None:
        """Start the container, say how it went, and keep it running until the machine ends."""
        time.sleep(bad_day.today().endpoint_creating_s)
        log = containers.logger(self.script.log_group, self.id)
        pause = _FIRST_PAUSE_S
        while not self.ending:
            try:
                container = containers.Container(self._definition(), log=log, grpc=len(self.script.ports) > 1)
            except Exception as error:  # noqa: BLE001 - no such image, no such files: as the script has it
                log(f"the container could not be started: {error}")
                self.said = self.said or "FAILURE"
                return
            self._take(container)
            if not self.said:
                self._wait_for_ping(container)
            container.process.wait()
            time.sleep(0 if self.ending else pause)
            pause = min(2 * pause, MOST_PAUSE_S)

    def _take(self, container: containers.Container) -> None:
        with _lock:
            self.container = container
            ending = self.ending
        if ending:
            container.stop()

    def _wait_for_ping(self, container: containers.Container) -> None:
        deadline = time.monotonic() + STARTUP_S
        while not self.ending and time.monotonic() < deadline:
            if container.answers():
                self.said = "SUCCESS"
                return
            if container.ended():
                break  # and is started again; the ping of that one is waited for no longer
            time.sleep(_POLL_S)
        self.said = "FAILURE"

    def _definition(self) -> dict[str, Any]:
        source = {"S3DataSource": {"S3Uri": self.script.source, "S3DataType": "S3Prefix"}}
        return {
            "Image": self.script.image,
            "Environment": self.script.environment,
            "ModelDataSource": source,
        }

    def end(self, *, drain_s: float) -> None:
        """Take it out of its target groups, let open requests come to their end, and stop it."""
        for targets in list(alb._targets.values()):
            targets[:] = [item for item in targets if item["Id"] != self.id]
        deadline = time.monotonic() + drain_s
        while routing.open_requests(self.id) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        with _lock:
            self.ending = True
            _machines.pop(self.id, None)
            container = self.container
        if container is not None:
            container.stop()


def address(machine_id: str, port: int) -> routing.Address | None:
    """Where a port of a machine of ours is; ``None`` for any other."""
    machine = _machines.get(machine_id)
    return machine.address(port) if machine else None


def of_group(name: str) -> list[Machine]:
    """The machines of a group, oldest first."""
    return [machine for machine in list(_machines.values()) if machine.group == name]


def adjust(group: dict[str, Any]) -> None:
    """Give a group as many machines as it is to have. Not waited for."""
    script, template = _script_of(group)
    if script is None:
        _stock_adjust(group)
        return
    with _lock:
        present = of_group(group["AutoScalingGroupName"])
        for _ in range(group["DesiredCapacity"] - len(present)):
            _launch(group, script, template)
        for machine in present[group["DesiredCapacity"] :]:
            _dismiss(group, machine)


def refresh(group: dict[str, Any]) -> None:
    """Replace machines of an older template: new ones first, then the old go."""
    script, template = _script_of(group)
    old = [machine for machine in of_group(group["AutoScalingGroupName"]) if machine.template != template]
    if script is None or not old:
        return
    with _lock:
        new = [_launch(group, script, template) for _ in old]
    wait_for(new)
    for machine in old:
        _dismiss(group, machine)


def wait_for(machines: list[Machine]) -> None:
    """Return when every machine has said that it answers, or raise what CloudFormation says."""
    deadline = time.monotonic() + STARTUP_S + bad_day.today().endpoint_creating_s
    while not all(machine.said for machine in machines) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    good = sum(machine.said == "SUCCESS" for machine in machines)
    if good < len(machines):
        raise ValueError(
            f"Received {good} SUCCESS signal(s) out of {len(machines)}. Unable to satisfy 100% "
            "MinSuccessfulInstancesPercent requirement"
        )


def end_all(group: str, *, drain_s: float) -> None:
    """End every machine of a group; the programs themselves end beside."""
    for machine in of_group(group):
        _end_in_background(machine, drain_s)


def _launch(group: dict[str, Any], script: Script, template: str) -> Machine:
    machine = Machine(group["AutoScalingGroupName"], script, template)
    _machines[machine.id] = machine
    group["Instances"].append(
        {
            "InstanceId": machine.id,
            "InstanceType": _template_of(group)["LaunchTemplateData"].get("InstanceType", ""),
            "LifecycleState": "InService",
            "HealthStatus": "Healthy",
            "AvailabilityZone": f"{get_region()}a",
            "ProtectedFromScaleIn": False,
            "LaunchTemplate": {**group["LaunchTemplate"], "Version": template},
        }
    )
    for arn in group.get("TargetGroupARNs") or ():
        alb._targets.setdefault(arn, []).append({"Id": machine.id, "Port": alb._tgs[arn]["Port"]})
    _in_background(machine.run)
    return machine


def _dismiss(group: dict[str, Any], machine: Machine) -> None:
    group["Instances"][:] = [item for item in group["Instances"] if item["InstanceId"] != machine.id]
    _end_in_background(machine, drain_of(group))


def drain_of(group: dict[str, Any]) -> float:
    """How long open requests of a deregistered target may take, in seconds."""
    said = (
        float(item["Value"])
        for arn in group.get("TargetGroupARNs") or ()
        for item in alb._tg_attrs.get(arn) or ()
        if item["Key"] == "deregistration_delay.timeout_seconds"
    )
    return max(said, default=0.0)


def _script_of(group: dict[str, Any]) -> tuple[Script | None, str]:
    template = _template_of(group)
    if template is None:
        return None, ""
    text = template["LaunchTemplateData"].get("UserData") or ""
    try:
        script = Script.read(base64.b64decode(text).decode())
    except ValueError:
        script = None
    return script, str(template["VersionNumber"])


def _template_of(group: dict[str, Any]) -> Any:
    """The version of the launch template that new machines come from."""
    spec = group.get("LaunchTemplate") or {}
    found = ec2._launch_templates.get(spec.get("LaunchTemplateId"))
    if found is None:
        return None
    wanted = str(spec.get("Version", "$Default"))
    number = {"$Default": found["DefaultVersionNumber"], "$Latest": found["LatestVersionNumber"]}.get(
        wanted, wanted
    )
    return next((v for v in found["Versions"] if str(v["VersionNumber"]) == str(number)), None)


def _end_in_background(machine: Machine, drain_s: float) -> None:
    _in_background(lambda: machine.end(drain_s=drain_s))


def _in_background(work: Callable[[], None]) -> None:
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), daemon=True).start()


# ---------------------------------------------------------------- the API


_stock_adjust = autoscaling._reconcile_instances
_stock_instances_xml = autoscaling._instances_xml
_stock_instance_xml = autoscaling._instance_member_xml
_stock_delete = autoscaling._delete_asg
_stock_reset = autoscaling.reset


def _instances_xml(group: dict[str, Any]) -> str:
    """With the target groups before them, which stock leaves out."""
    targets = "".join(f"<member>{arn}</member>" for arn in group.get("TargetGroupARNs") or ())
    return f"<TargetGroupARNs>{targets}</TargetGroupARNs>" + str(_stock_instances_xml(group))


def _instance_xml(instance: dict[str, Any], include_group_name: str = "") -> str:
    written = str(_stock_instance_xml(instance, include_group_name))
    type_ = instance.get("InstanceType")
    return (
        written.replace("<member>", f"<member><InstanceType>{type_}</InstanceType>", 1) if type_ else written
    )


def _delete(params: dict[str, Any]) -> Any:
    name = autoscaling._p(params, "AutoScalingGroupName")
    group = autoscaling._asgs.get(name)
    if group is not None:
        end_all(name, drain_s=drain_of(group))
    return _stock_delete(params)


def reset() -> None:
    """Forget every machine and end what runs."""
    with _lock:
        left = list(_machines.values())
        _machines.clear()
    for machine in left:
        machine.ending = True
        if machine.container is not None:
            with contextlib.suppress(OSError):
                machine.container.kill()
    _stock_reset()


def install() -> None:
    """Patch the API; the resource type is ``fleet_stacks``'s."""
    routing.find_machines_by(address)
    autoscaling._reconcile_instances = adjust
    autoscaling._instances_xml = _instances_xml
    autoscaling._instance_member_xml = _instance_xml
    autoscaling._ACTION_MAP["DeleteAutoScalingGroup"] = _delete
    autoscaling.reset = reset
    ssm._PUBLIC_AMI_PARAMETERS.update(dict.fromkeys(_IMAGES, _AMI))
