"""What ``data.toml`` may say: where the rows are, what they must be, and how they are split."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, model_validator

from training.written import Strict, read

PARTS = ("train", "validation", "test")
CLASSIFICATION = "classification"
REGRESSION = "regression"
SPARK = "spark"


class CsvFiles(Strict):
    """Comma-separated files: a path or a pattern, relative to ``data.toml``."""

    kind: Literal["csv"]
    path: str
    separator: str = ","


class ParquetFiles(Strict):
    """Parquet files: a path or a pattern, relative to ``data.toml``."""

    kind: Literal["parquet"]
    path: str


class ImageFolder(Strict):
    """One folder for each class, with its pictures. Pixels become columns ``pixel_0000``, values 0 to 255."""

    kind: Literal["images"]
    path: str
    height: int = Field(ge=1, le=512)
    width: int = Field(ge=1, le=512)
    channels: Literal[1, 3] = 1


class S3Prefix(Strict):
    """Every CSV or Parquet object below a prefix, in the order of their keys.

    Without a bucket (``s3:///data/digits/``) it is the stage's own, which ``cdk deploy`` made for training.
    """

    kind: Literal["s3"]
    prefix: str = Field(pattern=r"^s3://([a-z0-9.-]{3,63})?/")
    format: Literal["csv", "parquet"]


class SklearnSet(Strict):
    """A set that comes with scikit-learn, or one of its generators; nothing is downloaded.

    ``options`` go to the generators (``regression``, ``classification``), where ``random_state`` is needed.
    """

    kind: Literal["sklearn"]
    set: Literal["digits", "iris", "wine", "breast_cancer", "diabetes", "regression", "classification"]
    options: dict[str, int | float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _generated_sets_have_a_seed(self) -> SklearnSet:
        generated = self.set in ("regression", "classification")
        if generated and "random_state" not in self.options:
            raise ValueError(f"`{self.set}` is drawn at random: write its seed, `random_state`, in `options`")
        if self.options and not generated:
            raise ValueError(f"`{self.set}` takes no `options`")
        return self


class CapturedTraffic(Strict):
    """What a model was asked and answered on a stage, as far as its catalog keeps it.

    Of ``versions`` (by default: all), and with ``alias`` only what came through it. The window is ``since``
    to ``until``, or the last ``days`` whole days (UTC). With ``labels`` each row has what turned out to be
    right in the column ``label`` (``yard truth``), and rows of which nobody said are left out.
    ``tensors`` are those to read, by default all.
    """

    kind: Literal["captured"]
    model: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    stage: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    versions: tuple[Annotated[int, Field(ge=1)], ...] = ()
    alias: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9-]{0,62}$")
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    days: int | None = Field(default=None, ge=1, le=366)
    labels: bool = False
    tensors: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_one_window(self) -> CapturedTraffic:
        if (self.since is None) != (self.until is None) or (self.since is None) == (self.days is None):
            raise ValueError("write either `since` and `until`, or `days`")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("`since` is not before `until`")
        return self


Source = Annotated[
    CsvFiles | ParquetFiles | ImageFolder | S3Prefix | SklearnSet | CapturedTraffic,
    Field(discriminator="kind"),
]


class Columns(Strict):
    """Which columns are what. ``features`` are names or patterns (``pixel_*``), ``text`` a column of texts.

    ``group`` names what must not be torn apart (a writer, a customer): its rows go to one part together.
    """

    target: str
    features: tuple[str, ...] = ()
    text: str | None = None
    group: str | None = None

    @model_validator(mode="after")
    def _one_kind_of_input(self) -> Columns:
        if bool(self.features) == bool(self.text):
            raise ValueError("write either `features` or `text`")
        return self


class Rule(Strict):
    """What a column must be. Bounds are inclusive."""

    type: Literal["integer", "number", "text", "boolean"] | None = None
    least: float | None = None
    most: float | None = None
    one_of: tuple[str | int, ...] = ()
    pattern: str | None = None
    nullable: bool = False
    unique: bool = False


class DropMissing(Strict):
    """Drop rows in which one of ``columns`` (by default: any) has no value."""

    step: Literal["drop_missing"]
    columns: tuple[str, ...] = ()


class DropDuplicates(Strict):
    """Keep the first of rows whose inputs are equal, whatever their target says."""

    step: Literal["drop_duplicates"]


class Fill(Strict):
    """Write ``value`` where there is none. A constant: a mean over all rows would leak the test part."""

    step: Literal["fill"]
    columns: tuple[str, ...]
    value: float | str


class Clip(Strict):
    """Bring values outside the bounds to them."""

    step: Literal["clip"]
    columns: tuple[str, ...]
    least: float
    most: float


class Keep(Strict):
    """Keep the rows whose ``column`` is within the bounds, or is one of the values."""

    step: Literal["keep"]
    column: str
    least: float | None = None
    most: float | None = None
    one_of: tuple[str | int, ...] = ()


class TidyText(Strict):
    """Lower case, no space at the ends, single spaces between words."""

    step: Literal["tidy_text"]
    columns: tuple[str, ...]


Cleaning = Annotated[
    DropMissing | DropDuplicates | Fill | Clip | Keep | TidyText, Field(discriminator="step")
]


class Tokens(Strict):
    """How a text becomes numbers: each word its hash, 1 to ``vocabulary`` - 1; 0 fills up to ``length``.

    A hash needs no list of words, so nothing is learned from the test part and nothing has to be shipped.
    """

    length: int = Field(default=16, ge=1, le=4096)
    vocabulary: int = Field(default=4096, ge=2)


class Split(Strict):
    """The shares of the three parts, drawn by ``seed``; or the ``column`` that says the part of each row.

    A row is drawn by its ``place`` in the source, or by its ``content``: then rows have no order, and the
    same rows are the same set in whatever order, and from however many files, they are read.
    """

    seed: int = 0
    by: Literal["place", "content"] = "place"
    train: float = Field(default=0.6, gt=0, lt=1)
    validation: float = Field(default=0.2, gt=0, lt=1)
    test: float = Field(default=0.2, gt=0, lt=1)
    stratify: bool = False
    column: str | None = None

    @model_validator(mode="after")
    def _shares_are_everything(self) -> Split:
        if not math.isclose(self.train + self.validation + self.test, 1.0):
            raise ValueError("`train`, `validation` and `test` do not make 1 together")
        return self

    def share(self, part: str) -> float:
        return float(getattr(self, part))


class Declared(Strict):
    """The whole of ``data.toml``.

    ``engine`` is what cleans the rows of a pipeline on AWS: ``polars`` in one job's memory, ``spark`` on as
    many machines as it takes. Everywhere else it is polars; the set is the same.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    task: Literal["classification", "regression"]
    engine: Literal["polars", "spark"] = "polars"
    source: Source
    columns: Columns
    rules: dict[str, Rule] = Field(default_factory=dict, alias="schema")
    clean: tuple[Cleaning, ...] = ()
    tokens: Tokens = Tokens()
    split: Split = Split()

    @model_validator(mode="after")
    def _what_goes_together(self) -> Declared:
        if self.split.stratify and self.task != CLASSIFICATION:
            raise ValueError("`split.stratify` needs classes, and the task is `regression`")
        if self.split.stratify and self.columns.group:
            raise ValueError("`split.stratify` and `columns.group` cannot both be kept: choose one")
        return self

    @model_validator(mode="after")
    def _what_spark_can_do(self) -> Declared:
        if self.engine == SPARK and not isinstance(self.source, S3Prefix):
            raise ValueError(f"`engine` is `spark`, which reads `s3` and not `{self.source.kind}`")
        if self.engine == SPARK and self.split.by != "content":
            raise ValueError(
                '`engine` is `spark`, to which rows have no order: write `by = "content"` under `split`'
            )
        return self

    def as_written(self) -> dict[str, Any]:
        """What was declared and makes the set what it is, defaults included, as JSON.

        Who reads it, and from where, does not. ``split.by`` stands there only where rows have no order, so
        sets that were prepared before it could be said keep their names.
        """
        found = self.model_dump(mode="json", by_alias=True, exclude={"engine", "source"})
        if self.split.by == "place":
            del found["split"]["by"]
        return found


def read_data(path: Path) -> Declared:
    """Read ``data.toml``; raises ``RecipeError`` with every mistake in it."""
    return read(path, Declared)
