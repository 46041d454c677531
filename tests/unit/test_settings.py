import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.encoder.factory import ARTICLE_TOKENS
from stream_app.errors import SettingsError
from stream_app.settings import (
    KEPT_WITH_STATE,
    Settings,
    describe,
    fingerprint,
    load_settings,
    parsing,
)


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("KOL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = load_settings()
    assert (settings.broker, settings.app_id, settings.prefix) == ("127.0.0.1:9092", "kol", "")
    assert (settings.partitions, settings.preset, settings.exponents) == (8, "influence", None)
    assert (settings.half_life, settings.active_window) == (30 * 86_400, 90 * 86_400)
    assert settings.tiers == {"kol": 0.9}
    assert settings.weights == {
        "like": 1,
        "reply": 2,
        "repost": 3,
        "quote": 3,
        "save": 2,
        "view": 0,
        "mention": 1,
        "follow": 2,
    }
    assert (settings.post_memory, settings.interaction_memory) == (64, 64)
    assert (settings.leave_margin, settings.min_posts, settings.ranking_size) == (0.01, 1, 1_000)
    assert (settings.web_bind, settings.web_port, settings.web_token) == ("127.0.0.1", 6066, None)
    assert (settings.broker_timeout, settings.linger, settings.snapshot_interval) == (
        300,
        0.02,
        0.25,
    )
    assert settings.encoder == "openai-community/gpt2"
    assert settings.encoder_revision == "607a30d783dfa663caf39e06633721c8d4cfcd7e"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("5m", 300), ("12h", 43_200), ("7d", 604_800), ("1.5h", 5_400)],
)
def test_durations_carry_their_unit(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: float
) -> None:
    monkeypatch.setenv("KOL_HALF_LIFE", text)
    assert load_settings().half_life == seconds


@given(st.integers(1, 10**9))
def test_a_duration_survives_its_text(ms: int) -> None:
    assert parsing.duration(parsing.duration_text(ms / 1_000)) == ms / 1_000


BAD_VALUES = [
    ("KOL_HALF_LIFE", "30"),
    ("KOL_HALF_LIFE", "0d"),
    ("KOL_HALF_LIFE", "-3d"),
    ("KOL_HALF_LIFE", "1y"),
    ("KOL_HALF_LIFE", "99999d"),
    ("KOL_LINGER", "soon"),
    ("KOL_SESSION_TIMEOUT", "900ms"),
    ("KOL_SESSION_TIMEOUT", "61s"),
    ("KOL_SESSION_TIMEOUT", "soon"),
    ("KOL_PARTITIONS", "0"),
    ("KOL_PARTITIONS", "many"),
    ("KOL_PARTITIONS", "1.5"),
    ("KOL_PRESET", "fame"),
    ("KOL_WEIGHTS", "like"),
    ("KOL_WEIGHTS", "like=-1"),
    ("KOL_WEIGHTS", "like=nan"),
    ("KOL_WEIGHTS", "like=1,like=2"),
    ("KOL_WEIGHTS", "likes=1"),
    ("KOL_WEIGHTS", "like=" + "9" * 400),
    ("KOL_EXPONENTS", "attention=0"),
    ("KOL_EXPONENTS", "fame=1"),
    ("KOL_TIERS", "0.90"),
    ("KOL_TIERS", "kol=0"),
    ("KOL_TIERS", "kol=1"),
    ("KOL_TIERS", "kol=1.0"),
    ("KOL_TIERS", "kol=90"),
    ("KOL_TIERS", "kol=0.99,top=0.90"),
    ("KOL_TIERS", "kol=0.90,top=0.900"),
    ("KOL_TIERS", "kol=0.90,kol=0.99"),
    ("KOL_TIERS", "Kol=0.90"),
    ("KOL_TIERS", "kol=9e-1"),
    ("KOL_TIERS", "kol=0.99999999999999999999"),
    ("KOL_LEAVE_MARGIN", "-0.1"),
    ("KOL_LEAVE_MARGIN", "nan"),
    ("KOL_MIN_POSTS", "0"),
    ("KOL_MIN_POPULATION", "0"),
    ("KOL_BROKER", "http://a:1"),
    ("KOL_BROKER", "a:0"),
    ("KOL_BROKER", "a:70000"),
    ("KOL_APP_ID", "a b"),
    ("KOL_PREFIX", "a/"),
    ("KOL_PRECISION", "fp16"),
    ("KOL_MAX_TOKENS", "2000"),
    ("KOL_WEB_PORT", "99999"),
    ("KOL_WEB_ADVERTISE", "host"),
    ("KOL_LOG_LEVEL", "loud"),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_bad_value_is_one_line_with_name_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    said = refusal(monkeypatch, **{name: value})
    assert said.startswith(f"{name}: '{value}' is not allowed; it takes ")
    assert len(said) > len(f"{name}: '{value}' is not allowed; it takes ")


def test_every_bad_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, KOL_PARTITIONS="0", KOL_WEB_PORT="x")
    assert "KOL_PARTITIONS" in said
    assert "KOL_WEB_PORT" in said


