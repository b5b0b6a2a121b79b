"""HTML pages: Jinja templates, in the reader's language, with money and dates written as they read them."""

import gzip
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_from_bytes

from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal, get_currency_symbol
from babel.support import Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from litestar import Response
from litestar.datastructures import Cookie
from markupsafe import Markup

from kernel.money import Money
from web.assets import asset_url
from web.buyers import CURRENCIES
from web.http import (
    LOCALES,
    AnyRequest,
    Html,
    is_htmx,
    language_cookie_name,
    locale_of,
    principal_of,
    services_of,
    session_token_of,
)
from web.labels import Labels
from web.security import form_token

TEMPLATES: Final = Path(__file__).parent / "templates"
LOCALE_DIR: Final = Path(__file__).parent / "locale"
HTML: Final = "text/html"
LANGUAGE_DAYS: Final = 365
VARY: Final = "Accept-Encoding, Accept-Language, Cookie, HX-Request, Sec-Fetch-Site"
COMPRESSION: Final = 4  # of gzip: a third of the time of the best, for a tenth more bytes


def page(
    request: AnyRequest,
    template: str,
    /,
    *,
    status: int = 200,
    cookies: list[Cookie] | None = None,
    headers: dict[str, str] | None = None,
    **context: Any,
) -> Html:
    """Render *template* for this request.

    Each template knows `principal`, `locale`, `form_token`, `test_payments`, `url_path` and `htmx` besides *context*.
    """
    locale = locale_of(request)
    services = services_of(request)
    jar = list(cookies or [])
    if request.query_params.get("lang") in LOCALES:
        jar.append(
            Cookie(
                key=language_cookie_name(services.settings),
                value=locale,
                path="/",
                secure=services.settings.https,
                samesite="lax",
                max_age=LANGUAGE_DAYS * 86400,
            )
        )
    text = (
        environment(locale)
        .get_template(template)
        .render(
            principal=principal_of(request),
            locale=locale,
            form_token=form_token(services.settings.secret_key, session_token_of(request)),
            test_payments=services.settings.test_payments,
            url_path=own_address(request),
            query=request.url.query,
            htmx=is_htmx(request),
            merchant=services.merchant,
            mail_folder=services.settings.smtp_url is None,
            agreement_news=request.scope["state"].get("agreement_news", ()),
            **{"cart_lines": request.scope["state"].get("cart_lines", 0), **context},
        )
    )
    body, encoding = _compressed(request, text.encode())
    return Response(
        body,
        status_code=status,
        media_type=HTML,
        cookies=jar,
        headers={"vary": VARY, "content-language": locale, **encoding, **(headers or {})},
    )


def _compressed(request: AnyRequest, body: bytes) -> tuple[bytes, dict[str, str]]:
    """Compress a page, unless somebody else's page made the browser ask for it.

    The length of a compressed answer tells about its content (BREACH): whoever can put text of theirs beside a secret,
    and see many lengths, can guess the secret. Requests they could provoke come from other sites, which browsers say.
    """
    ours = request.headers.get("sec-fetch-site") in {"same-origin", "none"}
    if not ours or request.method != "GET" or "gzip" not in request.headers.get("accept-encoding", ""):
        return body, {}
    return gzip.compress(body, COMPRESSION, mtime=0), {"content-encoding": "gzip"}


def own_address(request: AnyRequest) -> str:
    """The path of this page as a link on it: asked for as `//evil.example`, it must not lead there."""
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    return "/" + quote_from_bytes(raw.partition(b"?")[0].lstrip(b"/"), safe="/%:@!$'()*+,;=")


def redirect(
    path: str, *, cookies: list[Cookie] | None = None, headers: dict[str, str] | None = None
) -> Response[bytes]:
    """Lead the browser to *path* by a GET (303), after an act."""
    return Response(
        b"", status_code=303, media_type=HTML, cookies=cookies or [], headers={"location": path, **(headers or {})}
    )


@cache
def environment(locale: str) -> Environment:
    """Return the templates in one language. An undefined name is an error, never an empty place on a page."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    made.install_gettext_translations(translations(locale), newstyle=True)  # type: ignore[attr-defined] # by the extension
    made.globals.update(asset=asset_url, locales=LOCALES, currencies=CURRENCIES)
    names = labels(locale)
    made.filters.update(attribute=names.attribute, attribute_value=names.value, unit=names.unit)
    made.filters.update(
        money=money_text,
        unit_price=unit_price_text,
        quantity=quantity_text,
        day=day_text,
        instant=instant_text,
        localized=localized,
        percent=percent_text,
        slug=lambda text: re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-"),
    )
    return made


@cache
def translations(locale: str) -> NullTranslations | GNUTranslations:
    """Return the catalogue of one language, read from its .po file; English is the source."""
    if locale == "en":
        return NullTranslations()
    compiled = BytesIO()
    with (LOCALE_DIR / locale / "messages.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=locale))
    compiled.seek(0)
    return Translations(compiled)


@cache
def labels(locale: str) -> Labels:
    """Names of attributes and units in one language."""
    return Labels(translations(locale))


@pass_context
def money_text(context: Context, value: Money) -> Markup:
    """Write an amount with its currency, in a form that a narrow page never breaks."""
    text = format_currency(Decimal(value.decimal), value.currency, locale=context["locale"])
    return Markup('<span class="money">{}</span>').format(text)


@pass_context
def unit_price_text(context: Context, amount: str, currency: str) -> Markup:
    """Write a unit price: two decimals at least, and as many more as it has."""
    number = Decimal(amount)
    decimals = max(2, -int(number.normalize().as_tuple().exponent))
    locale = context["locale"]
    text = format_decimal(number, format="#,##0." + "0" * decimals, locale=locale, decimal_quantization=False)
    symbol = get_currency_symbol(currency, locale=locale)
    return Markup('<span class="money">{}</span>').format(f"{text} {symbol}" if locale == "es" else f"{symbol}{text}")


@pass_context
def quantity_text(context: Context, value: str | int | Decimal) -> str:
    return format_decimal(Decimal(str(value)), locale=context["locale"], decimal_quantization=False)


@pass_context
def percent_text(context: Context, value: str | Decimal) -> str:
    number = format_decimal(Decimal(str(value)), locale=context["locale"], decimal_quantization=False)
    return f"{number} %" if context["locale"] == "es" else f"{number}%"


@pass_context
def day_text(context: Context, value: date | datetime) -> str:
    return format_date(value, format="medium", locale=context["locale"])


@pass_context
def instant_text(context: Context, value: datetime) -> str:
    """Write an instant in UTC and say so."""
    utc = value.astimezone(UTC)
    return f"{format_date(utc, format='medium', locale=context['locale'])}, {utc:%H:%M:%S} UTC"


@pass_context
def localized(context: Context, names: dict[str, str]) -> str:
    """Return the text in the reader's language, or in English where it is missing."""
    return names.get(context["locale"]) or names.get("en") or next(iter(names.values()), "")
