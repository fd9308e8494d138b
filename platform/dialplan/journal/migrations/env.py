"""Run by Alembic, with the connection that journal/schema.py has opened and locked."""

from alembic import context

from dialplan.journal.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
