"""Settings of Faust that follow ours."""

import pytest

from stream_app.engine.faust_app import create_faust_app
from stream_app.settings import load_settings


@pytest.mark.parametrize(("session", "heartbeat"), [(10, 1), (60, 1), (3, 0.5)])
def test_a_worker_is_heard_several_times_in_a_session(session: float, heartbeat: float) -> None:
    conf = create_faust_app(load_settings(session_timeout=session), "http://127.0.0.1:6066").conf
    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (session, heartbeat)
    assert conf.broker_request_timeout > conf.broker_session_timeout
