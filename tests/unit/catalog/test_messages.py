"""``catalog.messages``: who is told; secrets are named, never written."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import Catalog, load_catalog
from model_store.contract.errors import CatalogError

GOOD = """
[stages.prod]
runtime_layer = "build/layers/x86_64"

[stages.prod.messages]
email = ["oncall@example.com"]
slack_webhook = "/switchyard/prod/slack"
"""


def read(folder: Path, text: str = GOOD) -> Catalog:
    (folder / "models.toml").write_text(text)
    return load_catalog(folder / "models.toml")


def test_a_stage_says_who_is_told(tmp_path: Path) -> None:
    messages = read(tmp_path).stage("prod").messages
    assert messages.email == ("oncall@example.com",)
    assert (messages.slack_webhook, messages.pagerduty_key) == ("/switchyard/prod/slack", None)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param("oncall@example.com", "oncall", "no e-mail address", id="email"),
        pytest.param(
            "/switchyard/prod/slack", "https://hooks.slack.com/services/T/B/x", "SSM parameter", id="secret"
        ),
        pytest.param("slack_webhook", "slak_webhook", "Did you mean `slack_webhook`", id="unknown"),
    ],
)
def test_what_is_no_receiver_is_refused(tmp_path: Path, before: str, after: str, said: str) -> None:
    with pytest.raises(CatalogError) as refused:
        read(tmp_path, GOOD.replace(before, after))
    assert said in f"{refused.value} {refused.value.hint}"
    assert "hooks.slack.com" not in str(refused.value)
