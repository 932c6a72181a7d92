"""The scripts on MNIST."""
