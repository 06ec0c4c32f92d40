"""Unpack function code and layers once, for all execution environments that use the same bytes.

Stock: every environment unpacks its own copy of code and layers (3.3 s and 190 MB each for an onnxruntime
layer).
AWS: "a layer is extracted to /opt"; the cost is paid when the function is created, not at each start.

An unpacked package is named by the sha256 of its zip and never changes, but for bytecode that Python caches
beside the source. Two threads that need the same one unpack it once; a crash leaves a folder whose name
starts with ``unpacking-`` and that nobody reads.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import threading
import zipfile
from pathlib import Path

from ministack.core.arn import ArnParseError, parse_arn
from ministack.services import lambda_svc

_locks: dict[str, threading.Lock] = {}
_locks_guard = threading.Lock()


def unpacked(archive: bytes, sha256: str = "") -> Path:
    """Return the folder that holds the content of ``archive``."""
    name = sha256 or hashlib.sha256(archive).hexdigest()
    folder = Path(tempfile.gettempdir()) / "packages" / name
    with _locks_guard:
        lock = _locks.setdefault(name, threading.Lock())
    with lock:
        if not folder.exists():
            _unpack(archive, folder)
    return folder


def unpacked_layers(layers: list[str | dict[str, str]]) -> list[Path]:
    """Return the folders of attached layer versions, in the order of attachment.

    A layer whose content the cloud does not hold (another account's) is left out, as in stock ministack.
    """
    folders = []
    for layer in layers:
        archive = lambda_svc._resolve_layer_zip(layer)
        if archive:
            folders.append(unpacked(archive, _known_sha256(layer)))
    return folders


def _known_sha256(layer: str | dict[str, str]) -> str:
    """The digest recorded when the layer was published, so that 50 MB are not hashed at each start."""
    arn = layer if isinstance(layer, str) else layer.get("Arn", "")
    try:
        spec = parse_arn(arn)
    except ArnParseError:
        return ""
    name_and_version = lambda_svc._lambda_layer_version_name_and_number_from_arn_spec(spec)
    if name_and_version is None:
        return ""
    version, _ = lambda_svc._find_layer_version(
        *name_and_version, spec.account_id, spec.region, include_deleted=True
    )
    recorded = version["Content"]["CodeSha256"] if version else ""
    return str(lambda_svc._b64_sha_to_hex(recorded) or "") if recorded else ""


def _unpack(archive: bytes, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    target = Path(tempfile.mkdtemp(prefix="unpacking-", dir=folder.parent))
    with zipfile.ZipFile(io.BytesIO(archive)) as content:
        for member in content.infolist():
            path = content.extract(member, target)
            mode = (member.external_attr >> 16) & 0o777
            if mode:
                Path(path).chmod(mode | 0o600)
    target.chmod(0o755)
    target.rename(folder)
