"""What every backend promises, written once: see `s3sftp.backends.contract`.

A test module runs all of it on a storage of its own by giving the two fixtures and taking the tests:

    @pytest.fixture
    async def storage() -> Storage: ...        # an empty directory of a started backend
    @pytest.fixture
    async def empty_storage() -> Storage: ...  # its root, with nothing stored at all

    from tests.backends.promises.reading import *
"""
