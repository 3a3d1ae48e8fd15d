"""Renders the page for a partner from an account and the server's host keys. It contains no secrets."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import asyncssh

from s3sftp.auth.authorized_keys import AuthorizedKey
from s3sftp.auth.login_methods import ANY_ONE, LoginMethods
from s3sftp.auth.login_rules import NO_RULES, LoginRules
from s3sftp.ssh.host_keys import known_hosts_line

_WIDTH = 100
_BITS = {
    "ssh-ed25519": 255,
    "ecdsa-sha2-nistp256": 256,
    "ecdsa-sha2-nistp384": 384,
    "ecdsa-sha2-nistp521": 521,
}


@dataclass(frozen=True, slots=True)
class Partner:
    """A user, with what the partner needs to know."""

    name: str
    password: bool
    keys: Sequence[AuthorizedKey]
    read_only: bool
    directories: Sequence[str]
    login_methods: LoginMethods = ANY_ONE
    login_rules: LoginRules = NO_RULES


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host key of the server."""

    key: asyncssh.SSHKey
    used: bool
    """Whether clients see it now. Otherwise it is only announced, for a later change of keys."""


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    port: str

    @property
    def in_url(self) -> str:
        """The host as it stands in a URL, where a colon would begin the port."""
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True)
class _Heading:
    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class _Code:
    text: str
    language: str = "text"


_Block = _Heading | _Code | str | list[str]
"""A heading, code to copy, a paragraph, a list."""


def page_of(
    partner: Partner, keys: Sequence[HostKey], host: str | None, port: int | None, markdown: bool
) -> str:
    """The page, in Markdown or as plain text."""
    address = _Address(host or "HOST", str(port or "PORT"))
    blocks = [*_login(partner, address), *_server_keys(keys, address), *_settings(partner, keys, address)]
    return "\n\n".join((_markdown if markdown else _plain)(block) for block in blocks)


def _login(partner: Partner, address: _Address) -> Iterator[_Block]:
    yield _Heading(f"SFTP access for {partner.name}", 1)
    yield [
        f"Host: {_or_unknown(address.host, 'HOST')}",
        f"Port: {_or_unknown(address.port, 'PORT')}",
        f"User name: `{partner.name}`",
        "Protocol: SFTP (SSH file transfer). No shell, no FTP, no tunnels.",
        f"Access: {'reading only' if partner.read_only else 'reading and writing'}",
    ]
    yield _Heading("How you log in")
    own = [key for key in partner.keys if not key.is_authority]
    ways = [f"Key: {_described(key)}" for key in own]
    ways += [
        f"SSH certificate of the CA {_described(key)}, for the principal"
        f" {' or '.join(f'`{name}`' for name in key.principals or (partner.name,))}"
        for key in partner.keys
        if key.is_authority
    ]
    if partner.password:
        ways.append("Password: you get it by another way than this page.")
    yield ways or [
        "Not possible yet: we have no public key of yours that can be used, and you have no password."
    ]
    if conditions := list(_conditions(partner)):
        yield conditions
    if own:
        yield "Compare your key: `ssh-keygen -lf ~/.ssh/id_ed25519.pub` prints its fingerprint."
    yield _Heading("What you see")
    yield "`/` is the top of what you can reach."
    if partner.directories:
        yield [f"`/{name.strip('/')}/` is always there." for name in partner.directories]
    if not partner.read_only:
        yield (
            "A file is stored, whole, when your client reports success; until then nobody sees it, so no "
            "temporary names are needed. Permissions and owners are accepted and may be ignored."
        )


def _conditions(partner: Partner) -> Iterator[str]:
    """What else a login needs, and when it is possible."""
    rules = partner.login_rules
    if partner.login_methods != ANY_ONE:
        names = {"publickey": "your key", "password": "your password", "totp": "a verification code"}
        ways = (
            ", then ".join(names[factor] for factor in each) for each in partner.login_methods.combinations
        )
        yield f"A login needs {'; or '.join(ways)}."
    if partner.login_methods.use("totp"):
        yield "Your authenticator app makes the codes; you get what it needs by another way than this page."
    if rules.disabled:
        yield "Your access is disabled at present."
    if rules.expires is not None:
        yield f"Your access ends at {rules.expires:%Y-%m-%d %H:%M} UTC."
    if rules.networks is not None:
        yield f"You can log in from these addresses: {rules.networks.patterns.replace(',', ', ')}"
    if rules.hours:
        yield f"You can log in at these hours: {'; '.join(map(str, rules.hours))}"


def _server_keys(keys: Sequence[HostKey], address: _Address) -> Iterator[_Block]:
    yield _Heading("The server's host keys")
    yield (
        "When you connect for the first time your client shows the fingerprint of one of these keys. Compare "
        "it, and refuse any other: then it is not our server. Do not accept a key that changes later unless "
        "we have told you."
    )
    yield [
        f"`{each.key.get_fingerprint()}` ({each.key.get_algorithm()})"
        + ("" if each.used else ": not in use yet; it will replace the other one of this type")
        for each in keys
    ]
    yield "The same as lines for `~/.ssh/known_hosts`, so that your client need not ask:"
    yield _Code("\n".join(_known_hosts(each.key, address) for each in keys))