def test_an_unknown_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = refusal(monkeypatch, KOL_HALFLIFE="30d")
    assert said.startswith("KOL_HALFLIFE: ")
    assert "did you mean KOL_HALF_LIFE?" in said


def test_an_unknown_variable_in_the_env_file_is_refused_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("OTHER=1\nKOL_BROKERS=a:1\n")
    assert "did you mean KOL_BROKER?" in refusal(monkeypatch)


def test_an_env_file_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_bytes(b"KOL_APP_ID=\xff\n")
    assert refusal(monkeypatch) == ".env: not UTF-8 text; save it as UTF-8"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOL_PARTITIONS", "")
    assert load_settings().partitions == 8


def test_options_win_over_the_environment_and_that_over_the_env_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("KOL_PARTITIONS=2\nKOL_MIN_POSTS=2\nKOL_WEB_PORT=2\n")
    monkeypatch.setenv("KOL_MIN_POSTS", "3")
    monkeypatch.setenv("KOL_WEB_PORT", "3")
    settings = load_settings(web_port=4, app_id=None)
    assert (settings.partitions, settings.min_posts, settings.web_port) == (2, 3, 4)
    sources = {row["name"]: row["source"] for row in describe(settings)}
    assert sources["KOL_PARTITIONS"] == ".env"
    assert sources["KOL_MIN_POSTS"] == "environment"
    assert sources["KOL_WEB_PORT"] == "option"
    assert sources["KOL_APP_ID"] == "default"


def test_an_option_nobody_knows_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="no such settings: porto"):
        load_settings(porto=1)


def test_settings_do_not_change_once_loaded() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().partitions = 4


def test_names_left_out_of_the_weights_keep_their_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOL_WEIGHTS", "like=5, view=0.01")
    weights = load_settings().weights
    assert (weights["like"], weights["view"], weights["repost"]) == (5, 0.01, 3)


def test_exponents_hold_only_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOL_EXPONENTS", "reach=0,text=.25")
    assert load_settings().exponents == {"reach": 0, "text": 0.25}


def test_tiers_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOL_TIERS", "kol=0.90,top=0.99")
    assert list(load_settings().tiers.items()) == [("kol", 0.9), ("top", 0.99)]


@pytest.mark.parametrize(
    ("quantile", "least"),
    [("0.90", 100), ("0.99", 1_000), ("0.999", 10_000), ("0.7", 34), ("0.5", 20), ("0.01", 11)],
)
def test_a_line_needs_ten_expected_members_counted_in_exact_decimals(
    monkeypatch: pytest.MonkeyPatch, quantile: str, least: int
) -> None:
    monkeypatch.setenv("KOL_TIERS", f"kol={quantile}")
    assert load_settings(leave_margin=0).least_population("kol") == least
    assert parsing.least_population(float(quantile)) == least


@given(st.integers(1, 9_999))
def test_the_least_population_is_the_smallest_that_fits(ten_thousandths: int) -> None:
    quantile = parsing.Quantile(f"0.{ten_thousandths:04}")
    n = parsing.least_population(quantile)
    rest = 1 - Fraction(ten_thousandths, 10_000)
    assert n * rest >= 10 > (n - 1) * rest


def test_a_stated_population_holds_for_every_tier() -> None:
    assert load_settings(min_population=7, tiers="a=0.5,b=0.9").least_population("b") == 7


def test_the_article_leaves_no_choice_of_precision_margin_window_or_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KOL_PRESET", "Article")
    monkeypatch.setenv("KOL_PRECISION", "bf16")
    monkeypatch.setenv("KOL_LAYERS", "3")
    Path(".env").write_text("KOL_MAX_TOKENS=16\n")
    settings = load_settings(leave_margin=0.05, active_window="5d")
    assert settings.layers == 0
    assert (settings.precision, settings.leave_margin, settings.active_window) == ("fp32", 0, None)
    assert settings.max_tokens == ARTICLE_TOKENS
    forced = {r["name"]: r["value"] for r in describe(settings) if r["source"] == "preset"}
    assert forced == {
        "KOL_PRECISION": "fp32",
        "KOL_LEAVE_MARGIN": 0,
        "KOL_ACTIVE_WINDOW": None,
        "KOL_MAX_TOKENS": ARTICLE_TOKENS,
        "KOL_LAYERS": 0,
    }


@pytest.mark.parametrize("preset", ["influence", "resonance", "volume"])
def test_other_presets_force_nothing(preset: str) -> None:
    settings = load_settings(preset=preset, leave_margin=0.05, max_tokens=16)
    assert (settings.leave_margin, settings.max_tokens) == (0.05, 16)
    assert "preset" not in {row["source"] for row in describe(settings)}


