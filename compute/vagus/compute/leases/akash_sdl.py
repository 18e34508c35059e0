"""A deployment in Akash's own language (SDL 2.0), as JSON, which YAML contains.

Source: Akash's documentation, "SDL"; the label is the placement's name, which the chain keeps as the
group's name: it is what a sweep finds a deployment by.
"""

from collections.abc import Sequence

import msgspec

from vagus.compute.leases.akash_money import DENOM, units_per_block
from vagus.compute.leases.base import Quote

__all__ = ["SERVICE", "sdl"]

SERVICE = "model"
PROFILE = "gpu"


def sdl(quote: Quote, label: str, api_key: str, auditors: Sequence[str]) -> str:
    """Return the SDL of one container on one machine, whose port 80 leads to its server.

    The API key is in its environment: the provider, whose machine it is, can read it, as all else there.
    """
    want, container = quote.want, quote.want.container
    env = {**container.env, container.key_env: api_key}
    service: dict[str, object] = {
        "image": container.image,
        "env": [f"{name}={value}" for name, value in env.items()],
        "expose": [{"port": container.port, "as": 80, "to": [{"global": True}]}],
    }
    if container.args:
        service["args"] = list(container.args)
    model, _, memory = quote.offer.partition("/")
    found = {"model": model, **({"ram": memory} if memory else {})}
    resources = {
        "cpu": {"units": want.cpus},
        "memory": {"size": f"{want.memory}Gi"},
        "storage": [{"size": f"{want.disk}Gi"}],
        "gpu": {"units": want.count, "attributes": {"vendor": {"nvidia": [found]}}},
    }
    placement: dict[str, object] = {
        "pricing": {PROFILE: {"denom": DENOM, "amount": units_per_block(quote.hourly)}}
    }
    if auditors:
        placement["signedBy"] = {"anyOf": list(auditors)}
    if len(want.regions) == 1:
        placement["attributes"] = {"location-region": want.regions[0]}
    document = {
        "version": "2.0",
        "services": {SERVICE: service},
        "profiles": {
            "compute": {PROFILE: {"resources": resources}},
            "placement": {label: placement},
        },
        "deployment": {SERVICE: {label: {"profile": PROFILE, "count": 1}}},
    }
    return msgspec.json.encode(document).decode()
