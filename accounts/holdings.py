"""What accounts and the kernel hold of a person: the account itself comes last, for all else is found by it."""
# ruff: noqa: S608 - the statements are made of constants of this file

from typing import Final

from accounts.personal_data import ERASED_NAME, Holding, Room
from accounts.privacy_model import RecordKind

_FIRST: Final = (
    Holding(
        name="journeys",
        table="journey_event",
        kind=RecordKind.JOURNEY,
        says={"en": "Events of your visits", "es": "Eventos de sus visitas"},
        rows="SELECT at AS since, name, properties FROM journey_event WHERE journey = ANY (:journeys)",
        erase=("SELECT tarifa_forget_journeys(:journeys, :before)",),
        expire=(
            (
                "SELECT tarifa_forget_journeys((SELECT array_agg(DISTINCT journey) FROM journey_event"
                " WHERE at <= :before AND journey <> ALL (:held_journeys)), :before) WHERE :before IS NOT NULL"
            ),
        ),
    ),
    Holding(
        name="letters",
        table="outgoing_mail",
        kind=RecordKind.LETTER,
        says={"en": "Letters to you", "es": "Mensajes enviados a usted"},
        rows="SELECT queued_at AS since, kind, subject, text, sent_at FROM outgoing_mail"
        " WHERE recipient = ANY (:emails)",
        letters="SELECT id FROM outgoing_mail WHERE recipient = ANY (:emails)",
        erase=(
            (
                "UPDATE outgoing_mail SET recipient = '', subject = '', text = '', html = NULL, headers = NULL,"
                " sent_at = coalesce(sent_at, :now), answer = coalesce(split_part(answer, ' ', 1), 'not sent: erased')"
                " WHERE recipient = ANY (:emails) AND queued_at <= :before"
            ),
        ),
        expire=(
            (
                "UPDATE outgoing_mail SET recipient = '', subject = '', text = '', html = NULL, headers = NULL"
                " WHERE queued_at <= :before AND sent_at IS NOT NULL AND recipient <> ''"
                " AND recipient <> ALL (:held_emails)"
            ),
        ),
    ),
    Holding(
        name="letters-to-others",
        table="outgoing_mail",
        kind=RecordKind.LETTER,
        says={"en": "Letters to others that name you", "es": "Mensajes a otras personas que le nombran"},
        rows="SELECT queued_at AS since, kind, subject FROM outgoing_mail WHERE recipient <> ALL (:emails)"
        " AND concat(subject, ' ', text, ' ', html) ~* :named",
        letters="SELECT id FROM outgoing_mail WHERE recipient <> ALL (:emails)"
        " AND concat(subject, ' ', text, ' ', html) ~* :named",
        erase=(
            (
                "UPDATE outgoing_mail SET subject = regexp_replace(subject, :named, :instead, 'gi'),"
                " text = regexp_replace(text, :named, :instead, 'gi'),"
                " html = regexp_replace(html, :named, :instead, 'gi')"
                " WHERE recipient <> ALL (:emails) AND concat(subject, ' ', text, ' ', html) ~* :named"
                " AND queued_at <= :before"
            ),
        ),
    ),
)

