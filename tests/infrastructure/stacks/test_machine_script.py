"""``infra.constructs.machine_script``, run by bash with programs that write down what they were asked."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from functions.endpoint.metrics import Metrics
from infra.constructs.machine_script import MachineScript

SCRIPT = MachineScript(
    region="eu-central-1",
    stack="Switchyard-prod-Model-clip",
    resource="FleetV7",
    source="s3://models/models/clip/served/000000007/",
    image="123456789012.dkr.ecr.eu-central-1.amazonaws.com/endpoint:1",
    registry="123456789012.dkr.ecr.eu-central-1.amazonaws.com",
    environment={"SWITCHYARD_VERSION": "7", "NOTE": "it's $(touch owned) & more"},
    log_group="/switchyard/endpoints/clip",
    gpu=True,
    metrics_namespace="Switchyard/prod/Endpoints",
    startup_s=20,
)

PROGRAM = """#!/bin/bash
for word in "$@"; do printf '<%s>' "$word"; done >> "$SAID"
printf ' %s\\n' "${{0##*/}}" >> "$SAID"
{answer}
"""
ANSWERS = {
    "aws": 'case "$*" in *get-login-password*) echo password;; esac',
    "curl": 'case "$*" in *instance-id*) echo i-0123;; esac',
    "docker": 'case "$*" in login*) cat >/dev/null;; esac',
    "dnf": "",
    "mkdir": "",
    "sleep": "",
    "systemctl": "",
}

Run = Callable[..., list[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the script; return what its programs were asked, one line each."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def run(script: MachineScript = SCRIPT, **answers: str) -> list[str]:
        for name, answer in {**ANSWERS, **answers}.items():
            (programs / name).write_text(PROGRAM.format(answer=answer))
            (programs / name).chmod(0o755)
        said = tmp_path / "said"
        environment = {
            "PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "SAID": str(said),
            "TMPDIR": str(tmp_path),
        }
        done = subprocess.run(
            ["bash", "-c", script.text()],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "unbound variable" not in done.stderr, done.stderr
        return said.read_text().splitlines()

    return run


def signal(said: list[str]) -> str:
    (word,) = (line for line in said if "<signal-resource>" in line)
    return word


def test_a_machine_fetches_the_model_starts_the_container_and_says_that_it_answers(run: Run) -> None:
    said = run()
    order = [
        next(number for number, line in enumerate(said) if what in line)
        for what in ("<s3><cp>", "<login>", "<run><--detach>", "/ping>", "<signal-resource>")
    ]
    assert order == sorted(order)
    assert "<s3://models/models/clip/served/000000007/></opt/ml/model>" in said[order[0]]
    word = signal(said)
    assert "<--logical-resource-id><FleetV7><--unique-id><i-0123><--status><SUCCESS>" in word


def test_the_container_gets_no_rights_and_what_people_wrote_as_they_wrote_it(
    run: Run, tmp_path: Path
) -> None:
    (started,) = (line for line in run() if "<run><--detach>" in line)
    for word in ("<--read-only>", "<--cap-drop><ALL>", "<no-new-privileges>", "<--gpus><all>"):
        assert word in started
    assert "<--volume></opt/ml/model:/opt/ml/model:ro>" in started
    assert "<--env><NOTE=it's $(touch owned) & more>" in started
    assert "<--env><SWITCHYARD_VERSION=7>" in started
    assert started.endswith("endpoint:1><serve> docker")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "broken",
    [
        {"aws": 'case "$*" in s3*) exit 1;; esac'},
        {"docker": 'case "$*" in run*) exit 1;; login*) cat >/dev/null;; esac'},
        {"docker": 'case "$*" in login*) cat >/dev/null; exit 1;; esac'},
        {"systemctl": "exit 1"},
        {"curl": 'case "$*" in *instance-id*) echo i-0123;; *ping*) exit 22;; esac'},
    ],
    ids=["model", "container", "registry", "docker", "never ready"],
)
def test_a_machine_that_cannot_serve_says_so_once(run: Run, broken: dict[str, str]) -> None:
    """Law 9: the deploy fails, instead of waiting until its time is up."""
    assert "<--status><FAILURE>" in signal(run(**broken))


def test_a_slow_container_is_waited_for(run: Run, tmp_path: Path) -> None:
    count = tmp_path / "count"
    third = f'case "$*" in *instance-id*) echo i-0123;; *ping*) echo x >> {count}; [ $(wc -l < {count}) -ge 3 ];; esac'
    said = run(curl=third)
    assert "<--status><SUCCESS>" in signal(said)
    assert sum("/ping>" in line for line in said) == 3


def test_the_agent_reads_the_container_s_metrics_under_the_names_that_it_has(
    run: Run, tmp_path: Path
) -> None:
    """Law 11: the two sets of dimensions, and a metric that the container does not have is no metric."""
    run()
    agent = json.loads((tmp_path / "switchyard-agent.json").read_text())
    asked = agent["logs"]["metrics_collected"]["prometheus"]
    assert asked["prometheus_config_path"] == "/run/switchyard-scrape.json"
    assert asked["log_group_name"] == "/switchyard/endpoints/clip"
    assert asked["emf_processor"]["metric_namespace"] == "Switchyard/prod/Endpoints"
    (declared,) = asked["emf_processor"]["metric_declaration"]
    assert declared["dimensions"] == [["model"], ["model", "version"]]
    page = Metrics("clip", "7").page().decode()
    families = list(text_string_to_metric_families(page))
    for selector in declared["metric_selectors"]:
        (family,) = (one for one in families if any(re.search(selector, s.name) for s in one.samples))
        assert family.type in ("counter", "gauge")
        assert {"model", "version"} <= set(family.samples[0].labels)
    scrape = json.loads((tmp_path / "switchyard-scrape.json").read_text())
    (job,) = scrape["scrape_configs"]
    assert re.fullmatch(declared["label_matcher"], job["job_name"])
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8080"]}]


def test_another_s_container_is_not_asked_for_metrics_of_ours(run: Run, tmp_path: Path) -> None:
    run(replace(SCRIPT, scraped=False))
    assert "logs" not in json.loads((tmp_path / "switchyard-agent.json").read_text())


def test_the_script_fits_into_what_ec2_takes() -> None:
    """Source: EC2 user guide, "User data": 16 KB before it is encoded."""
    assert len(SCRIPT.text().encode()) < 8_192


def test_without_an_agent_the_machine_serves_all_the_same(run: Run, tmp_path: Path) -> None:
    assert "<--status><SUCCESS>" in signal(run())
    assert "nvidia_gpu" in (tmp_path / "switchyard-agent.json").read_text()
