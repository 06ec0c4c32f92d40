"""The documentation is held to the code: links lead somewhere, paths exist, snippets parse or run.

``bash run`` blocks of a page are executed as one script; see CONTRIBUTING.md, "Documentation".
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from local_cloud.cloud import Cloud
from local_cloud.deploy import deploy
from model_store.contract.pipeline import read_steps
from tests.docs.pages import ROOT, Block, anchors, blocks, code_words, every_block, links, name_of, pages

STAGE = "prod"
PAGES = [pytest.param(page, id=name_of(page)) for page in pages()]

# Words of the workplace, paths of one machine, hosts of a registry: they mean nothing to a reader.
FORBIDDEN = re.compile(
    r"/root/|/home/[a-z]|site-packages/|\bTODO\b",
    re.IGNORECASE,
)
_PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml|json|svg|txt)")
# Made by a build, a run, or the reader; named in the docs all the same.
_MADE = ("build/", "demo-out/", "cdk.out", ".switchyard", ".venv", "node_modules", "AWS/")


def listed(found: list[Block]) -> list[object]:
    return [pytest.param(block, id=str(block)) for block in found]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), f"{link} leaves the repository"
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    for word in code_words(page):
        if _PATH.fullmatch(word) and "/" in word and not word.startswith(_MADE):
            places = (ROOT / word, page.parent / word)
            assert any(place.exists() for place in places), word


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_what_no_reader_has(page: Path) -> None:
    found = FORBIDDEN.search(page.read_text("utf-8"))
    assert found is None, found


PARSERS: dict[str, Callable[[str], object]] = {"python": ast.parse, "json": json.loads, "toml": tomllib.loads}


@pytest.mark.parametrize("block", listed([b for language in PARSERS for b in every_block(language)]))
def test_python_json_and_toml_blocks_parse(block: Block) -> None:
    PARSERS[block.language](block.text)


@pytest.mark.parametrize("block", listed([b for b in every_block("json") if '"steps"' in b.text]))
def test_every_pipeline_that_is_shown_is_one(block: Block) -> None:
    assert read_steps(block.text.encode())


@pytest.mark.parametrize("block", listed(every_block("bash")))
def test_bash_blocks_parse(block: Block) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", listed([b for b in every_block("bash") if "make " in b.text]))
def test_make_targets_that_are_named_exist(block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for command in block.commands():
        if command.startswith("make "):
            target = command.split()[1]
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), command


@pytest.fixture(scope="module")
def prod(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Stage ``prod`` on the embedded cloud, and the environment of somebody who follows a page there.

    The catalog is the repository's own; only the layer is the one that this machine can run.
    """
    folder = tmp_path_factory.mktemp("prod")
    subprocess.run([sys.executable, "-m", "layers.build", "--for", "local"], cwd=ROOT, check=True)
    catalog = folder / "models.toml"
    text = (ROOT / "models.toml").read_text("utf-8")
    catalog.write_text(text.replace("build/layers/x86_64", "build/layers/local"), "utf-8")
    deploy(cloud, root=ROOT, stage=STAGE, catalog=catalog, on_progress=lambda _: None)
    yard = folder / "yard"
    yard.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m yard.main "$@"\n', "utf-8")
    yard.chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **inherited,
        **cloud.environment(),
        "PATH": f"{folder}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SWITCHYARD_CATALOG": str(catalog),
        "COLUMNS": "200",
    }


@pytest.fixture(scope="module")
def transcript(prod: dict[str, str]) -> str:
    """What the runnable blocks of the deploy page print, all of them run in order."""
    if shutil.which("curl") is None:
        pytest.skip("the page calls the API with curl, and there is none here")
    script = "\n".join(
        block.text
        for block in blocks(ROOT / "docs" / "deploy-to-aws.md")
        if block.language == "bash" and block.runs
    )
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=prod,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.cloud
def test_the_deploy_page_goes_the_whole_road_on_the_embedded_cloud(transcript: str) -> None:
    """Law 4, law 6: what the page says it will see is seen, in its order."""
    seen = [
        "nothing yet (503)",
        "digits:1 is published",
        "digits:2 is published",
        "digits@live serves digits:1 (ledger line 1,",
        "from digits:1",
        '"model_version":"1"',
        "digits@live serves digits:2 (ledger line 2,",
        "digits@live serves digits:1 again (ledger line 3,",
        "rollback",
        "digits@live is out of service and answers 503",
    ]
    at = 0
    for words in seen:
        found = transcript.find(words, at)
        assert found >= 0, f"`{words}` is missing after\n{transcript[:at]}"
        at = found


@pytest.mark.cloud
def test_the_embedded_cloud_wants_a_signature_and_does_not_check_it_as_the_limits_page_says(
    prod: dict[str, str], transcript: str
) -> None:
    """When this changes, docs/limits.md and the deploy page have to change with it."""
    assert transcript
    said = subprocess.run(
        ["yard", "status", "--stage", STAGE, "--json"], cwd=ROOT, env=prod, capture_output=True, check=True
    )
    address = f"{json.loads(said.stdout)['api_url']}/v2"
    assert httpx.get(address, timeout=35).status_code == 403
    made_up = (
        "AWS4-HMAC-SHA256 Credential=test/20261122/us-east-1/execute-api/aws4_request, "
        "SignedHeaders=host, Signature=00"
    )
    assert httpx.get(address, headers={"authorization": made_up}, timeout=35).status_code == 200
