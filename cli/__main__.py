"""`python -m saformer.cli`, which is also what `torchrun -m` starts."""

from saformer.cli import main

if __name__ == "__main__":
    main()
