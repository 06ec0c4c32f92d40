"""A model of the catalog as its page needs to know it: names, alarms, and what a request costs."""

from __future__ import annotations

from catalog.schema import Model
from dashboards.boards import Cost, Shown, alarms_shown
from planning.prices import Prices, read_prices

MB_PER_GB = 1024


def shown_model(stage: str, model: Model, prices: Prices | None = None) -> Shown:
    """``model`` as ``stage`` serves it, at list prices (``planning/prices.toml`` unless others are given)."""
    prices = prices or read_prices()
    return Shown(
        stage=stage,
        model=model.name,
        aliases=tuple(model.aliases),
        cost=Cost(
            second=model.memory_mb / MB_PER_GB * prices.lambda_.gb_second(model.architecture),
            call=prices.lambda_.million_requests / 1e6,
            fixed_hour=_machines(model, prices),
        ),
        alarms=alarms_shown(stage, model.name, model.aliases, model.alarms.kinds),
    )


def _machines(model: Model, prices: Prices) -> float:
    """Dollars an hour for the least machines of every listed version; 0 where the table has no price."""
    price = prices.instances.get(model.instance_type or "")
    return price.hour * model.min_instances * len(model.versions) if price else 0.0
