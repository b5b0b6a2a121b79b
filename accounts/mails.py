"""The letters of the accounts room, in the reader's language; plain text, which any mail reader shows."""

from typing import Final
from urllib.parse import quote

from kernel.mail import Mail

INVITATION_PATH: Final = "/invitation"
RESET_PATH: Final = "/password-reset"

_TEXTS: Final = {
    ("email_code", "en"): (
        "Your code: {code}",
        """Hello {name},

your code is {code}

Type it into the page you came from. It works for {minutes} minutes. If you did not ask for it, ignore this letter:
nobody can use your address without the code.
""",
    ),
    ("email_code", "es"): (
        "Su código: {code}",
        """Hola, {name}:

su código es {code}

Escríbalo en la página de la que viene. Es válido durante {minutes} minutos. Si no lo ha pedido, no haga caso de este
mensaje: sin el código nadie puede usar su dirección.
""",
    ),
    ("password_reset", "en"): (
        "Choose a new password",
        """Hello {name},

open this page to choose a new password:
{link}

It works once, for {minutes} minutes. If you did not ask for it, ignore this letter: your password stays as it is.
""",
    ),
    ("password_reset", "es"): (
        "Elija una contraseña nueva",
        """Hola, {name}:

abra esta página para elegir una contraseña nueva:
{link}

Funciona una sola vez, durante {minutes} minutos. Si no lo ha pedido, no haga caso de este mensaje: su contraseña no
cambia.
""",
    ),
    ("password_changed", "en"): (
        "Your password was changed",
        """Hello {name},

your password was changed just now and every other session of yours was ended.

If it was not you, choose a new one at once: {link}
""",
    ),
    ("password_changed", "es"): (
        "Su contraseña ha cambiado",
        """Hola, {name}:

su contraseña acaba de cambiar y todas sus demás sesiones se han cerrado.

Si no ha sido usted, elija otra cuanto antes: {link}
""",
    ),
    ("invitation", "en"): (
        "{inviter} invites you to order for {company}",
        """Hello,

{inviter} invites you to work with the account of {company} in our shop:
{link}

The link works once, for {days} days. If you do not know {inviter}, ignore this letter.
""",
    ),
    ("invitation", "es"): (
        "{inviter} le invita a comprar para {company}",
        """Hola:

{inviter} le invita a trabajar con la cuenta de {company} en nuestra tienda:
{link}

El enlace funciona una sola vez, durante {days} días. Si no conoce a {inviter}, no haga caso de este mensaje.
""",
    ),
}


def email_code(*, to: str, name: str, locale: str, code: str, minutes: int) -> Mail:
    return _mail("email_code", to, locale, name=name, code=code, minutes=minutes)


def password_reset(*, to: str, name: str, locale: str, base_url: str, token: str, minutes: int) -> Mail:
    return _mail(
        "password_reset", to, locale, name=name, link=f"{base_url}{RESET_PATH}?token={quote(token)}", minutes=minutes
    )


def password_changed(*, to: str, name: str, locale: str, base_url: str) -> Mail:
    return _mail("password_changed", to, locale, name=name, link=f"{base_url}{RESET_PATH}")


def invitation(*, to: str, inviter: str, company: str, locale: str, base_url: str, token: str, days: int) -> Mail:
    link = f"{base_url}{INVITATION_PATH}?token={quote(token)}"
    return _mail("invitation", to, locale, inviter=inviter, company=company, link=link, days=days)


def _mail(kind: str, to: str, locale: str, **values: str | int) -> Mail:
    subject, text = _TEXTS[kind, locale]
    return Mail(to=to, subject=subject.format(**values), text=text.format(**values), kind=kind)
