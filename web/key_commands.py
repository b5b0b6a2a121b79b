"""What `bin/tarifa keys` does. It opens the keyring itself: one that may not sign any more must still be mended."""

import argparse
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec

from agreements import keys
from kernel.clock import SystemClock
from kernel.db import Database
from kernel.log import configure_logging
from kernel.settings import Settings
from kernel.signing import KEPT, SOON, Keyring, PublicKey, Purpose
from web.cli import FOUND, CommandFailed
from web.command_parts import end_progress, say_progress, write
from web.serve import prepare_environment
from web.services import ledger_origin


async def list_keys(arguments: argparse.Namespace) -> int:
    """Every key with its dates; found is a key that signs and ends soon."""
    now = SystemClock().now()
    found = _keyring(Settings.from_environment()).all_keys()
    if arguments.json:
        write(msgspec.json.encode([{**keys.published(key), "state": _state(key, now)} for key in found]))
    else:
        for key in found:
            ends = key.retired or key.not_after
            until = "          " if ends is None else f"{ends:%Y-%m-%d}"
            print(f"{key.purpose.value:12}  {key.id:30}  {key.created:%Y-%m-%d} to {until}  {_state(key, now)}")
    return FOUND if any(_state(key, now) in {"ends soon", "ended"} for key in found) else 0


async def rotate_key(arguments: argparse.Namespace) -> int:
    """Exchange the key of one purpose, and print the one that signs now."""
    purposes = {purpose.value: purpose for purpose in Purpose if purpose not in KEPT}
    if arguments.purpose not in purposes:
        raise CommandFailed(
            f"There is no key of {arguments.purpose!r} to exchange; name one of: {', '.join(purposes)}."
        )
    configure_logging(level="WARNING")
    prepare_environment(Settings.from_environment(), os.environ)
    settings = Settings.from_environment()
    async with _database(settings) as db:
        new = await keys.rotate(
            db,
            SystemClock(),
            _keyring(settings),
            settings.signing_keyring,
            purposes[arguments.purpose],
            origin=ledger_origin(settings),
            life=timedelta(days=arguments.days),
            progress=lambda wrapped: say_progress(f"{wrapped:,} annexes wrapped anew"),
        )
    end_progress()
    _print_new(keys.published(new))
    return 0


def _print_new(told: dict[str, Any]) -> None:
    print(f"{told['id']} signs from now on." if "public_key" in told else f"{told['id']} encrypts from now on.")
    if "public_key" in told:
        print(f"{told['algorithm']} public key: {told['public_key']}")
    print("Copy the keyring to where its copy is kept; tell who keeps our public keys.", file=sys.stderr)


def _state(key: PublicKey, now: datetime) -> str:
    if key.announced:
        return "announced: run `keys rotate` again to finish"
    if key.retired is not None:
        return "retired"
    if key.not_after is None or key.not_after - now > SOON:
        return "active"
    return "ends soon" if key.not_after > now else "ended"


def _keyring(settings: Settings) -> Keyring:
    if settings.production:
        return Keyring.read(settings.signing_keyring)
    return Keyring.from_settings(settings, now=SystemClock().now())


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    assert settings.database_url is not None, "prepare_environment names one"
    db = Database.connect(settings.database_url, pool_size=2)
    try:
        yield db
    finally:
        await db.close()
