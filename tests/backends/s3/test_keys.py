"""Names and keys: a bijection, whatever the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.backends.contract import Place
from s3sftp.backends.s3.keys import KeyMapping, reserved_prefix
from s3sftp.errors import InvalidRequest, NotFound, PermissionDenied

PREFIX = "tenants/acme/"
keys = KeyMapping(PREFIX)

_hostile = st.sampled_from(
    [b"\\", b"\n", b"\r", b"\x7f", b"\xff", b"\xef\x9c\x80", b"\xef\xbf\xbf", b"\xc3", b"e\xcc\x81"]
)
names = (
    st.lists(
        st.one_of(
            st.binary(max_size=6),
            _hostile,
            st.text(max_size=4).map(lambda t: t.encode("utf-8", "surrogatepass")),
        ),
        max_size=6,
    )
    .map(b"".join)
    .map(lambda raw: raw.replace(b"/", b"").replace(b"\0", b""))
    .filter(lambda raw: raw not in (b"", b".", b".."))
)
unicode_keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(names, st.booleans())
def test_a_name_comes_back_as_itself(name: bytes, escape: bool) -> None:
    mapping = KeyMapping(PREFIX, escape_backslash=escape)
    key = mapping.key_of(Place((name,)))
    assert key.startswith(PREFIX)
    assert mapping.name_of(key, PREFIX) == name


@given(names, names)
def test_two_names_never_share_a_key(one: bytes, other: bytes) -> None:
    assert (keys.text_of(one) == keys.text_of(other)) == (one == other)


@given(names)
def test_a_key_has_nothing_in_it_that_stores_rewrite_or_xml_cannot_carry(name: bytes) -> None:
    text = keys.text_of(name)
    assert "\\" not in text
    assert "/" not in text
    assert not any(ord(character) < 0x20 or character in "\x7f\ufffe\uffff" for character in text)
    text.encode("utf-8")


@given(unicode_keys)
def test_a_foreign_key_is_shown_under_the_name_that_reaches_it_or_not_at_all(text: str) -> None:
    name = keys.name_of(PREFIX + text, PREFIX)
    if name is not None:
        assert keys.key_of(Place((name,))) == PREFIX + text.removesuffix("/")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain.txt", "plain.txt"),
        ("caf\u00e9 \u65e5\U0001f600".encode(), "caf\u00e9 \u65e5\U0001f600"),
        (b"caf\xe9", "caf\uf7e9"),
        (b"a\\b", "a\uf75cb"),
        (b"a\nb", "a\uf70ab"),
        ("\uf7e9".encode(), "\uf7ef\uf79f\uf7a9"),
        (b"+ %41#?&\"'*<>", "+ %41#?&\"'*<>"),
    ],
)
def test_the_mapping_is_what_the_documentation_says(name: bytes, text: str) -> None:
    assert keys.text_of(name) == text


def test_a_backslash_stays_when_that_is_wanted() -> None:
    assert KeyMapping(escape_backslash=False).text_of(b"a\\b") == "a\\b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a/b",
        "/a",
        "a//",
        "a\\b",
        "a\nb",
        "\uf761",
        "\uf7c3\uf7a9",
        "\uf72f",
        "\uf700",
        "\uf72e\uf72e",
    ],
)
def test_a_key_that_no_name_leads_to_has_no_name(text: str) -> None:
    assert keys.name_of(PREFIX + text, PREFIX) is None


def test_a_key_of_another_prefix_has_no_name() -> None:
    assert keys.name_of("tenants/acme2/a", PREFIX) is None


def test_the_root_is_the_prefix() -> None:
    assert keys.prefix_of(Place()) == PREFIX
    assert KeyMapping("").prefix_of(Place()) == ""
    assert keys.prefix_of(Place((b"a", b"b"))) == PREFIX + "a/b/"


def test_a_key_has_at_most_1024_bytes_with_its_prefix() -> None:
    longest = b"\xc3\xa9" * ((1024 - len(PREFIX)) // 2)
    room = 1024 - len(PREFIX) - len(longest)
    fits = Place((longest + b"x" * room,))
    assert len(keys.key_of(fits).encode()) == 1024
    with pytest.raises(InvalidRequest, match="1024 bytes"):
        keys.key_of(Place((longest + b"x" * (room + 1),)))
    with pytest.raises(InvalidRequest, match="1024 bytes"):
        keys.prefix_of(fits)


def test_the_name_of_the_server_itself_is_reserved_at_the_top_alone() -> None:
    ours, below, elsewhere = Place((b".s3sftp",)), Place((b".s3sftp", b"a")), Place((b"a", b".s3sftp"))
    for place in (ours, below):
        with pytest.raises(NotFound):
            keys.key_of(place)
        with pytest.raises(NotFound):
            keys.prefix_of(place)
        with pytest.raises(PermissionDenied):
            keys.refuse_to_make(place)
    keys.refuse_to_make(elsewhere)
    keys.refuse_to_make(Place())
    assert keys.key_of(elsewhere) == PREFIX + "a/.s3sftp"
    assert reserved_prefix(PREFIX) == PREFIX + ".s3sftp/"


@pytest.mark.parametrize(
    ("key", "is_ours"),
    [
        (".s3sftp", True),
        (".s3sftp/", True),
        (".s3sftp//", False),
        (".s3sftp2", False),
        ("a/.s3sftp", False),
        (".S3SFTP", False),
    ],
)
def test_a_line_of_a_listing_may_be_the_servers_own(key: str, is_ours: bool) -> None:
    assert keys.is_reserved(PREFIX + key) is is_ours
    assert not keys.is_reserved(key)


def test_without_a_prefix_keys_are_names() -> None:
    assert KeyMapping().key_of(Place((b"a", b"b"))) == "a/b"
    assert KeyMapping().text_of(b"a\\b") == "a\uf75cb"


def test_a_slash_at_the_end_of_a_key_is_a_directorys_and_none_is_before_the_name() -> None:
    assert [keys.name_of(PREFIX + text, PREFIX) for text in ("a", "a/", "/a/", "a//")] == [
        b"a",
        b"a",
        None,
        None,
    ]
