"""``yard plan``: run a model here, and say which target and size it needs, and what that costs."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from model_store.contract.names import ByVersion
    from model_store.ports import ObjectStore
    from planning.measure import Measured
    from planning.prices import Prices
    from planning.sizing import Captured, Function, Load, Option, Watched


def plan(
    name: Annotated[
        str, typer.Argument(metavar="NAME[:VERSION]", help="A version; without one, the newest.")
    ],
    rate: Annotated[
        float, typer.Option("--rate", min=0.001, help="Requests per second, averaged over the month.")
    ] = 10.0,
    peak: Annotated[
        float | None,
        typer.Option("--peak", min=0.001, help="Requests per second at the worst; by default 4 x the rate."),
    ] = None,
    p95: Annotated[
        float | None, typer.Option("--p95", min=0.1, help="The most milliseconds an answer may take.")
    ] = None,
    core_speed: Annotated[
        float,
        typer.Option("--core-speed", min=0.1, max=10, help="A vCPU of AWS, a core here being 1."),
    ] = 1.0,
    prices_file: Annotated[
        Path | None, typer.Option("--prices", metavar="FILE", help="Another table than planning/prices.toml.")
    ] = None,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Measure a version on this machine and recommend target, size and count, with the monthly cost.

    Nothing is deployed or changed. Example: yard plan digits:2 --rate 50 --p95 40
    """
    from model_store.contract.environment import FILES_FOLDER, MANIFEST_FILE
    from model_store.fetch import fetch
    from planning import sizing
    from planning.measure import measure
    from planning.prices import read_prices
    from yard import deployment

    load = sizing.Load(rate, peak if peak is not None else 4 * rate, p95)
    if load.peak < load.rate:
        raise typer.BadParameter("the peak is below the average rate", param_hint="--peak")
    prices = read_prices(prices_file) if prices_file else read_prices()
    store = deployment.find(stage).store()
    ref = _version(store, name)
    function, kept, watched, captured = _declared(ref.model, stage)
    load = sizing.Load(load.rate, load.peak, load.p95_ms, kept, watched, captured)
    with tempfile.TemporaryDirectory(prefix="switchyard-plan-") as folder:
        with output.transferring(f"fetching {ref}") as progress:
            manifest = fetch(store, ref, Path(folder) / FILES_FOLDER, on_progress=progress)
        (Path(folder) / MANIFEST_FILE).write_bytes(manifest.to_json())
        with output.working(f"measuring {ref}") as steps:
            measured = measure(Path(folder), manifest, on_progress=steps)
    found = sizing.options(
        measured, load, prices, size_bytes=manifest.size, function=function, core_speed=core_speed
    )
    best = sizing.recommended(found)
    if as_json:
        output.print_json(
            {
                "version": str(ref),
                "size": manifest.size,
                "layer_budget": function.layer_budget,
                "load": {"rate": load.rate, "peak": load.peak, "p95_ms": load.p95_ms, "kept": load.kept},
                "measured": measured.as_json(),
                "watched": asdict(load.watched),
                "captured": asdict(load.captured) if load.captured else None,
                "prices": {"as_of": prices.as_of, "region": prices.region},
                "recommended": best.as_json() if best else None,
                "options": [option.as_json() for option in found],
            }
        )
    else:
        _show(ref, manifest.size, measured, load, found, best, function, prices.where)
        output.say(_watching(load, prices))
    if best is None:
        output.fail(
            f"nothing in the table serves {ref} under this load",
            hint="Allow more time with `--p95`, or publish a smaller (quantised, pruned, distilled) version.",
        )
        raise typer.Exit(1)
    output.done(
        f"{best.target}, {best.size}, {best.count} at the peak: ${best.month:,.2f} a month ({prices.where})"
    )


def _version(store: ObjectStore, name: str) -> ByVersion:
    from model_store.contract.errors import NotFoundError
    from model_store.contract.names import ByVersion, check_name, parse_version_ref
    from model_store.versions import versions

    if ":" in name:
        return parse_version_ref(name)
    numbers = versions(store, check_name(name))
    if not numbers:
        raise NotFoundError(
            f"no version of `{name}` is published", hint="Publish one: `yard publish NAME PATH`."
        )
    return ByVersion(name, numbers[-1])


