"""Somebody else's clock on our heads: RFC 3161 stamps of checkpoints, where TIMESTAMP_URL names who gives them.

A stamp is asked for after the fact, by a job: no order ever waits for one, and a stamping authority that is slow, down
or wrong costs stamps, not orders. What cannot be verified is not kept.
"""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import structlog
from cryptography import x509
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, VerificationError, VerifierBuilder
from rfc3161_client import decode_timestamp_response as decoded

from agreements import store
from agreements.model import LedgerCheckpoint, LedgerStamp
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.failpoints import Failpoint

log = structlog.get_logger(__name__)
ASK: Final = Failpoint("agreements.stamp.ask", call=True)
KEEP: Final = Failpoint("agreements.stamp.keep")
TIMEOUT_SECONDS: Final = 5.0
AT_ONCE: Final = 5
"""How many heads one run asks for."""
WORTH_ASKING: Final = timedelta(days=1)
"""A stamp says when a head was there at the latest; of older ones, a newer head's says nearly as much."""
ANSWER_LARGEST: Final = 64 * 1024


class StampRefused(Exception):
    """The authority gave no stamp that holds; the message says why."""


class Stamps:
    """Asks *url* for stamps, and keeps those that the *trusted* certificates vouch for. Without *url*, does nothing."""

    def __init__(self, db: Database, clock: Clock, *, url: str | None, trusted: tuple[x509.Certificate, ...]) -> None:
        self._db = db
        self._clock = clock
        self._url = url
        self._trusted = trusted

    async def run(self) -> int:
        """Stamp the newest heads that have no stamp yet; how many were stamped."""
        if self._url is None:
            return 0
        async with self._db.reading(for_staff()) as session:
            since = self._clock.now() - WORTH_ASKING
            heads = await store.list_unstamped(session, since, AT_ONCE)
        done = 0
        for head in heads:
            try:
                await self._stamp(self._url, head)
            except (StampRefused, httpx.HTTPError, TimeoutError) as refused:
                reason = str(refused) or type(refused).__name__
                log.warning("a checkpoint was not stamped", authority=self._url, size=head.size, reason=reason)
                break  # the next run asks again
            done += 1
        return done

    async def _stamp(self, url: str, head: LedgerCheckpoint) -> None:
        note = head.note.encode()
        request = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
        ASK.reach("before_call")
        answer = await _asked(url, request.as_bytes())
        ASK.reach("after_call")
        try:
            stamp = decoded(answer)
            builder = VerifierBuilder.from_request(request)
            for certificate in self._trusted:
                builder = builder.add_root_certificate(certificate)
            builder.build().verify_message(stamp, note)
        except (ValueError, VerificationError) as wrong:
            raise StampRefused(f"not a stamp that holds: {wrong}") from wrong
        stamped_at: datetime = stamp.tst_info.gen_time
        async with self._db.begin(for_staff(), KEEP) as session:
            if await session.get(LedgerStamp, head.size) is None:
                session.add(
                    LedgerStamp(
                        size=head.size,
                        authority=url,
                        answer=answer,
                        stamped_at=stamped_at,
                        received_at=self._clock.now(),
                    )
                )


async def _asked(url: str, query: bytes) -> bytes:
    """The authority's answer, in five seconds or not at all.

    :raises StampRefused: when it is no answer
    :raises TimeoutError: when it takes longer; httpx.HTTPError when it cannot be reached
    """
    headers = {"content-type": "application/timestamp-query", "accept": "application/timestamp-reply"}
    async with (
        asyncio.timeout(TIMEOUT_SECONDS),
        httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client,
        client.stream("POST", url, content=query, headers=headers) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise StampRefused(f"it answered {response.status_code}")
        answer = b""
        async for part in response.aiter_bytes():
            answer += part
            if len(answer) > ANSWER_LARGEST:
                raise StampRefused("its answer is too long to be a stamp")
        return answer


def certificates(path: Path | None) -> tuple[x509.Certificate, ...]:
    """Those of a PEM file.

    :raises OSError: when it cannot be read; ValueError when it holds none
    """
    return () if path is None else tuple(x509.load_pem_x509_certificates(path.read_bytes()))
