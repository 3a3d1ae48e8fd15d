"""What tests and benchmarks run the server against: stores, programs, and an SFTP client below the libraries.

    processes     programs that are started, watched and certainly ended
    store         an S3 server: where it is, how to get in, a bucket in it
    seaweed       SeaweedFS as such a store
    synthetic_s3  a store with a million keys that it makes up, so that the server alone is measured
    certificates  an authority and the certificates that it signs
    haproxy       haproxy in front of a server or a store
    request_log   an HTTP request as the S3 API that it calls
    packets       SFTP v3 on the wire, written from the protocol
    wire          a client that sends any packet, valid or not, over a real SSH channel

It imports neither the server nor the tests, and is in no release.
"""
