"""How much a number of partners needs: requests, processors, memory, replicas, money.

requests      what one operation asks of S3: the published table of costs, as functions
coefficients  what it takes of a processor and of memory: from a file of results
demand        what partners do, and the machines that are to serve them
requirements  all of it put together
    check         the model against measurements
    output        the answer as text
"""
