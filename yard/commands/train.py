"""``yard train``: make a model from a recipe, and publish it if asked."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yard import options, output
from yard.fitting import curves, needed

if TYPE_CHECKING:
    from training.data.prepared import Prepared
    from training.make import Made, Task
    from training.sagemaker import Machine, Place

OUT = Path("trained")


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe.toml.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where to; by default trained/MODEL.")
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", min=1, max=64, help="Fit on several processes of this machine.")
    ] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, whatever checkpoint is there.")] = False,
    on: Annotated[
        str, typer.Option("--on", metavar="WHERE", help="local, or sagemaker: a training job.")
    ] = "local",
    role: Annotated[
        str,
        typer.Option("--role", metavar="ARN", help="sagemaker: what the job runs as, if not the stage's."),
    ] = "",
    bucket: Annotated[
        str,
        typer.Option("--bucket", metavar="NAME", help="sagemaker: where its files go, if not the stage's."),
    ] = "",
    image: Annotated[
        str,
        typer.Option("--image", metavar="URI", help="sagemaker: a container with torch, else the stage's."),
    ] = "",
    instance: Annotated[str, typer.Option("--instance", help="sagemaker: which machine.")] = "",
    hours: Annotated[
        float | None, typer.Option("--hours", min=0.1, max=672, help="sagemaker: at most.")
    ] = None,
    spot: Annotated[bool | None, typer.Option("--spot/--no-spot", help="sagemaker: spare capacity.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="sagemaker: print the request.")] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish the result as the next version.")
    ] = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Fit a network or an estimator to data, export it to ONNX, check the file, measure it on the test part.

    A network whose fit was killed is gone on with by the same command. With `--on sagemaker` role, bucket and
    image are those that `cdk deploy` made for a stage with `[stages.NAME.training]`.

    Example: yard train recipe.toml --publish
    """
    if on not in ("local", "sagemaker"):
        raise typer.BadParameter(f"`{on}` is neither local nor sagemaker", param_hint="--on")
    keep = (out or OUT) / ".data"
    with needed():
        from training.estimators.recipe import has_estimator

        if has_estimator(recipe):
            if on != "local" or processes > 1:
                raise typer.BadParameter(
                    f"`{recipe.name}` is an estimator, which fits here, in one process",
                    param_hint="--on" if on != "local" else "--processes",
                )
            return _estimator(recipe, out, keep, publish=publish, stage=stage, as_json=as_json)
        from training.launch import fit_together
        from training.make import finish, make, read_task

    given = {"role": role, "bucket": bucket, "image": image, "instance_type": instance}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value}
    chosen |= {} if hours is None else {"hours": hours}
    chosen |= {} if spot is None else {"spot": spot}
    found = _found(stage, chosen) if on == "sagemaker" else {}
    with output.working("preparing the data"):
        task = read_task(recipe, keep)
    if on == "sagemaker":
        return _submit(task, recipe, *_where(found, processes), dry_run=dry_run, as_json=as_json)
    if publish:
        from yard import deployment

        deployment.check_declared(task.recipe.model)
    if task.recipe.export.litert:
        with needed():  # Before the fit, not after it.
            import training.export.litert  # noqa: F401
    folder = out or OUT / task.recipe.model
    _say_data(task.data)
    if processes > 1:
        from training import checkpoint

        if fresh:
            (folder / checkpoint.FILE).unlink(missing_ok=True)
        fitted = fit_together(task, recipe, folder, keep, processes=processes)
        made = finish(task, fitted, folder, step="trained")
    else:
        with curves(f"fitting {task.recipe.model}") as heard:
            made = make(task, folder, on_epoch=heard, fresh=fresh)
    return _over(made, task.data, recipe.parent, publish=publish, stage=stage, as_json=as_json)


def _estimator(
    recipe: Path, out: Path | None, keep: Path, *, publish: bool, stage: str, as_json: bool
) -> None:
    from training.estimators.make import make_fitted, read_estimator_task

    with output.working("preparing the data"):
        task = read_estimator_task(recipe, keep)
    if publish:
        from yard import deployment

        deployment.check_declared(task.recipe.model)
    _say_data(task.data)
    with needed(), output.working(f"fitting {task.recipe.model}"):
        made = make_fitted(task, out or OUT / task.recipe.model)
    _over(made, task.data, recipe.parent, publish=publish, stage=stage, as_json=as_json)


