"""What Stripe tells us. The body is verified as received, stored under its event's id, and handled by a job."""

from litestar import Response, post

from web.http import AnyRequest, services_of


@post("/webhooks/stripe", include_in_schema=False, summary="Stripe's events", status_code=204)
async def stripe_webhook(request: AnyRequest) -> Response[None]:
    """Store the event and answer. A refused one is a problem document with 400, so that Stripe shows it and retries."""
    await services_of(request).payments.receive_webhook(await request.body(), request.headers.get("stripe-signature"))
    return Response(None, status_code=204)
