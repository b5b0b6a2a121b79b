"""Requests to addresses that strangers gave us: nothing of ours can be reached by them.

An address is a name, never a number, so that no spelling of one has to be understood. What the name leads to is asked
once, every answer is checked, and the connection goes to a checked answer: a resolver that says something else the next
time (DNS rebinding) is not asked. The certificate is still the name's. Nothing is followed, and size and time are
capped.
"""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Final

import httpx
import msgspec
import structlog

from kernel.errors import Refused

URL_LONGEST: Final = 500
PORTS: Final = frozenset({443, 8443})
SECONDS: Final = 15.0
ANSWER_KEPT: Final = 1024
ADDRESSES_TRIED: Final = 3
_HTTPS: Final = 443
_UNPRIVILEGED: Final = 1024

log = structlog.get_logger(__name__)


class UrlRefused(Refused):
    problem = "webhook-url-refused"
    title = "We send nothing to this address"


class Failure(StrEnum):
    """Why there is no answer."""

    REFUSED = "refused"
    """The name leads to an address that we call for nobody."""
    NO_ADDRESS = "no_address"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    """No certificate of the name's that a browser would take, or no TLS at all."""
    TIMED_OUT = "timed_out"
    NO_HTTP = "no_http"
    """It ended, or answered something else."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. *status* is None exactly with a *failure*; *excerpt*: the answer's first kilobyte, as it came."""

    status: int | None
    failure: Failure | None
    excerpt: bytes
    duration_ms: int

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A URL taken apart; *path* holds the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        port = "" if (self.scheme, self.port) == ("https", _HTTPS) else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}"

    @property
    def is_loopback(self) -> bool:
        return self.scheme == "http"


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a name and a port to addresses in numbers.

:raises OSError: when there are none
"""


def parse_target(url: str, *, loopback: bool = False, ports: frozenset[int] = PORTS) -> Target:
    """Take apart a URL that we may send to.

    :param loopback: take `http://127.0.0.1:PORT/...` and `http://localhost:PORT/...` besides: for development
    :raises UrlRefused: saying what to write instead
    """
    if len(url) > URL_LONGEST:
        raise UrlRefused(f"Write at most {URL_LONGEST} characters.")
    if not url.isascii():
        raise UrlRefused("Write a name with other letters in its ASCII form (xn--...), and escape them in the path.")
    own = _LOOPBACK_URL.fullmatch(url) if loopback else None
    if own is not None and _UNPRIVILEGED <= int(own["port"]) < 1 << 16:
        return Target(scheme="http", host=own["host"], port=int(own["port"]), path=own["path"] or "/")
    match = _URL.fullmatch(url)
    if match is None:
        raise UrlRefused(
            "Write https://, a host name, and a path: without user, password, fragment, blanks or backslashes."
        )
    host, port = match["host"].lower(), int(match["port"] or _HTTPS)
    if port not in ports:
        raise UrlRefused(f"Use port {' or '.join(str(each) for each in sorted(ports))}.")
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise UrlRefused("Write a full host name, such as hooks.example.com: no address in numbers, no dot at its end.")
    if host.rpartition(".")[2] in _NO_PUBLIC_NAMES:
        raise UrlRefused("Write a host name that the whole Internet knows.")
    return Target(scheme="https", host=host, port=port, path=match["path"] or "/")


def address_refusal(address: str) -> str | None:
    """Why nothing may be sent to an address (in numbers, as a resolver gives it); None when it is a public one's."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "no address"
    if isinstance(parsed, IPv4Address):
        return next((why for network, why in _CLOSED_4 if parsed in network), None)
    if parsed.scope_id is not None:
        return "of one link"
    if parsed not in _GLOBAL_6:  # mapped, NAT64, local, and what is not given out
        return "not public"
    return next((why for network, why in _CLOSED_6 if parsed in network), None)


