"""The code of docs/guide/after-response.md does what the page says."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.wsgi import Exchange, written

PAGE = Path(__file__).parents[3] / "docs" / "guide" / "after-response.md"


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The code of the page, imported as a module beside a database of its own."""
    code = "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    (tmp_path / "after_response_guide.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    import after_response_guide  # type: ignore[import-not-found]

    yield after_response_guide
    del sys.modules["after_response_guide"]
    after_response_guide.app.extensions["scheduler"].store.close()


def test_the_page_works_as_it_stands(guide: ModuleType) -> None:
    guide.test_sign_up()
    Exchange(guide.app, "/risky", "POST").finish()
    written(guide.app)
    tasks = {(job.task, job.version) for job in guide.app.extensions["scheduler"].client.list()}
    assert tasks == {("after_response_guide:send_mail", 1), ("after_response_guide:alert", 1)}
