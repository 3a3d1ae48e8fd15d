"""A storage of 25 lines: notes in a dictionary, with nothing but what is required.

    s3sftp.Server(backend=Notes(), auth=…)

It is enough for clients that behave. What others have to be told is the next step of docs/custom-backends.md.
"""

from s3sftp.backends import Backend, Entry, FileInfo, Place


class Notes(Backend):
    def __init__(self, options=None):
        self.notes = {Place(): None}  # the text of each note; a directory has none

    async def file_info(self, place, session):
        if place not in self.notes:
            raise FileNotFoundError
        return FileInfo.directory() if (text := self.notes[place]) is None else FileInfo.file(len(text))

    async def list_dir(self, place, session):
        yield [Entry(p.name, await self.file_info(p, session)) for p in self.notes if p.parent == place != p]

    async def make_dir(self, place, session):
        self.notes.setdefault(place)

    async def del_dir(self, place, session):
        if any(p.parent == place for p in self.notes):
            raise FileExistsError
        del self.notes[place]

    async def delete(self, place, session):
        del self.notes[place]

    async def rename(self, source, target, session, *, overwrite):
        for p in [p for p in self.notes if p.is_within(source)]:
            self.notes[Place(target.names + p.names[len(source.names) :])] = self.notes.pop(p)

    async def read_file(self, place, session):
        return self.notes[place]

    async def write_file(self, place, data, session):
        self.notes[place] = bytes(data)
