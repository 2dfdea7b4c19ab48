"""CIDR functions of ARM templates.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-cidr
"""

import ipaddress
from typing import Final

from ai_toolkit.local_cloud.template.functions.values import FunctionError, Group, Value, integer, text

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NO_HOSTS_BEYOND: Final = 30  # an IPv4 network with a longer prefix has no room between its first and last address


def _network(value: Value, function: str) -> Network:
    given = text(value, function)
    try:
        if "/" not in given:
            raise ValueError(given)  # noqa: TRY301  # the same refusal as for any other text
        return ipaddress.ip_network(given.strip(), strict=False)
    except ValueError as error:
        raise FunctionError(f"The function '{function}' cannot read '{given}' as an address with a prefix.") from error


def _usable(network: Network) -> tuple[int, int]:
    """The first address for a host, and how many there are."""
    first = int(network.network_address)
    if network.version == 6:  # noqa: PLR2004  # which has no broadcast address
        return first, network.num_addresses
    return (first + 1, network.num_addresses - 2) if network.prefixlen <= NO_HOSTS_BEYOND else (first, 0)


def _written(network: Network, address: int) -> str:
    return str(type(network.network_address)(address))


def parse_cidr(value: Value) -> Value:
    """Network, mask, first and last address of a range."""
    network = _network(value, "parseCidr")
    first, count = _usable(network)
    found = {"network": str(network.network_address), "netmask": str(network.netmask)}
    if network.version == 4:  # noqa: PLR2004  # which has one
        found["broadcast"] = str(network.broadcast_address)
    return {
        **found,
        "firstUsable": _written(network, first),
        "lastUsable": _written(network, first + max(count, 1) - 1),
        "cidr": network.prefixlen,
    }


def cidr_subnet(value: Value, prefix: Value, index: Value) -> str:
    """The range of that number among those with the longer prefix."""
    network = _network(value, "cidrSubnet")
    length, number = integer(prefix, "cidrSubnet", 2), integer(index, "cidrSubnet", 3)
    if not network.prefixlen <= length <= network.max_prefixlen:
        raise FunctionError(f"The function 'cidrSubnet' cannot divide '{value}' into ranges with the prefix {length}.")
    if not 0 <= number < 2 ** (length - network.prefixlen):
        raise FunctionError(f"The function 'cidrSubnet' finds no range {number} of the prefix {length} in '{value}'.")
    start = int(network.network_address) + (number << (network.max_prefixlen - length))
    return f"{_written(network, start)}/{length}"


def cidr_host(value: Value, index: Value) -> str:
    """The host's address of that number, from 0."""
    network = _network(value, "cidrHost")
    first, count = _usable(network)
    number = integer(index, "cidrHost", 2)
    if not 0 <= number < count:
        raise FunctionError(f"The function 'cidrHost' finds no host {number} in '{value}', which has {count}.")
    return _written(network, first + number)


ADDRESS_FUNCTIONS: Group = {
    "cidrhost": (cidr_host, 2, 2),
    "cidrsubnet": (cidr_subnet, 3, 3),
    "parsecidr": (parse_cidr, 1, 1),
}
