"""Check a built layer: read every library, and where an interpreter allows it, serve with the layer.

``inspect`` needs no interpreter of the target: it reads what each library was compiled for. ``serve``
imports everything from the layer alone and answers one request through Mangum, FastAPI and
onnxruntime, so a file that pruning should have left shows here and not in a cold start.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from layers.elf import read_elf
from layers.facts import LayerError
from layers.targets import LAMBDA_GLIBC_MINOR, Target, running_python
from layers.tree import files_of

_SECONDS_TO_SERVE = 120

# y = x · [2, 3], written by hand as an ONNX file of 99 bytes, so that the check needs no onnx package.
_TINY_MODEL = (
    "CAgSADpXChEKAXgKAXcSAXkiBk1hdE11bBIBZyoTCAIIARABIggAAABAAABAQEIBd1oUCgF4Eg8KDQgBEgkKAxIBbgoCCAJi"
    "FAoBeRIPCg0IARIJCgMSAW4KAggBQgQKABAN"
)

_SERVE = f"""
import base64, importlib.metadata, importlib.util, sys
sys.path.insert(0, sys.argv[1])
import fastapi, mangum, numpy, onnxruntime, orjson, pybase64, pydantic
for module in (fastapi, mangum, numpy, onnxruntime, orjson, pybase64, pydantic):
    assert module.__file__.startswith(sys.argv[1]), module.__file__
    importlib.metadata.version(module.__name__)
import numpy.fft, numpy.linalg, numpy.ma, numpy.polynomial, numpy.random
session = onnxruntime.InferenceSession(base64.b64decode("{_TINY_MODEL}"), providers=["CPUExecutionProvider"])

class Point(pydantic.BaseModel):
    x: list[float]

app = fastapi.FastAPI()

@app.post("/infer")
def infer(point: Point) -> fastapi.Response:
    x = numpy.array([point.x], dtype=numpy.float32)
    (y,) = session.run(None, {{"x": x}})
    return fastapi.Response(orjson.dumps(y.tolist()), media_type="application/json")

event = {{
    "version": "2.0", "routeKey": "$default", "rawPath": "/infer", "rawQueryString": "",
    "headers": {{"content-type": "application/json"}}, "body": '{{"x": [10, 100]}}', "isBase64Encoded": False,
    "requestContext": {{"http": {{"method": "POST", "path": "/infer", "sourceIp": "127.0.0.1"}}}},
}}
answer = mangum.Mangum(app, lifespan="off")(event, None)
assert (answer["statusCode"], answer["body"]) == (200, "[[320.0]]"), answer
assert pybase64.b64decode(pybase64.b64encode_as_string(b"carried"), validate=True) == b"carried"
if importlib.util.find_spec("csimdjson"):
    import csimdjson
    assert csimdjson.__file__.startswith(sys.argv[1]), csimdjson.__file__
    numbers = csimdjson.Parser().parse(b"[1.5, 2]").as_buffer(of_type="d")
    assert numpy.frombuffer(numbers).tolist() == [1.5, 2.0]
    try:
        csimdjson.Parser().parse(b"[1.5, 2")
    except ValueError:
        pass
    else:
        raise AssertionError("half a list is no error")
