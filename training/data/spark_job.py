"""The data step of a pipeline on Spark: the script that an EMR Serverless job begins with.

Cleaning is ``training.data.cleaning``, here over Spark's tables; what is left comes to the driver, where it
is checked, split and named as everywhere (``training.data.prepared``). So whoever trains is given the same
folder, with the same digest, as if one machine had read everything.

The code comes as one archive (``--py-files``), which holds the recipe too. The image has Python 3.11 and what
``spark.Dockerfile`` names; pyspark is EMR's own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw

import training
from model_store.contract.errors import SwitchyardError
from model_store.contract.training import FACTS
from training.data.cleaning import clean_anywhere, count
from training.data.declared import Declared, S3Prefix, read_data
from training.data.prepared import Prepared, facts_of_step, keep_parts
from training.data.s3 import put_folder
from training.errors import DataError, RecipeError
from training.recipe import read_recipe

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_CSV = {
    "header": True,
    # As polars reads: a quote within quotes is written twice, and a text may go on in the next line.
    "escape": '"',
    "multiLine": True,
    # A cell that is not what its column is, or a file with other columns, is an error and no empty cell.
    "mode": "FAILFAST",
    "enforceSchema": False,
}


def main(words: list[str] | None = None) -> int:
    """Prepare the set of a recipe and lay it down below ``--out``; exit code 1 for what cannot be done.

    ``facts.json`` is written last, so what a killed job left counts for nothing. May be repeated.
    """
    parser = argparse.ArgumentParser(description="The data step of a pipeline, on Spark.")
    parser.add_argument("--recipe", required=True, help="the recipe.toml, within the archive of the code")
    parser.add_argument("--bucket", required=True, help="the training bucket, which a source may leave out")
    parser.add_argument("--out", required=True, help="where the prepared set goes: s3://BUCKET/PREFIX/")
    given = parser.parse_args(words)
    try:
        with tempfile.TemporaryDirectory() as made:
            out = Path(made)
            run(_code() / given.recipe, out, _session(), bucket=given.bucket)
            put_folder(out, given.out, last=FACTS)
    except SwitchyardError as error:
        sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return 1
    return 0


def run(recipe: Path, out: Path, session: SparkSession, *, bucket: str = "", root: str = "s3:/") -> None:
    """Carry the data step of ``recipe`` out, into the folder ``out``, as ``training.steps`` does."""
    declared_by = read_recipe(recipe)
    path = recipe.parent / declared_by.data
    prepared = prepare_on_spark(path, out, session, bucket=bucket, root=root)
    facts = facts_of_step(declared_by.model, prepared)
    (out / FACTS).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


def prepare_on_spark(
    path: Path, keep: Path, session: SparkSession, *, bucket: str = "", root: str = "s3:/"
) -> Prepared:
    """Make the set that the ``data.toml`` at ``path`` declares, reading and cleaning on Spark.

    Buckets stand below ``root``, and ``bucket`` is what a source without one means. The same set as that of
    ``training.data.prepared.prepare``. Raises ``RecipeError`` or ``DataError``.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    declared = read_data(path)
    if not isinstance(declared.source, S3Prefix) or declared.split.by != "content":
        raise RecipeError(
            f"`{declared.name}` cannot be prepared on Spark",
            hint='Write `engine = "spark"` into its file, and what is missing is said.',
        )
    try:
        table = nw.from_native(_table(declared, declared.source, session, bucket, root)).lazy()
        rows = count(table)
        if not rows:
            raise DataError(f"the source of `{declared.name}` has no rows")
        left, cleaned = clean_anywhere(table, declared.clean, declared.columns, rows=rows)
    except (PySparkException, Py4JJavaError) as error:
        raise DataError(
            f"the source of `{declared.name}` cannot be read: {_why(error)}",
            hint="Check the prefix, that all its files have the same columns, and what the job may read.",
        ) from error
    return keep_parts(left, declared, keep, read=rows, cleaned=cleaned)


def _table(declared: Declared, source: S3Prefix, session: SparkSession, bucket: str, root: str) -> DataFrame:
    name, _, prefix = source.prefix.removeprefix("s3://").partition("/")
    if not (name or bucket):
        raise DataError(
            f"the source of `{declared.name}` names no bucket", hint="Write `s3://BUCKET/…`, or `--bucket`."
        )
    where = f"{root}/{name or bucket}/{prefix}"
    # A prefix need not end with a folder, a path of Spark does.
    where = where if where.endswith("/") else f"{where}*"
    files = {"recursiveFileLookup": True, "pathGlobFilter": f"*.{source.format}"}
    if source.format == "parquet":
        return session.read.options(**files).parquet(where)
    found = session.read.options(**files, **_CSV, inferSchema=True).csv(where).schema
    return session.read.options(**files, **_CSV).schema(_as_polars_has_it(found)).csv(where)


def _as_polars_has_it(schema: Any) -> Any:
    """What Spark found in CSV, in polars' types: whole numbers of 64 bits, and no dates."""
    from pyspark.sql import types

    numbers = {
        types.IntegerType: types.LongType(),
        types.FloatType: types.DoubleType(),
        types.DecimalType: types.DoubleType(),
        types.DateType: types.StringType(),
        types.TimestampType: types.StringType(),
        types.TimestampNTZType: types.StringType(),
    }
    return types.StructType(
        [
            types.StructField(one.name, numbers.get(type(one.dataType), one.dataType), nullable=True)
            for one in schema.fields
        ]
    )


def _why(error: Exception) -> str:
    """The line of a trace that says what was wrong, without where in Spark that was noticed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (causes or lines or [type(error).__name__])[-1 if causes else 0].removeprefix("Caused by: ")


def _session() -> SparkSession:
    from pyspark.sql import SparkSession

    return SparkSession.builder.appName("switchyard-data").getOrCreate()


def _code() -> Path:
    """Where the code lies as files: unpacked, if it came as an archive."""
    root = Path(str(training.__file__)).parents[1]
    if not zipfile.is_zipfile(root):
        return root
    unpacked = Path(tempfile.mkdtemp(prefix="code-"))
    with zipfile.ZipFile(root) as archive:
        archive.extractall(unpacked)
    return unpacked


if __name__ == "__main__":
    sys.exit(main())
