"""The fast path for data packets: what it carries arrives as it does by asyncssh's own, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import asyncssh
import pytest
from asyncssh.channel import SSHChannel
from asyncssh.connection import SSHConnection, SSHServerConnection
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_IGNORE
from asyncssh.crypto.cipher import BasicCipher, GCMCipher
from asyncssh.encryption import BasicEncryption, Encryption, ETMEncryption, GCMEncryption, get_encryption
from asyncssh.mac import _HMAC
from hypothesis import example, given
from hypothesis import strategies as st

from s3sftp.ssh import packet_fast_path
from s3sftp.ssh.algorithms import COMPATIBLE, MODERN
from s3sftp.ssh.fast_ciphers import upgraded
from s3sftp.ssh.packet_cipher import PacketCipher
from testbed.raw_client import RawSftpClient, wire
from tests.ssh.listener_harness import ListenerHarness, listener_harness
from tests.support.logs import capture_events

CIPHERS = (*MODERN["ciphers"], "chacha20-poly1305@openssh.com")
FAST_CIPHERS = [name for name in CIPHERS if "gcm" in name or "ctr" in name]
MACS = [*MODERN["macs"], *COMPATIBLE["macs"]]
DATA = random.Random(7).randbytes(3_000_017)

REPLACED = {
    SSHConnection: [
        "_finish_recv_packet",
        "_force_close",
        "_recv_data",
        "_recv_packet",
        "_recv_pkthdr",
        "_send",
        "data_received",
        "send_newkeys",
        "send_packet",
    ],
    SSHServerConnection: ["create_server_channel"],
    SSHChannel: [
        "_accept_data",
        "_close_send",
        "_deliver_data",
        "_flush_send_buf",
        "_pause_resume_writing",
        "_process_data",
        "_process_window_adjust",
        "write",
    ],
    GCMEncryption: ["encrypt_packet", "decrypt_header", "decrypt_packet"],
    GCMCipher: ["__init__", "_update_iv", "encrypt_and_sign", "verify_and_decrypt"],
    BasicEncryption: ["__init__", "encrypt_packet", "decrypt_header", "decrypt_packet"],
    ETMEncryption: ["encrypt_packet", "decrypt_header", "decrypt_packet"],
    BasicCipher: ["__init__", "encrypt", "decrypt"],
    _HMAC: ["__init__", "sign", "verify"],
}
"""What the fast path replaces, or relies on in how it works."""
DIGEST = "5119b398561904ed308d82c275e450dbf2e9d04fba6ff964d14556ab5437dbd6"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@asynccontextmanager
async def session(harness: ListenerHarness, **options: Any) -> AsyncIterator[RawSftpClient]:
    async with await harness.connect(**options) as connection, wire(connection) as running:
        yield running


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many data packets took the fast path, in and out."""
    counts: Counter[str] = Counter()

    def counted(kind: type, name: str, direction: str) -> None:
        original = getattr(kind, name)

        def wrapper(*args: Any) -> Any:
            counts[direction] += 1
            return original(*args)

        monkeypatch.setattr(kind, name, wrapper)

    counted(packet_fast_path.PacketChannel, "receive_data", "in")
    counted(packet_fast_path.PacketConnection, "_seal", "out")
    return counts


def test_the_code_of_asyncssh_that_is_replaced_is_the_code_that_was_checked() -> None:
    """When this fails, read what changed there; then change `packet_fast_path.py`, its list of versions, and
    this."""
    source = "".join(
        inspect.getsource(inspect.getattr_static(owner, name))
        for owner, names in REPLACED.items()
        for name in names
    )
    assert asyncssh.__version__ in packet_fast_path.CHECKED_VERSIONS
    assert hashlib.sha256(source.encode()).hexdigest() == DIGEST


async def test_an_unknown_version_of_asyncssh_is_left_alone_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, taken: Counter[str]
) -> None:
    monkeypatch.setattr(packet_fast_path, "CHECKED_VERSIONS", frozenset({"1.0"}))
    with capture_events() as events:
        assert not packet_fast_path.is_supported()
    assert [(event["log_level"], event["version"]) for event in events] == [("warning", asyncssh.__version__)]
    async with listener_harness() as harness, session(harness) as running:
        await running.put(b"/f", DATA)
    assert not taken


