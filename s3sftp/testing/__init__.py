"""The conformance kit: what every storage promises, as tests that run on yours. Needs `s3sftp[testing]`.

    from s3sftp.testing import BackendPromises

    class TestMine(BackendPromises):
        @asynccontextmanager
        async def open_storage(self):  # fresh and empty each time
            yield MyBackend()

    suite          the class that tests inherit: opens, starts and stops the backend, knows its exemptions
    stage          the event loop that a class of tests has for itself
    storage        a backend as the promises use it: paths are text, data is made up
    promises       the promises, a class for each group; whoever wants only some inherits only those
    exemptions     what many storages cannot keep, by name

See `docs/testing-backends.md`.
"""

import pytest

# what fails is to be explained, also in modules that pytest does not collect; before they are imported
pytest.register_assert_rewrite("s3sftp.testing.promises", "s3sftp.testing.storage", "s3sftp.testing.suite")

from s3sftp.testing.exemptions import NO_TIMES  # noqa: E402
from s3sftp.testing.promises import BackendPromises  # noqa: E402
from s3sftp.testing.storage import Outside, Storage, Subject  # noqa: E402

__all__ = [
    "NO_TIMES",
    "BackendPromises",
    "Outside",
    "Storage",
    "Subject",
]
