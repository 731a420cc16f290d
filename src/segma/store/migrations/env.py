"""What Alembic runs to bring the tables of a project to another revision.

`segma.store.database.upgrade` hands in the connection; there is no alembic.ini.
"""

from __future__ import annotations

from alembic import context

from segma.store.schema import Table


def migrate() -> None:
    """Run the revisions on the connection of the configuration, inside one transaction."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Table.metadata,
        render_as_batch=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic runs this file; elsewhere there is no context
    migrate()
