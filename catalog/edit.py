"""Change ``models.toml`` as a person would: one value, and every comment and blank line where it was.

Texts in, texts out: nothing is read or written here.
"""

from __future__ import annotations

import tomlkit
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.items import Array, Table

from catalog.schema import Catalog
from model_store.contract.errors import CatalogError
from model_store.contract.names import ByVersion


def listed(text: str, catalog: Catalog, ref: ByVersion, stage: str) -> str:
    """Return the catalog with ``ref`` among the versions of ``stage``; the same text if it is there already.

    ``catalog`` is what ``text`` says. Versions are numbers of a stage's own store, so where there are several
    stages the number goes into the stage's own table, which then takes over what the model listed for all.
    """
    model = catalog.models.get(ref.model)
    if model is None or not model.is_heavy:
        raise CatalogError(
            f"`{ref.model}` is not in the catalog"
            if model is None
            else f"`{ref.model}` runs on Lambda, where nothing has to be provisioned",
            hint=f'Add `[models.{ref.model}]` with `target = "sagemaker"` and `instance_type` first.'
            if model is None
            else f"Release it: `yard release {ref} --stage {stage}`.",
        )
    catalog.stage(stage)
    versions = model.on(stage).versions
    if ref.version in versions:
        return text
    document = tomlkit.parse(text)
    table = _table(document["models"], ref.model)
    overridden = stage in model.stages and model.stages[stage].versions is not None
    if overridden or len(catalog.stages) > 1:
        stages = table.setdefault("stages", tomlkit.table(is_super_table=True))
        table = stages.setdefault(stage, tomlkit.table())
    found = table.get("versions")
    if isinstance(found, Array):
        found.append(ref.version)
    else:
        table["versions"] = [*versions, ref.version]
    return tomlkit.dumps(document)


def _table(models: object, name: str) -> Table | OutOfOrderTableProxy:
    table = models[name] if isinstance(models, dict) else None
    # A model's own tables may stand behind another model's: then what tomlkit gives speaks for all of them.
    if not isinstance(table, Table | OutOfOrderTableProxy):
        raise CatalogError(
            f"`models.{name}` is not written as a table of its own",
            hint=f"Write it as `[models.{name}]`, or add the version by hand and run `yard lock`.",
        )
    return table
