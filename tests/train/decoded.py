"""The command line, with every picture that is decoded written to the file DECODED. Started by torchrun."""

import os
import sys

from visreason import cli
from visreason.data import pictures

verify = pictures.verify_pixels


def counted(image):
    with open(os.environ["DECODED"], "a") as out:
        out.write(f"{os.environ.get('RANK')} {image.path}\n")
    verify(image)


if __name__ == "__main__":
    pictures.verify_pixels = counted
    sys.exit(cli.main(sys.argv[1:]))
