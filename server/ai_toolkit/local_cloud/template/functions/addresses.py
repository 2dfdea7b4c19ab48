"""CIDR functions of ARM templates.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-cidr
"""

import ipaddress
from typing import Final

from ai_toolkit.local_cloud.template.functions.values import FunctionError, Group, Value, integer, text

_LAST_32_BITS: Final = 0xFFFF_FFFF
_GROUP: Final = 0xFFFF
_BEFORE_IPV4: Final = {0: "::", 0xFFFF: "::ffff:", 0xFFFF_0000: "::ffff:0:"}  # by the first 96 bits
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
    """The address as .NET writes it: with its last 32 bits as IPv4 where they stand for such an address."""
    found = type(network.network_address)(address)
    if isinstance(found, ipaddress.IPv6Address) and _holds_ipv4(found):
        prefix = _BEFORE_IPV4.get(address >> 32)
        if prefix is None:  # ISATAP: two groups that are not left out stand for the IPv4 address
            prefix = str(ipaddress.IPv6Address(address & ~_LAST_32_BITS | 0x1_0001)).removesuffix("1:1")
        return f"{prefix}{ipaddress.IPv4Address(address & _LAST_32_BITS)}"
    return str(found)


def _holds_ipv4(address: ipaddress.IPv6Address) -> bool:
    """Compatible, mapped and translated addresses, and ISATAP's.

    Source: https://github.com/dotnet/runtime, IPv6AddressHelper.ShouldHaveIpv4Embedded
    """
    value = int(address)
    before, high = value >> 32, (value >> 16) & _GROUP
    return (before in _BEFORE_IPV4 and high != 0) or before & 0xFFFF_FFFF == 0x5EFE  # noqa: PLR2004


def parse_cidr(value: Value) -> Value:
    """Network, mask, first and last address of a range."""
    network = _network(value, "parseCidr")
    first, count = _usable(network)
    found = {"network": _written(network, int(network.network_address)), "netmask": str(network.netmask)}
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
