"""A story of one model on a deployed stage: steps at random, what should be in force because of them, the laws.

``tests/end_to_end/test_steps_at_random.py`` tells it; ``soak`` tells it on while callers ask and worse happens.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
import httpx
import pytest

from model_store.contract.errors import StoreUnavailableError
from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.errors import NothingToRollBackError, ServiceError, ShiftRunningError
from releases.records import UNRELEASED, Line
from releases.shadowing import Shadowing
from releases.shifting import Shifting
from releases.stage import Stage
from releases.status import status
from tests.conftest import ROOT, Deployed
from tests.end_to_end.digits import REQUEST

LEASE_S = 6
"""How long a killed command blocks the next one here. The deploy that the module begins with declares it."""

FUNCTION = "switchyard-local-digits"
BAD = {"services": "lambda,s3", "throttle_rate": 0.1, "error_rate": 0.05, "lost_rate": 0.05, "pending_s": 0.3}


class Story:
    """What has happened so far, and what should be in force because of it."""

    def __init__(self, deployed: Deployed, stage: Stage, seed: int) -> None:
        self.deployed = deployed
        self.stage = stage
        self.controller = Controller(stage)
        self.url = f"{deployed.api_url}/v2/models/digits/infer"
        self.chance = random.Random(seed)
        self.lines: list[Line] = []
        self.steps: list[int] = []
        self.told: list[str] = []

    def next(self) -> None:
        """One step, whatever it be, and the laws after it."""
        steps = {
            self.release: 8,
            self.roll_back: 6,
            self.shift: 3,
            self.shadow: 3,
            self.kill: 4,
            self.move_by_hand: 2,
            self.retire: 1,
        }
        self.take(self.chance.choices(list(steps), weights=list(steps.values()))[0])

    def take(self, action: Callable[[], None]) -> None:
        """This step, on a bad day or a good one, and the laws after it."""
        bad = self.chance.random() < 0.5
        self.told.append(f"{action.__name__}{' on a bad day' if bad else ''}")
        self.day(**BAD if bad else {})
        action()
        self.day()
        self.check()

    def day(self, **settings: Any) -> None:
        """How bad the day of the whole cloud is; a good one without settings."""
        request = urllib.request.Request(
            f"{self.deployed.cloud.endpoint_url}/_switchyard/bad-day",
            data=json.dumps(settings).encode() if settings else None,
            method="POST" if settings else "DELETE",
        )
        urllib.request.urlopen(request).close()

    def persist(self, command: Callable[[], object]) -> None:
        """Run a command as a person does: AWS failed it, so run it again, unless the ledger says it is done."""
        try:
            command()
        except (ServiceError, StoreUnavailableError) as error:
            self.told.append(f"({error})")
            self.day()
            if len(self.controller.history("digits")) == len(self.lines):
                command()

    def release(self) -> None:
        version = self.chance.randint(1, 3)
        self.persist(lambda: self.controller.release(ByVersion("digits", version)))
        if self.steps[-1:] != [version]:
            self.steps.append(version)

    def roll_back(self) -> None:
        if len(self.steps) < 2:
            self.day()
            with pytest.raises(NothingToRollBackError):
                self.controller.rollback("digits")
            return
        self.persist(lambda: self.controller.rollback("digits"))
        self.steps.pop()

    def retire(self) -> None:
        self.persist(lambda: self.controller.retire("digits"))
        self.steps = []

    def shift(self) -> None:
        """Begin to shift; what would cross it is refused; stop it wherever it is."""
        if not self.steps:
            return
        self.day()
        version = self.chance.randint(1, 3)
        begun = Shifting(self.stage).begin(ByVersion("digits", version), shares=(0.2, 0.5), bake_s=60)
        if begun is None:
            assert self.steps[-1] == version
            return
        time.sleep(self.chance.random() * 3)
        with pytest.raises(ShiftRunningError):
            self.controller.release(ByVersion("digits", 1 + version % 3))
        Shifting(self.stage).stop("digits", reason="enough seen")

    def shadow(self) -> None:
        """Mirror most calls to another version, and perhaps never stop: callers get what is in force."""
        if not self.steps or not status(self.stage, "digits").on_current_base:
            return
        self.day()
        version = self.steps[-1] % 3 + 1
        Shadowing(self.stage).begin(ByVersion("digits", version), share=0.9)
        assert {self.served() for _ in range(4)} == {self.steps[-1]}
        if self.chance.random() < 0.3:
            Shadowing(self.stage).stop("digits")

    def kill(self) -> None:
        """A command of the command line dies after one of the things that it says it does, and is run again."""
        version = self.chance.randint(1, 3)
        words = ["release", f"digits:{version}"]
        command = [sys.executable, "-m", "yard.main", *words]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.deployed.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        for _ in range(self.chance.randint(1, 3)):
            process.stderr.readline()
        time.sleep(self.chance.uniform(0, 0.3))
        process.kill()
        process.stderr.close()
        process.wait()
        assert self.served() in (version, self.steps[-1] if self.steps else UNRELEASED)
        self.day()
        self.controller.release(ByVersion("digits", version))  # waits for the lease of the dead
        if self.steps[-1:] != [version]:
            self.steps.append(version)

    def move_by_hand(self) -> None:
        """Somebody moves the alias in the console: it is named, and the same command heals it."""
        others = [
            line.plan.lambda_version for line in self.lines if line.version not in (0, *self.steps[-1:])
        ]
        if not others or not self.steps:
            return
        self.day()
        client = boto3.client("lambda")
        client.update_alias(FunctionName=FUNCTION, Name="live", FunctionVersion=self.chance.choice(others))
        assert status(self.stage, "digits").disagreements
        moved = self.controller.rollback("digits", reason="that was not me")
        assert moved.ref.version == self.steps[-1]

    def deploy(self, memory_mb: int) -> None:
        """Law 4: a deploy changes the base and never the model version."""
        self.told.append(f"deploy {memory_mb}")
        before = self.served()
        self.deployed.deploy(memory_mb=memory_mb, lease_s=LEASE_S)
        assert self.served() == before
        self.check()
        if self.steps:
            assert status(self.stage, "digits").memory_mb == memory_mb

    def served(self) -> int:
        """The version that callers get; what it says is that version's answer."""
        answer = httpx.post(self.url, json=REQUEST, timeout=35)
        if answer.status_code == 503:
            return UNRELEASED
        assert answer.status_code == 200, answer.text
        return int(answer.json()["model_version"])

    def check(self) -> None:
        """The laws, after every step."""
        lines = self.controller.history("digits")
        assert [line.line for line in lines] == list(range(1, len(lines) + 1))
        assert lines[: len(self.lines)] == self.lines
        self.lines = lines
        assert self.served() == (self.steps[-1] if self.steps else UNRELEASED)
        assert status(self.stage, "digits").disagreements == ()
