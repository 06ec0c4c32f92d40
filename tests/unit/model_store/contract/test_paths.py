"""``model_store.contract.paths``: what may be a path inside an artifact."""

import pytest

from model_store.contract.errors import InvalidArtifactError
from model_store.contract.paths import check_artifact_path, shown


@pytest.mark.parametrize("path", ["model.onnx", "a/b/c.bin", "tokenizer config.json", "größe.txt", "a..b"])
def test_ordinary_names_are_paths(path: str) -> None:
    assert check_artifact_path(path) == path


@pytest.mark.parametrize(
    "path",
    ["", ".", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\\b", "a\nb", "a\x00b", "a\u202eb"],
)
def test_a_path_that_leaves_or_deceives_is_refused(path: str) -> None:
    """Law 12: no file of an artifact lands outside the artifact's folder."""
    with pytest.raises(InvalidArtifactError) as refused:
        check_artifact_path(path)
    assert refused.value.hint
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("path", ["n" * 256, "/".join(["folder"] * 90)])
def test_a_path_that_no_disk_takes_is_refused(path: str) -> None:
    with pytest.raises(InvalidArtifactError, match="longer than a path may be"):
        check_artifact_path(path)


def test_a_long_name_is_shown_by_its_beginning() -> None:
    assert shown("n" * 500) == "n" * 80 + "…"