async def test_it_is_off_when_the_option_says_so(taken: Counter[str]) -> None:
    async with listener_harness(ssh={"fast_packets": False}) as harness, session(harness) as running:
        await running.put(b"/f", DATA)
        assert digest(await running.get(b"/f")) == digest(DATA)
    assert not taken


async def test_it_is_off_while_asyncssh_shall_log_each_packet(taken: Counter[str]) -> None:
    async with listener_harness() as harness:
        logging.getLogger("asyncssh").setLevel(logging.DEBUG)
        async with session(harness) as running:
            await running.put(b"/f", DATA)
    assert not taken


@pytest.mark.parametrize("cipher", [*CIPHERS, *COMPATIBLE["ciphers"]])
@pytest.mark.parametrize("rekey_bytes", [1 << 20, 1 << 30], ids=["rekeyed", "one key"])
async def test_what_is_sent_is_what_arrives_with_every_cipher_and_through_new_keys(
    cipher: str, rekey_bytes: int, taken: Counter[str]
) -> None:
    """Both ends ask for new keys in the middle of both transfers."""
    ssh = {
        "algorithms": "compatible",
        "extra_algorithms": ("chacha20-poly1305@openssh.com",),
        "rekey_bytes": rekey_bytes,
    }
    async with listener_harness(ssh=ssh) as harness:
        async with session(harness, encryption_algs=[cipher], rekey_bytes=rekey_bytes) as running:
            await running.put(b"/f", DATA)
            assert digest(harness.storage.contents()["alice/f"]) == digest(DATA)
            assert digest(await running.get(b"/f")) == digest(DATA)
    assert (min(taken["in"], taken["out"]) > 50) == (cipher in FAST_CIPHERS)