def _say_data(data: Prepared) -> None:
    counts = data.facts["rows"]
    output.say(f"data {data.digest}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))


def _over(made: Made, data: Prepared, code: Path, *, publish: bool, stage: str, as_json: bool) -> None:
    """Say what was made, and publish it with a page about it if that is wanted."""
    _show(made)
    ref = _publish(made, data, code, stage) if publish else None
    if as_json:
        output.print_json({"version": ref, **as_document(made)})
    else:
        output.data.print(ref or str(made.path), markup=False)


def _found(stage: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """What the job runs on and as whom: as typed, else as the stage's training stack says."""
    if {"role", "bucket", "image"} <= set(chosen):
        return chosen
    from model_store.contract.errors import CatalogError
    from yard import deployment

    place = deployment.find(stage)
    if place.training is None:
        raise CatalogError(
            f"stage `{stage}` has no training, and a job needs a role, a bucket and an image",
            hint=f"Add `[stages.{stage}.training]` to `models.toml` and deploy, or give --role, --bucket and "
            "--image.",
        )
    return {**place.training, **chosen}


def _where(found: dict[str, Any], processes: int) -> tuple[Place, Machine]:
    from training.sagemaker import Machine, Place

    machine: dict[str, Any] = {name: found[name] for name in ("hours", "spot") if name in found}
    if "instance_type" in found:
        machine["instance"] = found["instance_type"]
    return (
        Place(
            found["bucket"],
            found["role"],
            key=found.get("key", ""),
            volume_key=found.get("volume_key", ""),
            subnets=tuple(found.get("subnets", ())),
            security_groups=tuple(found.get("security_groups", ())),
        ),
        Machine(found["image"], processes=processes, **machine),
    )


def _submit(
    task: Task, recipe: Path, place: Place, machine: Machine, *, dry_run: bool, as_json: bool
) -> None:
    from training.sagemaker import submit, training_job

    began = datetime.now(UTC).strftime("%m%d-%H%M%S")
    if dry_run:
        return output.print_json(training_job(task, place, machine, began=began))
    from training.aws_jobs import AwsJobs

    with output.working("uploading code and recipe"):
        arn = submit(task, recipe, place, machine, AwsJobs(), began=began)
    output.done(f"{arn} has begun; its checkpoints outlive it")
    return output.print_json({"job": arn}) if as_json else output.data.print(arn, markup=False)


def _show(made: Made) -> None:
    worth = ", ".join(
        f"{name} {value:.4f}" for name, value in made.metrics.items() if name.startswith("test_")
    )
    output.done(f"{made.path}: {made.graph.bytes:,} bytes, {made.graph.parameters:,} weights, {worth}")
    operators = ", ".join(f"{count} {name}" for name, count in made.graph.operators.items())
    output.say(
        f"within {made.parity.difference:.2g} of {made.lineage.get('library', 'torch')} on "
        f"{made.parity.rows} rows; operators: {operators}"
    )
    if made.litert:
        output.say(
            f"{made.litert_path.name}: {made.litert.bytes:,} bytes, "
            f"within {made.litert.parity.difference:.2g} of {made.path.name} by LiteRT's interpreter"
        )


def _publish(made: Made, data: Prepared, code: Path, stage: str) -> str:
    from model_store.edge import litert_digest
    from training.publishing import publish_made
    from training.report_page import REPORT, write_report
    from yard import deployment

    store = deployment.find(stage).store()
    report = made.folder / REPORT
    with output.working("writing the page about it"):
        write_report(made.path, data, report, title=f"{made.model}, {made.lineage.get('step', 'trained')}")
    with output.transferring(f"publishing {made.model}") as progress:
        published = publish_made(
            store, made, created_by=deployment.caller(), code=code, report=report, on_progress=progress
        )
    for remark in published.remarks:
        output.warn(remark)
    ref = str(published.manifest.ref)
    output.done(f"{ref} is published" if published.created else f"these bytes are {ref} already")
    output.say(f"the page about it: yard show {ref} --report report.html")
    if litert_digest(published.manifest):
        output.say(f"for phones and boards: yard show {ref} --litert {made.model}.tflite")
    return ref


def as_document(made: Made) -> dict[str, object]:
    """What is known of a made model, for `--json`."""
    return {
        "model": made.model,
        "file": str(made.path),
        "metrics": made.metrics,
        "lineage": made.lineage,
        "epochs": len(made.history),
        "best_epoch": made.best_epoch,
        "stopped_early": made.stopped_early,
        "parity": made.parity.difference,
        "graph": made.graph.as_json(),
        "litert": asdict(made.litert) if made.litert else None,
    }
