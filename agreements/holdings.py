"""What agreements hold of a person. Values and salts go; digests, commitments, acceptances and the tree stay."""
# ruff: noqa: S608 - the statements are made of constants of this file

import base64
from typing import Final

import msgspec

from accounts.personal_data import Holding, Room, Row
from accounts.privacy_model import RecordKind
from agreements.annexes import opened
from agreements.model import ActAnnex, Annex
from kernel.mail import ERASED_RECIPIENT
from kernel.signing import CannotDecrypt, Keyring

_THEIR_LEAVES: Final = (
    "(SELECT ledger_seq FROM acceptance WHERE actor_id = ANY (:people) UNION SELECT ledger_seq FROM acceptance_opening"
    " WHERE field = 'actor_id' AND value = ANY (CAST(:people AS text[]))"
    " UNION SELECT ledger_seq FROM package_signature WHERE person_id = ANY (:people)"
    " UNION SELECT executed_seq FROM signature_package WHERE created_by = ANY (:people)"
    " UNION SELECT ledger_seq FROM framework_agreement WHERE actor_id = ANY (:people))"
)
_THEIR_OPENINGS: Final = (
    f"(o.ledger_seq IN {_THEIR_LEAVES} OR lower(o.value) = ANY (:emails) OR EXISTS"
    " (SELECT 1 FROM signature_package k JOIN package_party p ON p.package_id = k.id"
    " WHERE k.executed_seq = o.ledger_seq AND o.field = 'party.' || p.position"
    " AND (p.person_id = ANY (:people) OR lower(p.email) = ANY (:emails))))"
)
"""Of rows that are theirs, their address wherever it was given, and who was to sign in what others signed with them."""
_HELD_LEAVES: Final = (
    "(SELECT ledger_seq FROM acceptance WHERE actor_id = ANY (:held_people)"
    " UNION ALL SELECT ledger_seq FROM package_signature WHERE person_id = ANY (:held_people)"
    " UNION ALL SELECT ledger_seq FROM framework_agreement WHERE actor_id = ANY (:held_people)"
    " UNION ALL SELECT k.executed_seq FROM signature_package k JOIN package_party p ON p.package_id = k.id"
    " WHERE k.executed_seq IS NOT NULL AND p.person_id = ANY (:held_people))"
)
_CUT_OFF: Final = "coalesce(CAST(CAST(:befores AS jsonb) ->> c.country AS timestamptz), :before)"


def room(keyring: Keyring) -> Room:
    """*keyring* decrypts what an export shows of the annex."""

    def reveal(row: Row) -> Row:
        given = {("recorded_at" if name == "since" else name): row[name] for name in row}
        try:
            sealed = opened(keyring, ActAnnex(**given) if "ledger_seq" in given else Annex(**given))
        except CannotDecrypt:
            return {"since": row["since"], "unreadable": base64.b64encode(bytes(row["ciphertext"])).decode()}
        annex = msgspec.json.decode(sealed, type=dict[str, str])["value"]
        return {"since": row["since"], **msgspec.json.decode(annex, type=dict[str, str])}

    return Room(
        holdings=(*_HOLDINGS, *(msgspec.structs.replace(each, reveal=reveal) for each in (_CONNECTIONS, _OF_ACTS))),
        emails=("SELECT lower(email) FROM package_party WHERE person_id = ANY (:people)",),
        unfinished=(
            (
                "SELECT DISTINCT 'package ' || k.id AS reference FROM signature_package k"
                " JOIN package_party p ON p.package_id = k.id"
                " WHERE k.closed_at IS NULL AND (p.person_id = ANY (:people) OR k.created_by = ANY (:people))"
            ),
        ),
        impersonal=_IMPERSONAL,
    )


