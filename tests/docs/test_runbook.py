"""The runbook's commands print what the page shows: every scene is set up on a real deploy and played.

``SWITCHYARD_WRITE_RUNBOOK=1`` writes what they print into the page instead of comparing it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import onnx
import pytest

from local_cloud import cloud as embedded
from local_cloud.errors import LocalCloudError
from tests.conftest import ROOT, Deployed
from tests.end_to_end.test_shift import SLOW, Callers, faulty, request_for, sound, wait_until

pytestmark = pytest.mark.cloud

PAGE = ROOT / "docs" / "runbook.md"
WRITE = bool(os.environ.get("SWITCHYARD_WRITE_RUNBOOK"))

PART = re.compile(
    r"^<!-- before: (?P<scene>.+?) -->$|^```(?P<kind>console|text)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
VOLATILE = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+\d\d:\d\d|Z)?"), "TIME"),
    (re.compile(r"\(Threshold ?Crossed:.*"), "THRESHOLD"),
    (re.compile(r"\b\d+(\.\d+)? ?ms\b|\d+ms"), "AMOUNT"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b"), "ID"),
    (re.compile(r"http://\S+"), "ADDRESS"),
]
"""What differs from run to run."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A deployment of its own, so that its numbers begin at 1 as the page's do."""
    os.environ["SWITCHYARD_CLOUD_PARENT_PID"] = str(os.getpid())
    os.environ["LOGNAME"] = "root"  # as the page shows, whoever runs the tests
    home = tmp_path_factory.mktemp("runbook")
    made = Deployed(embedded.start(home), tmp_path_factory.mktemp("catalog") / "models.toml")
    try:
        subprocess.run([sys.executable, "-m", "layers.build", "--for", "local"], cwd=ROOT, check=True)
        made.deploy()
        yield made
    finally:
        embedded.stop(home)


class Scenes:
    """What has happened before the commands of a section; named as the page's hidden marks name it."""

    def __init__(self, place: Deployed, folder: Path) -> None:
        self.place = place
        self.folder = folder

    def publish(self, model: str, version: onnx.ModelProto) -> None:
        path = self.folder / f"{time.monotonic_ns()}" / "model.onnx"
        path.parent.mkdir()
        onnx.save(version, path)
        sample = self.folder / "sample.json"
        tensor = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}
        sample.write_text(json.dumps({"inputs": [tensor]}))
        self.place.yard_json("publish", model, str(path), "--sample", str(sample))

    def play(self, scene: str) -> str:
        """Set the scene up; some print what a person would have seen."""
        plays: dict[str, Callable[[], str | None]] = {
            "digits:2 was released after digits:1": self.released,
            "digits:3 is slow and its alarm fires": self.alarm,
            "digits:2 is being shifted": lambda: self.shifted(2),
            "digits:3 is being shifted": lambda: self.shifted(3),
            "somebody moves the alias in the console": self.meddled,
            "a deploy forgets a model that serves": self.forgotten,
            "a model was released once": self.once,
        }
        return plays[scene]() or ""

    def released(self) -> None:
        for number, version in enumerate((sound(0), sound(1), faulty()), start=1):
            self.publish("digits", version)
            if number < 3:
                self.place.yard_json(
                    "release", f"digits:{number}", "--reason", ("first", "better")[number - 1]
                )

    def alarm(self) -> None:
        door = f"{self.place.cloud.endpoint_url}/_switchyard/bad-day"
        httpx.post(door, json={"minute_s": 2.0}).raise_for_status()
        self.place.yard_json("release", "digits:3", "--reason", "better on sevens")
        with Callers(f"{self.place.api_url}/v2/models/digits/infer", request_for(SLOW)):
            wait_until(lambda: self.line()["kind"] == "alarm", 60)
        httpx.delete(door).raise_for_status()

    def shifted(self, version: int) -> None:
        self.place.yard_json(
            "release",
            f"digits:{version}",
            "--shift",
            "25,50",
            "--bake",
            "10m",
            "--reason",
            "try again",
            "--detach",
        )
        wait_until(lambda: self.line()["kind"] == "shift", 60)

    def meddled(self) -> None:
        other = next(
            line["lambda_version"]
            for line in self.place.yard_json("history", "digits")
            if line["version"] == 2
        )
        client = boto3.session.Session(
            aws_access_key_id="test", aws_secret_access_key="test", region_name=self.place.cloud.region
        ).client("lambda", endpoint_url=self.place.cloud.endpoint_url)
        client.update_alias(FunctionName="switchyard-local-digits", Name="live", FunctionVersion=other)

    def forgotten(self) -> str:
        self.once()
        self.place.yard_json("release", "digits:2", "--reason", "the fixed one")
        with pytest.raises(LocalCloudError) as failed:
            self.place.deploy(second="other")
        return str(failed.value)

    def once(self) -> None:
        if self.place.yard("versions", "spare").returncode != 0:  # none was ever published
            self.publish("spare", sound(0))
            self.place.yard_json("release", "spare:1", "--reason", "first")

    def line(self) -> dict[str, Any]:
        lines: list[dict[str, Any]] = self.place.yard_json("history", "digits")
        return lines[-1]


def played(text: str, place: Deployed) -> str:
    """A console block with what its commands print, both streams as a terminal shows them."""
    shown = []
    for command in (line for line in text.splitlines() if line.startswith("$ ")):
        words = command.removeprefix("$ ").replace("yard ", f"{sys.executable} -m yard.main ", 1)
        done = subprocess.run(
            ["bash", "-c", words],
            cwd=ROOT,
            env={**place.environment(), "COLUMNS": "120"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        shown += [command, *(line.rstrip() for line in done.stdout.splitlines()), ""]
    return "\n".join(shown).rstrip() + "\n"


def shape(text: str) -> list[str]:
    """What a text says, without what differs from run to run and without the lines and wraps of tables."""
    said: list[str] = []
    for line in (line for line in text.splitlines() if line.strip(" ┏┓┡┩└┘━┳╇┴─")):
        cells = [re.sub(r"\s", "", cell) for cell in re.split("[│┃]", line)[1:-1]]
        if line.startswith("│") and not cells[0]:  # the rest of the row above
            known = said.pop().split("│")
            cells = [before + more for before, more in zip(known, cells, strict=True)]
        said.append("│".join(cells) if cells else line.strip())
    for pattern, word in VOLATILE:
        said = [pattern.sub(word, line) for line in said]
    return said


def test_every_command_prints_what_the_page_shows(place: Deployed, tmp_path: Path) -> None:
    scenes, page, printed = Scenes(place, tmp_path), PAGE.read_text(), ""
    pieces, at = [], 0
    for part in PART.finditer(page):
        if part["scene"]:
            printed = scenes.play(part["scene"])
            continue
        actual = played(part["text"], place) if part["kind"] == "console" else f"{printed}\n"
        if not WRITE:
            assert shape(actual) == shape(part["text"])
        pieces += [page[at : part.start("text")], actual]
        at = part.end("text")
    assert len(pieces) > 10
    if WRITE:
        PAGE.write_text("".join([*pieces, page[at:]]))
