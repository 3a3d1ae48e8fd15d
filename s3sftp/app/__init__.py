"""The composition root: it makes a server of the options of every group.

`application` runs the server around signals. `options` reads all groups and `backends` makes the storage that
they name; `health` answers the admin port; `config_reload` and `account_updates` bring changed users to a
server that runs.
"""
