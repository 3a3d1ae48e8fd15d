"""The promises live in modules that pytest does not collect: have their assertions explained all the same."""

import pytest

pytest.register_assert_rewrite("tests.backends.promises")
