"""``yard status`` and ``yard history``: what is live, and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yard import options, output

LATELY_S = 7 * 86_400.0

if TYPE_CHECKING:
    from releases.awake import Asked
    from releases.records import Plan
    from releases.stage import Stage
    from releases.status import AliasStatus, ShadowStatus, ShiftStatus
    from releases.waving import Progress
    from yard.deployment import Deployment


def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One model; all without it.")] = None,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Say what every alias serves since when, what is kept warm at what cost, its alarms, what disagrees.

    Exits 1 when Lambda and the ledger disagree anywhere. Example: yard status digits
    """
    from model_store.contract.names import check_name
    from releases.waving import progress
    from yard import declared, deployment

    if name is not None:
        check_name(name)
    place = deployment.find(stage)
    room = place.releases(output.say)
    found = [_status(room, model, alias) for model, alias in declared.aliases(name, room)]
    by_model: dict[str, list[str]] = {}
    for item in found:
        by_model.setdefault(item.ref.model, []).append(item.ref.alias)
    models = [_model(place, room, model, aliases) for model, aliases in by_model.items()]
    waves = progress(room)
    if as_json:
        aliases = [_as_json(item) for item in found]
        output.print_json(
            {
                "stage": stage,
                "api_url": place.api_url,
                "aliases": aliases,
                "models": models,
                "rebase": asdict(waves) if waves else None,
            }
        )
    else:
        _show(place, found)
        _show_waves(waves, found)
        _show_models(models)
    if any(item.disagreements for item in found) or any(item["disagreements"] for item in models):
        raise typer.Exit(1)


