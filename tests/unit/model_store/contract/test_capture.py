"""``model_store.contract.capture``: settings travel whole, and keys sort as time passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from model_store.contract import capture
from model_store.contract.capture import CaptureSettings
from model_store.contract.digest import Digest
from model_store.ports import check_key

NOON = datetime(2026, 11, 22, 12, 5, tzinfo=UTC)


def test_settings_come_back_and_say_nothing_that_nobody_asked_for() -> None:
    plain = CaptureSettings(0.25, 100)
    assert plain.to_json() == '{"rate":0.25,"rows_per_hour":100}'
    full = CaptureSettings(1.0, 1, drop=("a", "id"), hash=("b",))
    assert [CaptureSettings.from_json(one.to_json()) for one in (plain, full)] == [plain, full]


def test_a_pseudonym_is_the_same_for_the_same_value_of_one_model_only() -> None:
    assert capture.hashed("digits", "ana") == capture.hashed("digits", "ana")
    assert len({capture.hashed(*pair) for pair in (("digits", "ana"), ("digits", "ben"), ("x", "ana"))}) == 3
    assert "ana" not in capture.hashed("digits", "ana")


def test_keys_of_later_hours_come_later_and_every_store_holds_them() -> None:
    hours = [NOON + timedelta(hours=step) for step in (0, 1, 11, 12, 24 * 30)]
    keys = [capture.captured_key("digits", 7, at, "ab12", 3) for at in hours]
    assert keys == sorted(keys)
    assert keys[0] == "captured/digits/000000007/2026/11/22/12/ab12-000003.parquet"
    assert keys[0].startswith(capture.hour_prefix("digits", 7, NOON))
    others = (
        capture.truth_key("digits", NOON, Digest.of(b"")),
        capture.report_key("digits", 7, NOON),
        *keys,
    )
    assert [check_key(key) for key in others] == list(others)
