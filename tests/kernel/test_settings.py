"""Production refuses whatever a demo may run on."""

import pytest

from kernel.settings import Settings, SettingsError

GOOD = {
    "TARIFA_MODE": "production",
    "SECRET_KEY": "k" * 40,
    "STRIPE_API_KEY": "sk_live_abc",
    "STRIPE_WEBHOOK_SECRET": "whsec_abc",
    "SIGNING_KEYRING": "keyring.json",
    "BASE_URL": "https://shop.example",
    "SMTP_URL": "smtp://mail.example",
}


def test_a_demo_needs_no_setting_at_all() -> None:
    settings = Settings.from_environment({})

    assert settings.mode == "demo"
    assert settings.test_payments
    assert settings.base_url == "http://127.0.0.1:8000"


def test_production_starts_when_everything_is_set() -> None:
    settings = Settings.from_environment(GOOD)

    assert settings.production
    assert not settings.test_payments


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SECRET_KEY", "", "SECRET_KEY"),
        ("SECRET_KEY", "short", "SECRET_KEY"),
        ("STRIPE_API_KEY", "", "STRIPE_API_KEY"),
        ("STRIPE_API_KEY", "sk_test_abc", "test payments"),
        ("STRIPE_API_BASE", "http://127.0.0.1:8001", "STRIPE_API_BASE"),
        ("STRIPE_WEBHOOK_SECRET", "", "STRIPE_WEBHOOK_SECRET"),
        ("SIGNING_KEYRING", "", "SIGNING_KEYRING"),
        ("BASE_URL", "http://shop.example", "https://"),
        ("SMTP_URL", "", "SMTP_URL"),
        ("WEBHOOKS_TO_LOOPBACK", "on", "WEBHOOKS_TO_LOOPBACK"),
    ],
)
def test_production_refuses_each_default(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Settings.from_environment({**GOOD, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "0"),
        ("PORT", "70000"),
        ("PRICE_LEAD_TIME", "soon"),
        ("PRICE_APPROVAL", "no"),
        ("PRICE_SECOND_APPROVAL_PERCENT", "much"),
        ("PRICE_SECOND_APPROVAL_PERCENT", "-1"),
        ("PRICE_SECOND_APPROVAL_SKUS", "many"),
        ("PRICE_SECOND_APPROVAL_MARGIN", "100"),
        ("WEBHOOKS_TO_LOOPBACK", "yes"),
        ("CAPTURE_LATER_FROM", "5000"),
        ("CAPTURE_LATER_FROM", "5000 EURO"),
        ("CAPTURE_LATER_FROM", "-1 EUR"),
        ("CAPTURE_LATER_FROM", "5000 EUR, 1 EUR"),
        ("TARIFA_MODE", "staging"),
    ],
)
def test_an_unusable_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: value})


def test_a_colleague_approves_prices_in_production_and_where_it_is_asked_for() -> None:
    assert Settings.from_environment(GOOD).price_approval
    assert not Settings.from_environment({}).price_approval
    assert not Settings.from_environment({**GOOD, "PRICE_APPROVAL": "off"}).price_approval
    assert Settings.from_environment({"PRICE_APPROVAL": "required"}).price_approval


def test_a_second_approver_is_asked_for_by_thresholds_that_need_a_first() -> None:
    thresholds = {
        "PRICE_SECOND_APPROVAL_PERCENT": "12.50",
        "PRICE_SECOND_APPROVAL_SKUS": "0",
        "PRICE_SECOND_APPROVAL_MARGIN": "-5",
    }
    settings = Settings.from_environment({**thresholds, "PRICE_APPROVAL": "required"})

    assert settings.second_approval_percent == "12.5"
    assert (settings.second_approval_skus, settings.second_approval_margin) == (0, "-5")
    assert not Settings.from_environment(GOOD).second_approval
    with pytest.raises(SettingsError, match="PRICE_APPROVAL=required"):
        Settings.from_environment(thresholds)


def test_secrets_never_show_in_the_text_form() -> None:
    settings = Settings.from_environment(GOOD)

    assert "sk_live" not in repr(settings)
    assert "kkkk" not in str(settings)


def test_two_webhook_secrets_are_accepted_while_one_is_rolled() -> None:
    settings = Settings.from_environment({"STRIPE_WEBHOOK_SECRET": "whsec_old, whsec_new"})

    assert settings.stripe_webhook_secrets == ("whsec_old", "whsec_new")
