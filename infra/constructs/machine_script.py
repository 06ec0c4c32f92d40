"""What a machine of a fleet does when it starts: the model, the container, and a word to CloudFormation."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from model_store.contract.endpoints import CONTAINER_PORT, GRPC_PORT, MODEL_FOLDER

GPU_METRIC = "nvidia_smi_utilization_gpu"
"""As the CloudWatch agent calls what it measures as ``utilization_gpu``."""

STOP_S = 30
"""The container drains within 25 s of SIGTERM."""

POLL_S = 5

SCRAPE_S = 60
"""CloudWatch's own minute: what is scraped more often costs more and shows no more."""

SCRAPED = (
    "switchyard_requests_total",
    "switchyard_queue_depth",
    "switchyard_running",
    "switchyard_in_flight",
)
"""What of the container's ``/metrics`` goes to CloudWatch: the agent takes no histograms, and the gateway has
measured the times already. ``functions.endpoint.metrics`` names them."""

_AGENT = "${TMPDIR:-/run}/switchyard-agent.json"
_SCRAPE = "/run/switchyard-scrape.json"

_SCRIPT = """\
#!/bin/bash
set -uo pipefail
imds=http://169.254.169.254/latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' $imds/api/token)
id=$(curl -sf -H "X-aws-ec2-metadata-token: $token" $imds/meta-data/instance-id)
end() {{
  aws cloudformation signal-resource --region {region} --stack-name {stack} \\
    --logical-resource-id {resource} --unique-id "$id" --status "$1"
  exit
}}
command -v docker >/dev/null || dnf install -y docker || end FAILURE
systemctl enable --now docker || end FAILURE
mkdir -p {folder}
aws s3 cp --recursive --only-show-errors {source} {folder} || end FAILURE
{login} || end FAILURE
docker run --detach --restart always --name endpoint --stop-timeout {stop_s} \\
  --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges{gpus} \\
  --publish {port}:{port} --publish {grpc}:{grpc} --volume {folder}:{folder}:ro \\
  --log-driver awslogs --log-opt awslogs-region={region} --log-opt awslogs-group={log} \\
  --log-opt awslogs-stream="$id" {told} {image} serve || end FAILURE
# Without the agent nobody scales by GPU use or sees the queue, and everything else works.
cat > "{agent}" <<'AGENT'
{measured}
AGENT
cat > "{scrape_at}" <<'SCRAPE'
{scrape}
SCRAPE
ctl=/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl
$ctl -a fetch-config -m ec2 -s -c "file:{agent}" || true
for _ in $(seq {polls}); do
  curl -sf http://127.0.0.1:{port}/ping >/dev/null && end SUCCESS
  sleep {poll_s}
done
end FAILURE
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineScript:
    """What differs between machines. ``registry`` is asked for a password, where the image is in ECR.

    ``scraped`` is whether the container has a ``/metrics`` of ours.
    """

    region: str
    stack: str
    resource: str
    source: str
    image: str
    registry: str | None
    environment: Mapping[str, str]
    log_group: str
    gpu: bool
    metrics_namespace: str
    startup_s: int
    scraped: bool = True

    def text(self) -> str:
        """The script, for bash. Every value that a person wrote is quoted."""
        login = (
            f"aws ecr get-login-password --region {self.region}"
            f" | docker login --username AWS --password-stdin {self.registry}"
        )
        return _SCRIPT.format(
            region=self.region,
            stack=self.stack,
            resource=self.resource,
            folder=MODEL_FOLDER,
            source=self.source,
            login=login if self.registry else "true",
            stop_s=STOP_S,
            gpus=" --gpus all" if self.gpu else "",
            port=CONTAINER_PORT,
            grpc=GRPC_PORT,
            log=self.log_group,
            told=" ".join(
                f"--env {shlex.quote(f'{name}={value}')}" for name, value in sorted(self.environment.items())
            ),
            image=self.image,
            agent=_AGENT,
            measured=json.dumps(self._measured(), indent=1),
            scrape_at=_SCRAPE.replace("/run", "${TMPDIR:-/run}"),
            scrape=json.dumps(_SCRAPES, indent=1),
            polls=self.startup_s // POLL_S,
            poll_s=POLL_S,
        )

    def _measured(self) -> dict[str, object]:
        """The CloudWatch agent's configuration: by group, so that a group can follow it."""
        collected: dict[str, object] = {"mem": {"measurement": ["used_percent"]}}
        if self.gpu:
            collected["nvidia_gpu"] = {"measurement": ["utilization_gpu", "memory_used"]}
        logged = {"logs": {"metrics_collected": {"prometheus": self._scraped()}}} if self.scraped else {}
        return {
            **logged,
            "metrics": {
                "namespace": self.metrics_namespace,
                "append_dimensions": {"AutoScalingGroupName": "${aws:AutoScalingGroupName}"},
                "aggregation_dimensions": [["AutoScalingGroupName"]],
                "metrics_collected": collected,
            },
        }

    def _scraped(self) -> dict[str, object]:
        """What the agent reads from the container each minute: by model, and by model and version (law 11).

        It writes them into the fleet's own log group in the embedded metric format. Counters arrive as what
        was added since the last time; outcomes, which are no dimension, add up.
        Source: CloudWatch user guide, "Set up and configure Prometheus metrics collection on Amazon EC2
        instances".
        """
        return {
            "prometheus_config_path": _SCRAPE,
            "log_group_name": self.log_group,
            "emf_processor": {
                "metric_namespace": self.metrics_namespace,
                "metric_declaration": [
                    {
                        "source_labels": ["job"],
                        "label_matcher": f"^{_JOB}$",
                        "dimensions": [["model"], ["model", "version"]],
                        "metric_selectors": [f"^{name}$" for name in SCRAPED],
                    }
                ],
            },
        }


_JOB = "switchyard-endpoint"
_SCRAPES = {
    "global": {"scrape_interval": f"{SCRAPE_S}s", "scrape_timeout": "10s"},
    "scrape_configs": [
        {"job_name": _JOB, "static_configs": [{"targets": [f"127.0.0.1:{CONTAINER_PORT}"]}]},
    ],
}
"""Prometheus's own configuration. It is YAML, of which JSON is a part."""
