"""Run the embedded cloud: ministack with the extension, on one port of 127.0.0.1, in this process.

Environment: ``GATEWAY_PORT`` (required), ``BIND_HOST``, ``USE_SSL`` and ``AUTH`` as ministack reads them, and
``SWITCHYARD_CLOUD_PARENT_PID``: when that process is gone, the cloud ends with everything it started and
removes ``SWITCHYARD_CLOUD_TMPDIR``. SIGTERM does the same. Nothing is kept: a stopped cloud is an empty one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import NoReturn

from hypercorn.asyncio import serve  # type: ignore[import-not-found]
from hypercorn.config import Config  # type: ignore[import-not-found]
from ministack import app
from ministack.core import tls

from local_cloud.extension import (
    alarm_stacks,
    alarms,
    autoscaling,
    buckets,
    containers,
    control,
    embedded_metrics,
    faults,
    fleet_stacks,
    heavy_stacks,
    http_api,
    jobs,
    jwt_authorizers,
    lambda_permissions,
    limits,
    load_balancers,
    log_queries,
    machines,
    metric_data,
    metrics,
    propagation,
    provisioned,
    replication,
    rest_api,
    sagemaker,
    service_quotas,
    stacks,
    state_machines,
    versions,
    workers,
    write_once,
)

_WATCH_S = 0.5


def main() -> None:
    """Install the extension and serve until told to end."""
    if not os.environ.get("SWITCHYARD_CLOUD_STOCK"):
        install()
    parent = os.environ.get("SWITCHYARD_CLOUD_PARENT_PID")
    if parent:
        threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    asyncio.run(_serve())


def install() -> None:
    """Apply every patch, in an order in which later ones may build on earlier ones."""
    for module in (
        workers,
        faults,
        metrics,
        metric_data,
        embedded_metrics,
        log_queries,
        alarms,
        alarm_stacks,
        versions,
        propagation,
        provisioned,
        limits,
        http_api,
        rest_api,
        jwt_authorizers,
        replication,
        buckets,
        write_once,
        lambda_permissions,
        stacks,
        sagemaker,
        jobs,
        autoscaling,
        service_quotas,
        heavy_stacks,
        load_balancers,
        machines,
        fleet_stacks,
        state_machines,
        control,
    ):
        module.install()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, end)
    config = Config()
    config.bind = [f"{os.environ.get('BIND_HOST', '127.0.0.1')}:{os.environ['GATEWAY_PORT']}"]
    config.keep_alive_timeout = 75
    config.h11_max_incomplete_size = 64 * 1024
    if tls.use_ssl_enabled():
        config.certfile, config.keyfile = tls.resolve_tls_material()
    # A trigger of our own keeps hypercorn from installing its signal handlers, which wait for open requests.
    await serve(app.app, config, shutdown_trigger=asyncio.Event().wait)


def end() -> NoReturn:
    """End at once, with every Lambda environment and every endpoint; a custom resource that never answers
    cannot hold it up."""
    workers.kill_all()
    containers.kill_all()
    own = os.environ.get(
        "SWITCHYARD_CLOUD_TMPDIR"
    )  # said by the launcher, which made it for this process alone
    if own:
        shutil.rmtree(own, ignore_errors=True)
    os._exit(0)


def _end_with(parent: int) -> None:
    started = _start_time(parent)
    while started is not None and _start_time(parent) == started:
        time.sleep(_WATCH_S)
    end()


def _start_time(pid: int) -> str | None:
    """What tells a process from a later one with its number; a constant where there is no /proc."""
    try:
        os.kill(pid, 0)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except ProcessLookupError:
        return None
    except PermissionError:
        return "alive"
    except FileNotFoundError:
        return "alive"


if __name__ == "__main__":
    main()