def history(
    name: options.ModelName,
    alias: options.Alias = "live",
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Read the ledger of an alias, newest line first: who moved it, when, from what, to what, why.

    Between its lines stand the attempts that were refused, whatever alias they were meant for.
    Example: yard history digits
    """
    from model_store.contract.names import check_alias, check_name
    from releases.controller import Controller
    from releases.unfit import UnfitMarks
    from yard import deployment

    check_name(name)
    check_alias(alias)
    room = deployment.find(stage).releases(output.say)
    lines = Controller(room).history(name, alias=alias)
    if as_json:
        output.print_json([line.as_json() for line in lines])
        return
    rows: list[tuple[object, ...]] = [
        (line.line, line.plan.at, _how(line.plan), _move(line.plan), line.plan.by, line.plan.reason)
        for line in lines
    ]
    rows += [
        ("-", unfit.at, "refused", unfit.version, unfit.by, unfit.why)
        for unfit in UnfitMarks(room.store).all(name)
    ]
    rows.sort(key=lambda row: str(row[1]), reverse=True)
    output.data.print(
        output.table(f"ledger of {name}@{alias}", ["line", "when", "how", "version", "who", "why"], rows)
    )


def _status(room: Stage, model: str, alias: str) -> AliasStatus:
    from releases.status import status as look

    return look(room, model, alias=alias)


def _model(place: Deployment, room: Stage, model: str, aliases: list[str]) -> dict[str, Any]:
    """What concerns a model and no single alias of it."""
    from releases.status import endpoints_of
    from releases.unfit import UnfitMarks

    pins = room.pins(model)
    return {
        "model": model,
        "endpoints": [
            {**asdict(item), **_needed(room, model, item.version)} for item in endpoints_of(room, model)
        ],
        "by_number": sorted(pins.present()),
        "kept_started": {
            version: {"environments": item.requested, "state": item.state}
            for version, item in room.warm(model).present().items()
        },
        "refused": [asdict(unfit) for unfit in UnfitMarks(room.store).outstanding(model)],
        "awake": [asdict(asked) for asked in _asked(room, model)],
        "disagreements": pins.differences(),
        "standing": _standing(room, model),
        **_alarms(place, model),
        "taken_back": _taken_back(room, model, aliases),
    }


def _needed(room: Stage, model: str, version: int) -> dict[str, Any]:
    """Why a version's endpoint may not go, and until when; nothing where the catalog is not at hand."""
    from catalog.heavy import seconds
    from catalog.load import load_catalog
    from releases.kept import DeclaredVersions, needed
    from releases.records import timestamp
    from yard import deployment

    path = deployment.catalog_path()
    loaded = load_catalog(path) if path is not None else None
    if loaded is None or room.name not in loaded.stages or model not in loaded.models:
        return {}
    item = loaded.models_for(room.name)[model]
    declared = DeclaredVersions(
        model, item.aliases, item.target, item.versions, item.rollback_depth, seconds(item.keep_warm)
    )
    reasons = [one for one in needed(room, declared) if one.ref.version == version]
    left = [one.left_s for one in reasons if one.left_s is not None]
    serves = any(one.left_s is None for one in reasons)
    until = timestamp(room.clock.now() + max(left)) if left and not serves else None
    return {"needed": [one.why for one in reasons], "kept_warm_until": until}


def _standing(room: Stage, model: str) -> dict[str, Any]:
    """What is paid for by the hour, whether anybody calls or not."""
    from planning.prices import read_prices
    from telemetry.standing import per_hour, standing

    prices = read_prices()
    found = standing(room, model, prices)
    return {
        "things": [asdict(one) for one in found],
        "per_hour": per_hour(found),
        "for_rollback": per_hour(found, serves=False),
        "prices": prices.where,
    }


def _alarms(place: Deployment, model: str) -> dict[str, Any]:
    """The model's alarms, the one that changed last first. Who may not read them still gets the rest."""
    from model_store.contract.errors import SwitchyardError
    from releases.records import timestamp
    from telemetry.alarms import alarms_of

    try:
        found = alarms_of(place.numbers(), place.stage, model)
    except SwitchyardError as error:
        return {"alarms": [], "alarms_unread": str(error)}
    return {
        "alarms": [
            {
                "name": alarm.name,
                "state": alarm.state,
                "since": timestamp(alarm.since),
                "why": alarm.reason,
                "tells": alarm.tells,
            }
            for alarm in found
        ]
    }


def _endpoints(found: list[dict[str, Any]]) -> list[str]:
    """What is kept warm and what that costs, as sentences: a line each, and the sum."""
    from releases.prices import AS_OF, REGION

    lines = [
        f"version {item['version']} has {item['instances']} x {item['instance_type']} ({item['status']}), "
        + (f"${item['per_hour']:.2f} an hour" if item["per_hour"] is not None else "price not in the table")
        + _why_it_stands(item)
        for item in found
    ]
    known = [item["per_hour"] for item in found if item["per_hour"] is not None]
    if known:
        sum_ = f"${sum(known):.2f} an hour" + (" and more" if len(known) < len(found) else "")
        lines.append(f"its endpoints cost {sum_} (on demand, {REGION}, {AS_OF})")
    return lines


def _why_it_stands(item: dict[str, Any]) -> str:
    if item.get("kept_warm_until"):
        return f"; kept warm for a rollback until {item['kept_warm_until']}"
    if item.get("needed") == []:
        return f"; nothing needs it: take {item['version']} out of `versions` and deploy"
    return ""


def _asked(room: Stage, model: str) -> tuple[Asked, ...]:
    """What the model serves and could roll back to, as it was when it was asked last."""
    from releases.awake import newest

    last = newest(room.store, model)
    return last.asked if last else ()


def _show_models(models: list[dict[str, Any]]) -> None:
    for item in models:
        if len(item["by_number"]) > 1:
            numbers = ", ".join(str(number) for number in item["by_number"])
            output.say(f"{item['model']} can be asked for by number: {numbers}")
        for version, kept in item["kept_started"].items():
            output.say(
                f"{item['model']}: {kept['environments']} environments of Lambda version {version} are kept "
                f"started ({kept['state']})"
            )
        for said in _endpoints(item["endpoints"]):
            output.say(f"{item['model']}: {said}")
        for said in _costs(item["standing"]):
            output.say(f"{item['model']}: {said}")
        _show_alarms(item)
        for unfit in item["refused"]:
            output.say(f"{item['model']}:{unfit['version']} was refused at {unfit['at']}: {unfit['why']}")
        _show_awake(item["model"], item["awake"])
        for said in item["disagreements"]:
            output.warn(said)


def _taken_back(room: Stage, model: str, aliases: list[str]) -> list[dict[str, Any]]:
    """The last release of each alias that an alarm undid, if that was lately."""
    from releases.records import moment

    found = []
    for alias in aliases:
        lines = room.mover(model, alias).ledger.lines()
        plan = next((line.plan for line in reversed(lines) if line.plan.kind == "alarm"), None)
        if plan is not None and room.clock.now() - moment(plan.at) < LATELY_S:
            ref = f"{model}@{alias}"
            found.append({"ref": ref, "version": plan.version, "at": plan.at, "why": plan.reason})
    return found


def _costs(found: dict[str, Any]) -> list[str]:
    """One sentence where anything costs money while nobody calls, else none."""
    if not found["per_hour"]:
        return []
    waiting = f", ${found['for_rollback']:.4f} of it only for a rollback" if found["for_rollback"] else ""
    things = len(found["things"])
    subject = f"{things} things that stand ready cost" if things > 1 else "what stands ready costs"
    return [f"{subject} ${found['per_hour']:.4f} an hour{waiting} ({found['prices']})"]


def _show_alarms(item: dict[str, Any]) -> None:
    """Those that fire, each as a warning, else that none does; and what an alarm took back lately."""
    model = item["model"]
    if "alarms_unread" in item:
        output.warn(f"the alarms of {model} could not be read: {item['alarms_unread']}")
    firing = [alarm for alarm in item["alarms"] if alarm["state"] == "ALARM" and alarm["tells"]]
    for alarm in firing:
        output.warn(f"{alarm['name']} is in ALARM since {alarm['since']}: {alarm['why']}")
    if item["alarms"] and not firing:
        output.say(f"{model}: none of its alarms fires")
    for taken in item["taken_back"]:
        back = f"an alarm took {taken['ref']} back to {model}:{taken['version']}"
        output.say(f"{back} at {taken['at']}: {taken['why']}")


def _show_awake(model: str, asked: list[dict[str, Any]]) -> None:
    """When each version was last able to answer; a line for all of them where nothing is wrong."""
    seen = ", ".join(f"{model}:{item['version']} at {item['seen']}" for item in asked if item["awake"])
    if seen:
        output.say(f"asked once a day and able to answer: {seen}")
    for item in asked:
        if not item["awake"]:
            last = f"; it last could at {item['seen']}" if item["seen"] else ""
            which = f"{model}:{item['version']} (Lambda version {item['lambda_version']})"
            output.warn(f"{which} could not answer when it was asked: {item['why']}{last}")


def _as_json(item: AliasStatus) -> dict[str, Any]:
    return {**asdict(item), "ref": str(item.ref), "model": item.ref.model, "alias": item.ref.alias}


def _show(place: Deployment, found: list[AliasStatus]) -> None:
    rows = []
    for item in found:
        serves = f"{item.ref.model}:{item.version}" if item.version else "nothing yet (503)"
        back = f"{item.ref.model}:{item.rollback_to}" if item.rollback_to else "-"
        if item.rollback_to and not item.rollback_ready:
            back += " (older base)"
        rows.append(
            (
                item.ref,
                serves,
                item.digest.removeprefix("sha256:")[:12] or "-",
                item.since or "-",
                item.by or "-",
                _runs_on(item),
                back,
                "disagrees, see below" if item.disagreements else "ok",
            )
        )
    columns = ["alias", "serves", "digest", "since", "by", "runs on", "rollback to", "state"]
    output.data.print(
        output.table(f"stage {place.stage} at {place.api_url or 'no address yet'}", columns, rows)
    )
    for item in found:
        if item.shift is not None:
            output.say(_shift(item, item.shift))
        if item.shadow is not None:
            output.say(_shadow(item, item.shadow))
        for said in item.disagreements:
            output.warn(f"{item.ref}: {said}")


def _show_waves(waves: Progress | None, found: list[AliasStatus]) -> None:
    """How far a rebase in waves is, or that models wait for one."""
    waiting = sorted({item.ref.model for item in found if item.waits})
    if waves is not None and waves.ended is None:
        models = f"wave {waves.wave} of {waves.waves} ({', '.join(waves.models)})"
        output.say(f"rebase {waves.number} is at {models}, asked for by {waves.by}; `yard rebase` goes on")
    elif waiting:
        stopped = (
            f"; rebase {waves.number} was stopped: {waves.why}" if waves and waves.ended == "bad" else ""
        )
        output.say(f"waiting for `yard rebase` to move them: {', '.join(waiting)}{stopped}")


def _runs_on(item: AliasStatus) -> str:
    """The function's memory, and what is out of the ordinary; a model in a layer is not."""
    said = [f"{item.memory_mb} MB"]
    if item.version and not item.on_current_base:
        said.append("older base, waits for its wave" if item.waits else "older base")
    elif item.version and item.waits:
        said.append("the base of the last deploy, not accepted yet")
    if item.placement not in ("", "layer"):
        said.append(f"model: {item.placement}")
    return ", ".join(said)


def _shift(item: AliasStatus, shift: ShiftStatus) -> str:
    tried = f"{item.ref.model}:{shift.version}"
    where = f"{tried} answers {shift.share:.0%}, step {shift.step} of {shift.steps}, since {shift.since}"
    if not shift.step:
        where = f"{tried} is being prepared and checked since {shift.since}"
    return f"{item.ref} is being shifted, asked for by {shift.by}: {where}"


def _shadow(item: AliasStatus, shadow: ShadowStatus) -> str:
    share = f"{shadow.share * 100:g}%"
    version = f"{item.ref.model}:{shadow.version}"
    return (
        f"{share} of {item.ref} is mirrored to {version}, which answers nobody, since {shadow.since}, "
        f"asked for by {shadow.by}"
    )


def _how(plan: Plan) -> str:
    return f"{plan.kind} (forced)" if plan.forced else plan.kind


def _move(plan: Plan) -> str:
    if plan.kind == "shadow":
        return f"{plan.version}, {sum(plan.weights.values()) * 100:g}% mirrored to {plan.toward}"
    if plan.weights:
        return f"{plan.version} + {sum(plan.weights.values()):.0%} {plan.toward}"
    return f"{plan.from_version or '-'} → {plan.version or '-'}"
