"""What stands between every server and S3: it counts requests, and can make S3 as far away as the real one.

server ──► relay (a process of its own) ──► S3
             shaper.py       the process: listens, answers on its control port
             connection.py   one connection: where a request begins, where its answer does
             flow.py         one direction of it: bytes moved by the kernel, at a limited rate
             remote.py       the benchmark's handle on the process
"""
