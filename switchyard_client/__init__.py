"""The client: numpy in, numpy out, against any server of the Open Inference Protocol V2.

>>> import numpy as np
>>> from switchyard_client import Client
>>> with Client("https://abc.execute-api.eu-central-1.amazonaws.com", auth="iam") as client:  # doctest: +SKIP
...     result = client.infer("digits", {"image": np.zeros((1, 64), np.float32)})
...     result["label"]

Needs numpy and httpx, and nothing else of this project.
"""

from __future__ import annotations

from switchyard_client.arrays import files
from switchyard_client.auth import Anonymous, Bearer, Iam, Keyed
from switchyard_client.calls import Job, ModelMetadata, ServerMetadata, TensorMetadata
from switchyard_client.client import AsyncClient, Client
from switchyard_client.errors import (
    AccessDeniedError,
    BadRequestError,
    ClientError,
    CredentialsError,
    InputError,
    NotReadyError,
    RefusedError,
    ServerFaultError,
    StillWaitingError,
    ThrottledError,
    TimedOutError,
    TooLargeError,
    UnknownModelError,
    UnreachableError,
    UnreadableAnswerError,
)
from switchyard_client.exchange import Retries
from switchyard_client.messages import Result
from switchyard_client.signing import Credentials, sign

__all__ = [
    "AccessDeniedError",
    "Anonymous",
    "AsyncClient",
    "BadRequestError",
    "Bearer",
    "Client",
    "ClientError",
    "Credentials",
    "CredentialsError",
    "Iam",
    "InputError",
    "Job",
    "Keyed",
    "ModelMetadata",
    "NotReadyError",
    "RefusedError",
    "Result",
    "Retries",
    "ServerFaultError",
    "ServerMetadata",
    "StillWaitingError",
    "TensorMetadata",
    "ThrottledError",
    "TimedOutError",
    "TooLargeError",
    "UnknownModelError",
    "UnreachableError",
    "UnreadableAnswerError",
    "files",
    "sign",
]
