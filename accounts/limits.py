"""How often somebody may knock: by account and by socket address, counted in the database for all workers together."""

import ipaddress
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from kernel.errors import DomainError


class Limit(msgspec.Struct, frozen=True):
    """At most *count* attempts in a *window*, which begins with the first of them."""

    kind: str
    count: int
    window: timedelta


LOG_IN_BY_ACCOUNT: Final = Limit("log_in_account", 10, timedelta(minutes=15))
"""960 guesses a day at one password; an owner who mistypes waits a quarter of an hour at most."""
LOG_IN_BY_ADDRESS: Final = Limit("log_in_address", 50, timedelta(minutes=15))
"""A whole office stands behind one address; right log-ins are not counted."""
SIGN_UP_BY_ADDRESS: Final = Limit("sign_up_address", 20, timedelta(hours=1))
MAIL_BY_ACCOUNT: Final = Limit("mail_account", 5, timedelta(hours=1))
"""Codes and reset links to one mailbox."""
MAIL_BY_ADDRESS: Final = Limit("mail_address", 30, timedelta(hours=1))
CODE_BY_ACCOUNT: Final = Limit("code_account", 20, timedelta(days=1))
"""20 guesses a day at one of a million codes."""
INVITATIONS_BY_COMPANY: Final = Limit("invitation_company", 50, timedelta(days=1))
LONGEST_WINDOW: Final = timedelta(days=1)


@lru_cache(maxsize=4096)
def network(address: str) -> str:
    """What counts as one place: an IPv4 address, or an IPv6 one's /64 network, which one caller owns whole."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.IPv6Network((ip, 64), strict=False))


class TooManyAttempts(DomainError):
    """`retry_at` is when the next attempt counts afresh."""

    problem = "too-many-attempts"
    status = 429
    title = "Too many attempts"

    def __init__(self, retry_at: datetime, now: datetime) -> None:
        seconds = max(1, int((retry_at - now).total_seconds()))
        minutes = -(-seconds // 60)
        super().__init__(
            f"Too many attempts. Try again in {minutes} {'minute' if minutes == 1 else 'minutes'}.",
            retry_at=retry_at.isoformat(),
            retry_after_seconds=seconds,
        )
        self.retry_at = retry_at
        self.retry_after_seconds = seconds