async def test_with_compression_all_is_asyncssh_s_own(
    taken: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = asyncssh.listen

    def compressing(*args: Any, **options: Any) -> Any:
        return listen(*args, **{**options, "compression_algs": ("zlib@openssh.com",)})

    monkeypatch.setattr(asyncssh, "listen", compressing)
    async with (
        listener_harness() as harness,
        session(harness, compression_algs=("zlib@openssh.com",)) as running,
    ):
        await running.put(b"/f", DATA)
        assert digest(await running.get(b"/f")) == digest(DATA)
    assert not taken["in"]


@pytest.mark.parametrize("cipher", FAST_CIPHERS)
async def test_no_empty_packet_goes_before_each_packet(cipher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored: Counter[type] = Counter()
    handlers = dict(SSHConnection._packet_handlers)
    original = handlers[MSG_IGNORE]

    def counting(self: SSHConnection, *args: Any) -> Any:
        ignored[type(self)] += 1
        return original(self, *args)

    monkeypatch.setattr(SSHConnection, "_packet_handlers", handlers | {MSG_IGNORE: counting})
    async with listener_harness() as harness, session(harness, encryption_algs=[cipher]) as running:
        await running.put(b"/f", b"x")
    assert ignored[packet_fast_path.PacketConnection] > 0, "asyncssh's client sends them: the count works"
    assert ignored[asyncssh.SSHClientConnection] == 0


async def test_answers_of_one_turn_leave_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listener_harness() as harness, session(harness) as running:
        writes = []
        send = SSHConnection._send

        def counted(self: SSHConnection, data: bytes) -> None:
            if isinstance(self, packet_fast_path.PacketConnection):
                writes.append(len(data))
            send(self, data)

        await running.put(b"/f", DATA)
        monkeypatch.setattr(SSHConnection, "_send", counted)
        assert digest(await running.get(b"/f", block=255 * 1024)) == digest(DATA)
    assert len(writes) < len(DATA) / 32768


async def test_an_answer_that_no_other_request_follows_leaves_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = []
    write_last = packet_fast_path.PacketChannel.write_last

    def noted(self: packet_fast_path.PacketChannel, pieces: list[bytes]) -> None:
        last.append(pieces)
        write_last(self, pieces)

    monkeypatch.setattr(packet_fast_path.PacketChannel, "write_last", noted)
    async with listener_harness() as harness, session(harness) as running:
        await running.put(b"/f", b"x")
        last.clear()
        await running.stat(b"/f")
        assert len(last) == 1


Change = Callable[[bytes], list[bytes]]


@asynccontextmanager
async def relay(port: int, change: Change) -> AsyncIterator[int]:
    """Between client and server; what the client sends goes through `change`."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, through: Change) -> None:
        try:
            while data := await reader.read(1 << 16):
                for piece in through(data):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        server_writer.get_extra_info("socket").setsockopt(6, 1, 1)  # TCP_NODELAY: pieces stay pieces
        await asyncio.gather(
            carry(reader, server_writer, change), carry(server_reader, writer, lambda data: [data])
        )

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def cut(seed: int) -> Change:
    rng = random.Random(seed)

    def cutting(data: bytes) -> list[bytes]:
        pieces = []
        while data:
            size = rng.choice([1, 3, 4, 5, 15, 16, 17, 20, 1000, 32_768, 65_536])
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    return cutting


@pytest.mark.parametrize(
    ("seed", "cipher", "mac"),
    [
        (0, "aes128-gcm@openssh.com", "hmac-sha2-256"),
        (1, "aes256-gcm@openssh.com", "hmac-sha2-256"),
        (2, "aes128-ctr", "hmac-sha2-256-etm@openssh.com"),
        (3, "aes256-ctr", "hmac-sha2-256"),
        (4, "aes192-ctr", "hmac-sha2-512"),
    ],
)
async def test_however_the_stream_is_cut_it_is_read_the_same(
    seed: int, cipher: str, mac: str, taken: Counter[str]
) -> None:
    async with listener_harness() as harness, relay(harness.port, cut(seed)) as port:
        connection = await asyncssh.connect(
            "127.0.0.1", port, username="alice", password="correct horse", known_hosts=None, config=None,
            agent_path=None, client_keys=None, rekey_bytes=1 << 19, encryption_algs=[cipher], mac_algs=[mac],
        )  # fmt: skip
        async with connection, wire(connection) as running:
            await running.put(b"/f", DATA[:1_500_000])
            assert digest(await running.get(b"/f")) == digest(DATA[:1_500_000])
    assert taken["in"] > 20


@pytest.mark.parametrize(
    ("cipher", "mac"),
    [
        ("aes128-gcm@openssh.com", "hmac-sha2-256"),
        ("aes128-ctr", "hmac-sha2-256-etm@openssh.com"),
        ("aes128-ctr", "hmac-sha2-256"),
    ],
)
async def test_a_damaged_packet_ends_its_connection_and_publishes_nothing(cipher: str, mac: str) -> None:
    damage = {"on": False}

    def change(data: bytes) -> list[bytes]:
        if damage["on"] and len(data) > 1000:
            return [data[:700] + bytes([data[700] ^ 1]) + data[701:]]
        return [data]

    async with listener_harness() as harness, relay(harness.port, change) as port:
        connection = await asyncssh.connect(
            "127.0.0.1", port, username="alice", password="correct horse", known_hosts=None, config=None,
            agent_path=None, client_keys=None, encryption_algs=[cipher], mac_algs=[mac],
        )  # fmt: skip
        process = await connection.create_process(subsystem="sftp", encoding=None)
        running = RawSftpClient(connection, process)
        await running.init()
        handle = await running.open(b"/f", 0x1A)
        damage["on"] = True
        for at in range(0, 320_000, 32_000):
            running.sending_write(handle, at, DATA[:32_000])
        await asyncio.wait_for(connection.wait_closed(), 20)
        await harness.empties()
        assert harness.storage.contents() == {}
        reasons = [str(event["reason"]) for event in harness.logged("connection.closed")]
    assert any("MAC verification failed" in reason for reason in reasons)


@pytest.mark.parametrize("fast", [True, False], ids=["fast path", "asyncssh's"])
@pytest.mark.parametrize("size", [1, 255])
async def test_a_client_that_takes_packets_of_next_to_nothing_is_sent_away(size: int, fast: bool) -> None:
    """One answer would be cut into so many that the loop serves nobody else meanwhile."""
    async with listener_harness(ssh={"fast_packets": fast}) as harness, await harness.connect() as connection:
        send_packet = connection.send_packet

        def shrunk(kind: int, *fields: bytes, handler: Any = None) -> None:
            if kind == MSG_CHANNEL_OPEN:
                fields = (*fields[:3], size.to_bytes(4, "big"), *fields[4:])
            send_packet(kind, *fields, handler=handler)

        connection.send_packet = shrunk  # type: ignore[method-assign]
        with pytest.raises((asyncssh.ConnectionLost, asyncssh.ProtocolError, asyncssh.ChannelOpenError)):
            await asyncio.wait_for(connection.open_session(subsystem="sftp", encoding=None), 20)
        async with session(harness) as other:
            await other.put(b"/f", b"x")


GCM = (b"aes128-gcm@openssh.com", b"")
KINDS = [GCM, *((b"aes256-ctr", mac.encode()) for mac in MACS)]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: (kind[1] or kind[0]).decode())


def both(kind: tuple[bytes, bytes] = GCM) -> tuple[Encryption, PacketCipher]:
    """asyncssh's and ours, with the same keys and counters."""
    cipher, mac = kind
    key, iv = bytes(range(16 if kind == GCM else 32)), bytes(range(100, 112 if kind == GCM else 116))

    def made() -> Encryption:
        return get_encryption(cipher, key, iv, mac, bytes(range(50, 114)), etm=b"-etm@" in mac)

    ours = upgraded(made())
    assert isinstance(ours, PacketCipher)
    return made(), ours


@kinds
@given(steps=st.lists(st.tuples(st.sampled_from(["seal", "encrypt"]), st.binary(min_size=16, max_size=100))))
def test_sealed_packets_are_byte_for_byte_those_of_asyncssh(
    kind: tuple[bytes, bytes], steps: list[tuple[str, bytes]]
) -> None:
    stock, ours = both(kind)
    for number, (how, plain) in enumerate(steps):
        header = len(plain).to_bytes(4, "big")
        expected = b"".join(stock.encrypt_packet(number, header, plain))
        if how == "seal":
            room = memoryview(bytearray(4 + len(plain) + ours.tag_bytes))
            ours.seal_into(number, header, plain, room)
            assert room == expected
        else:
            assert b"".join(ours.encrypt_packet(number, header, plain)) == expected


@kinds
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["open", "open, begun before", "decrypt", "decrypt, begun before", "put back"]),
            st.binary(min_size=16, max_size=100),
        )
    )
)
def test_packets_of_asyncssh_are_opened_in_any_way(
    kind: tuple[bytes, bytes], steps: list[tuple[str, bytes]]
) -> None:
    stock, ours = both(kind)
    for number, (how, plain) in enumerate(steps):
        header = len(plain).to_bytes(4, "big")
        packet = memoryview(b"".join(stock.encrypt_packet(number, header, plain)))
        head = packet[: ours.head_bytes]
        if "begun before" in how:
            assert ours.length_of(head) == len(plain)
        if not how.startswith("decrypt"):
            assert ours.length_of(head) == len(plain)
            opened = ours.open(number, packet)
            assert opened == plain
            if how == "put back":
                ours.put_back(plain)
        if not how.startswith("open"):
            first, length = ours.decrypt_header(number, bytes(packet[:16]), 4)
            assert length == header
            rest, tag = bytes(packet[16 : -ours.tag_bytes]), bytes(packet[-ours.tag_bytes :])
            assert ours.decrypt_packet(number, first, rest, 4, tag) == plain


