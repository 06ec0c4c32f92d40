"""The price table: read strictly, with its date, so that a number always says how old it is."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_store.contract.errors import SwitchyardError

TABLE = Path(__file__).with_name("prices.toml")
HOURS = 730
"""Hours of a month, as AWS's own calculator counts them (8,760 / 12)."""


class PricesError(SwitchyardError, ValueError):
    """This is not a table of prices."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LambdaPrices(_Table):
    """US dollars; GB are what Lambda is configured with, divided by 1,024 MB."""

    x86_64_gb_second: float = Field(gt=0)
    arm64_gb_second: float = Field(gt=0)
    million_requests: float = Field(ge=0)
    ephemeral_gb_second: float = Field(ge=0)
    provisioned_gb_second: float = Field(ge=0)
    provisioned_duration_gb_second: float = Field(ge=0)
    snapstart_cache_gb_second: float = Field(ge=0)
    snapstart_restore_gb: float = Field(ge=0)

    def gb_second(self, architecture: str) -> float:
        return self.arm64_gb_second if architecture == "arm64" else self.x86_64_gb_second


class FrontPrices(_Table):
    """What every request and every model costs besides computing."""

    http_api_million_requests: float = Field(ge=0)
    rest_api_million_requests: float = Field(default=3.50, ge=0)
    log_gb: float = Field(ge=0)
    metric_month: float = Field(ge=0)
    alarm_month: float = Field(ge=0)
    composite_alarm_month: float = Field(ge=0)
    dashboard_month: float = Field(ge=0)
    thousand_puts: float = Field(ge=0)

    def api_million_requests(self, kind: str) -> float:
        """Of the kind of API that a stage has: ``http`` or ``rest``."""
        return self.rest_api_million_requests if kind == "rest" else self.http_api_million_requests


class InstancePrice(_Table):
    """One size of instance; ``memory_gb`` is all of it, the operating system's share included."""

    target: Literal["sagemaker", "ec2"]
    vcpus: int = Field(gt=0)
    memory_gb: float = Field(gt=0)
    gpu: str | None = None
    hour: float = Field(gt=0)

    @property
    def month(self) -> float:
        return self.hour * HOURS


class LoadBalancerPrices(_Table):
    """An application load balancer; one capacity unit is assumed."""

    hour: float = Field(ge=0)
    capacity_unit_hour: float = Field(ge=0)


class _Sheet(_Table):
    as_of: str = Field(pattern=r"^\d{4}-\d{2}$")
    region: str
    currency: Literal["USD"]
    lambda_: LambdaPrices = Field(alias="lambda")
    front: FrontPrices
    instances: dict[str, InstancePrice]
    load_balancer: LoadBalancerPrices


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices of one region as of one month; ``where`` says it in words for every page that uses them."""

    as_of: str
    region: str
    lambda_: LambdaPrices
    front: FrontPrices
    instances: dict[str, InstancePrice]
    load_balancer: LoadBalancerPrices

    @property
    def where(self) -> str:
        return f"list prices of {self.region} as of {self.as_of}"


def read_prices(path: Path = TABLE) -> Prices:
    """Read a table. Raises ``PricesError`` that names the first thing that is wrong with it."""
    try:
        sheet = _Sheet.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PricesError(f"`{path}` is no table of prices: {error}", hint=_REMEDY) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PricesError(f"`{path}`, at `{where}`: {first['msg']}", hint=_REMEDY) from error
    return Prices(sheet.as_of, sheet.region, sheet.lambda_, sheet.front, sheet.instances, sheet.load_balancer)


_REMEDY = "Begin with a copy of planning/prices.toml and change the numbers only."
