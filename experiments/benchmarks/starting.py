"""What `import volspine` costs on top of a bare interpreter, and `volspine --help` likewise."""

import subprocess
import sys

from timing import Row, compare

__all__ = ["rows"]


def rows() -> list[Row]:
    """Compare two starts of the interpreter with one that does nothing."""

    def start(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    bare = ("a bare interpreter", lambda: start("-c", "pass"))
    importing = ("python -c 'import volspine'", lambda: start("-c", "import volspine"))
    helping = ("volspine predict --help", lambda: start("-m", "volspine", "predict", "--help"))
    return [
        compare("import", importing, bare, agreement="nothing to agree on", rounds=21),
        compare("help", helping, bare, agreement="nothing to agree on", rounds=21),
    ]