@kinds
@pytest.mark.parametrize("what", ["byte", "place"])
def test_a_packet_that_is_not_what_was_sent_is_not_opened(kind: tuple[bytes, bytes], what: str) -> None:
    stock, ours = both(kind)
    packet = bytearray(b"".join(stock.encrypt_packet(0, b"\0\0\0\x1c", bytes(28))))
    if what == "byte":
        packet[20] ^= 1
    elif kind == GCM:
        ours.open(0, memoryview(packet))  # the next is the second, and it is the first again
    ours.length_of(memoryview(packet)[: ours.head_bytes])
    assert ours.open(1 if what == "place" else 0, memoryview(packet)) is None


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """asyncssh's client logs at INFO in these tests otherwise."""
    logger = logging.getLogger("asyncssh")
    level = logger.level
    logger.setLevel(logging.WARNING)
    yield
    logger.setLevel(level)


class _Sink:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.wire = bytearray()

    def write(self, data: bytes) -> None:
        self.wire += data

    def get_write_buffer_size(self) -> int:
        return 0


class _Sealing(packet_fast_path.PacketConnection):
    """As much of a connection as it takes to seal; packets that are asyncssh's to send are only counted."""

    def __init__(self, rekey_bytes: int) -> None:
        self._transport = None  # type: ignore[assignment]
        self._begin()
        self.sink = _Sink()
        self._transport = self.sink  # type: ignore[assignment]
        self._loop = asyncio.new_event_loop()
        self._loop.close()
        self._flush_is_due = True
        self._send_encryption = both()[1]
        self._kex_complete = self._auth_complete = True
        self._compressor = None
        self._rekey_bytes, self._rekey_bytes_sent, self._rekey_seconds = rekey_bytes, 0, 0
        self._send_seq = 0


