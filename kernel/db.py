"""PostgreSQL: the mapped base, one visible transaction per use case, and the company it may see.

Row-level security is the second wall behind the services' own checks. Each transaction says whom it serves (`Scope`);
without one, guarded tables refuse to be read at all.
"""

import enum
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass

from kernel.failpoints import Failpoint

APP_ROLE: Final = "tarifa_app"
OWNER_ROLE: Final = "tarifa_owner"

CONSTRAINT_NAMES: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """The mapped classes' base. Tables are made by migrations only; a test compares the two."""

    metadata = sa.MetaData(naming_convention=CONSTRAINT_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: sa.TIMESTAMP(timezone=True),
        dict[str, Any]: postgresql.JSONB,
        list[str]: postgresql.ARRAY(sa.Text),
        str: sa.Text,
        bytes: sa.LargeBinary,
        int: sa.BigInteger,
    }


def text_enum(kind: type[enum.StrEnum]) -> sa.Enum:
    """Column type of an enumeration: stored by value, as text. The migration writes the check constraint."""
    return sa.Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=None,
        values_callable=lambda members: [member.value for member in members],
    )


class Scope(msgspec.Struct, frozen=True):
    """Whom a transaction serves: what row-level security lets it see."""

    name: str
    company_id: uuid.UUID | None = None

    def settings(self) -> dict[str, str]:
        """What the policies of the database read."""
        return {"scope": self.name, "company": "" if self.company_id is None else str(self.company_id)}


def for_company(company_id: uuid.UUID) -> Scope:
    """Rows of one company, and rows of guests."""
    return Scope("company", company_id)


def for_visitor() -> Scope:
    """Rows of guests only."""
    return Scope("visitor")


def for_staff() -> Scope:
    """The merchant's own people: rows of every company."""
    return Scope("staff")


def for_accounts() -> Scope:
    """Log-in and sign-up, which must find a company before they know it: accounts tables of every company."""
    return Scope("accounts")


_SET_SCOPE = sa.text(
    "select set_config('tarifa.scope', :scope, true), set_config('tarifa.company', :company, true)",
)
_SET_READING = sa.text(
    "select set_config('tarifa.scope', :scope, true), set_config('tarifa.company', :company, true), "
    "set_config('transaction_read_only', 'on', true)",
)


class Database:
    """A pool of connections to one database, in the runtime role."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @classmethod
    def connect(cls, url: str, *, pool_size: int = 10, echo: bool = False) -> "Database":
        engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            echo=echo,
            hide_parameters=True,
            connect_args={"connect_timeout": 5, "options": "-c timezone=UTC -c lock_timeout=15s"},
        )
        return cls(engine)

    @asynccontextmanager
    async def begin(self, scope: Scope, point: Failpoint | None = None) -> AsyncIterator[AsyncSession]:
        """Open the use case's one transaction; it commits at the end of the block and rolls back on any exception.

        *point* is reached just before the commit, with everything flushed, and just after it.
        """
        async with self._sessions() as session:
            async with session.begin():
                await session.execute(_SET_SCOPE, scope.settings())
                yield session
                if point is not None:
                    await session.flush()
                    point.reach("before_commit")
            if point is not None:
                point.reach("after_commit")

    @asynccontextmanager
    async def reading(self, scope: Scope) -> AsyncIterator[AsyncSession]:
        """Open a transaction in which PostgreSQL refuses every write and lock: it has nothing to lose in a crash."""
        async with self._sessions() as session, session.begin():
            await session.execute(_SET_READING, scope.settings())
            yield session

    async def close(self) -> None:
        await self.engine.dispose()


def sqlalchemy_url(url: str) -> URL:
    """Return *url* with psycopg named as its driver, as SQLAlchemy wants it."""
    return make_url(url).set(drivername="postgresql+psycopg")


def libpq_url(url: str) -> str:
    """Return *url* without a driver, as psycopg itself wants it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
