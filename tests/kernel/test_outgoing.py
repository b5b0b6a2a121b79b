"""Nothing of ours is reached by an address that a stranger gave us, however it is written or resolved."""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kernel.outgoing import ANSWER_KEPT, URL_LONGEST, Failure, Sender, UrlRefused, address_refusal, parse_target
from tests.conftest import NOW

NAME = "hooks.partner.example"
PUBLIC = "93.184.216.34"
OK = b"HTTP/1.1 204 No Content\r\n\r\n"

SPELLINGS = (
    # IPv4 in all its bases and lengths
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://0177.0.0.1/",
    "https://0x7f.1/",
    "https://127.0.0.0x1/",
    "https://127.000.000.001/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.5/",
    "https://0xa000005/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://3232235777/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://127.0.0.1./",
    "https://127.0.0.1:443/",
    "https://93.184.216.34/",  # public, but no name that a certificate speaks of
    # IPv6
    "https://[::1]/",
    "https://[::]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:ffff:127.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/",
    "https://[2001:db8::1]/",
    # names that lead inside
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://localhost.localdomain/",
    "https://app.localhost/",
    "https://metadata.google.internal/",
    "https://db.internal/",
    "https://printer.local/",
    "https://router.lan/",
    "https://postgres/",
    "https://1.0.0.127.in-addr.arpa/",
    # other letters that readers take for digits, dots and blanks
    "https://\u0661\u0662\u0667.\u0660.\u0660.\u0661/",
    "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
    "https://\u2460\u2461\u2466.0.0.1/",
    "https://127\u30020\u30020\u30021/",
    "https://localho\u017ft/",
    "https://b\u00fccher.example/",
    # what comes before and after a host
    f"https://{NAME}@127.0.0.1/",
    f"https://user:secret@{NAME}/",
    f"https://127.0.0.1\\@{NAME}/",
    f"https://{NAME}\\.127.0.0.1/",
    f"https://127.0.0.1#@{NAME}/",
    f"https://{NAME}#fragment",
    f"https://{NAME}?query",
    f"https://{NAME}./",
    f"https://.{NAME}/",
    "https://hooks..example/",
    "https://-hooks.example/",
    f"https://{NAME} /",
    f"https://{NAME}/a b",
    f"https://{NAME}/\r\nHost: 127.0.0.1",
    f"https://{NAME}\t/",
    f"https://{NAME}\x00.example/",
    f"https://{NAME}%2f127.0.0.1/",
    "https://%31%32%37.0.0.1/",
    f"https:/{NAME}/",
    f"https:{NAME}",
    f"https:///{NAME}",
    f"//{NAME}/",
    # ports of what may listen at home
    f"https://{NAME}:22/",
    f"https://{NAME}:25/",
    f"https://{NAME}:80/",
    f"https://{NAME}:5432/",
    f"https://{NAME}:6379/",
    f"https://{NAME}:0/",
    f"https://{NAME}:65979/",  # 443 in 16 bits
    f"https://{NAME}:0443/",
    f"https://{NAME}:/",
    # other schemes
    f"http://{NAME}/",
    f"ftp://{NAME}/",
    f"gopher://{NAME}/",
    "file:///etc/passwd",
    f"HTTPS://{NAME}/",
    "",
    "https://" + "a." * 130 + "example/",
    f"https://{NAME}/" + "a" * URL_LONGEST,
)

