"""Other servers for the endpoint's benchmark: how each is installed, told to serve a graph, and asked.

Each lives in a virtual environment of its own below a folder that the caller names, with the onnxruntime
that the endpoint has, one thread in it and one worker. What does not install is skipped with the reason.
Triton, MLServer and KServe speak the protocol and get the endpoint's bodies; LitServe and TorchServe have
their own paths and are given the same JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

INSTALL_S = 240

V2 = "/v2/models/{name}/infer"

SESSION = """
import numpy as np
import onnxruntime as ort

options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession({graph!r}, options, providers=["CPUExecutionProvider"])
datatype = np.{dtype}
"""


@dataclass(frozen=True)
class Served:
    """What every server serves: a graph from ``x`` to ``y``, whose first size is the batch's.

    ``row`` and ``answer`` are the other sizes, ``datatype`` is that of ``x``; ``y`` is FP32.
    """

    name: str
    graph: str
    row: tuple[int, ...]
    answer: tuple[int, ...]
    datatype: str = "FP32"

    @property
    def dtype(self) -> str:
        """The datatype as numpy calls it."""
        return {"FP32": "float32", "INT64": "int64"}[self.datatype]


@dataclass(frozen=True)
class Command:
    """How a server is started: its command line and what its environment says besides."""

    line: list[str]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Peer:
    """A product. ``write`` puts what it needs into a folder and says how to start it on a port."""

    name: str
    packages: tuple[str, ...]
    write: Callable[[Path, Path, Served, int], Command]
    path: str = V2
    binary: bool = False
    needs: str = ""

    def url(self, served: Served, port: int) -> str:
        return f"http://127.0.0.1:{port}{self.path.format(name=served.name)}"


class NotInstalledError(Exception):
    """This product cannot be had here, and why."""


def install(peer: Peer, folder: Path) -> Path:
    """The virtual environment of a product, made if it is not there. Raises ``NotInstalledError``."""
    home = folder / peer.packages[0].partition("==")[0]
    done = home / "installed"
    if done.exists():
        return home
    if peer.needs and shutil.which(peer.needs) is None:
        raise NotInstalledError(f"it needs `{peer.needs}`, which is not here")
    graphs = f"onnxruntime=={metadata.version('onnxruntime')}"
    try:
        subprocess.run([sys.executable, "-m", "venv", home], check=True, capture_output=True)
        subprocess.run(
            [home / "bin/python", "-m", "pip", "install", "-q", *peer.packages, graphs],
            check=True,
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
        )
    except subprocess.CalledProcessError as error:
        said = [line for line in str(error.stderr).splitlines() if line.startswith("ERROR")]
        raise NotInstalledError((said[-1] if said else "pip failed")[:200]) from error
    except subprocess.TimeoutExpired as error:
        raise NotInstalledError(f"installing took more than {INSTALL_S} s") from error
    done.touch()
    return home


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _packages(home: Path) -> Path:
    (found,) = (home / "lib").glob("python*/site-packages")
    return found


def _triton(folder: Path, home: Path, served: Served, port: int) -> Command:
    """Triton's own server, which nvidia-pytriton carries, with its Python backend."""
    model = folder / "models" / served.name
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(
        f'name: "{served.name}"\nbackend: "python"\nmax_batch_size: 0\n'
        f'input [{{ name: "x" data_type: TYPE_{served.datatype} dims: {[-1, *served.row]} }}]\n'
        f'output [{{ name: "y" data_type: TYPE_FP32 dims: {[-1, *served.answer]} }}]\n'
    )
    # The Python in Triton's stub does not look at PYTHONPATH.
    (model / "1" / "model.py").write_text(
        f"import sys\nsys.path.insert(0, {str(_packages(home))!r})\n"
        + SESSION.format(graph=served.graph, dtype=served.dtype)
        + """
import triton_python_backend_utils as utils

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            y = utils.Tensor("y", session.run(["y"], {"x": x})[0])
            answers.append(utils.InferenceResponse([y]))
        return answers
"""
    )
    server = _packages(home) / "pytriton" / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    backends = folder / "backends" / "python"
    backends.mkdir(parents=True)
    for file in (server / "backends" / "python").iterdir():
        if file.is_file():
            (backends / file.name).symlink_to(file)
    (backends / "triton_python_backend_stub").symlink_to(stub)
    libraries = [str(path) for path in _packages(home).glob("*.libs")]
    return Command(
        [
            str(server / "bin" / "tritonserver"),
            f"--model-repository={folder / 'models'}",
            f"--backend-directory={folder / 'backends'}",
            *(f"--http-port={port}", "--http-address=127.0.0.1", "--allow-grpc=false"),
            *("--allow-metrics=false", "--log-error=true", "--log-warning=false", "--log-info=false"),
        ],
        {"LD_LIBRARY_PATH": ":".join([*libraries, str(Path(sys.base_prefix) / "lib")])},
    )


