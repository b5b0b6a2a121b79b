"""What a demo may do and a shop that takes money may not."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.kernel.test_settings import GOOD
from tests.security.house import House
from tests.security.wire import ROOT, send
from web.app import create_app
from web.security import STRIPE_CHECKOUT, content_security_policy, payment_origin


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, ("SECRET_KEY", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "SIGNING_KEYRING", "BASE_URL", "SMTP_URL")),
        ({**GOOD, "STRIPE_API_KEY": "sk_test_abc"}, ("takes no test payments",)),
        ({**GOOD, "PORT": "eighty"}, ("PORT is 'eighty'; it must be a whole number",)),
    ],
)
def test_serve_refuses_what_production_must_not_run_on(
    tmp_path: Path, environment: dict[str, str], said: tuple[str, ...]
) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "web.cli", "serve"],
        cwd=ROOT,
        env={**kept, **environment, "TARIFA_MODE": "production", "VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    for sentence in said:
        assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir()), "nothing was begun"


async def test_what_is_only_for_a_demo_does_not_show(house: House) -> None:
    caller = await house.caller("admin")
    live = msgspec.structs.replace(
        house.services.settings,
        mode="production",
        base_url="https://shop.example",
        stripe_api_key="sk_live_x",
        stripe_api_base=None,
        smtp_url="smtp://mail.example",
    )
    app = create_app(msgspec.structs.replace(house.services, settings=live), background=False)
    for target in ("/", "/login", "/signup", "/cart", "/prices", "/documents", "/password-reset"):
        demo, page = await caller.get(target), await send(app, "GET", target)
        assert page.status == 200, target
        lower = page.text.lower()
        assert "4242" not in lower
        assert "test payment" not in lower
        assert "demo" not in lower, target
        assert "var/mail" not in lower
        assert f"form-action 'self' {STRIPE_CHECKOUT};" in page.header("content-security-policy")
        assert demo.header("content-security-policy") == content_security_policy(
            payment_origin(house.services.settings)
        )


async def test_no_page_offers_a_password_or_a_log_in(house: House) -> None:
    for target in ("/", "/login", "/desk"):
        page = await send(house.app, "GET", target)
        assert "@meridian.example" not in page.text.replace("help@meridian.example", "")
        assert "@acme.example" not in page.text


@pytest.mark.parametrize(
    "path", ["/schema", "/schema/openapi.json", "/docs", "/metrics", "/debug", "/.env", "/.git/config", "/admin",
             "/server-status", "/actuator/env", "/backup.sql", "/tarifa.sqlite", "/var/keyring.json", "/web/app.py"]
)  # fmt: skip
async def test_nothing_is_left_lying_about(house: House, path: str) -> None:
    assert (await send(house.app, "GET", path)).status == 404
