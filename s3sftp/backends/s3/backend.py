"""Implements the backend contract on an S3 bucket: passes each operation to the module that implements it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from s3sftp.backends.contract import (
    Amount,
    Buffer,
    CompleteBackend,
    Entry,
    FileInfo,
    Finish,
    ObjectAddress,
    Place,
    Session,
    Upload,
    Usage,
    WriteIntent,
    WrittenFile,
)
from s3sftp.backends.kept_uploads import KeepLimits
from s3sftp.backends.s3.checksums.stored import stored_digest
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.credentials.user_scope import in_scope
from s3sftp.backends.s3.kept.kept_survey import S3KeptSurvey
from s3sftp.backends.s3.kept.kept_sweeper import KeptSweeper
from s3sftp.backends.s3.kept.kept_uploads import S3KeptUploads
from s3sftp.backends.s3.keys import KeyMapping, reserved_prefix
from s3sftp.backends.s3.metadata.cache import MetadataCache
from s3sftp.backends.s3.metadata.created_names import CreatedNames
from s3sftp.backends.s3.metadata.equivalent_versions import former_versions
from s3sftp.backends.s3.metadata.lookup import Lookup
from s3sftp.backends.s3.metadata.objects import uploaded_at, version_of, write_id_of
from s3sftp.backends.s3.metadata.version_cache import VersionCache
from s3sftp.backends.s3.namespace.directories import DirectoryMarkers
from s3sftp.backends.s3.namespace.listing import DirectoryLister
from s3sftp.backends.s3.namespace.name_conflicts import NameConflicts
from s3sftp.backends.s3.namespace.removing import Remover
from s3sftp.backends.s3.namespace.renaming import Renamer
from s3sftp.backends.s3.options import S3Options, has_same_access
from s3sftp.backends.s3.read.opening import FileOpener
from s3sftp.backends.s3.read.ranged_get import read_range
from s3sftp.backends.s3.recovery.bucket_journal import BucketJournal, renewal_interval
from s3sftp.backends.s3.recovery.disk_journal import DiskJournal
from s3sftp.backends.s3.recovery.janitor import Janitor
from s3sftp.backends.s3.recovery.upload_journal import JournalStorage, UploadJournal
from s3sftp.backends.s3.request_outcomes import RequestOutcomes
from s3sftp.backends.s3.requests.list_pages import pages
from s3sftp.backends.s3.small_objects import BucketObjects
from s3sftp.backends.s3.worker_tables import WorkerTables
from s3sftp.backends.s3.write.conditional_support import ConditionalSupport
from s3sftp.backends.s3.write.copying import ObjectCopier
from s3sftp.backends.s3.write.late_attributes import AttributeUpdate, LateAttributes
from s3sftp.backends.s3.write.uploads import S3Upload, UploadOperations
from s3sftp.backends.small_objects import SmallObjects
from s3sftp.errors import (
    Changed,
    NotFound,
    OtherStorage,
    PermissionDenied,
    StorageError,
    StorageFailure,
    Unsupported,
)
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.s3")


class S3Backend(CompleteBackend):
    """A bucket, or a prefix of one, as a backend.

    `state_dir` holds the journal of unfinished uploads with `journal = "disk"`. `metrics` counts all
    requests, by the name of the `storage`. Through `shared` the workers of a server share what they learn
    about the bucket.
    """

    name = "s3"
    begin_is_free = True

    def __init__(
        self,
        options: S3Options,
        state_dir: Path | None = None,
        metrics: Metrics | None = None,
        shared: WorkerTables | None = None,
        *,
        storage: str = "",
    ) -> None:
        shared = shared or WorkerTables.of()
        self.options = options
        self.keeps_modes, self.keeps_times = options.keeps_modes, options.keeps_times
        self.client = S3Client(
            options,
            RequestOutcomes(shared.contact),
            metrics=metrics,
            features=shared.features,
            storage=storage,
        )
        self.journal = self._make_journal(state_dir)
        self.janitor = Janitor(self.client, self.journal)
        self._metrics, self._storage = metrics or Metrics(), storage
        self._keys = KeyMapping(options.prefix, escape_backslash=options.backslash == "escape")
        self._made = CreatedNames(shared.made)
        self._cache = MetadataCache(
            options.cache_ttl.total_seconds(),
            options.cache_entries,
            made=self._made,
            versions=VersionCache(shared.versions),
        )
        self._lookup = Lookup(self.client, self._keys, self._cache)
        self._hiding = NameConflicts(self._keys, self._cache, self._lookup, self._made)
        self._opening = FileOpener(self.client, self._cache, self._lookup)
        self._listing = DirectoryLister(self.client, self._keys, self._cache, self._lookup)
        self._conditions = conditions = ConditionalSupport(self.client)
        self._writing = UploadOperations(self.client, self._cache, self.journal, conditions)
        self._copying = ObjectCopier(self.client, self.journal, conditions)
        self._mtimes = LateAttributes(self.client, self._keys, self._cache, self._lookup, self._copying)
        self._directories = DirectoryMarkers(
            self.client, self._keys, self._cache, self._lookup, self._writing
        )
        self._removing = Remover(
            self.client, self._keys, self._cache, self._lookup, self._directories, conditions
        )
        self._renaming = Renamer(
            self.client,
            self._keys,
            self._cache,
            self._lookup,
            self._writing,
            self._copying,
            self._removing,
            self._directories,
            self._hiding,
        )

    @property
    def first_chunk_bytes(self) -> int:
        return self.options.part_bytes

    async def start(self) -> None:
        await self.client.start()
        await self.journal.start()
        if not self.journal.is_kept:
            _log.info(
                "journal.disabled",
                advice="only a lifecycle rule of the bucket aborts multipart uploads that a crash leaves",
            )
        self.janitor.start()

    async def stop(self) -> None:
        await self.janitor.stop()
        await self.client.drain()
        await self.journal.stop()
        await self.client.stop()

    async def probe(self) -> None:
        """Send the cheapest request, a LIST of one name below the prefix, with few attempts.

        Raises StorageError: if the store does not answer it.
        """
        # The second attempt covers a connection that has been idle for too long.
        await self.client.call("ListObjectsV2", attempts=2, Prefix=self.options.prefix, MaxKeys=1)

    def _make_journal(self, state_dir: Path | None) -> UploadJournal:
        options = self.options
        endpoint, bucket = options.endpoint_url or "", options.bucket
        storage: JournalStorage | None = None
        every = None
        if options.journal == "bucket":
            storage, every = BucketJournal(self.client), renewal_interval(options)
        elif options.journal == "disk" and state_dir is not None:
            storage = DiskJournal(state_dir, endpoint, bucket)
        return UploadJournal(endpoint, bucket, storage, every)

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return await self._lookup.info(place, session)

    async def recent_info(self, place: Place, session: Session) -> FileInfo:
        return await self._lookup.recent(place, session)

    def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        return self._listing.directory(place, session)

    async def make_dir(self, place: Place, session: Session) -> None:
        await self._directories.make(place, session)

    async def del_dir(self, place: Place, session: Session) -> None:
        await self._directories.remove(place, session)

    async def delete(self, place: Place, session: Session) -> None:
        await self._removing.delete(place, session)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await self._renaming.rename(source, target, session, overwrite=overwrite)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        return await self._renaming.copy(source, target, session, version)

    def copies_from(self, other: CompleteBackend) -> bool:
        return isinstance(other, S3Backend) and has_same_access(self.options, other.options)

    async def copy_from(
        self,
        other: CompleteBackend,
        source: Place,
        target: Place,
        info: FileInfo,
        session: Session,
        *,
        exclusive: bool,
    ) -> FileInfo:
        if not isinstance(other, S3Backend):
            raise OtherStorage
        await self._hiding.refuse(target, session)
        key = self._keys.key_of(target)
        copying = ObjectCopier(self.client, self.journal, self._conditions, other.client)
        with self._cache.changing(key, session) as change:
            try:
                completed = await copying.object(other._keys.key_of(source), key, info, exclusive=exclusive)
            except (PermissionDenied, Unsupported) as error:
                raise OtherStorage(detail=error.detail) from error
            change.left_something()
        return replace(info, mtime=completed.written_at, version=completed.version)

    async def remove_version(self, place: Place, info: FileInfo, session: Session) -> None:
        key = self._keys.key_of(place)
        with self._cache.changing(key, session):
            await self._removing.source(key, info.version)
        await self._directories.removed_below(place, session)

    async def write_mark(self, place: Place, session: Session) -> object:
        head = await self.client.call("HeadObject", Key=self._keys.key_of(place))
        return write_id_of(head), version_of(head), head.get("VersionId"), head.get("LastModified")

    def small_objects(self) -> SmallObjects | None:
        return BucketObjects(self.client)

    def kept_uploads(self, limits: KeepLimits) -> S3KeptUploads:
        """See `KeepsUploads`."""
        kept = S3KeptUploads(
            self.client,
            self._keys.key_of,
            self.journal,
            self._conditions,
            limits,
            self._metrics,
            self._storage,
        )
        kept.sweeper = KeptSweeper(kept)
        self.janitor.spares(kept.keeps)
        return kept

    def kept_survey(self, limits: KeepLimits) -> S3KeptSurvey:
        return S3KeptSurvey(self.kept_uploads(limits))

    async def written_file(self, place: Place) -> WrittenFile | None:
        """One HEAD for a file; one more and a LIST for anything else."""
        with in_scope(None):
            try:
                head = await self.client.call("HeadObject", Key=self._keys.key_of(place))
            except NotFound:
                return await super().written_file(place)
        return WrittenFile(
            write_id_of(head),
            version_of(head),
            head.get("ContentLength"),
            uploaded_at(head),
            head.get("VersionId"),
        )

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        return await self._mtimes.set(place, AttributeUpdate(mtime), session)

    async def set_attributes(self, place: Place, mtime: float | None, mode: int, session: Session) -> bool:
        return await self._mtimes.set(place, AttributeUpdate(mtime, mode), session)

    async def usage(self, place: Place, session: Session) -> Usage:
        """Return an empty `Usage`: a bucket has no limit and does not report how full it is."""
        return Usage()

    async def size_of_file(self, place: Place, session: Session) -> int | None:
        """One HEAD."""
        info = await self._lookup.object(self._keys.key_of(place))
        return None if info is None else info.size

    async def total_below(self, place: Place, session: Session) -> Amount:
        """One listing without a delimiter, a request for each thousand objects. Whatever is stored counts,
        also objects that have no name here, but not the server's own."""
        prefix = self._keys.prefix_of(place)
        own = reserved_prefix(self._keys.prefix)
        total = Amount()
        async with aclosing(pages(self.client, prefix)) as answers:
            async for answer in answers:
                lines = [line for line in answer.get("Contents", ()) if not line["Key"].startswith(own)]
                files = sum(not line["Key"].endswith("/") for line in lines)
                total += Amount(sum(int(line["Size"]) for line in lines), files)
        return total

    def object_at(self, place: Place) -> ObjectAddress | None:
        try:
            return ObjectAddress(self.options.bucket, self._keys.key_of(place))
        except StorageError:
            return None

    async def open_file(
        self, place: Place, stop: int, session: Session
    ) -> tuple[FileInfo, AsyncIterator[Buffer] | None]:
        return await self._opening.open(place, self._keys.key_of(place), stop, session)

    async def stored_digest(
        self, place: Place, info: FileInfo, algorithm: str, session: Session
    ) -> bytes | None:
        return await stored_digest(self.client, self._keys.key_of(place), info, algorithm)

    async def refuse_file(self, place: Place, session: Session) -> None:
        await self._hiding.refuse(place, session)

    async def require_version(self, place: Place, info: FileInfo | None, session: Session) -> None:
        try:
            head = await self._lookup.head(self._keys.key_of(place), session)
        except NotFound:
            head = None
        if head is None or info is None:
            is_same = head is None and info is None
        elif info.version is None:  # the version comes from a listing without ETags
            is_same = self._lookup.described(head).size == info.size
        else:
            is_same = info.version in (version_of(head), *former_versions(head))
        if not is_same:
            raise Changed

    async def read_file(self, place: Place, session: Session) -> bytes:
        info = await self._lookup.file(place, session)
        pieces = read_range(self.client, self._cache, self._keys.key_of(place), 0, info.size, info.version)
        return b"".join([piece async for piece in pieces])

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        await self._hiding.refuse(place, session)
        return await self._writing.whole(place, self._keys.key_of(place), data, session)

    def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        return read_range(self.client, self._cache, self._keys.key_of(place), start, stop, version)

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        await self._hiding.refuse(place, session)
        return self._writing.begin(place, self._keys.key_of(place), intent, session)

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await self._writing.chunk(_ours(upload), data)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        await self._writing.copy_range(_ours(upload), start, stop, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        ours = _ours(upload)
        await self._hiding.refuse(ours.place, session)  # something may have been created since `begin_write`
        info = await self._writing.complete(ours, tail, finish, session)
        late = AttributeUpdate(
            finish.mtime if finish.mtime != ours.mtime else None,
            finish.mode if finish.mode != ours.mode else None,
        )
        return await self._mtimes.after_finish(ours.key, info, late, session) if late else info

    async def abort_write(self, upload: Upload, session: Session) -> None:
        await self._writing.abort(_ours(upload))


def _ours(upload: Upload) -> S3Upload:
    if not isinstance(upload, S3Upload):
        raise StorageFailure(detail="an upload of another backend")
    return upload
