"""Files of tokens."""

from __future__ import annotations

import pytest

from s3sftp.admin.api_tokens import ApiToken, BadTokens, find_token, parse_tokens

A, B = "a" * 32, "b" * 40


def test_each_line_is_a_token_with_a_name_and_what_it_may() -> None:
    text = f"# two\n\n{A}\n next.one {B} read-only # soon\n"
    assert parse_tokens(text) == (ApiToken("admin", A), ApiToken("next.one", B, read_only=True))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is no token"),
        ("# none\n", "there is no token"),
        ("short\n", "line 1: the token has 5 characters"),
        (f"{A}\nops {'b' * 31}\n", "line 2: the token has 31 characters"),
        (f"o/s {A}\n", "line 1: the name"),
        (f"ops {A} readonly\n", "line 1: should be TOKEN"),
        (f"ops {'ä' * 32}\n", "line 1: the token should consist of"),
        (f"{A}\nops {A}\n", "a token is there twice"),
    ],
)
def test_a_line_that_is_no_token_is_told_without_the_token(text: str, told: str) -> None:
    with pytest.raises(BadTokens, match=told) as caught:
        parse_tokens(text)
    assert "bbb" not in str(caught.value)


def test_only_the_whole_token_is_found_and_no_token_is_shown() -> None:
    tokens = parse_tokens(f"ops {A}\n")
    assert find_token(tokens, A) is tokens[0]
    for wrong in ("", A[:-1], A + "a", A.upper(), "ä\udcff"):
        assert find_token(tokens, wrong) is None
    assert A not in repr(tokens)