def _mlserver(workers: int) -> Callable[[Path, Path, Served, int], Command]:
    def write(folder: Path, home: Path, served: Served, port: int) -> Command:
        (folder / "runtime.py").write_text(
            SESSION.format(graph=served.graph, dtype=served.dtype)
            + """
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Runtime(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        x = NumpyCodec.decode_input(payload.inputs[0])
        y = session.run(["y"], {"x": x})[0]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", y)])
"""
        )
        (folder / "model-settings.json").write_text(
            json.dumps({"name": served.name, "implementation": "runtime.Runtime"})
        )
        settings = {
            "http_port": port,
            "host": "127.0.0.1",
            "parallel_workers": workers,
            "debug": False,
            "grpc_port": free_port(),
            "metrics_port": free_port(),
            "use_structured_logging": False,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        return Command([str(home / "bin" / "mlserver"), "start", str(folder)], {"PYTHONPATH": str(folder)})

    return write


def _kserve(folder: Path, home: Path, served: Served, port: int) -> Command:
    (folder / "serve.py").write_text(
        SESSION.format(graph=served.graph, dtype=served.dtype)
        + f"""
from kserve import InferOutput, InferResponse, Model, ModelServer

class Perceptron(Model):
    def __init__(self):
        super().__init__("{served.name}")
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        y = session.run(["y"], {{"x": payload.inputs[0].as_numpy()}})[0]
        output = InferOutput(name="y", shape=list(y.shape), datatype="FP32")
        output.set_data_from_numpy(y, binary_data=bool(headers.get("inference-header-content-length")))
        return InferResponse(response_id=payload.id or "1", model_name=self.name, infer_outputs=[output])

ModelServer(http_port={port}, enable_grpc=False, workers=1, access_log_format=None).start([Perceptron()])
"""
    )
    return Command([str(home / "bin" / "python"), str(folder / "serve.py")])


def _litserve(folder: Path, home: Path, served: Served, port: int) -> Command:
    (folder / "serve.py").write_text(
        SESSION.format(graph=served.graph, dtype=served.dtype)
        + f"""
import litserve

class Api(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        tensor = request["inputs"][0]
        return np.array(tensor["data"], datatype).reshape(tensor["shape"])

    def predict(self, x):
        return session.run(["y"], {{"x": x}})[0]

    def encode_response(self, y):
        return {{"outputs": [{{"name": "y", "data": y.reshape(-1).tolist()}}]}}

if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port={port}, num_api_servers=1, generate_client_file=False, log_level="error"
    )
"""
    )
    return Command([str(home / "bin" / "python"), str(folder / "serve.py")])


def _bentoml(folder: Path, home: Path, served: Served, port: int) -> Command:
    (folder / "service.py").write_text(
        SESSION.format(graph=served.graph, dtype=served.dtype)
        + """
import bentoml

@bentoml.service(workers=1)
class Perceptron:
    @bentoml.api(route="/infer")
    def infer(self, inputs: list) -> dict:
        x = np.array(inputs[0]["data"], datatype).reshape(inputs[0]["shape"])
        return {"outputs": [{"name": "y", "data": session.run(["y"], {"x": x})[0].reshape(-1).tolist()}]}
"""
    )
    line = [str(home / "bin" / "bentoml"), "serve", "service:Perceptron", "--port", str(port)]
    return Command([*line, "--host", "127.0.0.1", "--working-dir", str(folder)], {"DO_NOT_TRACK": "True"})


def _torchserve(folder: Path, home: Path, served: Served, port: int) -> Command:
    (folder / "handler.py").write_text(
        SESSION.format(graph=served.graph, dtype=served.dtype)
        + """
import json

def handle(data, context):
    if data is None:
        return None
    answers = []
    for row in data:
        body = row.get("body") or row.get("data")
        document = json.loads(body) if isinstance(body, (bytes, bytearray, str)) else body
        tensor = document["inputs"][0]
        x = np.array(tensor["data"], datatype).reshape(tensor["shape"])
        y = session.run(["y"], {"x": x})[0]
        answers.append({"outputs": [{"name": "y", "data": y.reshape(-1).tolist()}]})
    return answers
"""
    )
    store = folder / "store"
    store.mkdir()
    archive = [str(home / "bin/torch-model-archiver"), "--model-name", served.name, "--version", "1.0"]
    archive += ["--handler", str(folder / "handler.py"), "--export-path", str(store)]
    subprocess.run(archive, check=True, capture_output=True)
    (folder / "config.properties").write_text(
        f"inference_address=http://127.0.0.1:{port}\nmanagement_address=http://127.0.0.1:{free_port()}\n"
        f"metrics_address=http://127.0.0.1:{free_port()}\ngrpc_inference_port={free_port()}\n"
        f"grpc_management_port={free_port()}\ndefault_workers_per_model=1\ndisable_token_authorization=true\n"
    )
    line = [str(home / "bin" / "torchserve"), "--start", "--foreground", "--ncs", "--disable-token-auth"]
    line += ["--model-store", str(store), "--models", f"{served.name}={served.name}.mar"]
    line += ["--ts-config", str(folder / "config.properties")]
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    return Command(line, {"PATH": path, "LOG_LOCATION": str(folder), "METRICS_LOCATION": str(folder)})


PEERS = (
    Peer("Triton", ("nvidia-pytriton==0.7.0",), _triton, binary=True),
    Peer("MLServer", ("mlserver==1.7.1", "uvloop==0.21.0"), _mlserver(1)),
    Peer("MLServer, in process", ("mlserver==1.7.1", "uvloop==0.21.0"), _mlserver(0)),
    Peer("KServe", ("kserve==0.21.0",), _kserve, binary=True),
    Peer("LitServe", ("litserve==0.2.19",), _litserve, path="/predict"),
    Peer("BentoML", ("bentoml==1.4.39",), _bentoml, path="/infer"),
    Peer(
        "TorchServe",
        ("torchserve==0.12.0", "torch-model-archiver==0.12.0", "torch==2.13.0", "pyyaml", "setuptools<80"),
        _torchserve,
        path="/predictions/{name}",
        needs="java",
    ),
)