_HOLDINGS: Final = (
    Holding(
        name="consents",
        table="consent",
        kind=RecordKind.CONSENT,
        says={"en": "Your consents, all withdrawn", "es": "Sus consentimientos, todos retirados"},
        rows="SELECT given_at AS since, purpose, statement FROM consent"
        " WHERE person_id = ANY (:people) AND withdrawn_at IS NULL",
        exported="SELECT given_at AS since, purpose, statement, withdrawn_at FROM consent"
        " WHERE person_id = ANY (:people)",
        erase=(
            (
                "UPDATE consent SET withdrawn_at = :now"
                " WHERE person_id = ANY (:people) AND withdrawn_at IS NULL AND given_at <= :before"
            ),
        ),
    ),
    Holding(
        name="declines",
        table="agreement_decline",
        kind=RecordKind.UNCONCLUDED,
        says={"en": "Your comments when you declined", "es": "Sus comentarios al rechazar"},
        rows="SELECT declined_at AS since, reason, comment FROM agreement_decline"
        " WHERE actor_id = ANY (:people) AND comment <> ''",
        erase=(
            (
                "UPDATE agreement_decline SET comment = ''"
                " WHERE actor_id = ANY (:people) AND comment <> '' AND declined_at <= :before"
            ),
        ),
        expire=(
            (
                "UPDATE agreement_decline d SET comment = '' FROM company c WHERE c.id = d.company_id"
                f" AND d.comment <> '' AND d.declined_at <= {_CUT_OFF} AND c.id <> ALL (:held)"
                " AND d.actor_id <> ALL (:held_people)"
            ),
        ),
    ),
    Holding(
        name="links-for-lawyers",
        table="legal_review",
        kind=RecordKind.UNCONCLUDED,
        says={"en": "Links you made for your lawyers", "es": "Enlaces que creó para sus abogados"},
        rows="SELECT created_at AS since, expires_at, opened_at FROM legal_review WHERE created_by = ANY (:people)",
        erase=("DELETE FROM legal_review WHERE created_by = ANY (:people) AND created_at <= :before",),
        expire=(
            (
                "DELETE FROM legal_review r USING company c WHERE c.id = r.company_id AND r.expires_at <= :now"
                f" AND r.created_at <= {_CUT_OFF} AND c.id <> ALL (:held) AND r.created_by <> ALL (:held_people)"
            ),
        ),
    ),
    Holding(
        name="unused-presentations",
        table="agreement_presentation",
        kind=RecordKind.UNCONCLUDED,
        says={
            "en": "What would tell you in agreements you were shown and did not accept",
            "es": "Lo que le identificaría en acuerdos que se le mostraron y no aceptó",
        },
        rows="SELECT issued_at AS since, locale, expires_at FROM agreement_presentation"
        " WHERE actor_id = ANY (:people) AND salts <> '{}'",
        erase=(
            (
                "UPDATE agreement_presentation SET salts = '{}'"
                " WHERE actor_id = ANY (:people) AND salts <> '{}' AND issued_at <= :before"
            ),
        ),
        expire=(
            (
                "UPDATE agreement_presentation p SET salts = '{}' FROM company c WHERE c.id = p.company_id"
                f" AND p.salts <> '{{}}' AND p.expires_at <= :now AND p.issued_at <= {_CUT_OFF} AND c.id <> ALL (:held)"
                " AND p.actor_id <> ALL (:held_people)"
            ),
        ),
    ),
    Holding(
        name="acceptance-values",
        table="acceptance_opening",
        kind=RecordKind.IDENTITY_EVIDENCE,
        says={
            "en": "Your name, e-mail, job title and delivery address in receipts",
            "es": "Su nombre, correo, cargo y dirección de entrega en los justificantes",
        },
        rows="SELECT l.recorded_at AS since, o.field, o.value FROM acceptance_opening o"
        f" JOIN acceptance_ledger l ON l.seq = o.ledger_seq WHERE {_THEIR_OPENINGS}",
        letters="SELECT a.id FROM acceptance a JOIN acceptance_ledger l ON l.seq = a.ledger_seq"
        f" WHERE a.ledger_seq IN {_THEIR_LEAVES} AND l.recorded_at <= :before",
        erase=(
            (
                "DELETE FROM acceptance_opening o USING acceptance_ledger l WHERE l.seq = o.ledger_seq"
                f" AND {_THEIR_OPENINGS} AND l.recorded_at <= :before"
            ),
            (
                "UPDATE acceptance_receipt r SET answer = split_part(r.answer, ' ', 1) FROM acceptance a"
                " WHERE a.id = r.acceptance_id AND a.actor_id = ANY (:people) AND r.recorded_at <= :before"
            ),
        ),
        expire=(
            (
                "DELETE FROM acceptance_opening o USING acceptance_ledger l, company c WHERE l.seq = o.ledger_seq"
                f" AND c.id = o.company_id AND l.recorded_at <= {_CUT_OFF} AND c.id <> ALL (:held)"
                f" AND l.seq NOT IN {_HELD_LEAVES}"
            ),
        ),
    ),
    Holding(
        name="package-parties",
        table="package_party",
        kind=RecordKind.IDENTITY_EVIDENCE,
        says={
            "en": "Your name and e-mail among those who sign a package, and the links sent to you",
            "es": "Su nombre y correo entre quienes firman un expediente, y los enlaces que se le enviaron",
        },
        rows="SELECT k.created_at AS since, p.role, p.name, p.email, p.signed_at FROM package_party p"
        " JOIN signature_package k ON k.id = p.package_id"
        " WHERE (p.person_id = ANY (:people) OR lower(p.email) = ANY (:emails))"
        f" AND p.email <> '{ERASED_RECIPIENT}'",
        erase=(
            (
                f"UPDATE package_party p SET name = '-', email = '{ERASED_RECIPIENT}' FROM signature_package k"
                " WHERE k.id = p.package_id AND k.created_at <= :before"
                " AND (p.person_id = ANY (:people) OR lower(p.email) = ANY (:emails))"
            ),
        ),
    ),
    Holding(
        name="package-comments",
        table="signature_package",
        also=("framework_agreement", "buying_policy"),
        kind=RecordKind.UNCONCLUDED,
        says={
            "en": "What you wrote when you closed a package, and your name in such notes",
            "es": "Lo que escribió al cerrar un expediente y su nombre en esas notas",
        },
        rows="SELECT created_at AS since, closing_comment FROM signature_package"
        " WHERE company_id = ANY (:companies) AND ((closed_by = ANY (:people) AND closing_comment <> '')"
        " OR (created_by = ANY (:people) AND salts <> '{}' AND closed_at IS NOT NULL)"
        " OR closing_comment ~* :named)",
        erase=(
            (
                "UPDATE signature_package SET closing_comment = '' WHERE company_id = ANY (:companies)"
                " AND ((closed_by = ANY (:people) AND closing_comment <> '') OR closing_comment ~* :named)"
                " AND created_at <= :before"
            ),
            (
                "UPDATE signature_package SET salts = '{}' WHERE created_by = ANY (:people) AND salts <> '{}'"
                " AND closed_at IS NOT NULL AND created_at <= :before"
            ),
            (
                "UPDATE framework_agreement SET end_note = regexp_replace(end_note, :named, :instead, 'gi')"
                " WHERE company_id = ANY (:companies) AND end_note ~* :named"
            ),
            "SELECT tarifa_forget_copies(:companies, :emails)",
        ),
    ),
    Holding(
        name="acceptances",
        table="acceptance",
        kind=RecordKind.CONTRACT,
        says={
            "en": "Acceptances and the ledger: digests that tell nobody who you are",
            "es": "Aceptaciones y libro de registro: huellas que no revelan quién es usted",
        },
        rows="SELECT accepted_at AS since, order_id, order_digest FROM acceptance WHERE actor_id = ANY (:people)",
    ),
)
_CONNECTIONS: Final = Holding(
    name="acceptance-connections",
    table="acceptance_annex",
    kind=RecordKind.CONNECTION_EVIDENCE,
    says={
        "en": "Internet address and browser of your acceptances",
        "es": "Dirección de Internet y navegador de sus aceptaciones",
    },
    rows="SELECT x.recorded_at AS since, x.acceptance_id, x.company_id, x.ciphertext, x.wrapped_key"
    " FROM acceptance_annex x"
    " JOIN acceptance a ON a.id = x.acceptance_id WHERE a.actor_id = ANY (:people)",
    erase=(
        (
            "DELETE FROM acceptance_annex x USING acceptance a WHERE a.id = x.acceptance_id"
            " AND a.actor_id = ANY (:people) AND x.recorded_at <= :before"
        ),
    ),
    expire=(
        (
            "DELETE FROM acceptance_annex x USING acceptance a, company c WHERE a.id = x.acceptance_id"
            f" AND c.id = x.company_id AND x.recorded_at <= {_CUT_OFF} AND c.id <> ALL (:held)"
            " AND a.actor_id <> ALL (:held_people)"
        ),
    ),
)
_OF_ACTS: Final = Holding(
    name="signature-connections",
    table="act_annex",
    kind=RecordKind.CONNECTION_EVIDENCE,
    says={
        "en": "Internet address and browser of your signatures with others and of framework agreements you accepted",
        "es": "Dirección de Internet y navegador de sus firmas junto con otros y de los acuerdos marco que aceptó",
    },
    rows="SELECT recorded_at AS since, ledger_seq, company_id, actor_id, ciphertext, wrapped_key FROM act_annex"
    " WHERE actor_id = ANY (:people)",
    erase=("DELETE FROM act_annex WHERE actor_id = ANY (:people) AND recorded_at <= :before",),
    expire=(
        (
            "DELETE FROM act_annex x USING company c WHERE c.id = x.company_id"
            f" AND x.recorded_at <= {_CUT_OFF} AND c.id <> ALL (:held) AND x.actor_id <> ALL (:held_people)"
        ),
    ),
)
_IMPERSONAL: Final = frozenset(
    {
        *("document", "document_version", "acceptance_ledger", "acceptance_ledger_tail", "acceptance_ledger_node"),
        *("acceptance_ledger_checkpoint", "acceptance_ledger_stamp", "acceptance_receipt"),
        *("document_draft", "document_draft_text", "document_review", "document_version_pdf", "document_rule"),
        *("country_profile", "agreement_act", "document_notice", "framework_order"),
        *("package_invitation", "package_signature", "selling_policy"),
    }
)
