"""Random operations over SFTP, another S3 client's in between, and faults, against a dictionary of keys.

    machine    what happens: the rules that hypothesis chooses from
    player     how a step is made, judged, and what is compared after it
    expected   what must come of it: a dictionary, and what each operation may make of it (pure)
    world      where it happens: the server on a storage whose keys can be seen and changed past it

A short run belongs to the tests; `python -m tests.model --minutes 30` goes on for longer.
"""
