"""Keys as partners send them: understood, or named with the command that converts. By real tools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import asyncssh
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3sftp.auth import AuthOptions, ConfiguredUsers, UserOptions, log_account_problems, read_logins
from s3sftp.auth.authorized_keys import FoundKeys, KeyProblem, keys_in
from s3sftp.errors import ConfigurationError
from tests.support.commands import installed
from tests.support.logs import capture_events

ED25519 = asyncssh.generate_private_key("ssh-ed25519")
ECDSA = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
RSA = asyncssh.generate_private_key("ssh-rsa", key_size=3072)
KEYS = {"ed25519": ED25519, "ecdsa": ECDSA, "rsa": RSA}


def line(key: asyncssh.SSHKey, comment: str = "partner") -> str:
    return f"{' '.join(key.export_public_key().decode().split()[:2])} {comment}"


def private_file(key: asyncssh.SSHKey, directory: Path) -> Path:
    file = directory / "key"
    key.write_private_key(str(file))
    file.chmod(0o600)
    (directory / "key.pub").write_text(line(key) + "\n")
    return file


def tool(*command: str) -> bytes:
    return subprocess.run([installed(command[0]), *command[1:]], capture_output=True, check=True).stdout


def only(found: FoundKeys) -> bytes:
    """The one key, without a problem."""
    assert not found.problems, found.problems
    (key,) = found.keys
    return key.public_data


def problem(content: str | bytes, file: str = "FILE") -> KeyProblem:
    """The one problem, without a key."""
    found = keys_in(content, file)
    assert not found.keys
    (only_one,) = found.problems
    return only_one


@pytest.mark.parametrize(
    ("kind", "style"),
    [
        (kind, style)
        for kind in KEYS
        for style in ("RFC4716", "PKCS8", "PEM")
        if (kind, style) not in {("ed25519", "PKCS8"), ("ed25519", "PEM")}
    ],
)
def test_what_ssh_keygen_exports_is_understood(tmp_path: Path, kind: str, style: str) -> None:
    file = private_file(KEYS[kind], tmp_path)
    exported = tool("ssh-keygen", "-e", "-m", style, "-f", f"{file}.pub")
    assert only(keys_in(exported)) == KEYS[kind].public_data


@pytest.mark.parametrize("kind", list(KEYS))
def test_what_puttygen_and_openssl_export_is_understood(tmp_path: Path, kind: str) -> None:
    file = private_file(KEYS[kind], tmp_path)
    for style in ("public", "public-openssh"):
        tool("puttygen", str(file), "-O", style, "-o", f"{file}.{style}")
        assert only(keys_in((tmp_path / f"key.{style}").read_bytes())) == KEYS[kind].public_data
    pem = KEYS[kind].export_private_key("pkcs8-pem")
    (tmp_path / "pem").write_bytes(pem)
    exported = tool("openssl", "pkey", "-in", str(tmp_path / "pem"), "-pubout")
    assert only(keys_in(exported)) == KEYS[kind].public_data


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_every_encoding_that_an_editor_or_a_shell_writes_is_understood(encoding: str) -> None:
    """PowerShell's `>` writes UTF-16, and Notepad a byte-order mark."""
    text = f"{line(ED25519, 'jürgen')}\r\n{line(RSA)}  \t\r\n"
    found = keys_in(text.encode(encoding))
    assert [key.public_data for key in found.keys] == [ED25519.public_data, RSA.public_data]
    assert not found.problems


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_any_line_ends_blanks_and_headers_are_understood(ends: str) -> None:
    body = line(RSA).split()[1]
    wrapped = [body[at : at + 70] for at in range(0, len(body), 70)]
    lines = [
        "# from the partner",
        "---- BEGIN SSH2 PUBLIC KEY ---- ",
        'Comment: "a comment that goes \\',
        'on in the next line"',
        "x-command: /bin/true",
        *(f"{each}  " for each in wrapped),
        "---- END SSH2 PUBLIC KEY ----",
        "",
        f"\t{line(ED25519)}\xa0",
        line(ECDSA).replace(" ", "\t"),
    ]
    found = keys_in(ends.join(lines))
    assert not found.problems
    assert [key.public_data for key in found.keys] == [
        RSA.public_data,
        ED25519.public_data,
        ECDSA.public_data,
    ]


def test_a_key_without_its_type_or_wrapped_by_a_mail_program_is_understood() -> None:
    kind, body, *_ = line(RSA).split()
    wrapped = "\n".join([f"{kind} {body[:76]}", *(body[at : at + 76] for at in range(76, len(body), 76))])
    found = keys_in(f"{body}\n{wrapped}\n{line(ED25519)}\n")
    assert not found.problems
    assert [key.public_data for key in found.keys] == [RSA.public_data] * 2 + [ED25519.public_data]


