"""The letter that says that an address is told nothing any more; plain text, which any mail reader shows."""

from typing import Final

from accounts.webhooks.model import EndpointState, WebhookEndpoint
from kernel.mail import Mail

_TEXTS: Final = {
    "en": (
        "Webhooks to {host} are switched off",
        """Hello {name},

we have stopped sending webhooks to

{url}

{reason} Its last answer: {last}.

What was not delivered is kept for 30 days. When the address works again, switch it on with
PATCH {base_url}/api/v1/webhook-endpoints/{endpoint_id} and ask for what it missed with
POST {base_url}/api/v1/webhook-endpoints/{endpoint_id}/replay
""",
        {
            EndpointState.FAILING: "For days it has not taken a single message.",
            EndpointState.GONE: "It answered 410, which asks us never to call it again.",
        },
    ),
    "es": (
        "Los webhooks a {host} están desactivados",
        """Hola, {name}:

hemos dejado de enviar webhooks a

{url}

{reason} Su última respuesta: {last}.

Lo que no se entregó se guarda 30 días. Cuando la dirección vuelva a funcionar, actívela con
PATCH {base_url}/api/v1/webhook-endpoints/{endpoint_id} y pida lo que le falta con
POST {base_url}/api/v1/webhook-endpoints/{endpoint_id}/replay
""",
        {
            EndpointState.FAILING: "Desde hace días no ha aceptado ningún mensaje.",
            EndpointState.GONE: "Respondió 410, que pide no volver a llamarla nunca.",
        },
    ),
}


def endpoint_off(*, to: str, name: str, locale: str, endpoint: WebhookEndpoint, last: str, base_url: str) -> Mail:
    subject, text, reasons = _TEXTS["es" if locale == "es" else "en"]
    values = {
        "name": name,
        "host": endpoint.url.split("/")[2],
        "url": endpoint.url,
        "endpoint_id": str(endpoint.id),
        "reason": reasons[endpoint.state],
        "last": last,
        "base_url": base_url,
    }
    return Mail(to=to, subject=subject.format(**values), text=text.format(**values), kind="webhooks_off")
