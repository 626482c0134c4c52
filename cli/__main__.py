"""`python -m saformer.cli`, which is also what `torchrun -m` starts."""

from saformer.cli import program

if __name__ == "__main__":
    program()
