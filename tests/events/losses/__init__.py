"""Many uploads while sinks, the store and a server fail: does every file have its event at every sink?

    door         what is between the server and a sink, and fails on command
    receivers    the sinks: a webhook, and SQS, SNS and EventBridge of moto
    replicas     two servers with an S3 of their own to fail, and the clients that upload through them
    troubles     what goes wrong during a part of the uploads
    story        all of it, one after another
    account      what must come of it (pure)

A short run belongs to the tests; `python -m tests.events.losses --uploads 1000` is the real one.
"""