CLOSED = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255"),
    *("127.0.0.1", "127.8.8.8", "168.63.129.16", "169.254.0.1", "169.254.169.254", "169.254.170.2"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1"),
    *("192.31.196.1", "192.52.193.1", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:93.184.216.34", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::93.184.216.34", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::"),
    *("2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::", "2620:4f:8000::1"),
    *("3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
    *("2606:4700::1%lo", "127.1", "0x7f000001", "2130706433", "localhost", ""),
)
OPEN = (PUBLIC, "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.17.0.1",
        "223.255.255.254", "2606:2800:220:1::1", "2a00:1450::1", "2001:4860:4860::8888", "2400::1")  # fmt: skip


def test_the_table_has_sixty_spellings_and_more() -> None:
    assert len(set(SPELLINGS)) == len(SPELLINGS) >= 60


@pytest.mark.parametrize("url", SPELLINGS)
def test_an_address_is_refused_however_it_is_spelled(url: str) -> None:
    with pytest.raises(UrlRefused):
        parse_target(url)


@pytest.mark.parametrize("url", SPELLINGS)
async def test_a_refused_spelling_that_was_stored_before_is_not_even_resolved(url: str) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(f"{host}:{port}")
        return [PUBLIC]

    answer = await Sender(resolve=resolve).post(url, b"{}", {})

    assert (answer.failure, asked) == (Failure.REFUSED, [])


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        (f"https://{NAME}", f"https://{NAME}/"),
        (f"https://{NAME}:443/a?b=c%20d", f"https://{NAME}/a?b=c%20d"),
        (f"https://{NAME}:8443/~x/@y", f"https://{NAME}:8443/~x/@y"),
        ("https://Hooks.XN--BCHER-KVA.example/", "https://hooks.xn--bcher-kva.example/"),
        ("https://hooks.example.xn--p1ai/", "https://hooks.example.xn--p1ai/"),
        ("https://1.2.3.4.hooks.example/", "https://1.2.3.4.hooks.example/"),
    ],
)
def test_a_public_name_is_taken(url: str, normal: str) -> None:
    assert parse_target(url).url == normal


@pytest.mark.parametrize("address", CLOSED)
def test_an_address_that_is_not_a_public_ones_is_closed(address: str) -> None:
    assert address_refusal(address) is not None


@pytest.mark.parametrize("address", OPEN)
def test_a_public_address_is_open(address: str) -> None:
    assert address_refusal(address) is None


def test_no_address_is_open_that_python_knows_as_not_global() -> None:
    for address in CLOSED + OPEN:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            continue
        assert parsed.is_global or address_refusal(address) is not None


@pytest.mark.parametrize("address", CLOSED)
async def test_a_name_that_leads_to_a_closed_address_is_not_called(address: str) -> None:
    for answers in ([address], [PUBLIC, address], [address, PUBLIC]):
        answer = await Sender(resolve=saying(answers)).post(f"https://{NAME}/", b"{}", {})

        assert (answer.status, answer.failure) == (None, Failure.REFUSED)


async def test_loopback_is_taken_where_the_installation_says_so_and_nothing_else_in_its_wake() -> None:
    async with server(answering(OK)) as (port, seen):
        open_sender = Sender(loopback=True)
        assert (await open_sender.post(f"http://127.0.0.1:{port}/hook", b"{}", {})).status == 204
        assert (await open_sender.post(f"http://localhost:{port}/hook", b"{}", {})).status == 204
        assert (await Sender().post(f"http://127.0.0.1:{port}/hook", b"{}", {})).failure is Failure.REFUSED
        for url in (
            "http://127.0.0.2:9000/",
            "http://hooks.example:9000/",
            "http://127.0.0.1:80/",
            "http://127.0.0.1/",
        ):
            with pytest.raises(UrlRefused):
                parse_target(url, loopback=True)

    assert len(seen) == 2


async def test_localhost_that_leads_elsewhere_is_refused() -> None:
    sender = Sender(loopback=True, resolve=saying([PUBLIC]))

    assert (await sender.post("http://localhost:9000/", b"{}", {})).failure is Failure.REFUSED


