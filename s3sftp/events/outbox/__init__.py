"""Keeps events that are not delivered yet, as small objects below a reserved prefix of the bucket.

    <prefix>.s3sftp/events/
        leases/<instance>                            shows that the process with these entries runs
        entries/<instance>/_changes/<time>-<id>      an event of a change, written before the change
        entries/<instance>/<sink>/<time>-<id>        an event that waits for one sink
        refused/<sink>/<time>-<id>                   an event that the sink will never accept

`backends/small_objects.py` is what the outbox needs of a storage. `entries` (pure) is what is written.
`lease` shows that a process runs, and `own_entries` writes its entries. `backlog` reads them back.
`takeover` adopts the entries of processes that have ended, and `unfinished_changes` settles the changes that
they had begun: `settling` (pure) decides what became of each. `survey` shows all of it to an operator.
"""