@pytest.mark.parametrize("kind", list(KEYS))
@pytest.mark.parametrize("behind_type", [" ", "\n", " \r\n"], ids=["", "break behind the type", "CRLF"])
@pytest.mark.parametrize("comment", ["", " root@host", " J. Doe, 2024"])
@pytest.mark.parametrize("width", [30, 76])
def test_a_wrapped_key_may_have_a_comment_behind_its_last_part(
    kind: str, behind_type: str, comment: str, width: int
) -> None:
    name, body, *_ = line(KEYS[kind]).split()
    width = min(width, len(body) - 10)
    parts = [body[at : at + width] for at in range(0, len(body), width)]
    newline = "\r\n" if "\r" in behind_type else "\n"
    wrapped = f"{name}{behind_type}{newline.join(parts)}{comment}{newline}"
    for before, behind in (("", ""), ("", line(ECDSA)), (line(ECDSA) + "\n", "restrict " + line(ECDSA))):
        found = keys_in(before + wrapped + behind)
        assert not found.problems
        others = [ECDSA.public_data]
        expected = others * bool(before) + [KEYS[kind].public_data] + others * bool(behind)
        assert [key.public_data for key in found.keys] == expected


def test_what_follows_a_damaged_key_is_not_taken_for_its_last_part() -> None:
    body = line(ED25519).split()[1]
    for damaged in (f"ssh-ed25519 {body[:40]}", f"ssh-ed25519 {body[:40]}\n{body[44:]}", "ssh-ed25519"):
        found = keys_in(f"{damaged}\nrestrict {line(ECDSA)}\n")
        assert [key.public_data for key in found.keys] == [ECDSA.public_data]
        assert len(found.problems) == 1


def test_options_hold_where_the_last_part_of_the_key_has_a_comment() -> None:
    body = line(ED25519).split()[1]
    (key,) = keys_in(f'from="192.0.2.1" ssh-ed25519 {body[:40]}\n{body[40:]} root@host\n').keys
    assert [sources.allow("192.0.2.2") for sources in key.sources] == [False]


def test_options_hold_in_a_line_that_was_wrapped_and_a_block_has_none() -> None:
    body = line(RSA).split()[1]
    text = f'from="192.0.2.1" ssh-rsa {body[:100]}\n{body[100:]}\n'
    (key,) = keys_in(text).keys
    assert [sources.allow("192.0.2.2") for sources in key.sources] == [False]


@pytest.mark.parametrize("style", ["openssh", "pkcs1-pem", "pkcs8-pem"])
@pytest.mark.parametrize("cut", [None, -1])
def test_a_private_key_is_named_and_nothing_of_it_is_told(style: str, cut: int | None) -> None:
    private = RSA.export_private_key(style).decode()
    lines = private.splitlines()[:cut]
    for content in ("\n".join(lines), "\n".join(lines[1:])):
        found = keys_in(f"{content}\n{line(ED25519)}\n", "/keys/alice of acme")
        assert [key.public_data for key in found.keys] == [ED25519.public_data]
        (told,) = [each for each in found.problems if "private" in each.problem] or found.problems[:1]
        assert not _shares_text(repr(found.problems), private)
        if content.startswith("-"):
            assert "private key" in told.problem
            assert "ssh-keygen -y -f '/keys/alice of acme'" in told.advice


def _shares_text(told: str, secret: str) -> bool:
    """Whether twelve characters of a line of base64 in the secret are told."""
    lines = [each for each in secret.splitlines() if each and not each.startswith("-")]
    return any(each[at : at + 12] in told for each in lines for at in range(len(each) - 11))


def test_a_putty_private_key_is_named_with_the_command_that_converts_and_it_does(tmp_path: Path) -> None:
    file = private_file(RSA, tmp_path)
    tool("puttygen", str(file), "-O", "private", "-o", f"{file}.ppk")
    told = problem((tmp_path / "key.ppk").read_bytes(), f"{file}.ppk")
    assert "PuTTY" in told.problem
    command = told.advice.partition("public half: ")[2]
    assert command == f"puttygen {file}.ppk -O public-openssh -o {file}.ppk.pub"
    tool(*command.split())
    assert only(keys_in((tmp_path / "key.ppk.pub").read_bytes())) == RSA.public_data


