"""The conformance kit: the contract's promises as tests that run on any backend. Needs `s3sftp[testing]`.

    from s3sftp.testing import BackendPromises

    class TestMine(BackendPromises):
        @asynccontextmanager
        async def open_storage(self):  # fresh and empty each time
            yield MyBackend()

    suite          the base class of tests: opens, starts and stops the backend, and declares its exemptions
    loop_runner    the event loop of a class of tests
    storage        a backend as the promises use it, with texts for paths and generated data
    promises       the promises, one class for each group; tests may inherit single groups
    exemptions     exemptions that many storages share, by name

See `docs/testing-backends.md`.
"""

import pytest

# pytest has to rewrite the assertions of these modules too, which it does not collect, so before their import
pytest.register_assert_rewrite("s3sftp.testing.promises", "s3sftp.testing.storage", "s3sftp.testing.suite")

from s3sftp.testing.promises import BackendPromises  # noqa: E402
from s3sftp.testing.storage import Outside, Storage, Subject  # noqa: E402
from s3sftp.testing.suite import NO_TIMES  # noqa: E402

__all__ = [
    "NO_TIMES",
    "BackendPromises",
    "Outside",
    "Storage",
    "Subject",
]