def _declared(model: str, stage: str) -> tuple[Function, int, Watched, Captured | None]:
    """What the catalog here says of the model: versions that are kept, alarms, what is captured."""
    from model_store.contract.deployment import ALARMS_OF_A_RELEASE
    from model_store.contract.placement import LAYER_BYTES
    from planning.sizing import Captured, Function, Watched
    from yard import deployment

    path = deployment.catalog_path()
    if path is not None:
        from catalog.load import load_catalog

        catalog = load_catalog(path)
        declared = catalog.models_for(stage).get(model) if stage in catalog.stages else None
        if declared is not None:
            how = Function(declared.architecture, declared.snapstart, LAYER_BYTES)
            billed, aliases = declared.alarms.billed(len(declared.aliases)), len(declared.aliases)
            of_releases = ALARMS_OF_A_RELEASE * aliases
            watched = Watched(billed.on_metrics, billed.composites, billed.bands, of_releases)
            kept = declared.captures
            captured = Captured(kept.rate, kept.min_accuracy is not None) if kept else None
            return how, 1 + declared.rollback_depth, watched, captured
    return Function(layer_budget=LAYER_BYTES), 3, Watched(), None


def _watching(load: Load, prices: Prices) -> str:
    """What it costs to see the model, whatever it runs on."""
    from planning.sizing import METRICS_EACH, front_costs

    costs, alarms = front_costs(load, prices), load.watched
    drift = (
        f"; ${costs['drift']:,.2f} for keeping {load.captured.rate:.3g} of the requests and judging them "
        "hourly"
        if load.captured
        else ""
    )
    return (
        f"of that, watching it: ${costs['metrics']:,.2f} a month for {METRICS_EACH} metrics of the model and "
        f"{METRICS_EACH} of each of {load.kept} versions, if all of them answer all month; "
        f"${costs['alarms']:,.2f} for {alarms.looked_at} metrics under alarm and "
        f"{alarms.composites} composite alarms; ${costs['dashboard']:,.2f} for a dashboard; "
        f"${costs['log']:,.2f} for the log{drift}"
    )


def _show(
    ref: ByVersion,
    size: int,
    measured: Measured,
    load: Load,
    found: list[Option],
    best: Option | None,
    function: Function,
    where: str,
) -> None:
    left = function.layer_budget - size
    output.data.print(
        f"{ref}: {size:,} bytes ({left:,} below what a model's layer may have), "
        if left >= 0
        else f"{ref}: {size:,} bytes ({-left:,} above what a model's layer may have), ",
        f"{measured.memory_mb:,.0f} MB in memory, first answer after {measured.start_ms:,.0f} ms",
        sep="",
        markup=False,
    )
    output.data.print(
        output.table(
            f"measured on {measured.cores} cores of this machine",
            ["threads", "rows at once", "p50 ms", "p95 ms", "CPU ms", "rows/s"],
            [
                (
                    run.threads,
                    run.batch,
                    f"{run.p50_ms:.3f}",
                    f"{run.p95_ms:.3f}",
                    f"{run.cpu_ms:.3f}",
                    f"{run.rows_per_s:,.0f}",
                )
                for run in measured.runs
            ],
        )
    )
    wanted = f", p95 within {load.p95_ms:g} ms" if load.p95_ms is not None else ""
    output.data.print(
        output.table(
            f"{load.rate:g} requests/s, {load.peak:g} at the peak{wanted}; {where}",
            ["", "target", "size", "count", "p95 ms", "$/month", "remark"],
            [
                (
                    "->" if option is best else "",
                    option.target,
                    option.size,
                    option.count,
                    "?" if option.p95_ms is None else f"{option.p95_ms:,.1f}",
                    f"{option.month:,.2f}",
                    f"no: {option.why_not}" if option.why_not else option.remark,
                )
                for option in found
            ],
        )
    )