class Sender:
    """Sends to strangers' addresses.

    :param refusal: says of an address in numbers why it is closed, or None
    :param tls: whose certificates count; None: those that the system trusts
    """

    def __init__(
        self,
        *,
        loopback: bool = False,
        resolve: Resolve | None = None,
        refusal: Callable[[str], str | None] = address_refusal,
        ports: frozenset[int] = PORTS,
        tls: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self.loopback = loopback
        self._resolve = resolve or _SystemResolver()
        self._refusal = refusal
        self._ports = ports
        self._given_tls = tls
        self._seconds = seconds

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send *body* once. Whatever goes wrong out there is in the answer, never raised."""
        began = time.perf_counter()
        status, failure, excerpt = None, None, b""
        try:
            async with asyncio.timeout(self._seconds):
                status, excerpt = await self._post(url, body, headers)
        except _Failed as failed:
            failure = failed.failure
        except TimeoutError:
            failure = Failure.TIMED_OUT
        return Answer(
            status=status,
            failure=failure,
            excerpt=excerpt,
            duration_ms=round((time.perf_counter() - began) * 1000),
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or ssl.create_default_context()

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            target = parse_target(url, loopback=self.loopback, ports=self._ports)
        except UrlRefused:  # the rules, or the setting, are others than when it was taken
            raise _Failed(Failure.REFUSED) from None
        addresses = await self._addresses(target)
        for address in addresses[: ADDRESSES_TRIED - 1]:
            try:
                return await self._post_to(target, address, body, headers)
            except _Unreached:  # nothing was sent yet
                continue
        return await self._post_to(target, addresses[-1], body, headers)

    async def _addresses(self, target: Target) -> Sequence[str]:
        """What the name leads to: all of it allowed, for a name that also leads inside is up to something."""
        try:
            addresses = await self._resolve(target.host, target.port)
        except OSError:
            addresses = ()
        if not addresses:
            raise _Failed(Failure.NO_ADDRESS)
        for address in addresses:
            why = self._refusal(address)
            if target.is_loopback:
                why = None if ip_address(address).is_loopback else "not loopback"
            if why is not None:
                log.warning("address refused", host=target.host, address=address, why=why)
                raise _Failed(Failure.REFUSED)
        return addresses[:ADDRESSES_TRIED]

    async def _post_to(
        self, target: Target, address: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Send to *address* what is meant for the target's name: TLS and the Host header say the name."""
        shown = f"[{address}]" if ":" in address else address
        client = httpx.AsyncClient(verify=self._tls, trust_env=False, follow_redirects=False, timeout=self._seconds)
        try:
            async with (
                client,
                client.stream(
                    "POST",
                    f"{target.scheme}://{shown}:{target.port}{target.path}",
                    content=body,
                    headers={
                        "host": target.url.split("/")[2],
                        "accept-encoding": "identity",
                        "connection": "close",
                        **headers,
                    },
                    extensions={"sni_hostname": target.host},
                ) as response,
            ):
                excerpt = b""
                async for part in response.aiter_raw():  # as it came: nothing is unpacked
                    excerpt += part[: ANSWER_KEPT - len(excerpt)]
                    if len(excerpt) == ANSWER_KEPT:
                        break
                return response.status_code, excerpt
        except httpx.ConnectError as error:
            tls = isinstance(_first_cause(error), ssl.SSLError)
            raise (_Failed(Failure.TLS) if tls else _Unreached(Failure.UNREACHABLE)) from error
        except httpx.TimeoutException as error:
            raise _Failed(Failure.TIMED_OUT) from error
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise _Failed(Failure.NO_HTTP) from error


class _Failed(Exception):
    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure)


class _Unreached(_Failed):
    """No connection came about; another address may do better."""


class _SystemResolver:
    """The system's, on threads of its own: names that take long keep nothing else waiting."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="resolver")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        def ask() -> list[str]:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return list(dict.fromkeys(str(address[0]) for *_, address in found))

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        except UnicodeError as error:  # of a label that no name may have
            raise OSError("no such name") from error


def _first_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


_PATH: Final = r"""(?P<path>/[!"$-\[\]-~]*)?"""
_URL: Final = re.compile(rf"https://(?P<host>[A-Za-z0-9.-]+)(?::(?P<port>[1-9][0-9]{{0,4}}))?{_PATH}")
_LOOPBACK_URL: Final = re.compile(rf"http://(?P<host>127\.0\.0\.1|localhost):(?P<port>[1-9][0-9]{{3,4}}){_PATH}")
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)+(?:[a-z]{{2,63}}|xn--{_LABEL})")
_NO_PUBLIC_NAMES: Final = frozenset(
    {
        *("alt", "arpa", "corp", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain"),
        *("localhost", "onion", "private", "test"),
    }
)
_GLOBAL_6: Final = IPv6Network("2000::/3")
_CLOSED_4: Final = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "of a carrier's NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "metadata of a cloud"),
        ("169.254.0.0/16", "of one link, metadata of clouds"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "of protocols"),
        ("192.0.2.0/24", "of documents"),
        ("192.31.196.0/24", "of a relay"),
        ("192.52.193.0/24", "of a relay"),
        ("192.88.99.0/24", "of a relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "of a relay"),
        ("198.18.0.0/15", "of benchmarks"),
        ("198.51.100.0/24", "of documents"),
        ("203.0.113.0/24", "of documents"),
        ("224.0.0.0/4", "of many"),
        ("240.0.0.0/4", "reserved"),
    )
)
"""IANA's special-purpose registry, and Azure's own services, which have a public address."""
_CLOSED_6: Final = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "of protocols, Teredo among them"),
        ("2001:db8::/32", "of documents"),
        ("2002::/16", "of 6to4, which holds an IPv4 address"),
        ("2620:4f:8000::/48", "of a relay"),
        ("3fff::/20", "of documents"),
    )
)
