"""`python -m s3sftp` is the command `s3sftp`."""

import gc
import signal


def main() -> None:
    """Run the command line. Until it is imported, Ctrl-C ends the process as it ends any other program: there
    is nothing to clean up yet, and Python would show where it was.

    Garbage is not collected either: what imports make stays, and would be looked through again and again.
    `s3sftp.cli` switches it on again.
    """
    gc.disable()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from s3sftp.cli import main as run

    run()


if __name__ == "__main__":
    main()