async def test_a_resolver_that_changes_its_mind_is_asked_once_and_the_checked_address_is_called(pki: "Pki") -> None:
    """Rebinding: the first answer is public, the next is loopback, where a trap listens."""
    answers = [["127.0.0.1"], ["::1"]]
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(f"{host}:{port}")
        return answers[len(asked) - 1]

    async with (
        server(answering(OK), pki.server) as (port, seen),
        server(answering(OK), pki.server, host="::1", port=port) as (_, trapped),
    ):
        sender = Sender(
            resolve=rebinding,
            refusal=lambda address: None if address == "127.0.0.1" else "closed",  # it stands for a public one
            ports=frozenset({port}),
            tls=pki.client,
        )
        first = await sender.post(f"https://{NAME}:{port}/hook", b"{}", {})
        second = await sender.post(f"https://{NAME}:{port}/hook", b"{}", {})

    assert (first.status, second.failure) == (204, Failure.REFUSED)
    assert asked == [f"{NAME}:{port}"] * 2
    assert (len(seen), trapped) == (1, [])


async def test_the_name_is_in_the_certificate_asked_for_and_in_the_host_header(pki: "Pki") -> None:
    async with server(answering(OK), pki.server) as (port, seen):
        answer = await pki.sender(port).post(f"https://{NAME}:{port}/hook?a=b", b'{"a":1}', {"webhook-id": "msg_1"})

    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert answer.status == 204
    assert pki.names_asked == [NAME]
    assert head.startswith(b"POST /hook?a=b HTTP/1.1\r\n")
    assert f"host: {NAME}:{port}".encode() in head.lower()
    assert b"webhook-id: msg_1" in head
    assert body == b'{"a":1}'


async def test_a_certificate_of_another_name_is_refused(pki: "Pki") -> None:
    async with server(answering(OK), pki.server) as (port, seen):
        answer = await pki.sender(port).post(f"https://other.partner.example:{port}/", b"{}", {})

    assert (answer.failure, seen) == (Failure.TLS, [])


async def test_a_certificate_nobody_vouches_for_is_refused(pki: "Pki") -> None:
    async with server(answering(OK), pki.server) as (port, seen):
        sender = Sender(resolve=saying(["127.0.0.1"]), refusal=lambda _: None, ports=frozenset({port}))
        answer = await sender.post(f"https://{NAME}:{port}/", b"{}", {})

    assert (answer.failure, seen) == (Failure.TLS, [])


async def test_a_server_that_speaks_no_tls_such_as_a_database_is_told_nothing(pki: "Pki") -> None:
    async with server(answering(b"N")) as (port, seen):
        answer = await pki.sender(port).post(f"https://{NAME}:{port}/", b"a secret body", {})

    assert answer.failure in {Failure.TLS, Failure.UNREACHABLE}
    assert not any(b"secret" in each for each in seen)


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with server(answering(OK)) as (trap, trapped):
        moved = f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{trap}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with server(answering(moved)) as (port, _):
            answer = await Sender(loopback=True).post(f"http://127.0.0.1:{port}/", b"{}", {})

    assert (answer.status, answer.accepted, trapped) == (307, False, [])


async def test_an_answer_without_end_is_read_to_its_first_kilobyte() -> None:
    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with server(pour) as (port, _):
        began = time.perf_counter()
        answer = await Sender(loopback=True).post(f"http://127.0.0.1:{port}/", b"{}", {})

    assert (answer.status, answer.excerpt) == (200, b"x" * ANSWER_KEPT)
    assert time.perf_counter() - began < 5


async def test_a_compressed_answer_is_not_unpacked() -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    async with server(answering(said)) as (port, _):
        answer = await Sender(loopback=True).post(f"http://127.0.0.1:{port}/", b"{}", {})

    assert answer.excerpt == b"\x1f\x8b\x08\x00"