app.openapi()
print("served", numpy.__version__, onnxruntime.__version__)
"""

# y = StringUpper(x), an operator of onnxruntime-extensions, written by hand too (110 bytes).
_TEXT_MODEL = (
    "CAgSADpNCiQKAXgSAXkiC1N0cmluZ1VwcGVyOg9haS5vbm54LmNvbnRyaWISAXRaEAoBeBILCgkICBIFCgMSAW5iEAoBeRIL"
    "CgkICBIFCgMSAW5CBAoAEBJCEwoPYWkub25ueC5jb250cmliEAE="
)

_TOKENISE = f"""
import base64, glob, sys
sys.path.insert(0, sys.argv[1])
import numpy, onnxruntime
(library,) = glob.glob(sys.argv[1] + "/onnxruntime_extensions/_extensions_pydll*.so")
options = onnxruntime.SessionOptions()
options.register_custom_ops_library(library)
model = base64.b64decode("{_TEXT_MODEL}")
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
(y,) = session.run(None, {{"x": numpy.array(["served"], object)}})
assert y.tolist() == ["SERVED"], y
print("served", onnxruntime.__version__)
"""

_LOOK = """
import sys
sys.path.insert(0, sys.argv[1])
import io, numpy
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
assert Image.__file__.startswith(sys.argv[1]), Image.__file__
exif = Image.Exif()
exif[0x0112] = 6
drawn = Image.new("CMYK", (40, 20), (0, 255, 255, 0)).convert("RGB")
for kind, opener in (("JPEG", JpegImageFile), ("PNG", PngImageFile)):
    file = io.BytesIO()
    drawn.save(file, kind, exif=exif)
    image = opener(io.BytesIO(file.getvalue()))
    image.load()
    assert image.getexif()[0x0112] == 6
    image = image.transpose(Image.Transpose.ROTATE_270).convert("L").resize((8, 8), Image.Resampling.LANCZOS)
    assert numpy.asarray(image).shape == (8, 8), image
try:
    JpegImageFile(io.BytesIO(file.getvalue()))
except SyntaxError:
    print("served", Image.__version__)
"""


def inspect(root: Path, target: Target) -> None:
    """Read every library below ``root``; refuse one that ``target`` could not load.

    Raises ``LayerError`` naming the file. Libraries that are not ELF (macOS) are not looked into.
    """
    mark = f"cpython-{target.python.replace('.', '')}-"
    for name, path in files_of(root):
        if ".so" not in path.suffixes:
            continue
        if ".cpython-" in path.name and mark not in path.name:
            raise LayerError(f"`{name}` is for another Python than {target.python}")
        library = read_elf(path.read_bytes())
        if library is None:
            continue
        if library.machine != target.machine:
            raise LayerError(f"`{name}` is for {library.machine}, the layer for {target.machine}")
        if target.platforms and library.glibc_minor > LAMBDA_GLIBC_MINOR:
            raise LayerError(
                f"`{name}` needs glibc 2.{library.glibc_minor}, Lambda has 2.{LAMBDA_GLIBC_MINOR}",
                hint="Pin a version in runtime.in whose wheels ask for an older glibc.",
            )


def serve(root: Path, interpreter: str) -> None:
    """Answer one request with nothing but the standard library of ``interpreter`` and the layer.

    Raises ``LayerError`` with the last lines of the traceback when the layer cannot.
    """
    _answer(_SERVE, root, interpreter)


def tokenise(root: Path, interpreter: str) -> None:
    """Run a graph with an operator that only the text layer has; raises like ``serve``."""
    _answer(_TOKENISE, root, interpreter)


def look(root: Path, interpreter: str) -> None:
    """Read a JPEG and a PNG, turned by their EXIF; raises like ``serve``."""
    _answer(_LOOK, root, interpreter)


def _answer(program: str, root: Path, interpreter: str) -> None:
    try:
        done = subprocess.run(
            # -I and -S: neither the environment nor site-packages may lend what the layer lacks.
            [interpreter, "-I", "-S", "-B", "-c", program, str(root)],
            capture_output=True,
            text=True,
            timeout=_SECONDS_TO_SERVE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LayerError(f"the layer does not answer within {_SECONDS_TO_SERVE} s") from None
    if done.returncode or not done.stdout.startswith("served "):
        last = " · ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise LayerError(
            f"the layer cannot serve: {last}",
            hint="Keep in layers/prune.py what the traceback asks for, or pin another version.",
        )


def find_interpreter(python: str) -> str | None:
    """Find an interpreter of version ``python`` on this machine, or ``None``.

    A name on PATH proves nothing (version managers leave shims), so the candidate is asked.
    """
    if python == running_python():
        return sys.executable
    candidate = shutil.which(f"python{python}")
    if candidate is None:
        return None
    done = subprocess.run(
        [candidate, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ.get("PATH", os.defpath)},
    )
    return candidate if done.stdout.strip() == python else None
