"""How Alembic runs: inside the transaction of the caller's connection, so it is whole or not at all."""

from alembic import context

from index.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