@pytest.mark.parametrize(
    "stalls", ["silence", "one byte of the head at a time", "one byte of the body at a time", "102"]
)
async def test_a_slow_answer_ends_at_the_time_allowed(stalls: str) -> None:
    async def dribble(writer: asyncio.StreamWriter) -> None:
        begin, each = {
            "silence": (b"", b""),
            "one byte of the head at a time": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
            "one byte of the body at a time": (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x"),
            "102": (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        }[stalls]
        writer.write(begin)
        while True:
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(0.02)

    async with server(dribble) as (port, _):
        began = time.perf_counter()
        answer = await Sender(loopback=True, seconds=0.4).post(f"http://127.0.0.1:{port}/", b"{}", {})

    assert (answer.status, answer.failure) == (None, Failure.TIMED_OUT)
    assert answer.duration_ms >= 390
    assert time.perf_counter() - began < 3


async def test_a_resolver_that_hangs_ends_at_the_time_allowed() -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        del host, port
        await asyncio.sleep(60)
        return []

    assert (await Sender(resolve=hang, seconds=0.2).post(f"https://{NAME}/", b"", {})).failure is Failure.TIMED_OUT


async def test_a_head_without_end_is_given_up() -> None:
    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with server(pour) as (port, _):
        answer = await Sender(loopback=True).post(f"http://127.0.0.1:{port}/", b"{}", {})

    assert answer.failure is Failure.NO_HTTP


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH\r\n", b"\x00" * 100])
async def test_what_is_no_http_is_said_to_be_none(said: bytes) -> None:
    async with server(answering(said)) as (port, _):
        answer = await Sender(loopback=True).post(f"http://127.0.0.1:{port}/", b"{}", {})

    assert answer.failure is Failure.NO_HTTP


async def test_where_nobody_listens_the_next_address_is_tried(pki: "Pki") -> None:
    async with server(answering(OK), pki.server) as (port, _):
        sender = Sender(
            resolve=saying(["::1", "127.0.0.1"]), refusal=lambda _: None, ports=frozenset({port}), tls=pki.client
        )
        both = await sender.post(f"https://{NAME}:{port}/", b"{}", {})
    nobody = await sender.post(f"https://{NAME}:{port}/", b"{}", {})

    assert (both.status, nobody.failure) == (204, Failure.UNREACHABLE)


async def test_a_name_that_leads_nowhere_is_said_to() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError(host, port)

    assert (await Sender(resolve=unknown).post(f"https://{NAME}/", b"", {})).failure is Failure.NO_ADDRESS


async def test_the_systems_resolver_gives_addresses_in_numbers() -> None:
    sender = Sender()

    assert set(await sender._resolve("localhost", 443)) <= {"127.0.0.1", "::1"}
    with pytest.raises(OSError, match="no such name"):
        await sender._resolve("a" * 64 + ".example", 443)


# --- Arranging ---


def saying(addresses: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    async def resolve(host: str, port: int) -> Sequence[str]:
        assert host.isascii(), port
        return addresses

    return resolve


def answering(said: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    return answer


@asynccontextmanager
async def server(
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that reads a request and answers with bytes; its port and the requests it has read."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.partition(b":")[2])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                seen.append(head + await reader.readexactly(length))
                await answer(writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, host, port, ssl=tls)
    async with listening:
        yield listening.sockets[0].getsockname()[1], seen


class Pki(msgspec.Struct):
    """A certificate authority of the tests', and a server that it vouches for as NAME."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    names_asked: list[str]

    def sender(self, port: int) -> Sender:
        return Sender(resolve=saying(["127.0.0.1"]), refusal=lambda _: None, ports=frozenset({port}), tls=self.client)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority of the tests")])

    def certificate(subject: x509.Name, public: ec.EllipticCurvePublicKey, *more: x509.ExtensionType) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=3650))
            .not_valid_after(NOW + timedelta(days=3650))
        )
        for extension in more:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    known = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = certificate(issuer, authority_key.public_key(), x509.BasicConstraints(ca=True, path_length=None), known)
    own = certificate(
        x509.Name([]),
        key.public_key(),
        x509.SubjectAlternativeName([x509.DNSName(NAME)]),
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known),
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        own
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    asked: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.sni_callback = lambda _, name, __: asked.append(name)
    client = ssl.create_default_context(cadata=authority.decode())
    return Pki(context, client, asked)