def test_a_private_key_and_a_certificate_are_named_with_commands_that_convert(tmp_path: Path) -> None:
    file = private_file(RSA, tmp_path)
    command = problem(file.read_bytes(), str(file)).advice.partition("public half: ")[2]
    converted = subprocess.run(command, shell=True, check=True, capture_output=True)
    assert converted.returncode == 0
    assert only(keys_in((tmp_path / "key.pub").read_bytes())) == RSA.public_data
    (tmp_path / "pem").write_bytes(RSA.export_private_key("pkcs8-pem"))
    made = ("-new", "-x509", "-key", str(tmp_path / "pem"), "-subj", "/CN=x", "-out", str(tmp_path / "crt"))
    tool("openssl", "req", *made)
    told = problem((tmp_path / "crt").read_bytes(), str(tmp_path / "crt"))
    assert "certificate" in told.problem
    subprocess.run(told.advice.partition("its key: ")[2], shell=True, check=True)
    assert only(keys_in((tmp_path / "crt.pub").read_bytes())) == RSA.public_data


def test_a_binary_key_is_named_with_the_command_that_converts(tmp_path: Path) -> None:
    file = tmp_path / "key.der"
    file.write_bytes(RSA.export_public_key("pkcs8-der"))
    command = problem(file.read_bytes(), str(file)).advice.partition("convert it: ")[2]
    tool(*command.split())
    assert only(keys_in((tmp_path / "key.der.pem").read_bytes())) == RSA.public_data


CUT = line(RSA).split()[1][:200]
SHORT = asyncssh.generate_private_key("ssh-rsa", key_size=1024)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (line(asyncssh.generate_private_key("ssh-dss")), "DSA"),
        (asyncssh.generate_private_key("ssh-dss").export_public_key("pkcs8-pem").decode(), "ssh-dss"),
        (line(SHORT), "1024 bits"),
        (SHORT.export_public_key("rfc4716").decode(), "1024 bits"),
        (f"ssh-rsa {CUT} partner", "not a public key"),
        (f"ssh-ed25519 {line(RSA).split()[1]}", "not a public key"),
        (CUT[4:], "a part of a key"),
        ("-----END OPENSSH PRIVATE KEY-----", "the end of a key"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "certificate"),
        ("1024 35 1234567890 alice@host", "SSH version 1"),
        ("-----BEGIN PGP PUBLIC KEY BLOCK-----\nabc\n-----END PGP PUBLIC KEY BLOCK-----", "PGP"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nMII\n-----END CERTIFICATE REQUEST-----", "request"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA", "END line"),
        ("<html><body>404</body></html>", "there is no key"),
        ('command="/bin/sh" ' + line(ED25519), "'command'"),
        ('from="*.example.com" ' + line(ED25519), "host names are not looked up"),
        (b"x" * (2 << 20), "1 MiB"),
    ],
)
def test_what_cannot_be_used_is_told(content: str | bytes, words: str) -> None:
    assert words in problem(content).problem


def test_a_bad_key_costs_that_key_alone_wherever_it_stands() -> None:
    good = [line(ED25519), RSA.export_public_key("rfc4716").decode(), line(ECDSA)]
    bad = [
        line(asyncssh.generate_private_key("ssh-dss")),
        f"ssh-rsa {CUT}",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA",
        "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAB3NzaC1yc2EAAAADAQABAAAB",
        "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPublic-Lines: 1\nAAAA",
        "unheard-of " + line(ED25519),
        "QUJDREVG==",
        'from="*.example.com" ' + line(ED25519),
    ]
    for broken in bad:
        text = "\n".join([good[0], broken, *good[1:], broken, good[0]])
        found = keys_in(text)
        assert len(found.keys) == 4, broken
        assert next(each.line for each in found.problems) == 2
        assert len(found.problems) == 2


@pytest.mark.parametrize(
    "broken",
    [
        'from="192.0.2.1"\n{key}',
        'from="192.0.2.1",\n\n# comment\nno-pty {key}',
        'from="192.0.2.1" ssh-ed25519\n{body}',
        'from="192.0.2.1\n{key}',
        'restrict,from="192.0.2.1" \n{block}',
        'COMMAND="/bin/x"\n{key}',
        'unheard-of="x"\n{key}',
        "no-pty\n{key}",
    ],
)
def test_a_line_that_was_broken_behind_its_options_opens_nothing(broken: str) -> None:
    """Without its options the key would open from everywhere."""
    key, block = line(ED25519), ED25519.export_public_key("rfc4716").decode()
    text = broken.format(key=key, body=key.split()[1], block=block)
    found = keys_in(f"{text}\n{line(RSA)}\n")
    assert [each.public_data for each in found.keys] == [RSA.public_data]
    assert len(found.problems) == 2
    assert "options" in found.problems[1].problem


@given(st.binary(max_size=2000))
@example(b"\xff\xfe")
@example(b"\xff\xfe\0\0\xff")
@example(b"-----BEGIN PUBLIC KEY-----\n:\n-----END PUBLIC KEY-----")
@example(b"ssh-rsa AAAAB3NzaC1yc2EAAAAA")
def test_arbitrary_bytes_are_keys_or_problems_and_never_raise(content: bytes) -> None:
    keys_in(content)


