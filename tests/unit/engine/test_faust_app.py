"""Settings of Faust that follow ours."""

from typing import Any

import pytest

from stream_app.engine.faust_app import create_faust_app, create_user_table
from stream_app.settings import load_settings


@pytest.mark.parametrize(("session", "heartbeat"), [(10, 0.5), (60, 0.5), (1.5, 0.25)])
def test_a_worker_is_heard_several_times_in_a_session(session: float, heartbeat: float) -> None:
    conf = create_faust_app(load_settings(session_timeout=session), "http://127.0.0.1:6066").conf
    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (session, heartbeat)
    assert conf.broker_request_timeout > conf.broker_session_timeout


MIB = 1024 * 1024


@pytest.mark.parametrize("partitions", [1, 8, 64])
def test_rocksdbs_memory_is_one_budget_over_all_partitions(partitions: int) -> None:
    settings = load_settings(partitions=partitions)
    options = create_user_table(create_faust_app(settings, "http://127.0.0.1:6066"), settings)
    given: Any = options.options
    assert given["block_cache_size"] * partitions == 64 * MIB
    assert given["write_buffer_size"] * partitions == 32 * MIB
