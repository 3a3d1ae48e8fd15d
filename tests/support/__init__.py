"""Parts that the tests share: processes, S3 servers, the fault proxy, clients."""