_WORDS = [
    *("---- BEGIN SSH2 PUBLIC KEY ----", "---- END SSH2 PUBLIC KEY ----", "-----BEGIN RSA PUBLIC KEY-----"),
    *("-----END RSA PUBLIC KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----", "-----BEGIN PUBLIC KEY-----"),
    *("-----END PUBLIC KEY-----", "PuTTY-User-Key-File-3: ssh-rsa", "Private-MAC: 00", 'Comment: "x\\'),
    *("ssh-ed25519 ", "ssh-rsa ", "AAAAC3NzaC1lZDI1NTE5AAAAI", "AAAA", "====", 'from="', '"', ",", "\\", " "),
    *("\n", "\r\n", "expiry-time=", line(ED25519), RSA.export_public_key("pkcs1-pem").decode(), "\0", "é"),
]


@given(st.lists(st.sampled_from(_WORDS), max_size=40).map("".join))
def test_pieces_of_keys_in_any_order_are_keys_or_problems_and_never_raise(content: str) -> None:
    found = keys_in(content.encode())
    assert {key.public_data for key in found.keys} <= {ED25519.public_data, RSA.public_data}


async def test_the_log_tells_of_each_bad_key_once_and_the_good_ones_open(tmp_path: Path) -> None:
    file = tmp_path / "alice.pub"
    dsa = line(asyncssh.generate_private_key("ssh-dss"))
    file.write_text(f"{line(ED25519)}\n{dsa}\n{line(RSA)}\n")
    with capture_events() as events:
        logins = read_logins(
            {
                "alice": UserOptions(authorized_keys_file=file),
                "bob": UserOptions(authorized_keys=(dsa,)),
                "carol": UserOptions(authorized_keys=(line(ECDSA),)),
            }
        )
        log_account_problems(logins)
    users = ConfiguredUsers(logins.accounts, AuthOptions())
    for key in (ED25519, RSA):
        assert await users.by_public_key("alice", key, "192.0.2.1") is not None
    users.close()
    told = [event for event in events if event["event"] == "key.unusable"]
    assert [(each["user"], each["source"], each["line"]) for each in told] == [
        ("alice", str(file), 2),
        ("bob", "authorized_keys", 1),
    ]
    assert all("DSA" in each["problem"] and "ssh-keygen" in each["advice"] for each in told)
    assert [each["user"] for each in events if each["event"] == "user.locked_out"] == ["bob"]
    assert not [each for each in events if each["event"] == "login.impossible"]


def test_a_file_of_nothing_but_rubbish_is_told_in_few_lines_and_that_nobody_can_log_in(
    tmp_path: Path,
) -> None:
    file = tmp_path / "keys"
    file.write_text("rubbish of a page\n" * 5000)
    with capture_events() as events:
        log_account_problems(read_logins({"alice": UserOptions(authorized_keys_file=file)}))
    assert len(events) < 30
    assert [each["log_level"] for each in events if each["event"] == "login.impossible"] == ["error"]


def test_a_file_that_cannot_be_read_stays_a_wrong_configuration(tmp_path: Path) -> None:
    for file in (tmp_path / "missing", tmp_path):
        with pytest.raises(ConfigurationError, match="authorized_keys_file"):
            read_logins({"alice": UserOptions(authorized_keys_file=file)})


@pytest.mark.parametrize(
    ("changed", "wrong", "right"),
    [
        ('"{key}"', "in quotes", "remove the quotes"),
        ("'{key}'", "in quotes", "remove the quotes"),
        ("\u201c{key}\u201d", "in quotes", "remove the quotes"),
        ("\u2018{key}\u2019", "in quotes", "remove the quotes"),
        ("sftp.example.com {key}", "a line of known_hosts", "remove what stands before the key type"),
        ("[sftp.example.com]:2222 {key}", "a line of known_hosts", "remove what stands before the key type"),
        ("host,192.0.2.1 {key}", "a line of known_hosts", "remove what stands before the key type"),
        ("|1|c2FsdA==|aGFzaA== {key}", "a line of known_hosts", "remove what stands before the key type"),
        ("SSH-ED25519 {body}", "the key type has capital letters", "write ssh-ed25519"),
        ("Ssh-ed25519 {body}", "the key type has capital letters", "write ssh-ed25519"),
    ],
)
def test_what_is_wrong_around_a_key_is_said_with_what_would_be_right(
    changed: str, wrong: str, right: str
) -> None:
    text = changed.format(key=line(ED25519), body=line(ED25519).split()[1])
    assert problem(text) == KeyProblem(1, wrong, right)
