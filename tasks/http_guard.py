"""Which addresses ``http/request`` may reach: public ones, and of the private ones those that the settings
allow.

A definition's URL often holds data from outside; without this guard it could be turned against services that
trust the machine or its network (server-side request forgery). Names are resolved here and the address that
was judged is the one connected to, so that a name cannot point elsewhere a moment later.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import socket
import threading
from collections.abc import Sequence

from ..core.errors import Code, RealmError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def permitted_addresses(host: str, port: int, allow: Sequence[str], *, timeout: float) -> list[str]:
    """The addresses of ``host`` that may be connected to, in the resolver's order.

    PERMISSION_DENIED when it has none of those, UNAVAILABLE when the name cannot be resolved in time.
    """
    addresses = _resolve(host, port, timeout)
    permitted = [a for a in addresses if is_public(ipaddress.ip_address(a)) or is_allowed(host, a, allow)]
    if not permitted:
        raise RealmError(
            Code.PERMISSION_DENIED,
            f"{host} is {addresses[0]}, which is not a public address",
            hint=f"if it is meant, allow it: MIRROR_REALM_HTTP_ALLOW={','.join((*allow, host))}",
            details={"host": host, "addresses": addresses},
        )
    return permitted


def is_public(address: Address) -> bool:
    """Whether ``address`` is on the public internet, also where an IPv6 address only wraps an IPv4 one.

    >>> [is_public(ipaddress.ip_address(a)) for a in ("1.1.1.1", "10.0.0.1", "::ffff:127.0.0.1")]
    [True, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )


def is_allowed(host: str, address: str, allow: Sequence[str]) -> bool:
    """Whether the settings name the host (``nas.local``, ``*.lan``), its address, or a network it lies in.

    >>> is_allowed("nas.local", "192.168.1.5", ["192.168.0.0/16"]), is_allowed("a.lan", "10.0.0.1", ["*.lan"])
    (True, True)
    """
    judged = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(judged, ipaddress.IPv6Address) and judged.ipv4_mapped:
        judged = judged.ipv4_mapped
    for entry in allow:
        try:
            network = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            if fnmatch.fnmatchcase(host.lower().rstrip("."), entry.lower()):
                return True
        else:
            if judged.version == network.version and judged in network:
                return True
    return False


def _resolve(host: str, port: int, timeout: float) -> list[str]:
    """The addresses of a name. The system's resolver takes no time limit, hence the thread."""
    found: list[str] = []
    problem: list[OSError] = []

    def look_up() -> None:
        try:
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                if str(address[0]) not in found:
                    found.append(str(address[0]))
        except (OSError, UnicodeError) as error:
            problem.append(error if isinstance(error, OSError) else OSError(str(error)))

    thread = threading.Thread(target=look_up, name=f"resolve {host}", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive() or problem or not found:
        reason = problem[0].strerror or str(problem[0]) if problem else f"no answer within {timeout:.3g} s"
        raise RealmError(
            Code.UNAVAILABLE, f"the name {host!r} cannot be resolved: {reason}", hint="check the host name"
        )
    return found
