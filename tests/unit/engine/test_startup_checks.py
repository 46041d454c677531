"""The program refuses to run on a Faust it was not measured with."""

from typing import Any

import faust
import pytest
from faust import streams

from stream_app.engine.faust_app import SafeApp, create_faust_app, create_user_table
from stream_app.engine.startup_checks import FAUST_VERSION, check_faust
from stream_app.errors import UsageError
from stream_app.settings import load_settings


@pytest.fixture(scope="module")
def repaired() -> tuple[SafeApp, Any]:
    settings = load_settings()
    app = create_faust_app(settings, "http://127.0.0.1:6066")
    return app, create_user_table(app, settings)


def test_our_app_on_the_pinned_faust_passes(repaired: tuple[SafeApp, Any]) -> None:
    check_faust(*repaired)
    assert faust.__version__ == FAUST_VERSION


def test_another_version_of_faust_is_refused(
    repaired: tuple[SafeApp, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faust, "__version__", "0.15.4")
    with pytest.raises(UsageError, match=f"needs exactly {FAUST_VERSION}"):
        check_faust(*repaired)


def test_faust_without_its_c_extension_is_refused(
    repaired: tuple[SafeApp, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_CStreamIterator", None)
    with pytest.raises(UsageError, match="C extension"):
        check_faust(*repaired)


def test_an_app_without_our_repairs_is_refused(repaired: tuple[SafeApp, Any]) -> None:
    app, table = repaired
    stock: Any = faust.App("stock", broker="aiokafka://127.0.0.1:1", store="memory://")
    with pytest.raises(UsageError, match="without the engine's repairs"):
        check_faust(stock, table)
    with pytest.raises(UsageError, match="without the engine's repairs"):
        check_faust(app, stock.Table("users"))