def test_the_article_takes_no_exponents(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, KOL_PRESET="article", KOL_EXPONENTS="reach=1")
    assert said.startswith("KOL_EXPONENTS: ")


def test_the_margin_stays_below_the_lowest_quantile(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, KOL_TIERS="kol=0.2", KOL_LEAVE_MARGIN="0.3")
    assert said.startswith("KOL_LEAVE_MARGIN: 0.3 ")


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.168.1.5", "kol.example.org"])  # noqa: S104 - read
def test_a_token_is_required_where_others_can_reach(
    monkeypatch: pytest.MonkeyPatch, bind: str
) -> None:
    assert refusal(monkeypatch, KOL_WEB_BIND=bind).startswith("KOL_WEB_TOKEN: required ")
    assert load_settings(web_token="t").web_bind == bind  # noqa: S106 - any


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_loopback_needs_no_token(bind: str) -> None:
    assert load_settings(web_bind=bind).web_token is None


def test_a_secret_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOL_WEB_TOKEN", "hush")
    settings = load_settings()
    assert "hush" not in f"{settings!r} {describe(settings)}"
    assert "not hush" not in refusal(monkeypatch, **{"KOL_WEB_TOKEN": "not hush"})


def test_a_pinned_revision_belongs_to_the_default_encoder_only() -> None:
    assert load_settings(encoder="bundled").encoder_revision is None
    assert load_settings(encoder_revision="abc").encoder_revision == "abc"


def test_brokers_without_a_port_have_kafka_s() -> None:
    assert load_settings(broker="a, b:1,[::1]:2").broker == "a:9092,b:1,[::1]:2"


def test_topics_carry_the_prefix() -> None:
    assert load_settings(prefix="test.").topic("posts") == "test.posts"


def test_every_setting_is_described_in_a_line() -> None:
    rows = describe(load_settings())
    assert [row["name"] for row in rows] == [
        f"KOL_{name.upper()}" for name in Settings.model_fields
    ]
    for row in rows:
        assert 10 < len(row["help"]) < 80
        assert "\n" not in row["help"]


def test_what_is_described_can_be_given_again() -> None:
    settings = load_settings(tiers="kol=0.90,top=0.995", half_life="36h", exponents="reach=0.5")
    rows = {row["name"].removeprefix("KOL_").lower(): row["value"] for row in describe(settings)}
    assert load_settings(**rows).model_dump() == settings.model_dump()


ENCODER = "the encoder's identity"
CHANGES = {
    "half_life": "5d",
    "weights": "like=3",
    "preset": "article",
    "post_memory": 10,
    "interaction_memory": 10,
}
IN_THE_ENCODERS_IDENTITY = {"encoder", "encoder_revision", "max_tokens", "layers", "precision"}
MAY_CHANGE = {
    "broker": "elsewhere:9092",
    "tiers": "kol=0.5",
    "leave_margin": 0.1,
    "exponents": "reach=1",
    "min_posts": 3,
    "active_window": "5d",
    "min_population": 3,
    "ranking_size": 10,
    "web_port": 1,
    "batch_size": 7,
    "device": "cpu",
}


@pytest.mark.parametrize(("name", "value"), CHANGES.items())
def test_what_gives_stored_numbers_another_meaning_is_in_the_fingerprint(
    name: str, value: object
) -> None:
    changed = load_settings(**{name: value})
    assert fingerprint(changed, ENCODER) != fingerprint(load_settings(), ENCODER)


def test_another_encoder_is_in_the_fingerprint_by_what_it_is_not_by_its_name() -> None:
    settings = load_settings()
    assert fingerprint(settings, "another") != fingerprint(settings, ENCODER)
    for changed in (load_settings(encoder="bundled"), load_settings(encoder_revision="abc")):
        assert fingerprint(changed, ENCODER) == fingerprint(settings, ENCODER)


@pytest.mark.parametrize(("name", "value"), MAY_CHANGE.items())
def test_what_may_change_at_any_time_is_not_in_the_fingerprint(name: str, value: object) -> None:
    changed = load_settings(**{name: value})
    assert fingerprint(changed, ENCODER) == fingerprint(load_settings(), ENCODER)


def test_presets_of_one_family_keep_the_same_numbers() -> None:
    by_preset = [
        fingerprint(load_settings(preset=name), ENCODER)
        for name in ("influence", "resonance", "volume")
    ]
    assert by_preset[0] == by_preset[1] == by_preset[2]


def test_the_settings_marked_as_kept_with_the_state_are_those_of_the_fingerprint() -> None:
    assert set(CHANGES) | IN_THE_ENCODERS_IDENTITY == KEPT_WITH_STATE
    assert not KEPT_WITH_STATE & set(MAY_CHANGE)


def test_a_setting_that_is_gone_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, KOL_STORE="rocksdb").startswith("KOL_STORE: no such setting")
