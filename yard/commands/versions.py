"""``yard versions``: what is stored of a model."""

from __future__ import annotations

from yard import options, output


def versions(name: options.ModelName, stage: options.Stage = "local", as_json: options.Json = False) -> None:
    """List the published versions of a model, newest first.

    Example: yard versions digits
    """
    from model_store import versions as room
    from model_store.contract.names import ByVersion, check_name
    from yard import deployment

    check_name(name)
    store = deployment.find(stage).store()
    numbers = room.versions(store, name)
    if not numbers:
        room.load_manifest(store, ByVersion(name, 1))  # says what there is instead
    manifests = room.load_manifests(store, [ByVersion(name, number) for number in reversed(numbers)])
    if as_json:
        output.print_json(
            [
                {
                    "model": item.model,
                    "version": item.version,
                    "digest": str(item.digest),
                    "size": item.size,
                    "created_at": item.created_at,
                    "created_by": item.created_by,
                    "metrics": item.metrics,
                    "note": item.note,
                }
                for item in manifests
            ]
        )
        return
    rows = [
        (
            item.ref,
            item.created_at,
            item.digest.short,
            f"{item.size:,}",
            " ".join(f"{key}={value:g}" for key, value in item.metrics.items()),
            item.note,
        )
        for item in manifests
    ]
    output.data.print(
        output.table(
            f"versions of {name}", ["version", "published", "digest", "bytes", "metrics", "note"], rows
        )
    )
