"""The letter about a material version, in English and Spanish: what changed word by word, from when, what to do."""

from collections.abc import Sequence
from datetime import UTC
from html import escape
from typing import Final

from agreements.compare import Passage, as_text
from agreements.model import DocumentVersion
from kernel.mail import Mail

DIFF_MOST: Final = 20_000
"""Characters of the comparison in a letter; the page behind the link has all of it."""
_SUBJECT: Final = {
    "en": "{title}: version {label} holds from {day}",
    "es": "{title}: la versión {label} rige desde el {day}",
}
_OPENING: Final = {
    "en": "A new version of a document that your company has agreed to was published: {title} v{label}. It changes "
    "what the parties owe each other and holds from {instant}. Earlier orders keep their version.",
    "es": "Se ha publicado una nueva versión de un documento que su empresa aceptó: {title} v{label}. Cambia las "
    "obligaciones de las partes y rige desde el {instant}. Los pedidos anteriores conservan su versión.",
}
_ACT: Final = {
    "en": "You need not do anything now. With the first order after that day we ask you to agree to it.",
    "es": "Ahora no tiene que hacer nada. Con el primer pedido posterior a esa fecha le pediremos que la acepte.",
}
_FRAMEWORK: Final = {
    "en": "From that day your framework agreement covers no more orders by your programs. To go on without a break, "
    "have a signatory accept the new version on that day: {url}",
    "es": "Desde esa fecha su acuerdo marco ya no cubre los pedidos de sus programas. Para continuar sin interrupción, "
    "un firmante debe aceptar la nueva versión ese día: {url}",
}
_READ: Final = {
    "en": "The whole text: {text}\nWhat changed: {changes}",
    "es": "El texto completo: {text}\nQué ha cambiado: {changes}",
}
_CHANGED: Final = {
    "en": "What changed since version {since}; [-removed-], [+added+]:",
    "es": "Qué ha cambiado desde la versión {since}; [-eliminado-], [+añadido+]:",
}
_MORE: Final = {
    "en": "There is more: see the page above.",
    "es": "Hay más: consulte la página indicada arriba.",
}


def notice_mail(
    to: str,
    locale: str,
    version: DocumentVersion,
    *,
    since: str | None,
    passages: Sequence[Passage],
    framework: bool,
    base_url: str,
) -> Mail:
    """The letter `document_notice`. *since*: the label that the company agreed to last; *framework*: it has one."""
    at = version.effective_at.astimezone(UTC)
    day = f"{at:%d/%m/%Y}" if locale == "es" else f"{at:%Y-%m-%d}"
    address = f"{base_url}/documents/{version.document.code}/{version.label}/{version.locale}"
    changes = f"{address}/changes" + ("" if since is None else f"?since={since}")
    values = {"title": version.title, "label": version.label, "day": day, "instant": f"{day} {at:%H:%M} UTC"}
    parts = [_OPENING[locale].format(**values)]
    if version.change_note:
        parts.append(version.change_note)
    parts.append(_FRAMEWORK[locale].format(url=f"{base_url}/account/agreements") if framework else _ACT[locale])
    parts.append(_READ[locale].format(text=address, changes=changes))
    shown, cut = _cut(passages)
    told = [_CHANGED[locale].format(since=since)] if shown else []
    rest = [_MORE[locale]] if cut else []
    return Mail(
        to=to,
        subject=_SUBJECT[locale].format(**values),
        text="\n\n".join([*parts, *told, *([as_text(shown)] if shown else []), *rest]) + "\n",
        html=_page(locale, [*parts, *told], shown, rest),
        kind="document_notice",
    )


def _cut(passages: Sequence[Passage]) -> tuple[Sequence[Passage], bool]:
    length = 0
    for place, passage in enumerate(passages):
        length += sum(len(piece.text) for piece in passage.pieces)
        if length > DIFF_MOST:
            return passages[:place], True
    return passages, False


def _page(locale: str, before: Sequence[str], passages: Sequence[Passage], after: Sequence[str]) -> str:
    forms = {"same": "{}", "added": "<ins>{}</ins>", "removed": "<del>{}</del>"}
    body = [f"<p>{escape(part).replace(chr(10), '<br>')}</p>" for part in before]
    for passage in passages:
        if passage.under:
            body.append(f"<h2>{escape(passage.under)}</h2>")
        text = "".join(forms[piece.op].format(escape(piece.text)) for piece in passage.pieces)
        body.append(f"<p>{text.replace(chr(10), '<br>')}</p>")
    body += [f"<p>{escape(part)}</p>" for part in after]
    return f'<!doctype html><html lang="{locale}"><meta charset="utf-8"><body>{"".join(body)}</body></html>\n'