def test_little_leaves_at_once_for_a_client_that_waits_and_soon_for_one_that_keeps_sending() -> None:
    connection, due = _Sealing(1 << 30), []
    connection._loop = SimpleNamespace(call_soon=due.append)  # type: ignore[assignment]
    connection._flush_is_due = False

    def turn(*, came: bool) -> bytes:
        """What has left after a turn of the loop in which something came, or nothing."""
        connection._came_since = connection._came_since or came
        due.pop(0)()
        return bytes(connection.sink.wire)

    connection._send(b"a")
    assert turn(came=False) == b"a"
    for piece in (b"b", b"c", b"d"):
        connection._send(piece)
        assert turn(came=True) == b"a"
    assert turn(came=True) == b"abcd"
    assert due == []
    connection._send(b"e" * 5000)
    assert turn(came=True) == b"abcd" + b"e" * 5000


def test_the_last_leaves_at_once_behind_what_waits_for_the_next_turn() -> None:
    connection, due = _Sealing(1 << 30), []
    connection._loop = SimpleNamespace(call_soon=due.append)  # type: ignore[assignment]
    connection._flush_is_due = False
    connection._send(b"a")
    assert connection.sink.wire == b""
    connection.is_last = True
    connection._send(b"b")
    assert connection.sink.wire == b"ab"
    connection.is_last = False
    due.pop(0)()
    assert connection.sink.wire == b"ab"
    assert due == []


PIECES = st.lists(st.binary(min_size=1, max_size=900), min_size=1, max_size=12)


@example([bytes(900)], 3000, 300, 2 * 320)  # two packets of 310 bytes, padded, are just as much
@example([bytes(900)], 3000, 300, 2 * 320 + 1)
@given(PIECES, st.integers(100, 3000), st.integers(256, 700), st.integers(1, 6000))
def test_a_batch_is_cut_sealed_and_ended_for_new_keys_as_packets_one_by_one_would_be(
    pieces: list[bytes], window: int, packet_bytes: int, rekey_bytes: int
) -> None:
    """The reference is what asyncssh does: cut, look whether it is time for new keys, pad, seal, count."""
    connection, sent_by_asyncssh = _Sealing(rekey_bytes), []
    stock, _ = both()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packet_fast_path.padding, "next", bytes)
        patch.setattr(SSHConnection, "send_packet", lambda *args, **_: sent_by_asyncssh.append(args[3][4:]))
        channel = object.__new__(packet_fast_path.PacketChannel)
        channel._send_buf = [(memoryview(piece), None) for piece in pieces]  # type: ignore[misc]
        channel._send_buf_len, channel._send_window = sum(map(len, pieces)), window
        channel._send_pktsize = packet_bytes
        connection.send_data(channel, 7, channel._cut(7))
        connection._flush()
    data, counted, expected = b"".join(pieces)[:window], 0, bytearray()
    while data and counted < rekey_bytes:
        head, data = data[:packet_bytes], data[packet_bytes:]
        payload = b"\x5e" + (7).to_bytes(4, "big") + len(head).to_bytes(4, "big") + head
        fill = -(1 + len(payload)) % 16
        fill += 16 if fill < 4 else 0
        plain = bytes([fill]) + payload + bytes(fill)
        expected += b"".join(stock.encrypt_packet(0, len(plain).to_bytes(4, "big"), plain))
        counted += len(plain)
    assert connection.sink.wire == expected
    assert connection._rekey_bytes_sent == counted
    assert b"".join(sent_by_asyncssh) == data
    assert b"".join(bytes(piece) for piece, _ in channel._send_buf) == b"".join(pieces)[window:]
    assert channel._send_buf_len == max(0, sum(map(len, pieces)) - window)
