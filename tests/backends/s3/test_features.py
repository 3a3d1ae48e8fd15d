"""What a store lacks is known once, in all workers, and said once."""

from __future__ import annotations

import pytest

from s3sftp.backends.s3.features import CONSEQUENCES, ROWS, Feature, Features
from s3sftp.backends.s3.options import S3Options
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file
from tests.support.logs import capture_events


def test_everything_is_there_until_something_shows_that_it_is_not() -> None:
    features = Features()
    assert features.missing == ()
    features.lacks(Feature.BATCH_DELETES)
    assert features.missing == (Feature.BATCH_DELETES,)
    assert not features.has(Feature.BATCH_DELETES)


def test_the_option_names_what_need_not_be_tried() -> None:
    options = S3Options(bucket="b", lacks=("tags", "list-v2"))
    assert Features(options.lacks).missing == (Feature.LIST_V2, Feature.TAGS)


def test_what_is_no_feature_is_refused() -> None:
    with pytest.raises(ValueError, match="conditional-writes"):
        S3Options(bucket="b", lacks=("nothing",))


def test_the_log_says_once_what_is_lost() -> None:
    features = Features()
    with capture_events() as lines:
        features.lacks(Feature.TAGS, "PutObject: NotImplemented")
        features.lacks(Feature.TAGS, "PutObject: NotImplemented")
    assert [line["lost"] for line in lines] == [CONSEQUENCES[Feature.TAGS]]


def test_one_worker_finds_out_for_all() -> None:
    shared = create_shared_file(ROWS, 3)
    one, other = (Features(table=SharedCounters.shared(shared, 3, column)) for column in (0, 1))
    one.lacks(Feature.CHECKSUMS)
    assert not other.has(Feature.CHECKSUMS)


def test_each_feature_says_what_is_lost_without_it() -> None:
    assert CONSEQUENCES.keys() == set(Feature)
