"""One storage for many tenants: who logs in sees what is their tenant's, and nothing else.

    s3sftp.Server(backend=Tenants(S3Backend(options)), auth=…)

The authenticator says whose a user is: `Identity("alice", attributes={"tenant": "acme"})`. Where nothing but
the prefix differs, `Identity("alice", prefix="acme/")` does the same without a line of code; a class like
this one is for tenants who differ in more: their bucket, their key, their region.
"""

from collections.abc import AsyncIterator, Sequence

from s3sftp.backends import (
    Backend,
    Buffer,
    CompleteBackend,
    Entry,
    FileInfo,
    Finish,
    Place,
    Session,
    Upload,
    WriteIntent,
)
from s3sftp.errors import PermissionDenied


class Tenants(Backend):
    """Any complete backend, a directory of which is all that a tenant sees."""

    def __init__(self, inner: CompleteBackend) -> None:
        self._inner = inner

    def _of_tenant(self, place: Place, session: Session) -> Place:
        tenant = session.attributes.get("tenant")
        if not tenant:
            raise PermissionDenied("this account belongs to no tenant")
        return Place((tenant.encode(), *place.names))  # a Place cannot be made of `..` or `a/b`

    async def start(self) -> None:
        await self._inner.start()

    async def stop(self) -> None:
        await self._inner.stop()

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return await self._inner.file_info(self._of_tenant(place, session), session)

    def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        return self._inner.list_dir(self._of_tenant(place, session), session)

    async def make_dir(self, place: Place, session: Session) -> None:
        await self._inner.make_dir(self._of_tenant(place, session), session)

    async def del_dir(self, place: Place, session: Session) -> None:
        await self._inner.del_dir(self._of_tenant(place, session), session)

    async def delete(self, place: Place, session: Session) -> None:
        await self._inner.delete(self._of_tenant(place, session), session)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        source, target = self._of_tenant(source, session), self._of_tenant(target, session)
        await self._inner.rename(source, target, session, overwrite=overwrite)

    async def read_file(self, place: Place, session: Session) -> Buffer:
        return await self._inner.read_file(self._of_tenant(place, session), session)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        return await self._inner.write_file(self._of_tenant(place, session), data, session)

    # What follows is optional: without it whole files would go through a spool.

    def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        place = self._of_tenant(place, session)
        return self._inner.read_file_range(place, start, stop, version, session)

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        return await self._inner.begin_write(self._of_tenant(place, session), intent, session)

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await self._inner.write_chunk(upload, data, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        return await self._inner.finish_write(upload, tail, finish, session)

    async def abort_write(self, upload: Upload, session: Session) -> None:
        await self._inner.abort_write(upload, session)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        source, target = self._of_tenant(source, session), self._of_tenant(target, session)
        return await self._inner.copy(source, target, session, version=version)
