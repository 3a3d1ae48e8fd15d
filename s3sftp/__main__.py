"""`python -m s3sftp` is the command `s3sftp`."""

from s3sftp.cli import main

if __name__ == "__main__":
    main()
