"""The cart and the quick order."""

from uuid import UUID

from litestar import get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts.principal import Principal, PrincipalKind
from checkout.carts import CartFull, CartLineUnknown, CurrencyFixed, QuantityRefused, SkuUnknown, UnitUnknown
from checkout.quoted import QuoteVoid
from checkout.states import State
from pricing.quotes import SignedQuoteNotFound
from web.buyers import CURRENCIES, currency_cookie_name, currency_of
from web.countries import country_options
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, safe_next, services_of, session_cookie
from web.pages import page, redirect
from web.sentences import refusal_sentence, sentence, sentence_of

LINE_REFUSALS = (SkuUnknown, UnitUnknown, QuantityRefused, CartFull, CartLineUnknown)
CURRENCY_DAYS = 365


@get("/cart", include_in_schema=False, summary="The cart")
async def cart_page(request: AnyRequest) -> Html:
    return await show_cart(request)


@post("/cart/lines", include_in_schema=False, summary="Add to the cart")
async def add_line(request: AnyRequest) -> Html:
    form, services = await read_form(request), services_of(request)
    principal, cookies = await stored(request)
    sku, quantity, unit = form.get("sku"), form.get("quantity", "1"), form.get("unit") or None
    try:
        await services.carts.add(principal, sku=sku, quantity=quantity, unit=unit)
    except LINE_REFUSALS as error:
        errors = {"quick-sku": f"{sku[:64]}: {sentence(error, locale_of(request))}"}
        values = {"quick-sku": sku, "quick-quantity": quantity}
        return await show_cart(request, principal, errors=errors, values=values, status=422, cookies=cookies)
    return redirect("/cart", cookies=cookies)


@post("/cart/lines/{position:int}", include_in_schema=False, summary="Change a line's quantity")
async def change_line(request: AnyRequest, position: FromPath[int]) -> Html:
    form, services = await read_form(request), services_of(request)
    quantity = form.get("quantity")
    try:
        await services.carts.change(principal_of(request), position, quantity)
    except LINE_REFUSALS as error:
        errors = {f"quantity-{position}": sentence(error, locale_of(request))}
        return await show_cart(request, errors=errors, values={f"quantity-{position}": quantity}, status=422)
    return redirect(f"/cart#line-{position}")


@post("/cart/lines/{position:int}/removal", include_in_schema=False, summary="Take a line out")
async def remove_line(request: AnyRequest, position: FromPath[int]) -> Html:
    try:
        await services_of(request).carts.remove(principal_of(request), position)
    except CartLineUnknown:
        return redirect("/cart")  # another tab was quicker: it is gone, as wanted
    return redirect("/cart")


@post("/cart/currency", include_in_schema=False, summary="See prices in another currency")
async def choose_currency(request: AnyRequest) -> Html:
    form, services = await read_form(request), services_of(request)
    chosen = form.get("currency")
    target = safe_next(form.get("next"), "/cart")
    if chosen not in CURRENCIES or principal_of(request).company is not None:
        return redirect(target)
    principal, cookies = await stored(request)
    await services.carts.choose_currency(principal, chosen)
    kept = Cookie(
        key=currency_cookie_name(request),
        value=chosen,
        path="/",
        max_age=CURRENCY_DAYS * 86400,
        secure=services.settings.https,
        samesite="lax",
    )
    return redirect(target, cookies=[*cookies, kept])


@post("/cart/quote", include_in_schema=False, summary="Order by a signed quote")
async def take_quote(request: AnyRequest) -> Html:
    """The quote's lines take the place of those in the cart."""
    form, services = await read_form(request), services_of(request)
    number = form.get("quote").strip()
    try:
        await services.carts.take_quote(principal_of(request), _quote_id(number))
    except (*LINE_REFUSALS, SignedQuoteNotFound, QuoteVoid, CurrencyFixed) as error:
        errors = {"signed-quote": sentence(error, locale_of(request))}
        return await show_cart(request, errors=errors, values={"signed-quote": number[:64]}, status=422)
    return redirect("/cart")


@post("/cart/quote/removal", include_in_schema=False, summary="Order a quote's lines at today's prices")
async def drop_quote(request: AnyRequest) -> Html:
    await services_of(request).carts.drop_quote(principal_of(request))
    return redirect("/cart")


@get("/quick-order", include_in_schema=False, summary="Order by pasted list")
async def quick_order_page(request: AnyRequest) -> Html:
    return page(request, "shop/quick_order.html", report=None, errors=[], text="")


@post("/quick-order", include_in_schema=False, summary="Order by pasted list")
async def quick_order(request: AnyRequest) -> Html:
    """Good lines go into the cart; bad ones stay in the box with what is wrong, so that only those are mended."""
    form = await read_form(request)
    principal, cookies = await stored(request)
    report = await services_of(request).carts.paste(principal, form.raw("list"))
    if not report.errors and report.added:
        return redirect("/cart", cookies=cookies)
    locale = locale_of(request)
    errors = [(error.text, sentence_of(error.problem, error.message, error.params, locale)) for error in report.errors]
    return page(
        request,
        "shop/quick_order.html",
        status=422 if errors else 200,
        report=report,
        errors=errors,
        text="\n".join(error.text for error in report.errors),
        cookies=cookies,
    )


HANDLERS: list[ControllerRouterHandler] = [
    cart_page,
    add_line,
    change_line,
    remove_line,
    choose_currency,
    take_quote,
    drop_quote,
    quick_order_page,
    quick_order,
]


async def stored(request: AnyRequest) -> tuple[Principal, list[Cookie]]:
    """Who asks, with a session behind them: a visitor gets one now, because something of theirs must be kept."""
    principal, services = principal_of(request), services_of(request)
    if principal.session_id is not None or principal.kind is not PrincipalKind.VISITOR:
        return principal, []
    opened = await services.accounts.start_visitor_session(principal.visitor_id)
    currency = currency_of(request)
    if currency != CURRENCIES[0]:
        await services.carts.choose_currency(opened.principal, currency)
    return opened.principal, [session_cookie(services.settings, opened.token)]


def _quote_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise SignedQuoteNotFound("The number of a quote is the id in its document.") from None


async def show_cart(
    request: AnyRequest,
    principal: Principal | None = None,
    *,
    errors: dict[str, str] | None = None,
    values: dict[str, str] | None = None,
    status: int = 200,
    cookies: list[Cookie] | None = None,
) -> Html:
    """The cart as priced now, with what is wrong beside each line."""
    services, locale = services_of(request), locale_of(request)
    who = principal or principal_of(request)
    cart = await services.carts.priced(who)
    checkout = None if who.company is None or not cart.lines else await services.checkouts.find(who)
    if cart.lines:
        services.journey.note("priced", journey=who.visitor_id, page="cart", lines=len(cart.lines))
    if errors:
        services.journey.note("error_shown", journey=who.visitor_id, step="cart", fields=sorted(errors))
    return page(
        request,
        "shop/cart.html",
        status=status,
        cookies=cookies,
        cart=cart,
        cart_lines=len(cart.lines),
        waits=checkout is not None and checkout.state is not State.OPEN,
        errors=errors or {},
        values=values or {},
        refusals={line.position: refusal_sentence(line.refused, locale) for line in cart.lines if line.refused},
        country=dict(country_options(locale)).get(cart.country, cart.country),
        step="cart",
    )
