"""SQLAlchemy is as we rely on it below its public surface, where we tell of what a caller's commit kept.

Within `>=2.1,<3` nothing promises that an underscore name stays.
"""

from __future__ import annotations

import inspect

from sqlalchemy import Connection, RootTransaction, create_engine, text

from scheduler_app.store import after_commit, committing
from scheduler_app.store.sqlite import SQLite


def source(function: object) -> str:
    return inspect.getsource(function)  # type: ignore[arg-type]


def test_a_connection_commits_by_the_one_function_that_is_wrapped() -> None:
    assert committing._HOOK == "_commit_impl"
    assert str(inspect.signature(Connection._commit_impl)) == "(self) -> 'None'"
    assert "self.connection._commit_impl()" in source(RootTransaction._connection_commit_impl)
    assert "self._connection_commit_impl()" in source(RootTransaction._do_commit)
    assert "dialect.do_commit(self.connection)" in source(Connection._commit_impl)


def test_each_way_to_commit_is_told_of_once_and_leaves_the_connection_as_it_was() -> None:
    engine, told = create_engine("sqlite://"), []
    ways = (lambda c, _t: c.commit(), lambda _c, t: t.commit(), lambda _c, t: t.__exit__(None, None, None))
    with engine.connect() as connection:
        for number, commit in enumerate(ways):
            transaction = connection.begin()
            connection.execute(text("SELECT 1"))
            for _ in range(2):
                after_commit(connection, SQLite(connect_timeout=1), lambda number=number: told.append(number))
            assert told == sorted([*range(number)] * 2)
            commit(connection, transaction)
            assert "_commit_impl" not in vars(connection)
    assert told == [0, 0, 1, 1, 2, 2]
    engine.dispose()
