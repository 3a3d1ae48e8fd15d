"""S3Proxy: a gateway in Java, in front of a storage in memory. Refuses checksums and ignores conditions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.processes import free_port, temporary_directory
from testbed.s3_store import Store
from tests.support.built_stores import built
from tests.support.commands import installed
from tests.support.store_process import running_store

VERSION = "2.6.0"
ACCESS_KEY = "AKIATESTS3PROXY00001"
SECRET_KEY = "the-secret-of-s3proxy"
POM = Path(__file__).with_name("s3proxy.xml")
LOGGING = """
<configuration>
  <appender name="output" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} [%thread] %level %logger -- %msg%n</pattern></encoder>
  </appender>
  <root level="info"><appender-ref ref="output"/></root>
</configuration>
"""
"""By default it writes several debug lines for each request: hundreds of MiB in a run of the tests."""


@contextmanager
def running_s3proxy() -> Iterator[Store]:
    """Run it with nothing stored. Signatures are checked."""
    java, libraries = installed("java"), _libraries()
    with temporary_directory("s3proxy-") as directory:
        port = free_port()
        properties = {
            "s3proxy.endpoint": f"http://127.0.0.1:{port}",
            "s3proxy.authorization": "aws-v2-or-v4",
            "s3proxy.identity": ACCESS_KEY,
            "s3proxy.credential": SECRET_KEY,
            "jclouds.provider": "transient",
            "jclouds.identity": "nobody",
            "jclouds.credential": "nothing",
        }
        file = directory / "s3proxy.conf"
        file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        (directory / "logback.xml").write_text(LOGGING)
        store = Store("s3proxy", f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY, checksums=False)
        # tests of seconds: what the second compiler would gain is less than what it takes
        command = [java, "-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{libraries}/*"]
        command += [f"-Dlogback.configurationFile={directory / 'logback.xml'}"]
        command += ["org.gaul.s3proxy.Main", "--properties", str(file)]
        with running_store(store, command, directory, timeout=60):
            yield store


def _libraries() -> Path:
    """Its jars, from Maven."""
    maven = [installed("mvn"), "-q", "-B", "-f", str(POM), f"-Dversion={VERSION}"]
    return built(
        f"s3proxy-{VERSION}",
        lambda target: [*maven, "dependency:copy-dependencies", f"-DoutputDirectory={target}"],
    )
