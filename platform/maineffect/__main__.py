"""``python -m maineffect`` is the ``maineffect`` command."""

from maineffect.cli.app import main

if __name__ == "__main__":
    main()