def _settings(partner: Partner, keys: Sequence[HostKey], address: _Address) -> Iterator[_Block]:
    by_key = bool(partner.keys)
    identity = "~/.ssh/id_ed25519"
    alias = _alias(partner.name)
    yield _Heading("Settings to copy")
    if by_key:
        yield f"`{identity}` stands for the file of your private key."
    yield _Heading("OpenSSH", 3)
    flags = f"-i {identity} " if by_key else ""
    yield _Code(f"sftp -P {address.port} {flags}{partner.name}@{address.in_url}", "console")
    yield f"Or, in `~/.ssh/config`; then `sftp {alias}` is enough:"
    config = [f"Host {alias}", f"    HostName {address.host}", f"    Port {address.port}"]
    config += [f"    User {partner.name}", "    StrictHostKeyChecking yes", "    UpdateHostKeys yes"]
    config += [f"    IdentityFile {identity}", "    IdentitiesOnly yes"] if by_key else []
    yield _Code("\n".join(config), "sshconfig")
    yield _Heading("lftp", 3)
    yield f"With the block above in `~/.ssh/config`{'' if by_key else '; it asks for the password'}:"
    yield _Code(f"lftp -u {partner.name}{',' if by_key else ''} sftp://{alias}", "console")
    yield _Heading("rclone", 3)
    yield f"In the file that `rclone config file` names; then `rclone lsl {alias}:` lists your files:"
    remote = [f"[{alias}]", "type = sftp", f"host = {address.host}", f"port = {address.port}"]
    remote += [f"user = {partner.name}", "known_hosts_file = ~/.ssh/known_hosts", "shell_type = none"]
    remote += [f"key_file = {identity}"] if by_key else []
    yield _Code("\n".join(remote), "ini")
    if not by_key:
        yield f"`rclone config password {alias} pass PASSWORD` stores the password, obscured."
    yield _Heading("WinSCP", 3)
    yield [
        "File protocol: SFTP",
        f"Host name: {address.host}; port number: {address.port}; user name: {partner.name}",
        *(
            ["Advanced → SSH → Authentication → Private key file: yours; WinSCP converts OpenSSH's format"]
            if by_key
            else ["Password: as given to you"]
        ),
        f"The host key it shows: {_winscp(keys[0].key)} (some versions put `=` at the end)",
    ]
    yield _Heading("FileZilla", 3)
    yield [
        "Protocol: SFTP - SSH File Transfer Protocol",
        f"Host: {address.host}; port: {address.port}; user: {partner.name}",
        "Logon type: Key file, and the file of your private key"
        if by_key
        else "Logon type: Ask for password",
        f"The fingerprint it shows: {keys[0].key.get_fingerprint()}, or another one of the list above",
    ]


def _described(key: AuthorizedKey) -> str:
    limits = [f"until {key.expires:%Y-%m-%d %H:%M} UTC"] if key.expires else []
    limits += ["from the addresses agreed upon"] if key.sources else []
    return f"`{key.fingerprint}` ({key.algorithm}){', ' if limits else ''}{', '.join(limits)}"


def _known_hosts(key: asyncssh.SSHKey, address: _Address) -> str:
    if address.port.isdigit():
        return known_hosts_line(key, address.host, int(address.port))
    return known_hosts_line(key, address.host, 0).replace(":0 ", f":{address.port} ", 1)


def _winscp(key: asyncssh.SSHKey) -> str:
    kind, fingerprint = key.get_algorithm(), key.get_fingerprint().removeprefix("SHA256:")
    return f"{kind} {_BITS[kind]} {fingerprint}" if kind in _BITS else f"{kind} … {fingerprint}"


def _alias(user: str) -> str:
    """A name for the connection that OpenSSH, lftp and rclone all accept: `@` has a meaning to them."""
    return "s3sftp-" + re.sub(r"[^A-Za-z0-9_.-]", "-", user)


def _or_unknown(text: str, placeholder: str) -> str:
    return f"not known here ({placeholder} below)" if text == placeholder else f"`{text}`"


def _markdown(block: _Block) -> str:
    if isinstance(block, _Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, _Code):
        return f"```{block.language}\n{block.text}\n```"
    if isinstance(block, list):
        return "\n".join(f"- {item}" for item in block)
    return block


def _plain(block: _Block) -> str:
    if isinstance(block, _Heading):
        return f"{block.text}\n{('=', '-', '~')[block.level - 1] * len(block.text)}"
    if isinstance(block, _Code):
        return textwrap.indent(block.text, "    ")  # unwrapped, because its lines are copied
    if isinstance(block, list):
        return "\n".join(_plain_item(item) for item in block)
    return textwrap.fill(block.replace("`", ""), _WIDTH, break_long_words=False, break_on_hyphens=False)


def _plain_item(text: str) -> str:
    return textwrap.fill(
        text.replace("`", ""),
        _WIDTH,
        initial_indent="* ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
