"""The composition root: builds a server from the options of every group.

`application` runs the server and handles its signals. `options` reads all groups, and `backends` makes the
storage that they name. `health` answers the admin port. `config_reload` brings changed users to a running
server, and `handover` brings them to its workers.
"""