_LAST: Final = (
    Holding(
        name="data-exports",
        table="data_export",
        kind=RecordKind.DATA_EXPORT,
        says={"en": "Copies of your data that you asked for", "es": "Copias de sus datos que usted pidió"},
        rows="SELECT asked_at AS since, ready_at, size FROM data_export WHERE person_id = ANY (:people)",
        erase=("DELETE FROM data_export WHERE person_id = ANY (:people) AND asked_at <= :before",),
        expire=("DELETE FROM data_export WHERE expires_at <= :now AND person_id <> ALL (:held_people)",),
    ),
    Holding(
        name="codes-and-invitations",
        table="one_time_token",
        kind=RecordKind.ACCOUNT,
        says={"en": "Codes and invitations to your address", "es": "Códigos e invitaciones a su dirección"},
        rows="SELECT created_at AS since, purpose, email FROM one_time_token WHERE email = ANY (:emails)"
        " OR (person_id = ANY (:people) AND purpose <> 'invitation')",
        erase=(
            (
                "DELETE FROM one_time_token WHERE (email = ANY (:emails)"
                " OR (person_id = ANY (:people) AND purpose <> 'invitation')) AND created_at <= :before"
            ),
        ),
    ),
    Holding(
        name="sessions",
        table="session",
        kind=RecordKind.SESSION,
        says={"en": "Browsers in which you are logged in", "es": "Navegadores con su sesión abierta"},
        rows="SELECT created_at AS since, seen_at, expires_at FROM session WHERE person_id = ANY (:people)",
        erase=("DELETE FROM session WHERE person_id = ANY (:people) AND created_at <= :before",),
    ),
    Holding(
        name="api-keys",
        table="api_key",
        kind=RecordKind.ACCOUNT,
        says={"en": "API keys you made", "es": "Claves de API creadas por usted"},
        rows="SELECT created_at AS since, key_id, name, scopes FROM api_key WHERE name <> '-'"
        " AND (created_by = ANY (:people) OR company_id = :whole_company)",
        erase=(
            (
                "UPDATE api_key SET revoked_at = coalesce(revoked_at, :now), name = '-'"
                " WHERE (created_by = ANY (:people) OR company_id = :whole_company) AND created_at <= :before"
            ),
        ),
    ),
    Holding(
        name="webhook-addresses",
        table="webhook_endpoint",
        kind=RecordKind.ACCOUNT,
        says={"en": "Webhook addresses that name you", "es": "Direcciones de webhook que le nombran"},
        rows="SELECT created_at AS since, url, description FROM webhook_endpoint WHERE company_id = :whole_company"
        " OR (company_id = ANY (:companies) AND concat(url, ' ', description) ~* :named)",
        erase=(
            (
                "UPDATE webhook_endpoint SET description = regexp_replace(description, :named, :instead, 'gi')"
                " WHERE company_id = ANY (:companies) AND created_at <= :before"
            ),
            (
                "DELETE FROM webhook_endpoint WHERE (company_id = :whole_company"
                " OR (company_id = ANY (:companies) AND url ~* :named)) AND created_at <= :before"
            ),
        ),
    ),
    Holding(
        name="certificate-notes",
        table="exemption_certificate",
        kind=RecordKind.ACCOUNT,
        says={
            "en": "Notes on your company's exemption certificates that name you",
            "es": "Notas sobre los certificados de exención de su empresa que le nombran",
        },
        rows="SELECT reviewed_at AS since, number, review_note FROM exemption_certificate"
        " WHERE company_id = ANY (:companies) AND review_note ~* :named",
        erase=(
            (
                "UPDATE exemption_certificate SET review_note = regexp_replace(review_note, :named, :instead, 'gi')"
                " WHERE company_id = ANY (:companies) AND review_note ~* :named AND reviewed_at <= :before"
            ),
        ),
    ),
    Holding(
        name="memberships",
        table="membership",
        kind=RecordKind.ACCOUNT,
        says={"en": "What you may do for your company", "es": "Lo que puede hacer por su empresa"},
        rows="SELECT m.created_at AS since, c.name AS company, m.role, m.signatory, m.job_title FROM membership m"
        " JOIN company c ON c.id = m.company_id WHERE m.person_id = ANY (:people)",
        erase=("DELETE FROM membership WHERE person_id = ANY (:people) AND created_at <= :before",),
    ),
    Holding(
        name="account",
        table="person",
        kind=RecordKind.ACCOUNT,
        says={"en": "Your name, e-mail address and password", "es": "Su nombre, correo electrónico y contraseña"},
        rows="SELECT created_at AS since, name, email, locale, email_verified_at FROM person"
        " WHERE id = ANY (:people) AND erased_at IS NULL",
        erase=(
            (
                f"UPDATE person SET name = '{ERASED_NAME}', email = id || '@erased.invalid', password_hash = '-',"
                " email_verified_at = NULL, erased_at = :now"
                " WHERE id = ANY (:people) AND erased_at IS NULL AND created_at <= :before"
            ),
        ),
    ),
)

FIRST: Final = Room(
    holdings=_FIRST,
    companies=("SELECT company_id FROM membership WHERE person_id = ANY (:people)",),
    journeys=("SELECT visitor_id FROM session WHERE person_id = ANY (:people)",),
    emails=("SELECT email FROM person WHERE id = ANY (:people) AND erased_at IS NULL",),
    impersonal=frozenset(
        {
            *("alembic_version", "merchant", "company", "segment_change", "attempt_counter", "api_call"),
            *("staff_key", "staff_key_call", "webhook_message", "webhook_attempt", "webhook_told"),
            *("retention_period", "legal_hold", "erasure_plan", "erasure_step"),
            *("procrastinate_jobs", "procrastinate_events", "procrastinate_workers", "procrastinate_periodic_defers"),
        }
    ),
)
"""What is found by names and addresses that the account still holds."""
LAST: Final = Room(holdings=_LAST)
