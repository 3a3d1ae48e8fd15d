"""What every process of the server needs: cancellation, shutdown, a task dump, counters shared by processes, buffers."""
